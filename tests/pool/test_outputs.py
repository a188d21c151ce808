"""Generated video in every kind of file, read by independent programs."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from pdum.nvenc import EncoderPool, FolderMissing, InvalidConfig, NvencError
from pdum.nvenc._media.mux import OutputFile, VideoFormat, decode_times, part_of
from pool_tasks import HEIGHT, WIDTH, picture

from loud import need_module
from simulator import Simulator

pytestmark = pytest.mark.one_abi

FRAMES = 47
MACHINE: dict[str, Any] = {"gpus": [{"name": "L4", "fps_1080p": 0}], "backend": "codec"}
NTSC = Fraction(30000, 1001)


@pytest.fixture(scope="module")
def av() -> Any:
    return need_module("av")


def frame_of(index: int) -> Any:
    """A grey level that encodes the frame's number and survives a lossy encoder."""
    frame = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    frame[:HEIGHT] = 20 + 4 * index
    return frame


def render_frame(index: int, _: object) -> Any:
    return frame_of(index)


def numbers(frames: Sequence[Any]) -> list[int]:
    return [round((float(frame.to_ndarray()[:HEIGHT].mean()) - 20) / 4) for frame in frames]


KINDS = [
    *((codec, end) for codec in ("h264", "hevc", "av1") for end in (".mp4", ".mkv")),
    *((codec, end) for codec in ("h264", "hevc") for end in (".mov", ".ts")),
    ("av1", ".webm"),
    ("h264", ".h264"),
    ("hevc", ".annexb"),
    ("av1", ".obu"),
    ("av1", ".ivf"),
]


@pytest.mark.parametrize(
    ("codec", "end", "bframes"),
    [(codec, end, bframes) for codec, end in KINDS for bframes in ((0,) if codec == "av1" else (0, 2))],
)
def test_every_kind_of_file(simulator: Simulator, av: Any, tmp_path: Path, codec: str, end: str, bframes: int) -> None:
    """Frames in order, at even times from 0, with growing decode times and the requested colour."""
    path = tmp_path / f"film{end}"
    options: dict[str, Any] = {"codec": codec, "bframes": bframes, "tuning": "hq", "fps": NTSC, "colour": "bt709"}
    with simulator.machine(**MACHINE), EncoderPool() as pool:
        result = pool.render_video(
            render_frame, FRAMES, destination=path, segments=3, width=WIDTH, height=HEIGHT, **options
        )
    assert (result.frames, result.size, result.destination) == (FRAMES, path.stat().st_size, str(path))
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    kind = {".annexb": "hevc", ".obu": "obu"}.get(end)
    with av.open(str(path), format=kind) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    with av.open(str(path), format=kind) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        colour = stream.codec_context.color_primaries, stream.codec_context.colorspace
        base = stream.time_base
    assert numbers(frames) == list(range(FRAMES))
    assert colour == (1, 1)
    if end in (".h264", ".annexb", ".obu"):
        return  # has no times
    times = [float(frame.pts * base) for frame in frames]
    assert times == pytest.approx([times[0] + index / float(NTSC) for index in range(FRAMES)], abs=0.0011)
    assert end == ".ts" or times[0] == 0
    dts = [packet.dts for packet in packets if packet.dts is not None]
    assert dts == sorted(set(dts))
    assert all(packet.dts is None or packet.dts <= packet.pts for packet in packets)
    assert sum(packet.is_keyframe for packet in packets) >= 3


def test_the_container_is_the_same_with_any_number_of_engines(simulator: Simulator, av: Any, tmp_path: Path) -> None:
    """The pictures do not depend on how the work was divided."""
    seen = []
    for engines in (1, 3):
        path = tmp_path / f"{engines}.mp4"
        gpu = {"like": "L4", "name": "some", "engines": engines, "fps_1080p": 200}
        with simulator.machine(gpus=[gpu], backend="codec"), EncoderPool() as pool:
            pool.render_video(render_frame, FRAMES, destination=path, width=WIDTH, height=HEIGHT, cq=20)
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            seen.append(([frame.pts for frame in container.decode(stream)], stream.duration, stream.average_rate))
        from pdum.nvenc._machine import capabilities as _capabilities

        _capabilities._found.clear()
    assert seen[0] == seen[1]


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_video_of_a_few_frames(simulator: Simulator, av: Any, tmp_path: Path, frames: int) -> None:
    for codec, end in (("h264", ".mp4"), ("hevc", ".mkv"), ("av1", ".mp4")):
        path = tmp_path / f"{codec}{end}"
        with simulator.machine(**MACHINE), EncoderPool() as pool:
            pool.render_video(render_frame, frames, destination=path, width=WIDTH, height=HEIGHT, codec=codec)
        with av.open(str(path)) as container:
            assert numbers(list(container.decode(video=0))) == list(range(frames))


def test_the_file_that_was_there_stays_until_the_new_one_is_whole(simulator: Simulator, tmp_path: Path) -> None:
    path = tmp_path / "film.h264"
    path.write_bytes(b"old")

    def render(index: int, _: None) -> Any:
        assert path.read_bytes() == b"old"
        if index == 30 and fails:
            raise OSError("no more")
        return picture(index)

    with simulator.machine(gpus=["L4"]), EncoderPool() as pool:
        fails = True
        with pytest.raises(OSError, match="no more"):
            pool.render_video(render, 60, destination=path, width=WIDTH, height=HEIGHT)
        assert path.read_bytes() == b"old"
        fails = False
        pool.render_video(render, 60, destination=path, width=WIDTH, height=HEIGHT)
    assert path.stat().st_size > 1000
    assert [one.name for one in tmp_path.iterdir()] == ["film.h264"]


@pytest.mark.parametrize(
    ("name", "codec", "words"),
    [
        ("film.avi", "h264", "ends with .mp4"),
        ("film", "h264", "ends with .mp4"),
        ("film.mov", "av1", "holds only h264 or hevc"),
        ("film.webm", "hevc", "holds only av1"),
        ("film.obu", "h264", "holds only av1"),
    ],
)
def test_files_that_cannot_be(simulator: Simulator, tmp_path: Path, name: str, codec: str, words: str) -> None:
    with simulator.machine(gpus=["L4"]), EncoderPool() as pool, pytest.raises(InvalidConfig, match=words):
        pool.render_video(lambda *_: None, 5, destination=tmp_path / name, width=WIDTH, height=HEIGHT, codec=codec)


def test_calls_that_cannot_be(simulator: Simulator, tmp_path: Path) -> None:
    size: dict[str, Any] = {"width": WIDTH, "height": HEIGHT}
    wrongs: tuple[dict[str, Any], ...] = (
        {"n_frames": 0}, {"segments": 0}, {"segments": "many"}, {"n_frames": 2.5}, {"gopp": 3},
    )  # fmt: skip
    with simulator.machine(gpus=["L4"]), EncoderPool() as pool:
        for wrong in wrongs:
            with pytest.raises(InvalidConfig):
                pool.render_video(lambda index, _: picture(index), **{"n_frames": 5, **size, **wrong})
        with pytest.raises(InvalidConfig, match="returned no frame for 0"):
            pool.render_video(lambda *_: None, 5, segments=1, **size)
        with pytest.raises(FolderMissing, match="does not exist"):
            pool.render_video(lambda index, _: picture(index), 5, destination=tmp_path / "no" / "film.mp4", **size)


# --- times ---


@given(some.lists(some.integers(-1000, 1000), unique=True, max_size=40), some.randoms())
def test_decode_times(pts: list[int], chance: Any) -> None:
    chance.shuffle(pts)
    dts = decode_times(pts)
    assert len(dts) == len(pts)
    assert all(later > earlier for earlier, later in pairwise(dts))
    assert all(decode <= present for decode, present in zip(dts, pts, strict=True))
    if pts == sorted(pts):
        assert dts == pts


def test_two_pictures_at_one_time() -> None:
    with pytest.raises(NvencError, match="same presentation time"):
        decode_times([1, 2, 1])


def test_an_output_that_is_not_committed_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "film.ivf"
    video = VideoFormat(codec="av1", header=b"h", width=64, height=32, fps=Fraction(25), time_base=Fraction(1, 25))
    with OutputFile(path, video) as output:
        output.write(b"data", 0, 0, True, 1)
        assert part_of(path).exists()
    assert list(tmp_path.iterdir()) == []
    with OutputFile(path, video) as output:
        output.write(b"data", 7, 7, True, 1)
        output.commit()
    data = io.BytesIO(path.read_bytes())
    assert struct.unpack("<4sHH4sHHIII4x", data.read(32)) == (b"DKIF", 0, 32, b"AV01", 64, 32, 25, 1, 1)
    assert struct.unpack("<IQ", data.read(12)) == (4, 7)
    assert data.read() == b"data"
