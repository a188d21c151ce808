"""Device memory from libcuda, simulated or real, so that a benchmark needs no array library."""

from __future__ import annotations

import ctypes
from typing import Any

LEGACY_STREAM = 1  # its number in the array interface; used by callers without their own stream


class Device:
    """GPU 0, with its primary context current in this thread, and a stream."""

    made = False
    """Whether this process has one."""

    def __init__(self) -> None:
        Device.made = True
        self._cuda = ctypes.CDLL("libcuda.so.1")
        self._call("cuInit", 0)
        context = ctypes.c_void_p()
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
        self._call("cuCtxPushCurrent_v2", context)
        self.context = context.value or 0
        stream = ctypes.c_void_p()
        self._call("cuStreamCreate", ctypes.byref(stream), 1)
        self.stream = stream.value or 0

    def leave_context(self) -> None:
        """The context stays, but is current in this thread no longer."""
        self._call("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._cuda, name)(*arguments)
        if status != 0:
            raise RuntimeError(f"{name} answered {status}")

    def allocate(self, row_bytes: int, rows: int) -> tuple[int, int]:
        """(address, pitch) of pitched device memory, cleared; it is kept until the process ends."""
        pointer, pitch = ctypes.c_uint64(), ctypes.c_size_t()
        self._call(
            "cuMemAllocPitch_v2", ctypes.byref(pointer), ctypes.byref(pitch),
            ctypes.c_size_t(row_bytes), ctypes.c_size_t(rows), 16,
        )  # fmt: skip
        self._call("cuMemsetD8_v2", pointer, ctypes.c_ubyte(0x80), ctypes.c_size_t(pitch.value * rows))
        return pointer.value, pitch.value

    def synchronize(self) -> None:
        self._call("cuCtxSynchronize")

    def free_bytes(self) -> int:
        """Device memory that is not in use."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self._call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value
