"""A decoder that gives the alpha of HEVC unasked, as FFmpeg's program does: nothing else may change by that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from newest_ffmpeg import decoded
from pdum.nvenc import EncoderPool
from pdum.nvenc._files import scores as _scores
from pdum.nvenc._files import searching_task as _searching_task
from pdum.nvenc._media import sample as _sample
from pdum.nvenc._media import verify as _verify
from pdum.nvenc._media.alpha_layer import has_alpha_layer
from pdum.nvenc._media.decoder import ByFFmpeg
from transparent_clips import FORMS, FRAMES, HEIGHT, WIDTH, shown_colours, transparency, transparent_clip

from simulator import Simulator

pytestmark = pytest.mark.one_abi

SIZE = WIDTH, HEIGHT


@pytest.fixture(autouse=True)
def machine(simulator: Simulator) -> Iterator[Any]:
    with simulator.machine(gpus=["RTX 5090"], backend="codec") as made:
        yield made


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Makes such a decoder of the one that is here. Returns which of its users got frames of it."""
    users: list[str] = []
    frames, samples = ByFFmpeg.frames, _sample.decoded

    def with_alpha(frame: Any) -> Any:
        made = frame.reformat(format="yuva420p")
        np.frombuffer(made.planes[3], np.uint8)[:] = 77
        return made

    def of_file(self: ByFFmpeg, packet: Any) -> list[Any]:
        found = frames(self, packet)
        if self._context is not self._stream.codec_context or not has_alpha_layer(self._stream):
            return found
        users.append("file")
        return list(map(with_alpha, found))

    def of_packets(*arguments: Any, **more: Any) -> Iterator[Any]:
        users.append("packets")
        yield from map(with_alpha, samples(*arguments, **more))

    monkeypatch.setattr(ByFFmpeg, "frames", of_file)
    for module in (_sample, _verify, _searching_task):
        monkeypatch.setattr(module, "decoded", of_packets)
    return users


def hevc_with_alpha(folder: Path, **more: Any) -> Path:
    source, path = transparent_clip(folder / "source.mov", FORMS["PNG"]), folder / "a.mov"
    with EncoderPool() as pool:
        pool.encode_file(
            source, path, **{name: one for name, one in {"alpha": True, "qp": 6, **more}.items() if one is not None}
        )
    return path


@pytest.mark.parametrize("verify", ["samples", "full"])
def test_results_are_verified(folder: Path, given: list[str], verify: str) -> None:
    hevc_with_alpha(folder, verify=verify)
    assert given


def test_a_target_compares_colours(folder: Path, given: list[str]) -> None:
    hevc_with_alpha(folder, qp=None, target="ssim=0.95")
    assert "packets" in given


def test_its_alpha_is_left_out_unless_it_is_asked_for(folder: Path, given: list[str]) -> None:
    first = hevc_with_alpha(folder)
    with EncoderPool() as pool:
        told = pool.encode_file(first, folder / "b.mp4", codec="hevc", qp=6)
        pool.encode_file(first, folder / "c.mov", alpha=True, qp=6)
    assert "file" in given
    assert any("alpha channel, which is left out" in text for text in told.warnings)
    for number, (kept, lost) in enumerate(zip(shown_colours(first), shown_colours(folder / "b.mp4"), strict=True)):
        assert all(np.abs(one.astype(int) - other).mean() < 2 for one, other in zip(kept, lost, strict=True)), number
    shown = decoded(folder / "c.mov", SIZE)
    assert len(shown) == FRAMES
    for number, planes in enumerate(shown):
        assert np.abs(planes[3].astype(int) - transparency(number)).mean() < 2, number


@pytest.mark.parametrize("metric", ["ssim", "xpsnr"])
def test_scores_are_those_of_the_colours(folder: Path, metric: str) -> None:
    import av

    path = hevc_with_alpha(folder, qp=30)
    with av.open(str(folder / "source.mov")) as source, av.open(str(path)) as result:
        originals = [frame.reformat(format="yuv420p") for frame in source.decode(video=0)]
        results = list(result.decode(video=0))
    known = _scores.compare(metric, originals, results)
    assert _scores.compare(metric, originals, [one.reformat(format="yuva420p") for one in results]) == known
