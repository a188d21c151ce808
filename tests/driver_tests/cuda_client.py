"""The CUDA driver interface through ctypes, for child processes on the simulated libcuda."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SUCCESS = 0
INVALID_VALUE = 1
OUT_OF_MEMORY = 2
NOT_INITIALIZED = 3
INVALID_CONTEXT = 201
INVALID_HANDLE = 400
NOT_FOUND = 500
NOT_READY = 600
CONTEXT_IS_DESTROYED = 709
NOT_SUPPORTED = 801

HOST, DEVICE, UNIFIED = 1, 2, 4
NON_BLOCKING = 1
DISABLE_TIMING = 2

Pointer = ctypes.c_void_p
HostFunction = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Copy2D(ctypes.Structure):
    """CUDA_MEMCPY2D."""

    _fields_ = [
        (prefix + name, kind)
        for prefix in ("src", "dst")
        for name, kind in (
            ("XInBytes", ctypes.c_size_t),
            ("Y", ctypes.c_size_t),
            ("MemoryType", ctypes.c_uint),
            ("Host", Pointer),
            ("Device", ctypes.c_ulonglong),
            ("Array", Pointer),
            ("Pitch", ctypes.c_size_t),
        )
    ] + [("WidthInBytes", ctypes.c_size_t), ("Height", ctypes.c_size_t)]


class Copy3D(ctypes.Structure):
    """CUDA_MEMCPY3D."""

    _fields_ = [
        (prefix + name, kind)
        for prefix in ("src", "dst")
        for name, kind in (
            ("XInBytes", ctypes.c_size_t),
            ("Y", ctypes.c_size_t),
            ("Z", ctypes.c_size_t),
            ("LOD", ctypes.c_size_t),
            ("MemoryType", ctypes.c_uint),
            ("Host", Pointer),
            ("Device", ctypes.c_ulonglong),
            ("Array", Pointer),
            ("Reserved", Pointer),
            ("Pitch", ctypes.c_size_t),
            ("Height", ctypes.c_size_t),
        )
    ] + [("WidthInBytes", ctypes.c_size_t), ("Height", ctypes.c_size_t), ("Depth", ctypes.c_size_t)]


class Control:
    """The one function of ours that a simulated library exports."""

    def __init__(self, library: str) -> None:
        self.library = ctypes.CDLL(library)
        self.library.nvsim_control.restype = ctypes.c_char_p

    def request(self, request: Any) -> Any:
        answer = self.library.nvsim_control(json.dumps(request).encode())
        return json.loads(answer)

    def configure(self, **config: Any) -> None:
        answer = self.request({"configure": config})
        assert answer == {"ok": True}, answer

    def report(self) -> Any:
        return self.request({"report": True})

    def live(self) -> dict[str, int]:
        """The live objects of each kind that has any."""
        return {kind: count for kind, count in self.report()["live"].items() if count}

    def violations(self) -> list[tuple[str, str]]:
        return [(entry["call"], entry["message"]) for entry in self.report()["violations"]]


class Cuda(Control):
    """Calls by attribute; each returns its status. Integers are passed as 64 bits, for pointers and sizes."""

    def __init__(self, initialise: bool = True) -> None:
        super().__init__("libcuda.so.1")
        if initialise:
            assert self.cuInit(0) == SUCCESS

    def __getattr__(self, name: str) -> Any:
        function = getattr(self.library, name)

        def call(*arguments: Any) -> int:
            wide = [ctypes.c_ulonglong(a & (1 << 64) - 1) if isinstance(a, int) else a for a in arguments]
            return int(function(*wide))

        return call

    def do(self, name: str, *arguments: Any) -> None:
        """A call that has to succeed."""
        status = getattr(self, name)(*arguments)
        assert status == SUCCESS, f"{name} answered {status}"

    def get(self, name: str, *arguments: Any, kind: Any = ctypes.c_ulonglong) -> int:
        """A call that must succeed and stores its answer through its first argument."""
        out = kind()
        self.do(name, ctypes.byref(out), *arguments)
        return int(out.value or 0)

    @contextmanager
    def context(self, device: int = 0) -> Iterator[int]:
        handle = self.get("cuCtxCreate_v2", 0, device)
        try:
            yield handle
        finally:
            self.do("cuCtxDestroy_v2", handle)

    def upload(self, data: bytes, address: int) -> None:
        self.do("cuMemcpyHtoD_v2", address, ctypes.c_char_p(data), len(data))

    def download(self, address: int, size: int) -> bytes:
        target = ctypes.create_string_buffer(size)
        self.do("cuMemcpyDtoH_v2", target, address, size)
        return target.raw

    def allocate(self, size: int, data: bytes | None = None) -> int:
        address = self.get("cuMemAlloc_v2", size)
        if data is not None:
            self.upload(data, address)
        return address

    def pinned(self, size: int) -> Any:
        """Pinned host memory as a ctypes array; freed by its address."""
        address = self.get("cuMemHostAlloc", size, 0)
        return (ctypes.c_ubyte * size).from_address(address)
