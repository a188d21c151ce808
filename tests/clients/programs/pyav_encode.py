"""Encodes raw NV12 pictures by PyAV; one JSON object tells what, its answer comes on standard output.

{"codec": "h264_nvenc", "input": file, "output": file, "width", "height", "fps", "options": {}, "device": false,
 "keys_at": [], "bit_rate_at": {"10": 900000}, "pix_fmt": "nv12"}
"""

from __future__ import annotations

import ctypes
import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import CudaContext, PictureType

CUDA, UNSIGNED = 2, 1  # of DLPack


class _Tensor(ctypes.Structure):
    """DLManagedTensor."""

    _fields_ = [
        ("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64), ("manager", ctypes.c_void_p), ("deleter", ctypes.c_void_p),
    ]  # fmt: skip


# The memory lives as long as the process.
_nothing_to_free = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: None)


class DevicePlane:
    """Rows of device memory that DLPack can export."""

    def __init__(self, pointer: int, rows: int, width: int, pitch: int) -> None:
        self.shape = (ctypes.c_int64 * 2)(rows, width)
        self.strides = (ctypes.c_int64 * 2)(pitch, 1)
        done = ctypes.cast(_nothing_to_free, ctypes.c_void_p)
        self.tensor = _Tensor(pointer, CUDA, 0, 2, UNSIGNED, 8, 1, self.shape, self.strides, 0, None, done)

    def __dlpack_device__(self) -> tuple[int, int]:
        return CUDA, 0

    def __dlpack__(self, **_: Any) -> Any:
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        return new(ctypes.addressof(self.tensor), b"dltensor", None)


class HostFrames:
    def __init__(self, job: dict[str, Any]) -> None:
        self.format = job.get("pix_fmt", "nv12")

    def __call__(self, picture: np.ndarray[Any, Any]) -> av.VideoFrame:
        frame = av.VideoFrame(picture.shape[1], picture.shape[0] * 2 // 3, self.format)
        for plane, rows in zip(frame.planes, np.split(picture, [frame.height]), strict=True):
            padded = np.zeros((plane.height, plane.line_size // picture.itemsize), picture.dtype)
            padded[:, : picture.shape[1]] = rows
            plane.update(padded.tobytes())
        return frame


class DeviceFrames:
    """Every picture in its own device memory, as decoders and renderers deliver it."""

    def __init__(self, job: dict[str, Any]) -> None:
        from cuda.bindings import driver

        self.driver, self.width, self.height = driver, job["width"], job["height"]
        self.check(driver.cuInit(0))
        self.context = self.check(driver.cuDevicePrimaryCtxRetain(0))
        self.check(driver.cuCtxSetCurrent(self.context))
        self.shared = CudaContext(device_id=0, primary_ctx=False, current_ctx=True)
        self.kept: list[Any] = []

    def check(self, answer: tuple[Any, ...]) -> Any:
        assert int(answer[0]) == 0, answer[0]
        return answer[1] if len(answer) > 1 else None

    def __call__(self, picture: np.ndarray[Any, Any]) -> av.VideoFrame:
        pitch = (self.width + 511) // 512 * 512
        padded = np.zeros((picture.shape[0], pitch), np.uint8)
        padded[:, : self.width] = picture
        pointer = int(self.check(self.driver.cuMemAlloc(padded.nbytes)))
        self.check(self.driver.cuMemcpyHtoD(pointer, padded.ctypes.data, padded.nbytes))
        luma = DevicePlane(pointer, self.height, self.width, pitch)
        chroma = DevicePlane(pointer + pitch * self.height, self.height // 2, self.width, pitch)
        self.kept += [luma, chroma]
        take: Any = av.VideoFrame.from_dlpack
        frame: av.VideoFrame = take(
            (luma, chroma), format="nv12", width=self.width, height=self.height, cuda_context=self.shared
        )
        return frame


def open_encoder(job: dict[str, Any]) -> Any:
    context: Any = av.CodecContext.create(job["codec"], "w")
    context.width, context.height = job["width"], job["height"]
    context.pix_fmt = "cuda" if job.get("device") else job.get("pix_fmt", "nv12")
    context.framerate = Fraction(job.get("fps", 30))
    context.time_base = 1 / context.framerate
    context.options = job.get("options", {})
    if "bit_rate" in job:
        context.bit_rate = job["bit_rate"]
    return context


def main(job: dict[str, Any]) -> None:
    samples = np.uint16 if job.get("pix_fmt", "nv12").startswith("p01") else np.uint8
    pictures = np.fromfile(job["input"], samples).reshape(-1, job["height"] * 3 // 2, job["width"])
    make = DeviceFrames(job) if job.get("device") else HostFrames(job)
    context = open_encoder(job)
    packets: list[Any] = []
    for index, picture in enumerate(pictures):
        frame = make(picture)
        frame.pts = index
        if index in job.get("keys_at", []):
            frame.pict_type = PictureType.I
        if str(index) in job.get("bit_rate_at", {}):
            context.bit_rate = job["bit_rate_at"][str(index)]
        packets += context.encode(frame)
    packets += context.encode(None)
    Path(job["output"]).write_bytes(b"".join(bytes(packet) for packet in packets))
    answer = [{"pts": p.pts, "dts": p.dts, "key": p.is_keyframe, "size": p.size} for p in packets]
    print(json.dumps(answer))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
