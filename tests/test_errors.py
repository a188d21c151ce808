"""The tree of errors: its shape, each error's attributes, and advice in the messages that people see."""

from __future__ import annotations

import copy
import pickle
import re
import sys
from typing import Any

import numpy as np
import pytest

import pdum.nvenc
from pdum.nvenc import (
    Cancelled,
    CudaFailed,
    DeviceLost,
    DriverTooOld,
    EncoderFailed,
    InvalidConfig,
    NoEncoder,
    NvencEncoder,
    NvencError,
    OutOfMemory,
    OutOfSessions,
    SeveralErrors,
    UnsupportedFeature,
    _errors,
)

from simulator import Simulator

pytestmark = pytest.mark.one_abi  # the tests force both versions themselves

FAST = [{"name": "RTX 4090", "fps_1080p": 0}]
FRAME = np.zeros((288, 320), np.uint8)
TREE_LINE = re.compile(r"[├└]── (\w+) +(?:\(also (\w+)\) +)?(\S.*)")
ATTRIBUTES = ("status", "status_name", "call", "driver_text", "advice")

# Status and class of every failure of a call to which no call's own meaning applies.
MEANING = {
    **dict.fromkeys(range(1, 28), EncoderFailed),
    **dict.fromkeys((1, 2), NoEncoder),
    5: DeviceLost,
    10: OutOfMemory,
    15: DriverTooOld,
    21: OutOfSessions,
    **dict.fromkeys((12, 22), UnsupportedFeature),
}

# Errors that come from no call of the driver: they are raised above the encoder.
OF_POOLS = {
    "FolderBusy",
    "TargetOutOfReach",
    "ClusterFailed",
    "NoEngineLeft",
    "SourceEnded",
    "SourceUnreadable",
    "StorageFailed",
    "VerificationFailed",
    "PieceDamaged",
    "SeveralErrors",
    "FolderMissing",
    "TimedOut",
    "Cancelled",
}


def leaves() -> list[type[NvencError]]:
    return NvencError.__subclasses__()


def name_of(error: type[NvencError]) -> str:
    return error.__name__


def failure_of(simulator: Simulator, call: str, status: int, **config: Any) -> NvencError:
    """The error of making an encoder if this call of the driver fails."""
    fault = {"call": call, "nth": 1, "status": status}
    with simulator.machine(**{"gpus": FAST, "faults": [fault], **config}):
        with pytest.raises(NvencError) as caught:
            NvencEncoder(320, 192)
        return caught.value.with_traceback(None)


def test_the_tree_is_the_one_in_the_docstring() -> None:
    drawn = {name: also for name, also, _ in TREE_LINE.findall(_errors.__doc__ or "")}
    real = {}
    for leaf in leaves():
        assert leaf.__subclasses__() == []
        others = [base.__name__ for base in leaf.__bases__ if base is not NvencError]
        assert len(others) <= 1
        real[leaf.__name__] = others[0] if others else ""
    if sys.version_info < (3, 11):
        real["SeveralErrors"] = "ExceptionGroup"  # which Python 3.10 has not
    assert real == drawn
    assert NvencError.__bases__ == (RuntimeError,)


def test_every_error_is_public_and_documented() -> None:
    everything: list[type[NvencError]] = [NvencError, *leaves()]
    for error in everything:
        assert getattr(pdum.nvenc, name_of(error)) is error
        assert error.__doc__


def test_every_kind_of_the_native_module_has_its_class() -> None:
    native = [leaf for leaf in leaves() if leaf.__name__ not in OF_POOLS]
    assert sorted(_errors.BY_KIND.values(), key=name_of) == sorted(native, key=name_of)
    for kind, error in _errors.BY_KIND.items():
        assert kind == re.sub(r"(?<=[a-z])(?=[A-Z])", "_", error.__name__).lower()


def test_an_error_made_in_python_has_the_attributes() -> None:
    plain = OutOfSessions("message")
    assert [getattr(plain, name) for name in ATTRIBUTES] == [0, "", "", "", ""]
    assert str(plain) == "message"


@pytest.mark.parametrize(
    "error_type", [NvencError, *(leaf for leaf in leaves() if leaf is not SeveralErrors)], ids=name_of
)
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_travel_between_processes(error_type: type[NvencError], duplicate: Any) -> None:
    given = {"status": 10, "status_name": "A", "call": "b", "driver_text": "c \U0001f600", "advice": "d"}
    error = error_type("message", **given)  # type: ignore[arg-type]
    error.note = "mine"  # type: ignore[attr-defined]
    again = duplicate(error)
    assert type(again) is error_type
    assert str(again) == "message"
    assert vars(again) == {**given, "note": "mine"}


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_several_errors_travel_between_processes(duplicate: Any) -> None:
    again = duplicate(SeveralErrors("2 of 3 jobs failed.", [Cancelled("one"), OSError("two")]))
    assert type(again) is SeveralErrors
    assert again.message == "2 of 3 jobs failed."
    assert [repr(error) for error in again.exceptions] == ["Cancelled('one')", "OSError('two')"]


def test_several_errors_are_a_group_if_python_has_groups() -> None:
    error = SeveralErrors("2 of 3 jobs failed.", [Cancelled("one"), OSError("two")])
    if sys.version_info >= (3, 11):
        found = error.subgroup(OSError)
        assert isinstance(error, ExceptionGroup)  # noqa: F821
        assert isinstance(found, SeveralErrors)
        assert [str(one) for one in found.exceptions] == ["two"]
    assert isinstance(error, NvencError)


@pytest.mark.parametrize("status", MEANING)
def test_each_status_becomes_its_class(abi: str, simulator: Simulator, status: int) -> None:
    call = "nvEncInitializeEncoder"
    error = failure_of(simulator, call, status)
    assert type(error) is MEANING[status]
    assert (error.status, error.call) == (status, call)
    assert f"{call} answered {error.status_name} ({status})" in str(error)
    assert error.advice
    assert str(error).endswith(error.advice)
    assert error.status_name.startswith("NV_ENC_ERR_") or status == 27


@pytest.mark.parametrize("status", [27, 99, 2**31 - 1])
def test_a_status_of_a_later_driver(abi: str, simulator: Simulator, status: int) -> None:
    error = failure_of(simulator, "nvEncGetEncodeGUIDs", status)
    assert type(error) is EncoderFailed
    assert error.status == status
    assert f"({status})" in str(error)
    assert "update pdum-nvenc" in str(error)


def test_a_cuda_result_of_a_later_driver(simulator: Simulator) -> None:
    error = failure_of(simulator, "cuStreamCreate", 98765)
    assert type(error) is CudaFailed
    assert (error.status, error.call, error.status_name) == (98765, "cuStreamCreate", "unknown")


def test_a_driver_that_cannot_name_its_error(simulator: Simulator) -> None:
    calls = ("cuEventCreate", "cuGetErrorName", "cuGetErrorString")
    faults = [{"call": call, "nth": 0, "status": 999} for call in calls]
    error = failure_of(simulator, "cuEventCreate", 999, faults=faults)
    assert (error.status, error.status_name, error.driver_text) == (999, "unknown", "unknown")


def test_a_cuda_failure_has_the_drivers_words(simulator: Simulator) -> None:
    error = failure_of(simulator, "cuStreamCreate", 719)
    assert type(error) is CudaFailed
    assert error.status_name == "CUDA_ERROR_LAUNCH_FAILED"
    assert error.driver_text
    assert error.driver_text in str(error)
    assert "compute-sanitizer" in error.advice


def test_a_gpu_without_an_encoder(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=["H200"]), pytest.raises(NoEncoder, match="gpu_id") as caught:
        NvencEncoder(320, 192)
    assert (caught.value.status, caught.value.call) == (2, "nvEncOpenEncodeSessionEx")
    assert "GPU 0 (NVIDIA H200)" in str(caught.value)


@pytest.mark.parametrize("status", [10, 21])
def test_sessions_that_are_taken(abi: str, simulator: Simulator, status: int) -> None:
    """Drivers differ in which of the two they answer."""
    error = failure_of(simulator, "nvEncOpenEncodeSessionEx", status)
    assert type(error) is OutOfSessions
    assert error.status == status
    for word in ("close()", "nvidia-smi", "GeForce"):
        assert word in error.advice


def test_the_real_session_limit(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=[{"name": "RTX 4090", "session_limit": 2}]):
        with NvencEncoder(320, 192), NvencEncoder(320, 192), pytest.raises(OutOfSessions, match="nvidia-smi"):
            NvencEncoder(320, 192)
        with NvencEncoder(320, 192) as encoder:
            assert encoder.encode(FRAME)


def test_a_driver_too_old(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PDUM_NVENC_ABI", raising=False)
    with simulator.machine(gpus=FAST, max_api="11.1"):
        with pytest.raises(DriverTooOld, match=r"11\.1 .* 12\.1 .*530\.41\.03"):
            NvencEncoder(320, 192)
        assert pdum.nvenc.abi is None


def test_out_of_gpu_memory(abi: str, simulator: Simulator) -> None:
    error = failure_of(simulator, "cuMemAllocPitch_v2", 2)
    assert type(error) is OutOfMemory
    assert isinstance(error, MemoryError)
    assert "Free GPU memory" in error.advice


def test_a_lost_device(abi: str, simulator: Simulator) -> None:
    """The GPU goes away under a running encoder: errors have the driver's own words, and close() returns."""
    stall = {"gpu": 0, "engine": 0, "after_frames": 2, "device_lost": True}
    with simulator.machine(check=False, gpus=["RTX 4070"], stall=[stall]):
        encoder = NvencEncoder(320, 192)
        for _ in range(2):
            assert encoder.encode(FRAME)
        with pytest.raises((DeviceLost, EncoderFailed)) as first:
            encoder.encode(FRAME)
        assert first.value.driver_text in str(first.value)
        with pytest.raises((DeviceLost, EncoderFailed)):
            encoder.encode(FRAME)
        with pytest.raises(NvencError):
            encoder.close()
        encoder.close()
        with pytest.raises((DeviceLost, CudaFailed)):
            NvencEncoder(320, 192)
        del encoder, first


def test_values_beyond_an_int_are_reported_unchanged(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=FAST), pytest.raises(InvalidConfig, match="4294967294x192"):
        NvencEncoder(2**32 - 2, 192)
