"""available() and unavailable_reason() ask once, never raise, and leave nothing open, even if something is broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from frames import cuda
from pdum.nvenc import NvencEncoder, OutOfSessions, available, unavailable_reason
from pdum.nvenc._machine import availability as _availability

from loud import need_program
from simulator import Machine, Simulator

pytestmark = pytest.mark.one_abi  # the tests force both versions themselves

# The H200 is the GPU that people have without an encoder.
GOOD, WITHOUT_ENCODER = "RTX 4090", "H200"
ASK = "import json, pdum.nvenc as n; print(json.dumps([n.available(), n.unavailable_reason(), n.abi]))"


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    _availability._reasons.clear()
    yield
    _availability._reasons.clear()


def sessions(machine: Machine) -> int:
    return machine.live().get("sessions", 0)


def test_a_gpu_that_encodes(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=[GOOD]):
        assert available() is True
        assert unavailable_reason() is None


def test_the_driver_is_asked_once(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=[GOOD, WITHOUT_ENCODER], count=True) as machine:
        assert available(0)
        assert not available(1)
        calls = (machine.calls(), machine.calls("cuda"))
        assert calls[0]["nvEncOpenEncodeSessionEx"] == 2
        for _ in range(3):
            assert available()
            assert unavailable_reason(1)
        assert (machine.calls(), machine.calls("cuda")) == calls


def test_each_version_that_is_forced_is_asked_for(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    with simulator.machine(gpus=[GOOD], max_api="12.2"):
        monkeypatch.setenv("PDUM_NVENC_ABI", "13.0")
        reason = unavailable_reason() or ""
        assert "12.2" in reason
        assert "13.0" in reason
        assert "570" in reason
        monkeypatch.setenv("PDUM_NVENC_ABI", "12.1")
        assert available()
        monkeypatch.setenv("PDUM_NVENC_ABI", "11.9")
        assert "PDUM_NVENC_ABI is '11.9'" in (unavailable_reason() or "")


def test_a_gpu_without_an_encoder(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=[WITHOUT_ENCODER]) as machine:
        assert available() is False
        reason = unavailable_reason() or ""
        assert "H200" in reason
        assert "no hardware encoder" in reason
        assert sessions(machine) == 0


def test_a_driver_too_old(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PDUM_NVENC_ABI", raising=False)
    with simulator.machine(gpus=[GOOD], max_api="11.1"):
        reason = unavailable_reason() or ""
        assert "11.1" in reason
        assert "12.1" in reason
        assert "530.41.03" in reason


@pytest.mark.parametrize("gpu_id", [1, -1, 2**31, 2**70, -(2**70)])
def test_a_gpu_that_is_not_there(simulator: Simulator, gpu_id: int) -> None:
    with simulator.machine(gpus=[GOOD]):
        assert available(gpu_id) is False
        assert "gpu_id" in (unavailable_reason(gpu_id) or "")


@pytest.mark.parametrize("gpu_id", [None, "0", 0.5, [], {}, pytest.param(object(), id="object"), b"0"], ids=repr)
def test_a_gpu_id_that_is_not_a_number(simulator: Simulator, gpu_id: Any) -> None:
    with simulator.machine(gpus=[GOOD]):
        assert available(gpu_id) is False
        assert "gpu_id" in (unavailable_reason(gpu_id) or "")


def test_no_gpu(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=[]):
        assert available() is False
        assert "GPU" in (unavailable_reason() or "")


def test_taken_sessions_pass(abi: str, simulator: Simulator) -> None:
    """They pass, so they are not a reason, and are not remembered."""
    with simulator.machine(gpus=[{"name": GOOD, "session_limit": 1}]) as machine:
        with NvencEncoder(320, 192):
            assert available()
            with pytest.raises(OutOfSessions):
                NvencEncoder(320, 192)
            assert sessions(machine) == 1
        assert not _availability._reasons
        assert available()
        assert _availability._reasons
        assert sessions(machine) == 0


@pytest.mark.parametrize("status", [10, 21])
def test_either_status_for_taken_sessions(abi: str, simulator: Simulator, status: int) -> None:
    fault = {"call": "nvEncOpenEncodeSessionEx", "nth": 1, "status": status}
    with simulator.machine(gpus=[GOOD], faults=[fault], count=True) as machine:
        assert available()
        assert available()
        assert machine.calls()["nvEncOpenEncodeSessionEx"] == 2


def test_any_failing_call(abi: str, simulator: Simulator) -> None:
    """Each call of the probe, with a few statuses: an answer, no exception, no session left."""
    with simulator.machine(gpus=[GOOD], count=True) as machine:
        assert available()
        calls = {**machine.calls(), **machine.calls("cuda")}
    assert len(calls) > 10
    wrong: list[Any] = []
    for call in sorted(calls):
        for status in (1, 2, 3, 5, 10, 15, 20, 21, 100, 999):
            _availability._reasons.clear()
            config = {"gpus": [GOOD], "faults": [{"call": call, "nth": 1, "status": status}]}
            with simulator.machine(check=call not in {"nvEncDestroyEncoder", "cuDevicePrimaryCtxRelease_v2"}, **config):
                told = (available(), unavailable_reason())
                if type(told[0]) is not bool or not isinstance(told[1], str | None):
                    wrong.append((call, status, told))
    cuda("cuDevicePrimaryCtxReset_v2", 0)  # of releases that were made to fail
    assert not wrong


def ask(libraries: Path) -> list[Any]:
    """The answers of a fresh process whose loader finds the driver's libraries in that folder first."""
    environment = {key: value for key, value in os.environ.items() if key != "PDUM_NVENC_ABI"}
    environment["LD_LIBRARY_PATH"] = str(libraries)
    done = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True)
    answer: list[Any] = json.loads(done.stdout)
    return answer


def test_a_driver_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "libcuda.so.1").write_text("no library")
    possible, reason, abi = ask(tmp_path)
    assert (possible, abi) == (False, None) or abi is not None
    assert "libcuda.so.1" in reason
    assert "Install NVIDIA's driver" in reason
    assert "NVIDIA_DRIVER_CAPABILITIES" in reason


def test_a_driver_without_its_video_part(tmp_path: Path, nvsim_dir: Path) -> None:
    (tmp_path / "libcuda.so.1").symlink_to(nvsim_dir / "full" / "libcuda.so.1")
    (tmp_path / "libnvidia-encode.so.1").write_text("no library")
    possible, reason, abi = ask(tmp_path)
    assert (possible, abi) == (False, None)
    assert "libnvidia-encode.so.1" in reason
    assert "video" in reason


@pytest.mark.parametrize("library", ["libcuda.so.1", "libnvidia-encode.so.1"])
def test_a_driver_that_lacks_functions(tmp_path: Path, nvsim_dir: Path, library: str) -> None:
    for name in ("libcuda.so.1", "libnvidia-encode.so.1"):
        if name != library:
            (tmp_path / name).symlink_to(nvsim_dir / "full" / name)
    build = [need_program("g++", "g++"), "-shared", "-x", "c++", "-o", str(tmp_path / library), os.devnull]
    subprocess.run(build, check=True, timeout=60)
    possible, reason, _ = ask(tmp_path)
    assert possible is False
    assert f"{library} has no function" in reason
    assert "Update" in reason
