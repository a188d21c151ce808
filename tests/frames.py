"""Frames for tests: NV12 pictures that show their number, on the host, on a GPU and behind every protocol.

Device memory, streams and contexts are made by plain calls of libcuda, which has to be loaded already (`Simulator`
does it).
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

Nv12 = NDArray[np.uint8]

NON_BLOCKING = 1
LEGACY_STREAM, PER_THREAD_STREAM = 1, 2
HOST_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def nv12(width: int, height: int, number: int = 0) -> Nv12:
    """A picture in which every byte depends on `number`, and the first eight bytes hold it."""
    rows = np.arange(height * 3 // 2, dtype=np.uint32)[:, None]
    columns = np.arange(width, dtype=np.uint32)[None, :]
    picture: Nv12 = (rows * 3 + columns * 5 + number % 256 * 7).astype(np.uint8)
    picture[0, :8] = np.frombuffer(number.to_bytes(8, "little", signed=True), np.uint8)
    return picture


def pitched(picture: Nv12, pitch: int, offset: int = 0) -> Nv12:
    """The same picture as a view of rows `pitch` bytes apart, `offset` bytes after the start of its memory."""
    memory = np.full(offset + len(picture) * pitch, 0xEE, np.uint8)
    view = np.lib.stride_tricks.as_strided(memory[offset:], picture.shape, (pitch, 1))
    view[...] = picture
    return view


class CudaError(Exception):
    """A call of libcuda that a test made failed."""


def cuda(name: str, *arguments: Any) -> None:
    function = getattr(ctypes.CDLL("libcuda.so.1"), name)
    status = function(*arguments)
    if status != 0:
        raise CudaError(f"{name} answered {status}")


class Gpu:
    """A GPU's primary context and the objects that a test makes in it; `close()` frees all of them.

    The context is current only while a call runs.
    """

    def __init__(self, index: int = 0) -> None:
        self.index = index
        self._memory: set[int] = set()
        self._streams: list[ctypes.c_void_p] = []
        self._context = ctypes.c_void_p()
        cuda("cuInit", 0)
        cuda("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), index)

    @contextmanager
    def current(self) -> Iterator[None]:
        cuda("cuCtxPushCurrent_v2", self._context)
        try:
            yield
        finally:
            cuda("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))

    def call(self, name: str, *arguments: Any) -> None:
        with self.current():
            cuda(name, *arguments)

    def close(self) -> None:
        self.call("cuCtxSynchronize")
        for stream in self._streams:
            self.call("cuStreamDestroy_v2", stream)
        for pointer in list(self._memory):
            self.free(pointer)
        cuda("cuDevicePrimaryCtxRelease_v2", self.index)

    def allocate(self, size: int) -> int:
        pointer = ctypes.c_uint64()
        self.call("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(size))
        self._memory.add(pointer.value)
        return pointer.value

    def free(self, pointer: int) -> None:
        self._memory.remove(pointer)
        self.call("cuMemFree_v2", ctypes.c_uint64(pointer))

    def has(self, pointer: int) -> bool:
        """Whether this is memory of this GPU that is not freed."""
        return pointer in self._memory

    def stream(self, flags: int = NON_BLOCKING) -> int:
        handle = ctypes.c_void_p()
        self.call("cuStreamCreate", ctypes.byref(handle), flags)
        self._streams.append(handle)
        return handle.value or 0

    def upload(self, pointer: int, picture: Nv12, stream: int | None = None) -> None:
        """Copies the rows back to back, at once or in the order of a stream; then `picture` has to stay unchanged."""
        address, size = ctypes.c_void_p(picture.ctypes.data), ctypes.c_size_t(picture.nbytes)
        assert picture.flags.c_contiguous
        if stream is None:
            self.call("cuMemcpyHtoD_v2", ctypes.c_uint64(pointer), address, size)
        else:
            self.call("cuMemcpyHtoDAsync_v2", ctypes.c_uint64(pointer), address, size, ctypes.c_void_p(stream))

    def frame(self, picture: Nv12, pitch: int = 0, **interface: Any) -> CudaFrame:
        """A device frame with the picture in it; its padding bytes hold 0xEE."""
        rows, width = picture.shape
        memory = pitched(picture, pitch or width)
        whole: Nv12 = np.lib.stride_tricks.as_strided(memory, (rows, pitch or width), (pitch or width, 1))
        pointer = self.allocate(whole.nbytes)
        self.upload(pointer, whole)
        if pitch and pitch != width:
            interface.setdefault("strides", (pitch, 1))
        return CudaFrame(pointer, picture.shape, **interface)


@contextmanager
def gpu(index: int = 0) -> Iterator[Gpu]:
    one = Gpu(index)
    try:
        yield one
    finally:
        one.close()


@contextmanager
def created_context(index: int = 0) -> Iterator[int]:
    """A separate context, current inside the block."""
    context = ctypes.c_void_p()
    cuda("cuInit", 0)
    cuda("cuCtxCreate_v2", ctypes.byref(context), 0, index)
    try:
        yield context.value or 0
    finally:
        cuda("cuCtxDestroy_v2", context)


class CudaFrame:
    """An object with a CUDA array interface of these entries; `version=None` leaves the version out."""

    def __init__(
        self, pointer: int, shape: tuple[int, ...], *, typestr: str = "|u1", version: int | None = 3, **more: Any
    ) -> None:
        self.pointer = pointer
        self.interface: dict[str, Any] = {"shape": shape, "typestr": typestr, "data": (pointer, False)}
        if version is not None:
            self.interface["version"] = version
        if version == 3:
            self.interface["stream"] = LEGACY_STREAM
        self.interface.update(more)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return self.interface


class OnlyDlpack:
    """An array that offers only DLPack; `modern=False` makes it a producer from before version 1.0."""

    def __init__(self, array: Any, modern: bool = True) -> None:
        self._array = array
        self._modern = modern

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()

    def __dlpack__(self, **arguments: Any) -> Any:
        if not self._modern and "max_version" in arguments:
            raise TypeError("__dlpack__() got an unexpected keyword argument 'max_version'")
        return self._array.__dlpack__(**arguments)


class _Device(ctypes.Structure):
    _fields_ = (("type", ctypes.c_int32), ("id", ctypes.c_int32))


class _Type(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _Type),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


_DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Managed(ctypes.Structure):
    _fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _DELETER))


class _ManagedVersioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", _DELETER),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


_CAPSULE_DESTRUCTOR = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = (ctypes.c_void_p, ctypes.c_char_p, _CAPSULE_DESTRUCTOR)


class DlpackFrame:
    """A hand-made DLPack producer, for any device, type and version, right or wrong.

    `streams` lists what consumers passed as stream, `alive` counts the capsules that are not deleted yet.
    """

    CPU, CUDA, CUDA_HOST, CUDA_MANAGED = 1, 2, 3, 13

    def __init__(
        self,
        pointer: int,
        shape: tuple[int, ...],
        *,
        device: tuple[int, int] = (CUDA, 0),
        strides: tuple[int, ...] | None = None,
        dtype: tuple[int, int, int] = (1, 8, 1),
        byte_offset: int = 0,
        major: int = 1,
        versioned: bool = True,
        read_only: bool = False,
    ) -> None:
        self.device = device
        self.versioned = versioned
        self.streams: list[Any] = []
        self.alive = 0
        self._shape = (ctypes.c_int64 * len(shape))(*shape)
        self._strides = (ctypes.c_int64 * len(strides))(*strides) if strides else None
        tensor = _Tensor(pointer, _Device(*device), len(shape), _Type(*dtype), self._shape, self._strides, byte_offset)
        nothing = _DELETER()
        self._modern = _ManagedVersioned(major, 0, None, nothing, int(read_only), tensor)
        self._old = _Managed(tensor, None, nothing)
        self._destructor = _CAPSULE_DESTRUCTOR(self._deleted)

    def _deleted(self, _capsule: int) -> None:
        self.alive -= 1

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, *, stream: Any = None, max_version: tuple[int, int] | None = None) -> object:
        self.streams.append(stream)
        self.alive += 1
        modern = self.versioned and max_version is not None and max_version >= (1, 0)
        managed, name = (self._modern, b"dltensor_versioned") if modern else (self._old, b"dltensor")
        capsule: object = _new_capsule(ctypes.addressof(managed), name, self._destructor)
        return capsule
