"""The exports and devices of the simulated libcuda, and another project's client."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from driver_tests import child
from driver_tests.cuda_client import (
    INVALID_VALUE,
    NOT_FOUND,
    NOT_INITIALIZED,
    NOT_SUPPORTED,
    SUCCESS,
    Cuda,
)

DRIVER_SOURCES = Path(__file__).resolve().parents[1] / "driver"


def names_in(file: str) -> list[list[str]]:
    lines = (DRIVER_SOURCES / file).read_text().splitlines()
    return [line.split() for line in lines if not line.startswith("#")]


def readelf(library: Path, *options: str) -> str:
    command = ["readelf", "--wide", *options, str(library)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("full/libcuda.so.1", "cu[A-Z].*"),
        ("full/libnvidia-ml.so.1", "nvml[A-Z].*"),
        ("full/libnvcuvid.so.1", "cuvid[A-Z].*"),
        ("full/libnvidia-encode.so.1", "NvEncodeAPI(CreateInstance|GetMaxSupportedVersion)"),
        ("encode/libnvidia-encode.so.1", "NvEncodeAPI(CreateInstance|GetMaxSupportedVersion)"),
    ],
)
def test_a_library_looks_like_the_one_that_it_stands_for(nvsim_dir: Path, file: str, pattern: str) -> None:
    dynamic = readelf(nvsim_dir / file, "--dynamic")
    assert f"Library soname: [{Path(file).name}]" in dynamic
    assert "NODELETE" in dynamic
    assert not re.search(r"\(NEEDED\).*(libcuda|libnvidia)", dynamic)
    symbols = [line.split() for line in readelf(nvsim_dir / file, "--dyn-syms").splitlines()]
    exported = {fields[7] for fields in symbols if len(fields) == 8 and fields[4] == "GLOBAL" and fields[6].isdigit()}
    assert "nvsim_control" in exported
    strange = {name for name in exported if not re.fullmatch(pattern, name)} - {"nvsim_control"}
    assert not strange


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
