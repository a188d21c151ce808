"""A writer on the simulated hardware: what its encoder is given, and when ``write`` returns."""

from __future__ import annotations

import ctypes
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frames import CudaFrame, gpu, nv12
from pdum.nvenc import InvalidConfig, InvalidFrame, PictureOptions, VideoWriter
from video_frames import FAST, HARDWARE_HEIGHT, HARDWARE_WIDTH, look, rgb

from simulator import EchoUnit, Simulator, checksum, parse

pytestmark = pytest.mark.one_abi

HEIGHT, WIDTH = HARDWARE_HEIGHT, HARDWARE_WIDTH
NV12: dict[str, Any] = {"format": "nv12", "container": "stream"}


def picture(number: int) -> Any:
    return nv12(WIDTH, HEIGHT, number)


def units(video: VideoWriter) -> list[EchoUnit]:
    return parse(video.read())


def sums(count: int) -> list[int]:
    return [checksum(picture(number)) for number in range(count)]


def test_every_frame_is_encoded_once_and_in_order(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=FAST):
        with VideoWriter(None, **NV12) as video:
            for number in range(40):
                video.write(picture(number))
        found = units(video)
    assert [one.checksum for one in found] == sums(40)
    assert [one.timestamp for one in found] == list(range(40))


@pytest.mark.parametrize("engines", [1, "all"])
@pytest.mark.parametrize(("place", "drop"), [("host", None), ("host", "oldest"), ("gpu", None)])
def test_rgb_is_known_by_its_shape_and_has_the_right_colours(
    tmp_path: Path, simulator: Simulator, engines: Any, drop: Any, place: str
) -> None:
    """Three lines and no setting, with real H.264. Frames on the GPU are written again and again into one memory."""
    path = tmp_path / "a.mp4"
    with simulator.machine(gpus=FAST, backend="codec", async_streams=True), gpu() as device:
        stream = device.stream()
        memory = CudaFrame(device.allocate(HEIGHT * WIDTH * 3), (HEIGHT, WIDTH, 3), stream=stream)
        frames: list[Any] = [rgb(number, WIDTH, HEIGHT) for number in range(10)]
        with VideoWriter(path, engines=engines, drop=drop, queue_frames=64) as video:
            for frame in frames:
                if place == "gpu":
                    device.upload(memory.pointer, frame, stream)
                video.write(memory if place == "gpu" else frame)
        device.call("cuCtxSynchronize")
    found = look(path)
    assert (found.codec, found.size, found.numbers()) == ("h264", (WIDTH, HEIGHT), list(range(10)))


@pytest.mark.parametrize("drop", [None, "oldest"])
@pytest.mark.parametrize("backend", ["auto", "software"])
def test_a_frame_may_be_used_again_after_write(simulator: Simulator, drop: Any, backend: str) -> None:
    """In a queue or not, on the host."""
    more = {**NV12, "tuning": "lossless"} if backend == "software" else NV12
    with simulator.machine(gpus=FAST):
        reused = np.empty((HEIGHT * 3 // 2, WIDTH), np.uint8)
        with VideoWriter(None, backend=backend, drop=drop, queue_frames=64, **more) as video:
            for number in range(20):
                reused[...] = picture(number)
                video.write(reused)
            reused[...] = 0
        data = video.read()
    if backend == "auto":
        assert [one.checksum for one in parse(data)] == sums(20)
        return
    container: Any
    with av.open(BytesIO(data), format="h264") as container:
        decoded = [frame.to_ndarray(format="nv12") for frame in container.decode(video=0)]
    assert [checksum(one) for one in decoded] == sums(20)


def test_a_frame_on_the_gpu_may_be_overwritten_on_its_stream(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=FAST), gpu() as device:
        frame = device.frame(picture(0))
        stream = device.stream()
        frame.interface["stream"] = stream
        pictures = [picture(number) for number in range(12)]
        with VideoWriter(None, **NV12) as video:
            for one in pictures:
                device.upload(frame.pointer, one, stream)
                video.write(frame)
            device.call("cuStreamSynchronize", ctypes.c_void_p(stream))
        found = units(video)
    assert [one.checksum for one in found] == sums(12)


class Copyable(CudaFrame):
    """A frame that copies itself, as CuPy's do, and counts these copies."""

    copies = 0

    def __init__(self, device: Any, number: int) -> None:
        made = device.frame(picture(number))
        super().__init__(made.pointer, picture(0).shape)
        self.device, self.number = device, number
        self.nbytes = WIDTH * HEIGHT * 3 // 2

    def copy(self) -> Copyable:
        Copyable.copies += 1
        return Copyable(self.device, self.number)


def test_a_frame_on_the_gpu_is_copied_by_its_library_if_it_has_to_wait(simulator: Simulator) -> None:
    Copyable.copies = 0
    with simulator.machine(gpus=FAST), gpu() as device:
        with VideoWriter(None, drop="oldest", queue_frames=64, **NV12) as video:
            for number in range(6):
                video.write(Copyable(device, number))
        assert ([one.checksum for one in units(video)], Copyable.copies) == (sums(6), 6)
        with VideoWriter(None, **NV12) as video:
            video.write(Copyable(device, 0))
        assert Copyable.copies == 6
        video = VideoWriter(None, drop="oldest", **NV12)
        with pytest.raises(InvalidFrame, match=r"Expected a frame that can be copied.*drop='oldest'"):
            video.write(device.frame(picture(0)))
        video.abort()


def test_write_returns_before_its_frame_is_encoded(abi: str, simulator: Simulator) -> None:
    """As many frames as the queue holds are in the encoder's own pipeline. Their packets come with later frames."""
    with simulator.machine(gpus=FAST):
        with VideoWriter(None, queue_frames=8, **NV12) as video:
            for number in range(8):
                video.write(picture(number))
            assert (video.statistics.frames, video.statistics.encoded) == (8, 0)
            for number in range(8, 40):
                video.write(picture(number))
            assert video.statistics.encoded >= 32
        assert video.statistics.encoded == 40


@settings(max_examples=5)
@given(frames=st.integers(1, 30), engines=st.sampled_from([1, 2, "all"]), gop=st.integers(2, 9))
def test_several_engines_make_the_same_video(simulator: Simulator, frames: int, engines: Any, gop: int) -> None:
    with simulator.machine(gpus=[{"name": "L4", "engines": 3, "fps_1080p": 0}]):
        with VideoWriter(None, engines=engines, gop=gop, **NV12) as video:
            for number in range(frames):
                video.write(picture(number))
        found = units(video)
    assert [one.checksum for one in found] == sums(frames)
    assert [place for place, one in enumerate(found) if one.is_idr] == list(range(0, frames, gop))
    if engines == "all" and frames > 2 * gop:
        assert len({one.engine for one in found if one.is_idr}) > 1


def test_key_frames_and_regions_by_picture_options(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=FAST):
        with VideoWriter(None, **NV12) as video:
            for number in range(6):
                video.write(picture(number), picture=PictureOptions(force_idr=True) if number == 3 else None)
        assert [one.is_idr for one in units(video)] == [True, False, False, True, False, False]


def test_fields_reach_the_driver(simulator: Simulator) -> None:
    with simulator.machine(gpus=FAST):
        with VideoWriter(None, fps=25, codec="hevc", bframes=2, gop=50, quality=100, **NV12) as video:
            for number in range(9):
                video.write(picture(number))
        found = units(video)
    config = found[0].config
    assert config["frameRateNum"] == 25
    assert sorted(one.pic_type for one in found).count("B") >= 4
    assert sorted(one.timestamp for one in found) == list(range(9))


def test_frames_of_pyav_are_converted(simulator: Simulator) -> None:
    frame = av.VideoFrame.from_ndarray(picture(5), format="nv12")
    with simulator.machine(gpus=FAST):
        with VideoWriter(None, container="stream") as video:
            video.write(frame)
            video.write(frame.reformat(format="yuv420p").reformat(format="nv12"))
        assert [one.checksum for one in units(video)] == [checksum(picture(5))] * 2
        with VideoWriter(None, format="nv12", container="stream") as video:
            video.write(frame.reformat(format="yuv420p"))
        assert [one.checksum for one in units(video)] == [checksum(picture(5))]


def test_a_frame_that_the_hardware_refuses_leaves_the_video_whole(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=FAST):
        with VideoWriter(None, **NV12) as video:
            video.write(picture(0))
            with pytest.raises(InvalidFrame, match="strides"):
                video.write(picture(0)[:, ::-1])
            video.write(picture(1))
        assert [one.checksum for one in units(video)] == sums(2)
        assert video.frames == 2
        assert video.statistics.seconds == pytest.approx(2 / 30)


def test_too_small_pictures_say_what_the_gpu_takes(simulator: Simulator) -> None:
    with simulator.machine(gpus=FAST), pytest.raises(InvalidConfig, match="Scale or pad"):
        VideoWriter(None, **NV12).write(nv12(64, 48))


def test_the_gpu_of_the_first_frame_encodes(simulator: Simulator) -> None:
    class OnSecondGpu(CudaFrame):
        dtype = "uint8"

        def __init__(self, frame: CudaFrame) -> None:
            super().__init__(frame.pointer, frame.interface["shape"])
            self.shape = frame.interface["shape"]

        def __dlpack_device__(self) -> tuple[int, int]:
            return 2, 1

    with simulator.machine(gpus=[{"name": "L4"}, {"name": "RTX 4090"}]), gpu(1) as device:
        frame = OnSecondGpu(device.frame(picture(3)))
        with VideoWriter(None, **NV12) as video:
            video.write(frame)
        (unit,) = units(video)
    assert (unit.gpu_index, unit.checksum) == (1, checksum(picture(3)))
