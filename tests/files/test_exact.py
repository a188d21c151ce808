"""Wherever a source is cut, the joined result decodes to the same samples as the source."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from files.runner import HARDWARE, assert_same_pictures, job, pictures, planes, run, seconds
from media_samples import SAMPLES, ffmpeg, sample
from pdum.nvenc import FileTask
from pdum.nvenc._media.decode import frames_from
from pdum.nvenc._media.decoder import Decoding
from pdum.nvenc._media.source import index_source

from simulator import Simulator

pytestmark = pytest.mark.one_abi

MACHINE: dict[str, Any] = {"gpus": {"name": "RTX 5090", "fps_1080p": 0}, "backend": "codec"}


def random_cuts(name: str, segments: int) -> Any:
    """This many ranges, cut at random places that are the same in each run."""

    def cut(frames: int) -> Sequence[tuple[int, int]]:
        places = random.Random(zlib.crc32(name.encode()) + segments)
        edges = [0, *sorted(places.sample(range(1, frames), min(segments, frames) - 1)), frames]
        return list(pairwise(edges))

    return cut


@pytest.mark.parametrize("segments", [1, 2, 5])
@pytest.mark.parametrize("name", SAMPLES)
def test_software_joins_are_exact(folder: Path, name: str, segments: int) -> None:
    result = folder / "result.mp4"
    told = run(FileTask(job(sample(name), result, verify="structure")), cut=random_cuts(name, segments))
    assert_same_pictures(sample(name), result)
    assert told.frames == len(pictures(result))


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".ts"])
@pytest.mark.parametrize("source", [".ts", ".mp4"])
def test_a_beginning_between_milliseconds_is_kept(folder: Path, tmp_path: Path, source: str, suffix: str) -> None:
    """Broadcasts count in units of 1/90000 s, and begin anywhere."""
    later, result = tmp_path / f"source{source}", folder / f"result{suffix}"
    ffmpeg("-i", sample("later-start"), "-f", "lavfi", "-i", "sine=duration=1", "-c:v", "copy", "-c:a", "aac",
           "-output_ts_offset", "0.0065", "-movie_timescale", "90000", later)  # fmt: skip
    run(FileTask(job(later, result)))
    assert_same_pictures(later, result)
    moved = [b - a for a, b in zip(seconds(later), seconds(result), strict=True)]
    assert max(moved) - min(moved) <= Fraction(suffix == ".mkv", 1000)
    assert suffix not in (".mp4", ".mov") or moved[0] == 0


@pytest.mark.parametrize("segments", [1, 2, 5])
@pytest.mark.parametrize("name", SAMPLES)
def test_hardware_joins_are_exact(simulator: Simulator, folder: Path, name: str, segments: int) -> None:
    """The hardware's interface, with real codecs behind it."""
    result = folder / "result.mkv"
    codec = "hevc" if segments % 2 else "h264"
    task = FileTask(job(sample(name), result, codec=codec, verify="structure"))
    with simulator.machine(**MACHINE):
        run(task, HARDWARE, random_cuts(name, segments))
    assert_same_pictures(sample(name), result)


@pytest.mark.parametrize("codec", ["hevc", "av1"])
@pytest.mark.parametrize("name", ["open-gop", "variable-rate", "odd", "edit-list"])
def test_each_software_codec_is_exact(folder: Path, name: str, codec: str) -> None:
    result = folder / "result.mp4"
    run(FileTask(job(sample(name), result, codec=codec)), cut=random_cuts(name, 3))
    assert_same_pictures(sample(name), result)
    with av.open(str(result)) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == codec


@pytest.mark.parametrize("name", SAMPLES)
def test_frames_from_any_place_are_those_of_decoding_from_the_beginning(name: str) -> None:
    path = sample(name)
    index = index_source(path)
    wanted = pictures(path)
    assert len(wanted) == index.frames
    for first in sorted({0, 1, index.frames // 3, index.frames // 2, index.frames - 1} & set(range(index.frames))):
        repeated: list[int] = []
        found = list(frames_from(path, index, first, Decoding(2), repeated.append))
        assert len(found) == index.frames - first
        assert not repeated
        for frame, whole in zip(found, wanted[first:], strict=True):
            if whole is not None:
                assert all((a == b).all() for a, b in zip(planes(frame, frame.width, frame.height), whole, strict=True))


@pytest.mark.parametrize("segments", ["auto", 1, 4, 7])
def test_a_pool_gives_what_one_encoder_gives(folder: Path, segments: int | str) -> None:
    from pdum.nvenc import EncoderPool

    result = folder / "result.mp4"
    with EncoderPool(backend="software", engines=3) as pool:
        told = pool.encode_file(
            sample("leading-pictures"), result, segments=segments, codec="h264", tuning="lossless", preset="p1"
        )
    assert_same_pictures(sample("leading-pictures"), result)
    assert told.frames == 40


def test_a_pool_of_hardware_does_many_files(simulator: Simulator, folder: Path) -> None:
    from pdum.nvenc import EncoderPool, FileJob

    names = ("open-gop", "everything", "three-frames", "one-frame", "variable-rate")
    jobs: list[FileJob] = [job(sample(name), folder / f"{name}.mkv", codec="hevc") for name in names]
    with simulator.machine(**MACHINE):
        with EncoderPool() as pool:
            report = pool.encode_files(jobs)
            assert [engine.kind for engine in pool.engines] == ["nvenc"] * 3
        results = report.raise_for_errors()
    assert [told.frames for told in results] == [40, 40, 3, 1, 40]
    for name in names:
        assert_same_pictures(sample(name), folder / f"{name}.mkv")
