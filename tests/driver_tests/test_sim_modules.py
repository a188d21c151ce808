"""Modules on the simulated libcuda: kernels that it has for the processor, and clients that use them wrongly."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import pytest

from driver_tests import child
from driver_tests.cuda_client import INVALID_HANDLE, INVALID_VALUE, NOT_FOUND, NOT_SUPPORTED, Cuda

pytestmark = pytest.mark.one_abi

KNOWN = b".version 5.0\n.visible .entry any_to_full(\n\t.param .align 8 .b8 p[144]\n)\n{ ret; }\n"
SIZE_OF_ARGUMENT = 144


def text(ptx: bytes) -> ctypes.c_char_p:
    return ctypes.c_char_p(ptx)


def launch(cuda: Cuda, function: int, source: int) -> int:
    argument = (ctypes.c_ulonglong * (SIZE_OF_ARGUMENT // 8))(source)  # zero columns: nothing is read
    arguments = (ctypes.c_void_p * 1)(ctypes.addressof(argument))
    return int(cuda.cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, None, arguments, None))


def only_known_kernels() -> None:
    cuda = Cuda()
    with cuda.context():
        out = ctypes.c_void_p()
        for ptx in (b"", b"\x7fELF", KNOWN.replace(b"any_to_full", b"somebody_elses"), KNOWN + b".entry another()"):
            assert cuda.cuModuleLoadData(ctypes.byref(out), text(ptx)) == NOT_SUPPORTED, ptx
        module = cuda.get("cuModuleLoadData", text(KNOWN))
        assert cuda.cuModuleGetFunction(ctypes.byref(out), module, text(b"any_to_subsampled")) == NOT_FOUND
        function = cuda.get("cuModuleGetFunction", module, text(b"any_to_full"))
        assert cuda.get("cuModuleGetFunction", module, text(b"any_to_full")) == function
        assert cuda.live()["modules"] == 1
        cuda.do("cuModuleUnload", module)
        assert "modules" not in cuda.live()
    assert cuda.violations() == []


def a_module_that_is_gone() -> None:
    cuda = Cuda()
    with cuda.context():
        module = cuda.get("cuModuleLoadData", text(KNOWN))
        function = cuda.get("cuModuleGetFunction", module, text(b"any_to_full"))
        cuda.do("cuModuleUnload", module)
        assert launch(cuda, function, 0) == INVALID_HANDLE
        assert cuda.cuModuleUnload(module) == INVALID_HANDLE
    assert [call for call, _ in cuda.violations()] == ["cuLaunchKernel", "cuModuleUnload"]


def a_module_of_another_context() -> None:
    cuda = Cuda()
    with cuda.context():
        module = cuda.get("cuModuleLoadData", text(KNOWN))
        function = cuda.get("cuModuleGetFunction", module, text(b"any_to_full"))
        with cuda.context():
            assert launch(cuda, function, 0) == INVALID_HANDLE
    assert "modules" not in cuda.live(), "a module ends with its context"
    assert "another context" in cuda.violations()[0][1]


def memory_that_is_not_the_gpus() -> None:
    cuda = Cuda()
    with cuda.context():
        module = cuda.get("cuModuleLoadData", text(KNOWN))
        function = cuda.get("cuModuleGetFunction", module, text(b"any_to_full"))
        address = cuda.allocate(4096)
        assert launch(cuda, function, address) == 0
        cuda.do("cuMemFree_v2", address)
        assert launch(cuda, function, address) == INVALID_VALUE
        host = ctypes.create_string_buffer(64)
        assert launch(cuda, function, ctypes.addressof(host)) == INVALID_VALUE
    assert ["no living memory" in message for _, message in cuda.violations()] == [True, True]


@pytest.mark.parametrize(
    "client", [only_known_kernels, a_module_that_is_gone, a_module_of_another_context, memory_that_is_not_the_gpus]
)
def test_modules(nvsim_dir: Path, client: Callable[[], None]) -> None:
    child.check(nvsim_dir, client)
