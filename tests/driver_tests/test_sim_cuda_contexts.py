"""Contexts, handles and threads of the simulated libcuda. Nothing is asynchronous here."""

from __future__ import annotations

import ctypes
import json
import random
import subprocess
import threading
from pathlib import Path

import pytest

from driver_tests import child
from driver_tests.cuda_client import (
    CONTEXT_IS_DESTROYED,
    INVALID_CONTEXT,
    INVALID_HANDLE,
    INVALID_VALUE,
    NON_BLOCKING,
    Cuda,
    HostFunction,
)


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
def test_stale_and_invented_handles_are_refused(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, stale_handles)


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


@pytest.mark.sanitize
@pytest.mark.parametrize("config", [{}, {"async_streams": True}, {"count": True}], ids=["at once", "late", "counted"])
def test_many_threads_of_a_program(nvsim_dir: Path, config: dict[str, bool]) -> None:
    whole = {"gpus": ["L4", "L4"], **config}
    program = [str(nvsim_dir / "nvsim_cuda_stress"), "100"]
    done = subprocess.run(
        program, env=child.environment(nvsim_dir, whole), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert set(report["live"].values()) == {0}
    assert report["violations"] == []
