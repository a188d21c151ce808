"""What FFmpeg's own program shows of streams with two layers: their colours with their alpha, or both views."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from newest_ffmpeg import Planes, decoded
from pdum.nvenc import EncoderPool, NvencEncoder, VideoWriter
from stereo_streams import pair as eyes_of
from transparent_clips import FORMS, FRAMES, HEIGHT, WIDTH, Pixels, shown_colours, transparency, transparent_clip

from simulator import Simulator

pytestmark = pytest.mark.one_abi

SIZE = WIDTH, HEIGHT
WITH_B_FRAMES: dict[str, Any] = {"codec": "hevc", "alpha": True, "qp": 6, "tuning": "hq", "bframes": 2, "gop": 6}


@pytest.fixture(autouse=True)
def machine(simulator: Simulator) -> Iterator[Any]:
    with simulator.machine(gpus=["RTX 5090"], backend="codec") as made:
        yield made


def nv12_and_alpha(number: int) -> tuple[Pixels, Pixels]:
    frame = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    frame[:HEIGHT] = np.arange(WIDTH) % 128 + 5 * number
    return frame, transparency(number)


def off(found: Pixels, wanted: Pixels) -> float:
    return float(np.abs(found.astype(int) - wanted).mean())


def assert_pairs(shown: list[Planes]) -> None:
    assert len(shown) == FRAMES
    for number, planes in enumerate(shown):
        frame, alpha = nv12_and_alpha(number)
        assert off(planes[0], frame[:HEIGHT]) < 2, number
        assert max(off(plane, np.full_like(plane, 128)) for plane in planes[1:3]) < 2, number
        assert off(planes[3], alpha) < 2, number


def test_a_stream_has_its_colours_and_its_alpha(tmp_path: Path) -> None:
    with NvencEncoder(*SIZE, format="nv12", **WITH_B_FRAMES) as encoder:
        packets = [one for number in range(FRAMES) for one in encoder.submit(nv12_and_alpha(number), number)]
        packets += encoder.flush_pipeline()
    (tmp_path / "a.hevc").write_bytes(b"".join(packet.data for packet in packets))
    assert_pairs(decoded(tmp_path / "a.hevc", SIZE))


@pytest.mark.parametrize("suffix", ["mov", "mp4"])
@pytest.mark.parametrize("more", [{}, {"engines": "all"}])
def test_a_written_file_has_them(tmp_path: Path, suffix: str, more: dict[str, Any]) -> None:
    path = tmp_path / f"a.{suffix}"
    with VideoWriter(path, fps=25, format="nv12", queue_frames=FRAMES, **WITH_B_FRAMES, **more) as video:
        for number in range(FRAMES):
            video.write(nv12_and_alpha(number))
    assert_pairs(decoded(path, SIZE))


@pytest.mark.parametrize("suffix", ["mov", "mp4"])
@pytest.mark.parametrize("name", ["ProRes 4444", "VP9"])
def test_an_encoded_file_has_those_of_its_source(tmp_path: Path, suffix: str, name: str) -> None:
    source = transparent_clip(tmp_path / f"source{FORMS[name].suffix}", FORMS[name])
    with EncoderPool() as pool:
        pool.encode_file(source, tmp_path / f"a.{suffix}", segments=2, alpha=True, qp=6)
    shown, wanted = decoded(tmp_path / f"a.{suffix}", SIZE), shown_colours(source)
    assert len(shown) == FRAMES
    for number, planes in enumerate(shown):
        assert max(off(seen, colour) for seen, colour in zip(planes, wanted[number], strict=False)) < 2, number
        assert off(planes[3], transparency(number)) < 3, number


@pytest.mark.parametrize("suffix", ["hevc", "mov", "mp4"])
def test_both_views_are_shown(tmp_path: Path, suffix: str) -> None:
    """PyAV's decoder gives them too, by another way of asking for them."""
    height, width = eyes_of(0)[0].shape[0] * 2 // 3, eyes_of(0)[0].shape[1]
    settings: dict[str, Any] = {"codec": "hevc", "stereo": True, "qp": 10}
    path = tmp_path / f"a.{suffix}"
    if suffix == "hevc":
        with NvencEncoder(width, height, **settings) as encoder:
            packets = [one for number in range(FRAMES) for one in encoder.submit(eyes_of(number), number)]
            packets += encoder.flush_pipeline()
        path.write_bytes(b"".join(packet.data for packet in packets))
    else:
        with VideoWriter(path, fps=25, **settings, format="nv12", queue_frames=FRAMES) as video:
            for number in range(FRAMES):
                video.write(eyes_of(number))
    for eye in range(2):
        shown = decoded(path, (width, height), "-map", f"0:v:view:{eye}", transparent=False)
        assert len(shown) == FRAMES
        for number, planes in enumerate(shown):
            assert off(planes[0], eyes_of(number)[eye][:height]) < 2, (number, eye)
