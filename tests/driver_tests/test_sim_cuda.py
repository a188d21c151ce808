"""The simulated libcuda as its clients see it, without asynchronous streams: see test_sim_streams.py for those."""

from __future__ import annotations

import ctypes
import json
import os
import random
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from driver_tests import child
from driver_tests.cuda_client import (
    CONTEXT_IS_DESTROYED,
    DEVICE,
    HOST,
    INVALID_CONTEXT,
    INVALID_HANDLE,
    INVALID_VALUE,
    NON_BLOCKING,
    NOT_FOUND,
    NOT_INITIALIZED,
    NOT_SUPPORTED,
    OUT_OF_MEMORY,
    SUCCESS,
    UNIFIED,
    Copy2D,
    Copy3D,
    Cuda,
    HostFunction,
)

DRIVER_SOURCES = Path(__file__).resolve().parents[1] / "driver"


def names_in(file: str) -> list[list[str]]:
    lines = (DRIVER_SOURCES / file).read_text().splitlines()
    return [line.split() for line in lines if not line.startswith("#")]


# ---- what is exported ----------------------------------------------------------------------------------------------


def stubs_and_aliases() -> None:
    cuda = Cuda()
    for (name,) in names_in("cuda/stubs.txt"):
        assert getattr(cuda, name)() == NOT_SUPPORTED, name
    for alias, target in names_in("cuda/aliases.txt"):
        addresses = [ctypes.cast(getattr(cuda.library, name), ctypes.c_void_p).value for name in (alias, target)]
        assert addresses[0] == addresses[1], alias


def test_every_known_name_is_there(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, stubs_and_aliases)


def look_up_by_version() -> None:
    cuda = Cuda(initialise=False)

    def found(name: str, version: int) -> int | None:
        out = ctypes.c_void_p()
        state = ctypes.c_int(-1)
        status = cuda.cuGetProcAddress_v2(name.encode(), ctypes.byref(out), version, 0, ctypes.byref(state))
        assert (status, state.value) == ((SUCCESS, 0) if out.value else (NOT_FOUND, 1))
        return out.value

    def exported(name: str) -> int | None:
        return ctypes.cast(getattr(cuda.library, name), ctypes.c_void_p).value

    assert found("cuMemAlloc", 3020) == exported("cuMemAlloc_v2")
    assert found("cuCtxCreate", 3020) == exported("cuCtxCreate_v2")
    assert found("cuCtxCreate", 11040) == exported("cuCtxCreate_v3")
    assert found("cuCtxCreate", 12050) == exported("cuCtxCreate_v4")
    assert found("cuCtxSynchronize", 12080) == exported("cuCtxSynchronize")
    assert found("cuCtxSynchronize", 13000) == exported("cuCtxSynchronize_v2")
    assert found("cuStreamGetCtx", 9020) == exported("cuStreamGetCtx")
    assert found("cuStreamGetCtx", 12050) == exported("cuStreamGetCtx_v2")
    assert found("cuNoSuchThing", 13000) is None
    assert found("nvsim_control", 13000) is None
    cuda.configure(cuda_version=12020)
    assert cuda.get("cuDriverGetVersion", kind=ctypes.c_int) == 12020
    assert found("cuCtxCreate", 13000) == exported("cuCtxCreate_v3"), "newer than the driver"


def test_functions_are_found_by_name_and_version(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, look_up_by_version)


def error_names() -> None:
    cuda = Cuda(initialise=False)
    text = ctypes.c_char_p()
    cuda.do("cuGetErrorName", 2, ctypes.byref(text))
    assert text.value == b"CUDA_ERROR_OUT_OF_MEMORY"
    cuda.do("cuGetErrorString", 2, ctypes.byref(text))
    assert text.value == b"out of memory"
    assert cuda.cuGetErrorName(12345, ctypes.byref(text)) == INVALID_VALUE
    assert text.value is None


def test_errors_have_names(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, error_names)


# ---- devices -------------------------------------------------------------------------------------------------------


def devices() -> None:
    cuda = Cuda()
    assert cuda.get("cuDeviceGetCount", kind=ctypes.c_int) == 3
    seen = set()
    for ordinal, name in enumerate((b"NVIDIA L4", b"NVIDIA H200", b"NVIDIA GeForce RTX 5090")):
        text = ctypes.create_string_buffer(64)
        cuda.do("cuDeviceGetName", text, 64, ordinal)
        assert text.value == name
        uuid = ctypes.create_string_buffer(16)
        cuda.do("cuDeviceGetUuid_v2", uuid, ordinal)
        seen.add(uuid.raw)
        cuda.do("cuDeviceGetPCIBusId", text, 64, ordinal)
        assert cuda.get("cuDeviceGetByPCIBusId", text, kind=ctypes.c_int) == ordinal
        major = cuda.get("cuDeviceGetAttribute", 75, ordinal, kind=ctypes.c_int)
        assert major == (8, 9, 12)[ordinal]
    assert len(seen) == 3
    short = ctypes.create_string_buffer(7)
    cuda.do("cuDeviceGetName", short, 7, 0)
    assert short.raw == b"NVIDIA\0"
    assert cuda.cuDeviceGet(ctypes.byref(ctypes.c_int()), 3) == 101
    assert cuda.cuDeviceGetAttribute(ctypes.byref(ctypes.c_int()), 999, 0) == INVALID_VALUE


def test_devices_are_those_of_the_configuration(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, devices, {"gpus": ["L4", "H200", "RTX 5090"]})


def no_device() -> None:
    assert Cuda(initialise=False).cuInit(0) == 100


def test_a_machine_without_a_gpu(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, no_device, {"gpus": []})


def before_init() -> None:
    cuda = Cuda(initialise=False)
    assert cuda.cuDeviceGetCount(ctypes.byref(ctypes.c_int())) == NOT_INITIALIZED
    assert cuda.cuInit(1) == INVALID_VALUE
    assert cuda.cuInit(0) == SUCCESS
    assert cuda.cuDeviceGetCount(ctypes.byref(ctypes.c_int())) == SUCCESS


def test_nothing_works_before_init(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, before_init)


def in_a_forked_child() -> None:
    cuda = Cuda()
    pid = os.fork()
    if pid == 0:
        count = cuda.cuDeviceGetCount(ctypes.byref(ctypes.c_int()))
        os._exit(0 if (count, cuda.cuInit(0)) == (NOT_INITIALIZED, NOT_INITIALIZED) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert cuda.cuDeviceGetCount(ctypes.byref(ctypes.c_int())) == SUCCESS


def fork_before_init() -> None:
    cuda = Cuda(initialise=False)
    pid = os.fork()
    if pid == 0:
        os._exit(cuda.cuInit(0))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.sanitize
def test_a_forked_child_cannot_go_on_with_cuda(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, in_a_forked_child)
    child.check(nvsim_dir, fork_before_init)


# ---- contexts ------------------------------------------------------------------------------------------------------


def context_stack() -> None:
    cuda = Cuda()

    def current() -> int:
        return cuda.get("cuCtxGetCurrent")

    assert current() == 0
    first, second = cuda.get("cuCtxCreate_v2", 0, 0), cuda.get("cuCtxCreate_v2", 0, 1)
    assert current() == second
    assert cuda.get("cuCtxGetDevice", kind=ctypes.c_int) == 1
    cuda.do("cuCtxPopCurrent_v2", None)
    assert current() == first
    cuda.do("cuCtxSetCurrent", second)
    assert current() == second
    cuda.do("cuCtxSetCurrent", 0)
    assert current() == 0
    cuda.do("cuCtxPushCurrent_v2", first)
    elsewhere: list[int] = []
    thread = threading.Thread(target=lambda: elsewhere.append(current()))
    thread.start()
    thread.join()
    assert elsewhere == [0]
    assert not cuda.violations()
    cuda.do("cuCtxDestroy_v2", first)
    assert current() == 0
    assert cuda.cuCtxPopCurrent_v2(None) == INVALID_CONTEXT
    assert cuda.cuCtxPushCurrent_v2(first) == CONTEXT_IS_DESTROYED
    assert cuda.cuCtxPushCurrent_v2(0x1234) == INVALID_CONTEXT
    assert cuda.violations() == [
        ("cuCtxPopCurrent_v2", "popped while it is empty"),
        ("cuCtxPushCurrent_v2", "used after it was destroyed"),
        ("cuCtxPushCurrent_v2", "not a context"),
    ]
    assert cuda.live() == {"contexts": 1}


def test_the_stack_of_contexts(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, context_stack, {"gpus": ["L4", "L4"]})


def primary_context() -> None:
    cuda = Cuda()
    first = cuda.get("cuDevicePrimaryCtxRetain", 0)
    assert cuda.get("cuDevicePrimaryCtxRetain", 0) == first
    assert cuda.live() == {"primary_retains": 2}
    cuda.do("cuCtxPushCurrent_v2", first)
    memory = cuda.allocate(100)
    stream = cuda.get("cuStreamCreate", 0)
    event = cuda.get("cuEventCreate", 0)
    cuda.do("cuDevicePrimaryCtxRelease_v2", 0)
    cuda.do("cuStreamSynchronize", stream)
    cuda.do("cuDevicePrimaryCtxRelease_v2", 0)
    assert cuda.live() == {}, "all that was in the context went with it"
    assert cuda.cuStreamSynchronize(stream) == INVALID_HANDLE
    assert cuda.cuEventQuery(event) == INVALID_HANDLE
    assert cuda.cuMemFree_v2(memory) == INVALID_VALUE
    assert cuda.cuMemAlloc_v2(ctypes.byref(ctypes.c_ulonglong()), 1) == CONTEXT_IS_DESTROYED
    assert cuda.cuDevicePrimaryCtxRelease_v2(0) == INVALID_CONTEXT
    assert len(cuda.violations()) == 5
    assert cuda.get("cuDevicePrimaryCtxRetain", 0) == first, "one handle for all lives of a primary context"
    assert cuda.cuStreamSynchronize(stream) == INVALID_HANDLE, "an object of an earlier life"


@pytest.mark.sanitize
def test_the_primary_context_lives_as_long_as_it_is_retained(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, primary_context)


def without_context() -> None:
    cuda = Cuda()
    out = ctypes.byref(ctypes.c_ulonglong())
    assert cuda.cuMemAlloc_v2(out, 10) == INVALID_CONTEXT
    assert cuda.cuStreamCreate(out, 0) == INVALID_CONTEXT
    assert cuda.cuEventCreate(out, 0) == INVALID_CONTEXT
    assert cuda.cuCtxSynchronize() == INVALID_CONTEXT
    assert {message for _, message in cuda.violations()} == {"no context is current"}
    assert cuda.cuCtxGetDevice(out) == INVALID_CONTEXT
    assert len(cuda.violations()) == 4, "asking is no offence"


def test_work_without_a_context_is_a_violation(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, without_context)


def foreign_handles() -> None:
    cuda = Cuda()
    cuda.get("cuCtxCreate_v2", 0, 0)
    event = cuda.get("cuEventCreate", 0)
    memory = cuda.allocate(64)
    cuda.get("cuCtxCreate_v2", 0, 0)
    stream = cuda.get("cuStreamCreate", NON_BLOCKING)
    assert cuda.cuEventRecord(event, stream) == INVALID_HANDLE
    cuda.do("cuStreamWaitEvent", stream, event, 0)
    cuda.do("cuCtxPopCurrent_v2", None)
    assert cuda.cuMemsetD8Async(memory, 1, 64, stream) == INVALID_HANDLE
    cuda.do("cuEventRecord", event, 0)
    assert cuda.violations() == [
        ("cuEventRecord", "recorded in a stream of another context"),
        ("cuMemsetD8Async", "a fill in a stream of another context"),
    ]


def test_handles_of_another_context(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, foreign_handles)


def stale_handles() -> None:
    cuda = Cuda()
    with cuda.context():
        stream, event = cuda.get("cuStreamCreate", 0), cuda.get("cuEventCreate", 0)
        cuda.do("cuEventRecord", event, stream)
        cuda.do("cuStreamDestroy_v2", stream)
        cuda.do("cuEventDestroy_v2", event)
        for _ in range(100):
            assert cuda.get("cuStreamCreate", 0) != stream, "a handle does not come again soon"
        for name, *arguments in (
            ("cuStreamDestroy_v2", stream),
            ("cuEventDestroy_v2", event),
            ("cuEventSynchronize", event),
            ("cuStreamWaitEvent", 0, event, 0),
            ("cuMemcpyDtoDAsync_v2", 0, 0, 0, stream),
            ("cuStreamSynchronize", event),
            ("cuStreamSynchronize", 0x7),
        ):
            assert getattr(cuda, name)(*arguments) == INVALID_HANDLE, name
        assert len(cuda.violations()) == 7


@pytest.mark.sanitize
def test_stale_and_invented_handles_are_told_from_living_ones(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, stale_handles)


# ---- memory --------------------------------------------------------------------------------------------------------


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
    """What is known of an address inside of an allocation."""
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


def test_violations_are_not_kept_unless_strict(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, not_strict, {"strict": False})


def read_device_memory_as_host_memory() -> None:
    cuda = Cuda()
    with cuda.context():
        print(ctypes.string_at(cuda.allocate(100), 1))


def test_device_memory_is_no_host_memory(nvsim_dir: Path) -> None:
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


# ---- copies and fills ----------------------------------------------------------------------------------------------


class Area:
    """Memory of some kind that a copy reads or writes, with a model of what is in it."""

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


# ---- streams without asynchrony ------------------------------------------------------------------------------------


def host_functions() -> None:
    cuda = Cuda()
    with cuda.context() as context:
        stream = cuda.get("cuStreamCreateWithPriority", NON_BLOCKING, -2 & 0xFFFFFFFF)
        flags, priority, home = ctypes.c_uint(), ctypes.c_int(), ctypes.c_void_p()
        cuda.do("cuStreamGetFlags", stream, ctypes.byref(flags))
        cuda.do("cuStreamGetPriority", stream, ctypes.byref(priority))
        cuda.do("cuStreamGetCtx", stream, ctypes.byref(home))
        assert (flags.value, priority.value, home.value) == (NON_BLOCKING, -2, context)
        called: list[int] = []
        function = HostFunction(lambda data: called.append(data or 0))
        cuda.do("cuLaunchHostFunc", stream, function, 42)
        callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(
            lambda which, status, data: called.extend((which or 0, status, data or 0))
        )
        cuda.do("cuStreamAddCallback", stream, callback, 43, 0)
        cuda.do("cuStreamSynchronize", stream)
        assert called == [42, stream, 0, 43]
        first, second = cuda.get("cuEventCreate", 0), cuda.get("cuEventCreate", 0)
        cuda.do("cuEventRecord", first, stream)
        cuda.do("cuEventRecord", second, 0)
        elapsed = ctypes.c_float(-1)
        cuda.do("cuEventElapsedTime", ctypes.byref(elapsed), first, second)
        assert elapsed.value >= 0
        untimed = cuda.get("cuEventCreate", 2)
        cuda.do("cuEventRecord", untimed, stream)
        assert cuda.cuEventElapsedTime(ctypes.byref(elapsed), untimed, second) == INVALID_HANDLE


def test_host_functions_and_events(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, host_functions)


def many_threads() -> None:
    cuda = Cuda()
    shared = cuda.get("cuDevicePrimaryCtxRetain", 0)
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            choose = random.Random(seed)
            cuda.do("cuCtxPushCurrent_v2", shared)
            stream, event = cuda.get("cuStreamCreate", 1), cuda.get("cuEventCreate", 2)
            for _ in range(150):
                data = choose.randbytes(choose.randrange(1, 20_000))
                memory = cuda.allocate(len(data), data)
                cuda.do("cuEventRecord", event, stream)
                cuda.do("cuStreamWaitEvent", stream, event, 0)
                cuda.do("cuEventSynchronize", event)
                assert cuda.get("cuPointerGetAttribute", 12, memory) == len(data)
                assert cuda.download(memory, len(data)) == data
                cuda.do("cuMemFree_v2", memory)
            cuda.do("cuEventDestroy_v2", event)
            cuda.do("cuStreamDestroy_v2", stream)
            cuda.do("cuCtxPopCurrent_v2", None)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert cuda.live() == {"primary_retains": 1}
    assert not cuda.violations()


def test_eight_threads_share_a_context(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, many_threads)


# ---- what is done to the calls -------------------------------------------------------------------------------------


def faults() -> None:
    cuda = Cuda()
    with cuda.context():
        out = ctypes.byref(ctypes.c_ulonglong())
        assert [cuda.cuMemAlloc_v2(out, 10) for _ in range(4)] == [0, 2, 0, 0]
        assert [cuda.cuStreamCreate(out, 0) for _ in range(2)] == [999, 999]
        assert cuda.live() == {"contexts": 1, "device_allocations": 3}
        assert cuda.report()["calls"] == {"cuInit": 1, "cuCtxCreate_v2": 1, "cuMemAlloc_v2": 4, "cuStreamCreate": 2}
        cuda.request({"reset": True})
        assert cuda.report()["calls"] == {}
        assert [cuda.cuMemAlloc_v2(out, 10) for _ in range(2)] == [0, 2]
        cuda.configure(count=False)
        cuda.do("cuMemAlloc_v2", out, 10)
        assert cuda.report()["calls"] == {"cuMemAlloc_v2": 2}, "nothing is counted"


@pytest.mark.sanitize
def test_faults_come_at_the_use_that_was_asked_for(nvsim_dir: Path) -> None:
    wanted = [{"call": "cuMemAlloc_v2", "nth": 2, "status": 2}, {"call": "cuStreamCreate", "nth": 0, "status": 999}]
    child.check(nvsim_dir, faults, {"faults": wanted})


def traced() -> None:
    cuda = Cuda()
    with cuda.context():
        memory = cuda.allocate(100)
        copy = Copy2D(srcMemoryType=DEVICE, srcDevice=memory, srcPitch=50, dstMemoryType=DEVICE, dstDevice=memory + 50)
        copy.WidthInBytes, copy.Height = 50, 1
        cuda.do("cuMemcpy2D_v2", ctypes.byref(copy))
        cuda.cuMemFree_v2(1)
        print(json.dumps({"memory": hex(memory), "pid": os.getpid()}))


@pytest.mark.sanitize
def test_the_trace_tells_of_every_call(nvsim_dir: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    known = json.loads(child.check(nvsim_dir, traced, {"trace": str(trace)}))
    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    assert [line["call"] for line in lines] == [
        *("cuInit", "cuCtxCreate_v2", "cuMemAlloc_v2", "cuMemcpy2D_v2"),
        *("cuMemFree_v2", "cuMemFree_v2", "cuCtxDestroy_v2"),
    ]
    assert [line.get("status") for line in lines] == [0, 0, 0, 0, None, 1, 0]
    assert lines[4]["violation"] == "freed, but no allocation begins here"
    assert lines[4]["object"] == "address 0x1"
    assert lines[5]["args"] == {"address": "0x1"}
    expected = {"srcMemoryType": 2, "srcDevice": known["memory"], "srcPitch": 50, "dstMemoryType": 2}
    copy = lines[3]["args"]["p"]
    assert {key: copy[key] for key in expected} == expected
    assert "dstPitch" not in copy, "zeros leave no mark"
    assert {(line["lib"], line["pid"]) for line in lines} == {("cuda", known["pid"])}
    assert [line["t"] for line in lines] == sorted(line["t"] for line in lines)


def configured() -> None:
    cuda = Cuda()

    def error(config: Any) -> str:
        answer = cuda.request({"configure": config})
        assert list(answer) == ["error"], answer
        return str(answer["error"])

    assert error({"gpu": []}) == 'unknown key "config.gpu"; nearest: "gpus"'
    assert error({"gpus": [{"name": "L4", "engine": 3}]}) == 'unknown key "config.gpus[0].engine"; nearest: "engines"'
    assert error({"gpus": ["RTX 409"]}) == 'no GPU "RTX 409" in the catalogue; nearest: "RTX 4090"'
    assert error({"gpus": [{"name": "L4", "caps": {"WIDTH": 1}}]}).startswith("unknown capability")
    assert error({"copy": 1}) == '"config.copy" has to be true or false'
    assert error({"backend": "x"}) == '"config.backend" has to be "echo", "null" or "codec"'
    assert error({"max_api": "13"}) == '"config.max_api" has to look like "13.0"'
    assert error({"faults": {"call": "malloc"}}) == '"config.faults": no library has a call "malloc"'
    assert error({"trace": "/no/such/folder/trace"}).startswith("trace ")
    assert cuda.request([1]) == {"error": '"request" has to be an object'}
    assert cuda.request({"what": 1}) == {"error": 'unknown request "what"'}
    assert "error" in json.loads(cuda.library.nvsim_control(b'{"configure": {'))
    with cuda.context():
        assert "living contexts" in error({"gpus": ["L4", "L4"]})
        assert "living contexts" in error({"async_streams": True})
        cuda.configure(copy=False)
    cuda.configure(gpus=["L4", {"name": "Mine", "like": "L4", "engines": 7, "compute": [9, 9]}])
    assert cuda.get("cuDeviceGetCount", kind=ctypes.c_int) == 2
    cuda.get("cuDevicePrimaryCtxRetain", 1)
    assert "in use" in error({"gpus": ["L4"]})
    cuda.do("cuDevicePrimaryCtxRelease_v2", 1)
    cuda.configure(gpus=["L4"])


@pytest.mark.sanitize
def test_a_configuration_is_checked(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, configured)


def test_a_broken_configuration_ends_the_process_with_a_message(nvsim_dir: Path) -> None:
    done = child.run(nvsim_dir, devices, {"gpsu": []})
    assert done.returncode == 78
    assert 'unknown key "config.gpsu"; nearest: "gpus"' in done.stderr


def catalogue() -> None:
    cuda = Cuda(initialise=False)
    names = [
        *("GTX 1080", "T4", "RTX 3090", "A40", "A100", "RTX 4070", "RTX 4080", "RTX 4090", "L4", "L40S"),
        *("RTX 6000 Ada", "H100", "H200", "RTX 5070", "RTX 5080", "RTX 5090"),
    ]
    cuda.configure(gpus=names)
    assert cuda.cuInit(0) == SUCCESS
    for ordinal in range(len(names)):
        with cuda.context(ordinal):
            memory = cuda.allocate(5, b"hello")
            assert cuda.get("cuPointerGetAttribute", 9, memory, kind=ctypes.c_int) == ordinal
            assert cuda.download(memory, 5) == b"hello"


def test_sixteen_gpus_of_the_catalogue(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, catalogue)


# ---- many threads without Python -----------------------------------------------------------------------------------


@pytest.mark.sanitize
@pytest.mark.parametrize("config", [{}, {"async_streams": True}, {"count": True}], ids=["at once", "late", "counted"])
def test_many_threads_of_a_program(nvsim_dir: Path, config: dict[str, bool]) -> None:
    whole = {"gpus": ["L4", "L4"], **config}
    program = [nvsim_dir / "nvsim_cuda_stress", "10"]
    done = subprocess.run(
        program, env=child.environment(nvsim_dir, whole), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert set(report["live"].values()) == {0}
    assert report["violations"] == []


# ---- a client that nobody here wrote -------------------------------------------------------------------------------


def cuda_bindings() -> None:
    import cuda.bindings.driver as driver

    def ok(result: Any) -> Any:
        assert result[0] == driver.CUresult.CUDA_SUCCESS, result
        return result[1] if len(result) == 2 else result[1:]

    ok(driver.cuInit(0))
    device = ok(driver.cuDeviceGet(0))
    assert ok(driver.cuDeviceGetName(32, device)).rstrip(b"\0 ") == b"NVIDIA GeForce RTX 4090"
    context = ok(driver.cuCtxCreate(None, 0, device))
    stream = ok(driver.cuStreamCreate(driver.CUstream_flags.CU_STREAM_NON_BLOCKING))
    address, pitch = ok(driver.cuMemAllocPitch(1000, 20, 16))
    assert pitch == 1024
    data = bytes(range(250))
    back = bytearray(250)
    ok(driver.cuMemcpyHtoDAsync(address, data, 250, stream))
    ok(driver.cuMemcpyDtoHAsync(back, address, 250, stream))
    ok(driver.cuStreamSynchronize(stream))
    assert bytes(back) == data
    attribute = driver.CUpointer_attribute
    values = ok(
        driver.cuPointerGetAttributes(
            2, [attribute.CU_POINTER_ATTRIBUTE_RANGE_SIZE, attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL], address
        )
    )
    assert list(values) == [1024 * 20, 0]
    asynchronous = ok(driver.cuMemAllocAsync(100, stream))
    ok(driver.cuMemFreeAsync(asynchronous, stream))
    pool = ok(driver.cuDeviceGetDefaultMemPool(device))
    threshold = driver.CUmemPool_attribute.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD
    ok(driver.cuMemPoolSetAttribute(pool, threshold, driver.cuuint64_t(123)))
    assert int(ok(driver.cuMemPoolGetAttribute(pool, threshold))) == 123
    ok(driver.cuMemFree(address))
    ok(driver.cuStreamDestroy(stream))
    ok(driver.cuCtxSynchronize())
    ok(driver.cuCtxDestroy(context))
    control = Cuda(initialise=False)
    assert control.live() == {}
    assert not control.violations()


@pytest.mark.sanitize
def test_cuda_python(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, cuda_bindings)
