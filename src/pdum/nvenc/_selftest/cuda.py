"""CUDA's driver interface by ctypes: a context, streams, and each kind of memory that a frame may lie in."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LEGACY_IPC_CAPABLE = 10  # a pointer attribute: 1 for the memory that NVENC is known to take
NON_BLOCKING = 1
GLOBALLY_ATTACHED = 1
HOST_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class CudaRefused(Exception):
    """A call of CUDA did not succeed."""

    def __init__(self, call: str, status: int) -> None:
        super().__init__(f"{call} answered {status}")
        self.call, self.status = call, status


class Location(ctypes.Structure):
    """CUmemLocation."""

    _fields_ = (("type", ctypes.c_int), ("id", ctypes.c_int))


class AllocationProperties(ctypes.Structure):
    """CUmemAllocationProp."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("handle_types", ctypes.c_int),
        ("location", Location),
        ("windows_metadata", ctypes.c_void_p),
        ("compression", ctypes.c_ubyte),
        ("rdma", ctypes.c_ubyte),
        ("usage", ctypes.c_ushort),
        ("reserved", ctypes.c_ubyte * 4),
    )


class Access(ctypes.Structure):
    """CUmemAccessDesc."""

    _fields_ = (("location", Location), ("flags", ctypes.c_int))


ON_DEVICE, PINNED, READ_AND_WRITE = 1, 1, 3


class Cuda:
    """The primary context of one GPU, current in the thread that made it."""

    def __init__(self, gpu_id: int = 0) -> None:
        self.gpu_id = gpu_id
        self.library = ctypes.CDLL("libcuda.so.1")
        self.context = ctypes.c_void_p()
        self.call("cuInit", 0)
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(self.context), gpu_id)
        self.call("cuCtxPushCurrent_v2", self.context)
        self._kept: list[Any] = []

    def call(self, name: str, *arguments: Any) -> None:
        status = int(getattr(self.library, name)(*arguments))
        if status:
            raise CudaRefused(name, status)

    def make_current(self) -> None:
        """For another thread than the one that made this."""
        self.call("cuCtxSetCurrent", self.context)

    # Memory.

    @contextmanager
    def plain(self, size: int) -> Iterator[int]:
        pointer = ctypes.c_uint64()
        self.call("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(size))
        try:
            yield pointer.value
        finally:
            self.call("cuMemFree_v2", pointer)

    @contextmanager
    def pitched(self, width: int, rows: int) -> Iterator[tuple[int, int]]:
        pointer, pitch = ctypes.c_uint64(), ctypes.c_size_t()
        sizes = (ctypes.c_size_t(width), ctypes.c_size_t(rows))
        self.call("cuMemAllocPitch_v2", ctypes.byref(pointer), ctypes.byref(pitch), *sizes, 16)
        try:
            yield pointer.value, pitch.value
        finally:
            self.call("cuMemFree_v2", pointer)

    @contextmanager
    def pooled(self, size: int) -> Iterator[int]:
        """From the stream-ordered pool of the default stream."""
        pointer = ctypes.c_uint64()
        self.call("cuMemAllocAsync", ctypes.byref(pointer), ctypes.c_size_t(size), None)
        try:
            yield pointer.value
        finally:
            self.call("cuMemFreeAsync", pointer, None)

    @contextmanager
    def managed(self, size: int) -> Iterator[int]:
        pointer = ctypes.c_uint64()
        self.call("cuMemAllocManaged", ctypes.byref(pointer), ctypes.c_size_t(size), GLOBALLY_ATTACHED)
        try:
            yield pointer.value
        finally:
            self.call("cuMemFree_v2", pointer)

    @contextmanager
    def mapped_virtual(self, size: int) -> Iterator[int]:
        """By CUDA's virtual memory management: an address range with memory mapped into it."""
        properties = AllocationProperties(type=PINNED, location=Location(ON_DEVICE, self.gpu_id))
        grain = ctypes.c_size_t()
        self.call("cuMemGetAllocationGranularity", ctypes.byref(grain), ctypes.byref(properties), 0)
        whole = ctypes.c_size_t(-(-size // grain.value) * grain.value)
        handle, address = ctypes.c_uint64(), ctypes.c_uint64()
        zero = ctypes.c_uint64(0)
        self.call("cuMemCreate", ctypes.byref(handle), whole, ctypes.byref(properties), zero)
        try:
            self.call("cuMemAddressReserve", ctypes.byref(address), whole, ctypes.c_size_t(0), zero, zero)
            try:
                self.call("cuMemMap", address, whole, ctypes.c_size_t(0), handle, zero)
                try:
                    access = Access(Location(ON_DEVICE, self.gpu_id), READ_AND_WRITE)
                    self.call("cuMemSetAccess", address, whole, ctypes.byref(access), ctypes.c_size_t(1))
                    yield address.value
                finally:
                    self.call("cuMemUnmap", address, whole)
            finally:
                self.call("cuMemAddressFree", address, whole)
        finally:
            self.call("cuMemRelease", handle)

    def upload(self, pointer: int, data: bytes) -> None:
        self.call("cuMemcpyHtoD_v2", ctypes.c_uint64(pointer), ctypes.c_char_p(data), ctypes.c_size_t(len(data)))

    def pointer_attribute(self, pointer: int, attribute: int) -> int | None:
        """A number that CUDA knows about a pointer; None if it does not."""
        value = ctypes.c_uint64(0)
        try:
            self.call("cuPointerGetAttribute", ctypes.byref(value), attribute, ctypes.c_uint64(pointer))
        except CudaRefused:
            return None
        return value.value & 0xFFFFFFFF

    # Streams.

    @contextmanager
    def stream(self) -> Iterator[ctypes.c_void_p]:
        stream = ctypes.c_void_p()
        self.call("cuStreamCreate", ctypes.byref(stream), NON_BLOCKING)
        try:
            yield stream
        finally:
            self.call("cuStreamSynchronize", stream)
            self.call("cuStreamDestroy_v2", stream)

    def hold_up(self, stream: ctypes.c_void_p, seconds: float) -> None:
        """Work on a stream that takes so long and computes nothing."""
        wait: Callable[[Any], None] = lambda _: time.sleep(seconds)  # noqa: E731
        function = HOST_FUNCTION(wait)
        self._kept.append(function)
        self.call("cuLaunchHostFunc", stream, function, None)

    def fill(self, pointer: int, value: int, size: int, stream: ctypes.c_void_p) -> None:
        self.call("cuMemsetD8Async", ctypes.c_uint64(pointer), ctypes.c_ubyte(value), ctypes.c_size_t(size), stream)

    def close(self) -> None:
        popped = ctypes.c_void_p()
        self.call("cuCtxPopCurrent_v2", ctypes.byref(popped))
        self.call("cuDevicePrimaryCtxRelease_v2", self.gpu_id)

    def __enter__(self) -> Cuda:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
