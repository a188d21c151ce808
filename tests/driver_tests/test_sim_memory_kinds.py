"""Memory of pools, virtual and managed memory: what the simulated driver says of it, and that NVENC refuses it."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

import memory_kinds
from driver_tests import child
from driver_tests.cuda_client import INVALID_VALUE, Cuda
from driver_tests.encode_client import FAST, HEIGHT, WIDTH, rig
from memory_kinds import ALL_KINDS, LEGACY_IPC, MEMPOOL_HANDLE, NOT_REGISTERABLE, POOLED, REGISTERABLE, attribute

from simulator import Simulator
from simulator.raw import Refused

SIZE = WIDTH * HEIGHT * 3 // 2
IS_MANAGED, CONTEXT, BUFFER_ID, RANGE_START = 8, 1, 7, 11
RESOURCE_REGISTER_FAILED = 23


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_what_is_told_of_it(simulator: Simulator, kind: str) -> None:
    """Answers that an H100 gave, but for the handle of the pool."""
    with simulator.machine(), memory_kinds.memory(kind, SIZE) as address:
        assert bool(attribute(LEGACY_IPC, address)) == (kind in REGISTERABLE)
        assert bool(attribute(MEMPOOL_HANDLE, address)) == (kind in POOLED)
        assert bool(attribute(IS_MANAGED, address)) == (kind == "managed")
        assert bool(attribute(CONTEXT, address)) == (kind in (*REGISTERABLE, "managed"))
        assert attribute(BUFFER_ID, address) != 0
        assert attribute(RANGE_START, address + 100) == address


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_it_holds_what_is_written(simulator: Simulator, kind: str) -> None:
    content = bytes(range(256)) * 40
    with simulator.machine(), memory_kinds.memory(kind, len(content), content) as address:
        assert memory_kinds.read(address, len(content)) == content


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_only_plain_memory_is_registered(simulator: Simulator, kind: str) -> None:
    with rig(simulator) as client, memory_kinds.memory(kind, SIZE) as address:
        client.start()
        if kind in NOT_REGISTERABLE:
            with pytest.raises(Refused) as raised:
                client.session.register(address)
            assert raised.value.status == RESOURCE_REGISTER_FAILED
        else:
            client.registered.append(client.session.register(address))


def test_without_legacy_ipc_plain_memory_does_not_say_so(simulator: Simulator) -> None:
    """As where CUDA has no such IPC at all. The encoder takes the same memory as ever."""
    with rig(simulator, gpus={**FAST, "legacy_ipc": False}) as client:
        client.start()
        for kind in ALL_KINDS:
            with memory_kinds.memory(kind, SIZE) as address:
                assert attribute(LEGACY_IPC, address) == 0
                if kind in REGISTERABLE:
                    handle = client.session.register(address)
                    client.session.call("nvEncUnregisterResource", ctypes.c_void_p(handle))
                else:
                    with pytest.raises(Refused):
                        client.session.register(address)


def reserved_addresses() -> None:
    cuda = Cuda()
    with cuda.context():
        step = 2 << 20
        wanted = (ctypes.c_int * 8)(1, 0, 1, 0)
        handle = cuda.get("cuMemCreate", step, wanted, 0)
        assert cuda.cuMemCreate(ctypes.byref(ctypes.c_uint64()), step + 1, wanted, 0) == INVALID_VALUE
        address = cuda.get("cuMemAddressReserve", step, 0, 0, 0)
        known = ctypes.c_uint64()
        assert cuda.cuPointerGetAttribute(ctypes.byref(known), BUFFER_ID, address) == INVALID_VALUE
        assert cuda.cuMemcpyHtoD_v2(address, b"x", 1) == INVALID_VALUE
        assert cuda.cuMemUnmap(address, step) == INVALID_VALUE, "nothing is mapped"
        cuda.do("cuMemMap", address, step, 0, handle, 0)
        assert cuda.cuMemMap(address, step, 0, handle, 0) == INVALID_VALUE, "mapped already"
        assert cuda.cuMemcpyHtoD_v2(address, b"x", 1) == INVALID_VALUE, "no access yet"
        access = (ctypes.c_int * 3)(1, 0, 3)
        cuda.do("cuMemSetAccess", address, step, access, 1)
        cuda.upload(b"x", address)
        assert cuda.cuMemFree_v2(address) == INVALID_VALUE, "freed by the wrong call"
        assert cuda.cuMemAddressFree(address, step) == INVALID_VALUE, "still mapped"
        cuda.do("cuMemRelease", handle)
        assert cuda.download(address, 1) == b"x", "the mapping keeps the memory"
        cuda.do("cuMemUnmap", address, step)
        cuda.do("cuMemAddressFree", address, step)
        assert cuda.cuMemRelease(handle) == INVALID_VALUE
    assert cuda.live() == {}


@pytest.mark.sanitize
def test_addresses_are_memory_only_when_mapped_and_accessible(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, reserved_addresses)
