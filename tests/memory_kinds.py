"""Device memory of every kind that CUDA has, by plain calls of libcuda: of a real one or of the simulated one.

NVENC takes only what cuMemAlloc gives. Memory of stream-ordered pools, virtual memory and managed memory can be read by
kernels and copies, but not by the encoder.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

REGISTERABLE = ("plain", "pitched")
POOLED = ("pool", "own pool")
NOT_REGISTERABLE = (*POOLED, "virtual", "managed")
ALL_KINDS = (*REGISTERABLE, *NOT_REGISTERABLE)

PINNED, ON_DEVICE, READ_WRITE, ATTACH_GLOBAL = 1, 1, 3, 1
MEMPOOL_HANDLE, LEGACY_IPC = 17, 10


class _Location(ctypes.Structure):
    _fields_ = (("type", ctypes.c_int), ("id", ctypes.c_int))


class _AllocationProperties(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("handle_types", ctypes.c_int),
        ("location", _Location),
        ("win32", ctypes.c_void_p),
        ("flags", ctypes.c_ubyte * 8),
    )


class _Access(ctypes.Structure):
    _fields_ = (("location", _Location), ("flags", ctypes.c_int))


class _PoolProperties(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("handle_types", ctypes.c_int),
        ("location", _Location),
        ("win32", ctypes.c_void_p),
        ("max_size", ctypes.c_size_t),
        ("reserved", ctypes.c_ubyte * 56),
    )


def do(name: str, *arguments: Any) -> None:
    status = getattr(ctypes.CDLL("libcuda.so.1"), name)(*arguments)
    assert status == 0, f"{name} answered {status}"


def attribute(number: int, address: int) -> int:
    """What CUDA says of a pointer; 0 where it says nothing."""
    value = ctypes.c_uint64()
    told = ctypes.CDLL("libcuda.so.1").cuPointerGetAttribute(ctypes.byref(value), number, ctypes.c_uint64(address))
    return value.value if told == 0 else 0


@contextmanager
def primary_context(gpu: int = 0) -> Iterator[None]:
    """The GPU's primary context, current inside the block."""
    context = ctypes.c_void_p()
    do("cuInit", 0)
    do("cuDevicePrimaryCtxRetain", ctypes.byref(context), gpu)
    do("cuCtxPushCurrent_v2", context)
    try:
        yield
    finally:
        do("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))
        do("cuDevicePrimaryCtxRelease_v2", gpu)


@contextmanager
def _plain(size: int) -> Iterator[int]:
    pointer = ctypes.c_uint64()
    do("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(size))
    yield pointer.value
    do("cuMemFree_v2", pointer)


@contextmanager
def _pitched(size: int) -> Iterator[int]:
    pointer, pitch = ctypes.c_uint64(), ctypes.c_size_t()
    do("cuMemAllocPitch_v2", ctypes.byref(pointer), ctypes.byref(pitch), ctypes.c_size_t(size), ctypes.c_size_t(1), 16)
    yield pointer.value
    do("cuMemFree_v2", pointer)


@contextmanager
def _pool(size: int) -> Iterator[int]:
    pointer = ctypes.c_uint64()
    do("cuMemAllocAsync", ctypes.byref(pointer), ctypes.c_size_t(size), None)
    do("cuStreamSynchronize", None)
    yield pointer.value
    do("cuMemFreeAsync", pointer, None)
    do("cuStreamSynchronize", None)


@contextmanager
def _own_pool(size: int) -> Iterator[int]:
    pool, pointer = ctypes.c_void_p(), ctypes.c_uint64()
    wanted = _PoolProperties(type=PINNED, location=_Location(ON_DEVICE, 0))
    do("cuMemPoolCreate", ctypes.byref(pool), ctypes.byref(wanted))
    do("cuMemAllocFromPoolAsync", ctypes.byref(pointer), ctypes.c_size_t(size), pool, None)
    do("cuStreamSynchronize", None)
    yield pointer.value
    do("cuMemFreeAsync", pointer, None)
    do("cuStreamSynchronize", None)
    do("cuMemPoolDestroy", pool)


@contextmanager
def _virtual(size: int) -> Iterator[int]:
    wanted = _AllocationProperties(type=PINNED, location=_Location(ON_DEVICE, 0))
    step, handle, pointer = ctypes.c_size_t(), ctypes.c_uint64(), ctypes.c_uint64()
    do("cuMemGetAllocationGranularity", ctypes.byref(step), ctypes.byref(wanted), 0)
    whole = ctypes.c_size_t(-(-size // step.value) * step.value)
    do("cuMemCreate", ctypes.byref(handle), whole, ctypes.byref(wanted), ctypes.c_ulonglong(0))
    do(
        "cuMemAddressReserve",
        ctypes.byref(pointer),
        whole,
        ctypes.c_size_t(0),
        ctypes.c_uint64(0),
        ctypes.c_ulonglong(0),
    )
    do("cuMemMap", pointer, whole, ctypes.c_size_t(0), handle, ctypes.c_ulonglong(0))
    access = _Access(_Location(ON_DEVICE, 0), READ_WRITE)
    do("cuMemSetAccess", pointer, whole, ctypes.byref(access), ctypes.c_size_t(1))
    yield pointer.value
    do("cuMemUnmap", pointer, whole)
    do("cuMemRelease", handle)
    do("cuMemAddressFree", pointer, whole)


@contextmanager
def _managed(size: int) -> Iterator[int]:
    pointer = ctypes.c_uint64()
    do("cuMemAllocManaged", ctypes.byref(pointer), ctypes.c_size_t(size), ATTACH_GLOBAL)
    yield pointer.value
    do("cuMemFree_v2", pointer)


MAKERS = {
    "plain": _plain,
    "pitched": _pitched,
    "pool": _pool,
    "own pool": _own_pool,
    "virtual": _virtual,
    "managed": _managed,
}


@contextmanager
def memory(kind: str, size: int, content: bytes = b"") -> Iterator[int]:
    """The address of that many bytes of memory of that kind, in the primary context, with the content in them."""
    with primary_context(), MAKERS[kind](size) as address:
        write(address, content)
        try:
            yield address
        finally:
            do("cuCtxSynchronize")


def write(address: int, content: bytes) -> None:
    """With a context current."""
    if content:
        do("cuMemcpyHtoD_v2", ctypes.c_uint64(address), content, ctypes.c_size_t(len(content)))
        do("cuStreamSynchronize", None)  # the call may return while the last bytes are on their way


def read(address: int, size: int) -> bytes:
    """With a context current."""
    content = ctypes.create_string_buffer(size)
    do("cuMemcpyDtoH_v2", content, ctypes.c_uint64(address), ctypes.c_size_t(size))
    return content.raw
