"""Pairs of frames into files: FFmpeg shows to each eye what the bare stream shows, and wrong pairs are refused."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from control.driver_calls import GPU
from frames import CudaFrame, gpu
from pdum.nvenc import (
    EncoderConfig,
    InvalidConfig,
    InvalidFrame,
    PictureOptions,
    UnsupportedFeature,
    VideoWriter,
    encode_frames,
)
from pdum.nvenc._mp4.repair import repair
from pdum.nvenc._writer.all_engines import gpu_of
from pdum.nvenc._writer.settings import WriterSettings
from pdum.nvenc._writer.views import checked_views
from stereo_streams import COUNT, HEIGHT, WIDTH, Pair, assert_same_views, frame, pair, views_in

from loud import need_module
from simulator import Simulator

pytestmark = pytest.mark.one_abi

FORMAT: dict[str, Any] = {"format": "nv12", "stereo": True, "qp": 10, "gop": 3}


@pytest.fixture
def machine(simulator: Simulator) -> Iterator[Any]:
    with simulator.machine(gpus=GPU, backend="codec") as made:
        yield made


def write(target: Any, frames: Any = None, **settings: Any) -> VideoWriter:
    with VideoWriter(target, fps=25, **{**FORMAT, **settings}) as video:
        for one in map(pair, range(COUNT)) if frames is None else frames:
            video.write(one)
    return video


def assert_shown(path: Path, pairs: list[Pair], tolerance: int = 2) -> None:
    found = views_in(path)
    assert len(found) == len(pairs)
    for number, (given, seen) in enumerate(zip(pairs, found, strict=True)):
        for eye in range(2):
            off = np.abs(seen[eye][:HEIGHT].astype(int) - given[eye][:HEIGHT]).max()
            assert off <= tolerance, (number, eye, off)


TARGETS: dict[str, Callable[[Path], Path]] = {}


def target(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
    TARGETS[make.__name__] = make
    return make


@target
def mp4(folder: Path) -> Path:
    write(folder / "a.mp4")
    return folder / "a.mp4"


@target
def m4v_in_fragments(folder: Path) -> Path:
    write(folder / "a.m4v", fragmented=True)
    return folder / "a.m4v"


@target
def mov(folder: Path) -> Path:
    write(folder / "a.mov")
    return folder / "a.mov"


@target
def memory(folder: Path) -> Path:
    (folder / "a.mp4").write_bytes(write(None).read())
    return folder / "a.mp4"


@target
def mp4_object(folder: Path) -> Path:
    file = io.BytesIO()
    write(file, container="mp4")
    (folder / "a.mp4").write_bytes(file.getvalue())
    return folder / "a.mp4"


@target
def mov_object(folder: Path) -> Path:
    file = io.BytesIO()
    write(file, container="mov")
    (folder / "a.mov").write_bytes(file.getvalue())
    return folder / "a.mov"


@target
def stream_object(folder: Path) -> Path:
    file = io.BytesIO()
    write(file, container="stream")
    (folder / "a.h265").write_bytes(file.getvalue())
    return folder / "a.h265"


@target
def one_line(folder: Path) -> Path:
    return encode_frames(map(pair, range(COUNT)), folder / "a.mp4", fps=25, **FORMAT)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("name", TARGETS)
def test_both_views_are_those_of_the_bare_stream(tmp_path: Path, name: str) -> None:
    write(tmp_path / "bare.h265")
    assert_shown(tmp_path / "bare.h265", [pair(number) for number in range(COUNT)])
    assert_same_views(views_in(TARGETS[name](tmp_path)), views_in(tmp_path / "bare.h265"))


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
def test_times_sound_and_colour_are_as_in_any_file(tmp_path: Path, name: str) -> None:
    av = need_module("av")
    path = tmp_path / name
    with VideoWriter(path, fps=25, colour="bt709", **FORMAT) as video:
        video.add_audio(np.zeros((48_000, 2), np.int16), 48_000)
        for number, pts in enumerate((0, 1, 5, 6)):
            video.write(pair(number), pts=pts)
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        times = [round(packet.pts * packet.time_base * 25) for packet in file.demux(stream) if packet.size]
        assert times == [0, 1, 5, 6]
        assert (stream.codec_context.codec_tag, stream.codec_context.color_primaries) == ("hvc1", 1)
        assert [one.type for one in file.streams] == ["video", "audio"]
    assert b"vexu" in path.read_bytes()
    assert_shown(path, [pair(number) for number in range(4)])


@pytest.mark.usefixtures("machine")
def test_players_of_one_view_show_the_left_one(tmp_path: Path) -> None:
    av = need_module("av")
    write(tmp_path / "a.mp4")
    with av.open(str(tmp_path / "a.mp4")) as file:
        shown = [picture.to_ndarray()[:HEIGHT] for picture in file.decode(video=0)]
    assert len(shown) == COUNT
    for number, seen in enumerate(shown):
        assert np.abs(seen.astype(int) - pair(number)[0][:HEIGHT]).max() <= 2


def rgb(value: int) -> Any:
    return np.full((HEIGHT, WIDTH, 3), value, np.uint8)


def grey(value: float) -> float:
    """Y of a grey picture of R, G and B in the limited range."""
    return 16 + 219 * value / 255


KINDS: dict[str, Callable[[int], Any]] = {
    "bytes": rgb,
    "floats": lambda value: rgb(value).astype(np.float32) / 255,
    "planes": lambda value: rgb(value).transpose(2, 0, 1).copy(),
    "PIL": lambda value: need_module("PIL.Image").fromarray(rgb(value)),
    "PyAV": lambda value: need_module("av").VideoFrame.from_ndarray(rgb(value), format="rgb24"),
}


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("kind", KINDS)
def test_views_are_frames_of_every_kind(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.mp4"
    with VideoWriter(path, fps=25, stereo=True, qp=10) as video:
        for number in range(3):
            video.write([KINDS[kind](20 * number), KINDS[kind](200 - 20 * number)])
    for number, views in enumerate(views_in(path)):
        for seen, value in zip(views, (20 * number, 200 - 20 * number), strict=True):
            assert abs(float(seen[:HEIGHT].mean()) - grey(value)) < 2


@pytest.mark.usefixtures("machine")
def test_pairs_of_picture_files_become_a_video(tmp_path: Path) -> None:
    pillow = need_module("PIL.Image")
    for value in (20, 200):
        pillow.fromarray(rgb(value)).save(tmp_path / f"{value}.png")
    names = [(tmp_path / "20.png", tmp_path / "200.png"), [str(tmp_path / "200.png"), rgb(20)]]
    path = encode_frames(names, tmp_path / "a.mp4", stereo=True, qp=10)
    for views, values in zip(views_in(path), ((20, 200), (200, 20)), strict=True):
        for seen, value in zip(views, values, strict=True):
            assert abs(float(seen[:HEIGHT].mean()) - grey(value)) < 2


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("more", [{}, {"drop": "oldest"}, {"on_error": "keep"}, {"engines": "all"}])
def test_memory_may_change_after_each_call(tmp_path: Path, more: dict[str, Any]) -> None:
    path = tmp_path / "a.mp4"
    left, right = frame(0), frame(0)
    with VideoWriter(path, fps=25, **FORMAT, **more, queue_frames=COUNT) as video:
        for number in range(COUNT):
            left[:], right[:] = pair(number)
            video.write((left, right))
            left[:], right[:] = 0, 255
    assert video.dropped == 0
    assert_shown(path, [pair(number) for number in range(COUNT)])


def test_all_engines_of_the_machine_share_the_video(simulator: Simulator, tmp_path: Path) -> None:
    with simulator.machine(gpus=["RTX 5090"], backend="codec", count=True) as made:
        write(tmp_path / "one.mp4", gop=2)
        before = made.calls().get("nvEncOpenEncodeSessionEx", 0)
        write(tmp_path / "all.mp4", gop=2, engines="all")
        assert made.calls()["nvEncOpenEncodeSessionEx"] > before + 1
    assert_same_views(views_in(tmp_path / "all.mp4"), views_in(tmp_path / "one.mp4"))


@pytest.mark.usefixtures("machine")
def test_a_batch_is_two_arrays_of_frames(tmp_path: Path) -> None:
    pairs = [pair(number) for number in range(COUNT)]
    write(tmp_path / "a.mp4", [tuple(np.stack(views) for views in zip(*pairs, strict=True))])
    assert_shown(tmp_path / "a.mp4", pairs)


@pytest.mark.usefixtures("machine")
def test_pictures_may_ask_for_key_frames_and_a_configuration_may_ask_for_pairs(tmp_path: Path) -> None:
    av = need_module("av")
    config = EncoderConfig(width=WIDTH, height=HEIGHT, codec="hevc", stereo=True, gop=0, qp=10)
    with VideoWriter(tmp_path / "a.mp4", config=config) as video:
        for number in range(4):
            video.write(pair(number), picture=PictureOptions(type="IDR") if number == 2 else None)
    with av.open(str(tmp_path / "a.mp4")) as file:
        assert [packet.is_keyframe for packet in file.demux(video=0) if packet.size] == [True, False, True, False]
    assert_shown(tmp_path / "a.mp4", [pair(number) for number in range(4)])


WRONG: dict[str, tuple[Any, str]] = {
    "one frame": (frame(1), r"Expected a pair.*ndarray.*write\(\(left, right\)\)"),
    "three frames": ((frame(1),) * 3, r"Expected a pair.*tuple of 3"),
    "one array of both": (np.stack(pair(1)), r"Expected a pair.*ndarray"),
    "another size on the right": ((frame(1), frame(1)[:-6]), r"both views.*256x144.*left.*256x140.*right"),
    "another number of frames": ((frame(1), np.stack([frame(1)] * 2)), r"both views.*2 times 256x144 \(nv12\)"),
    "no array": ((frame(1), "right"), r"Expected an array"),
}


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_pair_is_refused_and_the_writer_goes_on(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.mp4"
    with VideoWriter(path, fps=25, **FORMAT) as video:
        for number in range(2):
            with pytest.raises(InvalidFrame, match=WRONG[name][1]):
                video.write(WRONG[name][0])
            video.write(pair(number))
    assert_shown(path, [pair(number) for number in range(2)])


@pytest.mark.parametrize("name", ["a.mkv", "a.ts"])
def test_containers_without_a_form_for_two_views_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidConfig, match=rf"{name}.*two views.*\.mp4, \.mov or \.h265"):
        VideoWriter(tmp_path / name, codec="hevc", **FORMAT)
    assert list(tmp_path.iterdir()) == []


def test_software_says_that_it_codes_one_view(tmp_path: Path) -> None:
    with (
        pytest.raises(UnsupportedFeature, match=r"stereo=True.*software.*one view"),
        VideoWriter(tmp_path / "a.mp4", backend="software", **FORMAT) as video,
    ):
        video.write(pair(0))
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, sys
sys.path[:0] = sys.argv[2:]
from control.driver_calls import GPU
from pdum.nvenc import VideoWriter
from simulator import Simulator
from stereo_streams import pair
with Simulator().machine(gpus=GPU, backend="codec"):
    video = VideoWriter(sys.argv[1], fps=1, stereo=True, format="nv12", qp=10, gop=1, queue_frames=1)
    for number in range(12):
        video.write(pair(number))
    os._exit(9)
"""


def test_what_a_killed_process_leaves_can_be_repaired(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "a.mp4"), *sys.path]
    assert subprocess.run(command, check=False, timeout=120).returncode == 9
    (left,) = tmp_path.iterdir()
    report = repair(left, tmp_path / "whole.mp4")
    assert report.frames > 0
    assert b"vexu" in (tmp_path / "whole.mp4").read_bytes()
    assert_shown(tmp_path / "whole.mp4", [pair(number) for number in range(report.frames)])


@pytest.mark.parametrize("left_is_on_host", [False, True])
def test_views_on_the_gpu_are_read_in_the_order_of_their_stream(
    simulator: Simulator, tmp_path: Path, left_is_on_host: bool
) -> None:
    path = tmp_path / "a.mp4"
    with simulator.machine(gpus=GPU, backend="codec", async_streams=True), gpu() as device:
        stream = device.stream()
        shape = HEIGHT * 3 // 2, WIDTH
        left, right = (CudaFrame(device.allocate(shape[0] * shape[1]), shape, stream=stream) for _ in range(2))
        with VideoWriter(path, fps=25, **FORMAT, queue_frames=COUNT) as video:
            for number in range(COUNT):
                views = pair(number)
                device.upload(right.pointer, views[1], stream)
                if left_is_on_host:
                    video.write((views[0], right))
                    continue
                device.upload(left.pointer, views[0], stream)
                video.write((left, right))
        device.call("cuCtxSynchronize")
    assert_shown(path, [pair(number) for number in range(COUNT)])


def test_a_view_on_the_gpu_says_where_the_pair_lies() -> None:
    layout = checked_views((frame(1), OnGpu(1)), "nv12", None, None)
    assert (layout.location, layout.gpu_id) == ("gpu", 1)
    assert [gpu_of(views, 7) for views in ((frame(1), OnGpu(1)), (OnGpu(2), frame(1)), pair(1))] == [1, 2, None]


class OnGpu:
    def __init__(self, gpu_id: int) -> None:
        self.shape, self.dtype, self._gpu_id = (HEIGHT * 3 // 2, WIDTH), "uint8", gpu_id

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self._gpu_id


def test_two_views_take_the_room_of_two_frames() -> None:
    layout = checked_views(pair(1), "nv12", None, None)
    room = 12 * WIDTH * HEIGHT * 2
    for stereo, fitting in ((None, 12), (True, 6)):
        settings = WriterSettings(queue_frames=16, queue_bytes=room, fields={"stereo": stereo})
        assert settings.encoder_config(layout, "hevc", "nvenc").extra_output_delay == fitting
