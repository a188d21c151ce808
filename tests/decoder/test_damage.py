"""Damaged files give the same frames by the GPU's decoder as by one thread of the processor: every frame that can be
decoded is there, and whatever is repeated is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pytest

from damaged import damaged, without
from decoder.test_files import forget
from decoder.videos import Kind, assert_same, by_processor, laid_out, make, on_host
from files import runner
from pdum.nvenc import DecodedFrame, FileJob, FileSettings
from pdum.nvenc._files.task import FileTask
from pdum.nvenc._media import decode, hardware_decode
from pdum.nvenc._media.decode import frames_from
from pdum.nvenc._media.decoder import Decoding
from pdum.nvenc._media.source import Index, Key, index_source

from simulator import Machine

pytestmark = pytest.mark.one_abi

PYRAMID = {"bf": "7", "x264-params": "b-pyramid=normal:b-adapt=0", "g": "10"}
KINDS = [
    Kind("h264-pyramid", container="mkv", options=PYRAMID),
    Kind("hevc-damage", "libx265", size=(192, 160), options={"bf": "2"}, container="mkv"),
]


@pytest.fixture(autouse=True)
def _nothing_is_known_of_other_files() -> None:
    forget()


def cut_off(source: Path, packets: set[int], folder: Path) -> Path:
    """A copy that ends in the middle, as if its disk had been full."""
    path = folder / f"cut{source.suffix}"
    path.write_bytes(source.read_bytes()[: source.stat().st_size * min(packets) // 30])
    return path


def decoded(path: Path, first: int, by_chip: bool) -> tuple[list[Any], list[int], int]:
    """All frames, what was repeated, and how many the chip has decoded."""
    on_gpu = hardware_decode.decoder_on(runner.HARDWARE, path) if by_chip else None
    repeated: list[int] = []
    pictures: list[Any] = []
    chips = 0
    for frame in frames_from(path, index_source(path), first, Decoding(1, on_gpu=on_gpu), repeated.append):
        is_chips = isinstance(frame, DecodedFrame)
        chips += is_chips
        pictures += on_host([frame]) if is_chips else [(frame.pts, laid_out(frame))]
        del frame
    return pictures, repeated, chips


@pytest.mark.parametrize("packets", [{13}, {15}, {16, 17}, {24}, {29}], ids=str)
@pytest.mark.parametrize("damage", [damaged, without, cut_off])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_same_frames_as_by_the_processor(
    machine: Machine, folder: Path, tmp_path: Path, kind: Kind, damage: Callable[..., Path], packets: set[int]
) -> None:
    path = damage(make(folder, kind), packets, tmp_path)
    for first in (0, 12) if index_source(path).frames > 12 else (0,):
        wanted, told, _ = decoded(path, first, by_chip=False)
        found, repeated, chips = decoded(path, first, by_chip=True)
        assert chips
        assert repeated == told
        assert_same(found, wanted)


@pytest.mark.parametrize("decoders", [1, 3])
def test_the_gpu_takes_over_again_at_the_next_key_frame(
    machine: Machine, folder: Path, tmp_path: Path, decoders: int
) -> None:
    """Or else one damaged packet would leave the rest of a film to one thread of the processor."""
    options = {"g": "30", "bf": "2", "x264-params": "scenecut=0:open-gop=0"}
    whole = make(folder, Kind("long-groups", options=options, count=150))
    source = damaged(whole, {40}, tmp_path)
    wanted = dict(enumerate(by_processor(whole)))
    settings = FileSettings(codec="hevc", encoder={"preset": "p1", "bframes": 0})
    task = FileTask(FileJob(source=source, destination=tmp_path / "result.mp4", settings=settings), "nvenc")
    task.prepare(1)
    frames: Any = task.frames(0, runner.HARDWARE)
    frames.use_decoders(decoders)
    by_chip = []
    for number, frame in enumerate(frames):
        by_chip.append(isinstance(frame, DecodedFrame))
        if by_chip[-1] and number not in range(30, 60):
            assert_same(on_host([frame]), [wanted[number]])
        del frame
    frames.close()
    warnings = task._all_warnings([])
    task.abandon(keep=False)
    assert len(by_chip) == 150
    assert all(by_chip[:38])
    assert not any(by_chip[42:60])
    assert all(by_chip[60:])
    assert sum("decoded up to the next key frame" in told for told in warnings) == 1


def test_frames_that_the_gpu_shows_too_early_do_not_replace_others(
    machine: Machine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NVIDIA's parser does this behind a gap in the numbers of H.264: others would be repeated, which come later."""
    path = make(folder, KINDS[0])
    from_key = decode._from_key

    def too_early(path: Path, index: Index, key: Key, decoding: Decoding) -> Iterator[Any]:
        frames = from_key(path, index, key, decoding)
        if decoding.on_gpu is None or key.frame > 0:
            return frames
        return chain(islice(frames, 4), islice(frames, 2, 4), frames)

    wanted, _, _ = decoded(path, 0, by_chip=False)
    monkeypatch.setattr(decode, "_from_key", too_early)
    found, repeated, chips = decoded(path, 0, by_chip=True)
    assert repeated == []
    assert chips >= 20
    assert_same(found, wanted)
