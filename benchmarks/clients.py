"""The compared clients: each encodes a number of 1080p NV12 frames and returns how many access units it got."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import native_parts
from device import Device

WIDTH, HEIGHT = 1920, 1080
ROWS = HEIGHT * 3 // 2
DELAY = 3  # frames in flight of the pipelined clients

Run = Callable[[int], int]
"""Encodes this many frames and returns the number of access units with bytes, including the last ones."""


def host_frame() -> Any:
    import numpy

    return numpy.full((ROWS, WIDTH), 0x80, numpy.uint8)


class ArrayInterface:
    """A device frame that costs its consumer only one attribute: the array interface, made beforehand."""

    __slots__ = ("__cuda_array_interface__",)

    def __init__(self, pointer: int, pitch: int, stream: int, rows: int = ROWS, width: int = WIDTH) -> None:
        self.__cuda_array_interface__ = {
            "shape": (rows, width),
            "typestr": "|u1",
            "data": (pointer, False),
            "strides": (pitch, 1),
            "stream": stream,
            "version": 3,
        }


class DlpackOnly:
    """Hides the array interface of a DeviceArray."""

    def __init__(self, array: Any) -> None:
        self.__dlpack__ = array.__dlpack__
        self.__dlpack_device__ = array.__dlpack_device__


def device_frame(device: Device) -> Any:
    pointer, pitch = device.allocate(WIDTH, ROWS)
    return ArrayInterface(pointer, pitch, device.stream)


def device_array(device: Device, pointer: int, pitch: int, rows: int = ROWS) -> Any:
    return native_parts.device_array().DeviceArray(pointer, rows, WIDTH, pitch, device.stream, 0)


# --- pdum.nvenc ---


def ours(frame: Any, delay: int = 0) -> Run:
    from pdum.nvenc import NvencEncoder

    encoder = NvencEncoder(WIDTH, HEIGHT, extra_output_delay=delay)

    def encode(frames: int) -> int:
        call, units = encoder.encode, 0
        for _ in range(frames):
            if call(frame):
                units += 1
        return units + (1 if encoder.flush() else 0)

    def submit(frames: int) -> int:
        call, units = encoder.submit, 0
        for i in range(frames):
            units += len(call(frame, i))
        return units + len(encoder.flush_pipeline())

    return submit if delay else encode


def ours_encode_device() -> Run:
    return ours(device_frame(Device()))


def ours_encode_device_elsewhere() -> Run:
    """As in a thread that has never used CUDA."""
    device = Device()
    frame = device_frame(device)
    device.leave_context()
    return ours(frame)


def ours_encode_device_fresh() -> Run:
    device = Device()
    return ours(device_array(device, *device.allocate(WIDTH, ROWS)))


def ours_encode_dlpack() -> Run:
    device = Device()
    return ours(DlpackOnly(device_array(device, *device.allocate(WIDTH, ROWS))))


def ours_encode_host() -> Run:
    return ours(host_frame())


def ours_submit_device() -> Run:
    return ours(device_frame(Device()), DELAY)


def ours_submit_host() -> Run:
    return ours(host_frame(), DELAY)


def ours_encode_cupy() -> Run:
    import cupy  # type: ignore[import-not-found,unused-ignore]

    return ours(cupy.full((ROWS, WIDTH), 0x80, cupy.uint8))


def ours_encode_torch() -> Run:
    import torch  # type: ignore[import-not-found,unused-ignore]

    return ours(torch.full((ROWS, WIDTH), 0x80, dtype=torch.uint8, device="cuda:0"))


# --- PyAV: ffmpeg's h264_nvenc ---


def pyav_context(pixel_format: str) -> Any:
    from fractions import Fraction

    import av

    context: Any = av.CodecContext.create("h264_nvenc", "w")
    context.width, context.height = WIDTH, HEIGHT
    context.pix_fmt = pixel_format
    context.framerate = Fraction(30, 1)
    context.time_base = Fraction(1, 30)
    context.options = {"preset": "p3", "tune": "ll", "delay": "0", "zerolatency": "1", "g": "30", "bf": "0"}
    return context


def pyav(pixel_format: str, make_frame: Callable[[], Any]) -> Run:
    """One context for all blocks. The frame count continues, since a flush would end the stream."""
    context = pyav_context(pixel_format)
    pts = 0

    def run(frames: int) -> int:
        nonlocal pts
        units = 0
        for _ in range(frames):
            frame = make_frame()
            frame.pts = pts
            pts += 1
            units += len(context.encode(frame))
        return units

    return run


def pyav_dlpack() -> Run:
    import av

    device = Device()
    pointer, pitch = device.allocate(WIDTH, ROWS)
    luma = device_array(device, pointer, pitch, HEIGHT)
    chroma = device_array(device, pointer + pitch * HEIGHT, pitch, HEIGHT // 2)
    context = av.video.frame.CudaContext(device_id=0, primary_ctx=False, current_ctx=True)
    take: Any = av.VideoFrame.from_dlpack

    return pyav("cuda", lambda: take((luma, chroma), format="nv12", width=WIDTH, height=HEIGHT, cuda_context=context))


def pyav_ndarray() -> Run:
    import av

    array = host_frame()
    return pyav("nv12", lambda: av.VideoFrame.from_ndarray(array, format="nv12"))


def pyav_reused() -> Run:
    import av

    frame = av.VideoFrame.from_ndarray(host_frame(), format="nv12")
    return pyav("nv12", lambda: frame)


# --- PyNvVideoCodec: NVIDIA's own binding ---


def pynv(frame: Any, host: bool, device: Device) -> Run:
    import PyNvVideoCodec  # type: ignore[import-untyped,import-not-found,unused-ignore]

    encoder: Any = PyNvVideoCodec.CreateEncoder(
        WIDTH, HEIGHT, "NV12", host, codec="h264", preset="P3", tuning_info="low_latency", bf=0, gop=30,
        cudacontext=device.context, cudastream=device.stream,
    )  # fmt: skip

    def run(frames: int) -> int:
        units = 0
        for _ in range(frames):
            units += len(encoder.Encode(frame))
        return units

    return run


class Planes:
    """A device frame for PyNvVideoCodec: an object whose cuda() returns the planes."""

    def __init__(self, device: Device) -> None:
        pointer, _ = device.allocate(WIDTH * ROWS, 1)  # it takes only packed rows
        self._planes = [
            Plane(pointer, (HEIGHT, WIDTH, 1), (WIDTH, 1, 1), device.stream),
            Plane(pointer + WIDTH * HEIGHT, (HEIGHT // 2, WIDTH // 2, 2), (WIDTH, 2, 1), device.stream),
        ]

    def cuda(self) -> list[Plane]:
        return self._planes


class Plane:
    def __init__(self, pointer: int, shape: tuple[int, ...], strides: tuple[int, ...], stream: int) -> None:
        self.__cuda_array_interface__ = {
            "shape": shape, "strides": strides, "data": (pointer, False), "typestr": "|u1", "stream": stream,
            "version": 3,
        }  # fmt: skip


def pynv_host() -> Run:
    return pynv(host_frame(), True, Device())


def pynv_device() -> Run:
    device = Device()
    return pynv(Planes(device), False, device)


# --- only the driver's calls, and yardsticks ---


def raw(copied: bool) -> Run:
    library = native_parts.raw_client()
    device = Device()
    pointer, pitch = device.allocate(WIDTH, ROWS)
    client = library.raw_open(WIDTH, HEIGHT)
    if not client:
        raise RuntimeError(library.raw_error().decode())

    def run(frames: int) -> int:
        units = library.raw_encode(client, frames, pointer if copied else 0, pitch, device.stream)
        if units < 0:
            raise RuntimeError(library.raw_error().decode())
        return int(units)

    return run


def copy_rows() -> Run:
    """NumPy's copy of a packed frame into rows with a pitch, like an encoder's surface."""
    import numpy

    source = host_frame()
    target = numpy.zeros((ROWS, 2048), numpy.uint8)[:, :WIDTH]

    def run(frames: int) -> int:
        for _ in range(frames):
            numpy.copyto(target, source)
        return frames

    return run


def copy_block() -> Run:
    """One memmove of a whole frame."""
    source, size = host_frame(), WIDTH * ROWS
    target = source.copy()

    def run(frames: int) -> int:
        move, to, origin = ctypes.memmove, target.ctypes.data, source.ctypes.data
        for _ in range(frames):
            move(to, origin, size)
        return frames

    return run


CLIENTS: dict[str, Callable[[], Run]] = {
    "pdum.nvenc encode, device frame": ours_encode_device,
    "pdum.nvenc encode, device frame, context not current": ours_encode_device_elsewhere,
    "pdum.nvenc encode, device frame, interface made anew": ours_encode_device_fresh,
    "pdum.nvenc encode, DLPack": ours_encode_dlpack,
    "pdum.nvenc encode, NumPy frame": ours_encode_host,
    "pdum.nvenc submit (3 in flight), device frame": ours_submit_device,
    "pdum.nvenc submit (3 in flight), NumPy frame": ours_submit_host,
    "pdum.nvenc encode, CuPy frame": ours_encode_cupy,
    "pdum.nvenc encode, PyTorch frame": ours_encode_torch,
    "PyAV h264_nvenc, from_dlpack each frame": pyav_dlpack,
    "PyAV h264_nvenc, from_ndarray each frame": pyav_ndarray,
    "PyAV h264_nvenc, one host frame reused": pyav_reused,
    "PyNvVideoCodec, device frame": pynv_device,
    "PyNvVideoCodec, NumPy frame": pynv_host,
    "C++, the calls alone, frame copied": lambda: raw(copied=True),
    "C++, the calls alone, nothing copied": lambda: raw(copied=False),
    "numpy.copyto of one frame, pitched": copy_rows,
    "memmove of one frame": copy_block,
}
REFERENCE = "pdum.nvenc encode, device frame"
YARDSTICKS = ("numpy.copyto of one frame, pitched", "memmove of one frame")  # no driver is called
REAL_GPU_ONLY = ("pdum.nvenc encode, CuPy frame", "pdum.nvenc encode, PyTorch frame")
