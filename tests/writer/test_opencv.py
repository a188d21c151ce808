"""``VideoWriter.opencv`` compared with OpenCV's own writer: the same calls, the same pictures."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from frames import Gpu, cuda, gpu
from pdum.nvenc import InvalidConfig, InvalidFrame, VideoWriter
from pdum.nvenc._writer.opencv import OpenCvWriter
from video_frames import FAST, HEIGHT, WIDTH, close_to, hidden_files, look

from loud import need_module
from simulator import Simulator

pytestmark = pytest.mark.one_abi

COLOURS = [(240, 20, 20), (20, 240, 20), (20, 20, 240), (200, 120, 40)]
"""In RGB."""
SIZE = (WIDTH, HEIGHT)


def bgr(colour: tuple[int, int, int]) -> Any:
    return np.full((HEIGHT, WIDTH, 3), colour[::-1], np.uint8)


def ours(name: Path, fourcc: Any = "avc1", fps: float = 25.0, size: Any = SIZE, *arguments: Any) -> OpenCvWriter:
    return VideoWriter.opencv(str(name), fourcc, fps, size, *arguments, backend="software", quality=90)


def record(writer: Any) -> None:
    """A program as it is written for OpenCV."""
    assert writer.isOpened()
    for colour in COLOURS:
        writer.write(bgr(colour))
    writer.release()
    assert not writer.isOpened()


def test_the_same_program_makes_the_same_video(tmp_path: Path) -> None:
    cv2: Any = need_module("cv2", "opencv-python-headless")
    fourcc = cv2.VideoWriter_fourcc(*"mp4v")
    record(cv2.VideoWriter(str(tmp_path / "theirs.mp4"), fourcc, 25.0, SIZE))
    record(ours(tmp_path / "ours.mp4", fourcc))
    theirs, mine = look(tmp_path / "theirs.mp4"), look(tmp_path / "ours.mp4")
    assert (mine.size, mine.times) == (theirs.size, theirs.times)
    for colour, one, other in zip(COLOURS, mine.colours, theirs.colours, strict=True):
        assert close_to(one, colour)
        assert close_to(one, other, 14)  # OpenCV's default is a low quality
    capture = cv2.VideoCapture(str(tmp_path / "ours.mp4"))
    assert (capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)) == (4, 25)
    done, frame = capture.read()
    assert done
    assert close_to(tuple(round(value) for value in frame.reshape(-1, 3).mean(axis=0)[::-1]), COLOURS[0])
    capture.release()


@pytest.mark.parametrize(
    ("fourcc", "codec"),
    [("H264", "h264"), ("mp4v", "h264"), (-1, "h264"), ("HEVC", "hevc"), ("hvc1", "hevc"), ("AV01", "av1")],
)
def test_four_letters_name_the_codec(tmp_path: Path, fourcc: Any, codec: str) -> None:
    record(ours(tmp_path / "a.mp4", fourcc))
    assert look(tmp_path / "a.mp4").codec == codec


def test_unknown_letters_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"got 'VP90'\. Use 'avc1' for H.264"):
        ours(tmp_path / "a.mp4", "VP90")


def test_a_wrong_frame_is_refused_and_the_video_goes_on(tmp_path: Path) -> None:
    writer = ours(tmp_path / "a.mp4")
    writer.write(bgr(COLOURS[0]))
    for wrong in (np.zeros((WIDTH, HEIGHT, 3), np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)):
        with pytest.raises(InvalidFrame, match=r"Expected a frame of shape \(48, 64, 3\).*cv2.resize\(frame, size\)"):
            writer.write(wrong)
    writer.write(np.dstack([bgr(COLOURS[1]), bgr(COLOURS[1])[..., :1]]))
    writer.release()
    writer.release()
    found = look(tmp_path / "a.mp4")
    assert [close_to(*pair) for pair in zip(found.colours, COLOURS[:2], strict=True)] == [True, True]
    with pytest.raises(InvalidFrame, match="after release"):
        writer.write(bgr(COLOURS[0]))


def test_grey_pictures(tmp_path: Path) -> None:
    writer = ours(tmp_path / "a.mp4", "avc1", 25, SIZE, False)
    for value in (30, 220):
        writer.write(np.full((HEIGHT, WIDTH), value, np.uint8))
    writer.release()
    found = look(tmp_path / "a.mp4").colours
    assert close_to(found[0], (30, 30, 30))
    assert close_to(found[1], (220, 220, 220))


def test_open_begins_another_file_and_properties_answer(tmp_path: Path) -> None:
    writer = ours(tmp_path / "a.mp4")
    writer.write(bgr(COLOURS[0]))
    assert writer.open(str(tmp_path / "b.mp4"), "avc1", 10, SIZE)
    assert look(tmp_path / "a.mp4").size == SIZE
    writer.write(bgr(COLOURS[0]))
    writer.write(bgr(COLOURS[0]))
    assert writer.set(1, 50.0) is False
    assert (writer.get(1), writer.getBackendName()) == (0.0, "PDUM_NVENC")
    with pytest.raises(ZeroDivisionError):
        give_up(writer)
    assert (sorted(path.name for path in tmp_path.iterdir()), hidden_files(tmp_path)) == (["a.mp4"], [])


def give_up(writer: OpenCvWriter) -> None:
    with writer:
        raise ZeroDivisionError


def test_released_without_a_frame_there_is_no_file(tmp_path: Path) -> None:
    ours(tmp_path / "a.mp4").release()
    assert list(tmp_path.iterdir()) == []


class GpuMat:
    """What ``cv2.cuda.GpuMat`` offers of itself."""

    def __init__(self, device: Gpu, picture: Any, pitch: int) -> None:
        rows, row_bytes = len(picture), picture[0].nbytes
        whole = np.full((rows, pitch), 0xEE, np.uint8)
        whole[:, :row_bytes] = picture.reshape(rows, -1)
        self._pointer = device.allocate(whole.nbytes)
        device.upload(self._pointer, whole)
        self.step, self._channels = pitch, picture.shape[2] if picture.ndim == 3 else 1

    def cudaPtr(self) -> int:  # noqa: N802
        return self._pointer

    def size(self) -> tuple[int, int]:
        return SIZE

    def type(self) -> int:
        return (self._channels - 1) << 3


def copied(frame: Any) -> Any:
    """Reads any strides of device memory, as CuPy does."""
    interface = frame.__cuda_array_interface__
    shape, strides, (pointer, _) = interface["shape"], interface["strides"], interface["data"]
    low = sum((extent - 1) * min(stride, 0) for extent, stride in zip(shape, strides, strict=True))
    high = sum((extent - 1) * max(stride, 0) for extent, stride in zip(shape, strides, strict=True)) + 1
    memory = np.empty(high - low, np.uint8)
    cuda("cuMemcpyDtoH_v2", ctypes.c_void_p(memory.ctypes.data), ctypes.c_uint64(pointer + low), memory.size)
    return np.lib.stride_tricks.as_strided(memory[-low:], shape, strides).copy()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_gpu_mats(tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, channels: int) -> None:
    class Copy:
        def __init__(self, frame: Any) -> None:
            self.get = lambda: copied(frame)

    cupy = ModuleType("cupy")
    cupy.asarray = Copy  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    picture = bgr(COLOURS[3])
    picture = {1: picture[..., 0], 3: picture, 4: np.dstack([picture, picture[..., :1]])}[channels]
    with simulator.machine(gpus=FAST), gpu() as device:
        writer = ours(tmp_path / "a.mp4", "avc1", 25, SIZE, channels > 1)
        with device.current():
            writer.write(GpuMat(device, picture, 512))
            writer.write(GpuMat(device, picture, 300))
        writer.release()
    wanted = (40, 40, 40) if channels == 1 else COLOURS[3]
    assert all(close_to(one, wanted) for one in look(tmp_path / "a.mp4").colours)


def test_a_gpu_mat_of_other_values_is_an_error(tmp_path: Path) -> None:
    class OfFloats:
        step = 0

        def cudaPtr(self) -> int:  # noqa: N802
            return 4096

        def type(self) -> int:
            return 21  # CV_32FC3

    writer = ours(tmp_path / "a.mp4")
    with pytest.raises(InvalidFrame, match=r"CV_8UC3.*got type 21"):
        writer.write(OfFloats())
    writer.release()
