"""Memory, copies and fills of the simulated libcuda."""

from __future__ import annotations

import ctypes
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from driver_tests import child
from driver_tests.cuda_client import (
    DEVICE,
    HOST,
    INVALID_VALUE,
    NON_BLOCKING,
    OUT_OF_MEMORY,
    SUCCESS,
    UNIFIED,
    Copy2D,
    Copy3D,
    Cuda,
)


def random_allocations(seed: int) -> None:
    choose = random.Random(seed)
    cuda = Cuda()
    with cuda.context() as context:
        total = 24 << 30
        living: dict[int, bytes] = {}
        for step in range(400):
            if living and choose.random() < 0.4:
                address = choose.choice(list(living))
                data = living.pop(address)
                assert cuda.download(address, len(data)) == data
                cuda.do("cuMemFree_v2", address)
                assert cuda.cuPointerGetAttribute(ctypes.byref(ctypes.c_int()), 2, address) == INVALID_VALUE
            else:
                size = choose.choice((1, 100, 4096, 4097, choose.randrange(1, 300_000)))
                data = bytes([step % 251]) * size
                address = cuda.allocate(size, data)
                assert address % 256 == 0
                for other, content in living.items():
                    assert address + size <= other or other + len(content) <= address
                living[address] = data
        assert cuda.live() == {"contexts": 1, "device_allocations": len(living)}
        free, whole = ctypes.c_size_t(), ctypes.c_size_t()
        cuda.do("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(whole))
        assert whole.value == total
        assert total - free.value >= sum(map(len, living.values()))
        for address, data in living.items():
            check_pointer(cuda, choose, address, len(data), context)
            assert cuda.download(address, len(data)) == data
            cuda.do("cuMemFree_v2", address)
        cuda.do("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(whole))
        assert free.value == total
        assert not cuda.violations()


def check_pointer(cuda: Cuda, choose: random.Random, address: int, size: int, context: int) -> None:
    """The attributes of an address inside an allocation."""
    inside = address + choose.randrange(size)

    def attribute(number: int) -> int:
        return cuda.get("cuPointerGetAttribute", number, inside)

    assert attribute(1) == context
    assert attribute(2) == DEVICE
    assert attribute(3) == inside
    assert attribute(9) == 0
    assert (attribute(11), attribute(12)) == (address, size)
    base, length = ctypes.c_ulonglong(), ctypes.c_size_t()
    cuda.do("cuMemGetAddressRange_v2", ctypes.byref(base), ctypes.byref(length), inside)
    assert (base.value, length.value) == (address, size)
    assert cuda.cuPointerGetAttribute(ctypes.byref(ctypes.c_int()), 2, address + size) == INVALID_VALUE


@pytest.mark.sanitize
@pytest.mark.parametrize("seed", range(3))
def test_allocations_do_not_overlap_and_keep_their_bytes(nvsim_dir: Path, seed: int) -> None:
    child.check(nvsim_dir, random_allocations, seed=seed)


def wrong_access() -> None:
    cuda = Cuda()
    with cuda.context():
        address, other = cuda.allocate(1000), cuda.allocate(1000)
        host = ctypes.create_string_buffer(4000)
        assert cuda.cuMemcpyHtoD_v2(address, host, 1001) == INVALID_VALUE
        assert cuda.cuMemcpyDtoH_v2(host, address + 999, 2) == INVALID_VALUE
        assert cuda.cuMemcpyDtoD_v2(other, address + 1, 1000) == INVALID_VALUE
        assert cuda.cuMemsetD32_v2(address, 0, 251) == INVALID_VALUE
        assert cuda.cuMemcpyHtoD_v2(host, host, 10) == INVALID_VALUE
        assert cuda.cuMemcpyHtoD_v2(address + (8 << 30), host, 10) == INVALID_VALUE
        messages = [message for _, message in cuda.violations()]
        assert messages == ["access past the end of an allocation"] * 4 + [
            "not a device address",
            "no memory is allocated here",
        ]
        cuda.request({"reset": True})
        cuda.do("cuMemFree_v2", address)
        assert cuda.cuMemFree_v2(address) == INVALID_VALUE
        assert cuda.cuMemFree_v2(other + 8) == INVALID_VALUE
        assert cuda.cuMemcpyDtoH_v2(host, address, 1) == INVALID_VALUE
        assert [message for _, message in cuda.violations()] == [
            "freed twice, or after its context",
            "freed, but no allocation begins here",
            "memory used after it was freed",
        ]
        assert cuda.cuMemcpyHtoD_v2(other, host, 1 << 63) == INVALID_VALUE
        cuda.do("cuMemcpyHtoD_v2", 0, host, 0)


@pytest.mark.sanitize
def test_access_outside_of_allocations(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, wrong_access)


def not_strict() -> None:
    cuda = Cuda()
    with cuda.context():
        assert cuda.cuMemFree_v2(0x1000) == INVALID_VALUE
    assert cuda.violations() == []


def test_violations_are_recorded_only_if_strict(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, not_strict, {"strict": False})


def read_device_memory_as_host_memory() -> None:
    cuda = Cuda()
    with cuda.context():
        print(ctypes.string_at(cuda.allocate(100), 1))


def test_device_memory_is_not_host_memory(nvsim_dir: Path) -> None:
    assert child.run(nvsim_dir, read_device_memory_as_host_memory).returncode == -signal.SIGSEGV


def memory_is_spent() -> None:
    cuda = Cuda()
    out = ctypes.byref(ctypes.c_ulonglong())
    with cuda.context():
        half = cuda.allocate(6 << 20)
        assert cuda.cuMemAlloc_v2(out, 6 << 20) == OUT_OF_MEMORY
        assert cuda.cuMemAlloc_v2(out, 1 << 50) == OUT_OF_MEMORY
        assert cuda.cuMemAlloc_v2(out, 0) == INVALID_VALUE
        cuda.do("cuMemFree_v2", half)
        cuda.do("cuMemAlloc_v2", out, 10 << 20)
    assert cuda.live() == {}


def test_a_gpu_has_only_so_much_memory(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, memory_is_spent, {"gpus": [{"name": "L4", "memory_bytes": 10 << 20}]})


def pinned_memory() -> None:
    cuda = Cuda()
    with cuda.context() as context:
        pinned = cuda.pinned(5000)
        address = ctypes.addressof(pinned)
        ctypes.memset(address, 7, 5000)
        assert cuda.get("cuPointerGetAttribute", 2, address, kind=ctypes.c_uint) == HOST
        assert cuda.get("cuPointerGetAttribute", 1, address) == context
        assert cuda.get("cuMemHostGetDevicePointer_v2", address, 0) == address
        memory = cuda.allocate(5000)
        cuda.do("cuMemcpy", memory, address, 5000)
        assert cuda.download(memory, 5000) == bytes([7]) * 5000
        assert cuda.cuMemFree_v2(address) == INVALID_VALUE, "freed by the wrong call"
        cuda.do("cuMemFreeHost", address)
        ordinary = ctypes.create_string_buffer(100)
        own = ctypes.addressof(ordinary)
        kinds = (ctypes.c_int * 2)(2, 9)
        answers = [ctypes.c_uint(99), ctypes.c_int(99)]
        pointers = (ctypes.c_void_p * 2)(*map(ctypes.addressof, answers))
        cuda.do("cuPointerGetAttributes", 2, kinds, pointers, own)
        assert [answer.value for answer in answers] == [0, -2], "unknown, and no error"
        cuda.do("cuMemHostRegister_v2", own, 100, 0)
        assert cuda.cuMemHostRegister_v2(own + 50, 100, 0) == 712
        assert cuda.get("cuPointerGetAttribute", 2, own + 99, kind=ctypes.c_uint) == HOST
        assert cuda.live() == {"contexts": 1, "device_allocations": 1, "host_registrations": 1}
        cuda.do("cuMemHostUnregister", own)
        assert cuda.cuMemHostUnregister(own) == 713


@pytest.mark.sanitize
def test_pinned_and_registered_host_memory(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, pinned_memory)


class Area:
    """Memory that a copy reads or writes, with a model of its contents."""

    def __init__(self, cuda: Cuda, choose: random.Random, size: int, pitch: int) -> None:
        self.cuda, self.size, self.pitch = cuda, size, pitch
        self.kind = choose.choice((HOST, DEVICE, UNIFIED))
        self.model = bytearray(choose.randbytes(size))
        self.buffer = (ctypes.c_ubyte * size).from_buffer_copy(self.model)
        self.address = ctypes.addressof(self.buffer)
        if self.kind != HOST:
            self.address = cuda.allocate(size, bytes(self.model))

    def describe(self, copy: Any, prefix: str, x: int, y: int) -> None:
        for name, value in (("XInBytes", x), ("Y", y), ("MemoryType", self.kind), ("Pitch", self.pitch)):
            setattr(copy, prefix + name, value)
        setattr(copy, prefix + ("Host" if self.kind == HOST else "Device"), self.address)

    def content(self) -> bytes:
        if self.kind == HOST:
            return bytes(self.buffer)
        return self.cuda.download(self.address, self.size)


def random_copies_2d(seed: int) -> None:
    choose = random.Random(seed)
    cuda = Cuda()
    with cuda.context():
        stream = cuda.get("cuStreamCreate", NON_BLOCKING)
        for _ in range(60):
            width, height = choose.randrange(1, 90), choose.randrange(1, 20)
            areas, places = [], []
            for _ in range(2):
                x, y = choose.randrange(20), choose.randrange(5)
                pitch = x + width + choose.choice((0, choose.randrange(30)))
                areas.append(Area(cuda, choose, pitch * (y + height), pitch))
                places.append((x, y))
            source, target = areas
            copy = Copy2D(WidthInBytes=width, Height=height)
            source.describe(copy, "src", *places[0])
            target.describe(copy, "dst", *places[1])
            if choose.random() < 0.5:
                cuda.do("cuMemcpy2D_v2", ctypes.byref(copy))
            else:
                cuda.do("cuMemcpy2DAsync_v2", ctypes.byref(copy), stream)
                cuda.do("cuStreamSynchronize", stream)
            for row in range(height):
                begin, end = (
                    (place[1] + row) * area.pitch + place[0] for area, place in zip(areas, places, strict=True)
                )
                target.model[end : end + width] = source.model[begin : begin + width]
            assert target.content() == bytes(target.model)
        assert not cuda.violations()


@pytest.mark.sanitize
@pytest.mark.parametrize("seed", range(3))
def test_copies_of_areas(nvsim_dir: Path, seed: int) -> None:
    child.check(nvsim_dir, random_copies_2d, seed=seed)


def bad_copies_2d() -> None:
    cuda = Cuda()
    with cuda.context():
        source, target = cuda.allocate(1000), cuda.allocate(1000)

        def status(**changes: int) -> int:
            copy = Copy2D(srcMemoryType=DEVICE, srcDevice=source, srcPitch=100, dstMemoryType=DEVICE)
            copy.dstDevice, copy.dstPitch, copy.WidthInBytes, copy.Height = target, 100, 100, 10
            for name, value in changes.items():
                setattr(copy, name, value)
            return cuda.cuMemcpy2D_v2(ctypes.byref(copy))  # type: ignore[no-any-return]

        assert status() == SUCCESS
        assert status(srcMemoryType=0) == INVALID_VALUE
        assert status(dstMemoryType=5) == INVALID_VALUE
        assert status(srcPitch=99) == INVALID_VALUE
        assert not cuda.violations()
        assert status(Height=11) == INVALID_VALUE
        assert status(dstXInBytes=1, WidthInBytes=99, dstY=1) == INVALID_VALUE
        assert status(srcPitch=101) == INVALID_VALUE
        assert [message for _, message in cuda.violations()] == ["access past the end of an allocation"] * 3
        assert status(Height=10, WidthInBytes=0) == SUCCESS


def test_areas_that_do_not_fit(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, bad_copies_2d)


def copy_3d() -> None:
    cuda = Cuda()
    width, height, depth = 5, 3, 4
    with cuda.context():
        data = bytes(range(7 * 4 * depth))
        source, target = cuda.allocate(len(data), data), cuda.allocate(6 * 5 * depth)
        cuda.do("cuMemsetD8_v2", target, 255, 6 * 5 * depth)
        copy = Copy3D(srcMemoryType=DEVICE, srcDevice=source, srcPitch=7, srcHeight=4, srcXInBytes=2, srcY=1)
        copy.dstMemoryType, copy.dstDevice, copy.dstPitch, copy.dstHeight, copy.dstZ = DEVICE, target, 6, 5, 1
        copy.WidthInBytes, copy.Height, copy.Depth = width, height, depth - 1
        cuda.do("cuMemcpy3D_v2", ctypes.byref(copy))
        model = bytearray([255]) * (6 * 5 * depth)
        for z in range(depth - 1):
            for y in range(height):
                begin, end = (z * 4 + y + 1) * 7 + 2, ((z + 1) * 5 + y) * 6
                model[end : end + width] = data[begin : begin + width]
        assert cuda.download(target, len(model)) == bytes(model)


@pytest.mark.sanitize
def test_copies_of_boxes(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, copy_3d)


def fills() -> None:
    cuda = Cuda()
    with cuda.context():
        memory = cuda.allocate(240, bytes(240))
        model = bytearray(240)
        for bits, value in ((8, 0xAB), (16, 0x1234), (32, 0x89ABCDEF)):
            unit = value.to_bytes(bits // 8, "little")
            cuda.do(f"cuMemsetD{bits}_v2", memory + 16, value, 5)
            model[16 : 16 + 5 * len(unit)] = unit * 5
            cuda.do(f"cuMemsetD2D{bits}Async", memory + 80, 40, value, 3, 4, 0)
            for row in range(4):
                begin = 80 + 40 * row
                model[begin : begin + 3 * len(unit)] = unit * 3
            assert cuda.download(memory, 240) == bytes(model), bits
        assert cuda.cuMemsetD32_v2(memory + 2, 0, 1) == INVALID_VALUE, "not aligned"


@pytest.mark.sanitize
def test_fills(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, fills)


def no_copies() -> None:
    cuda = Cuda()
    with cuda.context():
        memory = cuda.allocate(10)
        host = ctypes.create_string_buffer(b"0123456789", 10)
        cuda.do("cuMemcpyHtoD_v2", memory, host, 10)
        back = ctypes.create_string_buffer(b"untouched.", 10)
        cuda.do("cuMemcpyDtoH_v2", back, memory, 10)
        assert back.raw == b"untouched."
        assert cuda.cuMemcpyDtoH_v2(back, memory, 11) == INVALID_VALUE, "still checked"
        cuda.configure(copy=True)
        cuda.upload(b"0123456789", memory)
        assert cuda.download(memory, 10) == b"0123456789"


def test_copies_can_be_turned_off(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, no_copies, {"copy": False})
