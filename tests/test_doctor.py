"""doctor(): one finding for each possible error of a machine, on machines with this error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

import pdum.nvenc
from frames import cuda
from pdum.nvenc import Diagnosis, Finding, NvencEncoder, doctor
from pdum.nvenc._machine import capabilities as _capabilities

from simulator import Simulator, environment

pytestmark = pytest.mark.one_abi  # the tests force both versions themselves

GOOD, WITHOUT_ENCODER = "RTX 4090", "H200"
ASK = """
import json, sys
from pathlib import Path
from pdum.nvenc._machine import devices, doctor
doctor.KERNEL_DRIVER = Path(sys.argv[1])
devices.KERNEL_MODULE = Path(sys.argv[1] + " of the module")
found = doctor.doctor()
print(json.dumps([[f.level, f.topic, f.text, f.advice] for f in found.findings] + [found.can_encode]))
"""
KERNEL_TEXT = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.10  Thu Jan 1 2025\nGCC version: 12\n"


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("PDUM_NVENC_ABI", raising=False)
    _capabilities._found.clear()
    yield
    _capabilities._found.clear()


def problems(diagnosis: Diagnosis) -> list[str]:
    return [finding.topic for finding in diagnosis.findings if finding.level == "problem"]


def only(diagnosis: Diagnosis, topic: str) -> Finding:
    (finding,) = diagnosis.about(topic)
    return finding


def test_a_machine_that_works(simulator: Simulator) -> None:
    with simulator.machine(gpus=[GOOD, "T4"], driver_version="570.1.2", cuda_version=12080):
        found = doctor()
    assert found.can_encode
    assert problems(found) == []
    assert "570.1.2 speaks CUDA 12.8" in only(found, "cuda").text
    assert "encoders made now use 13.1" in only(found, "interface").text
    first, second = found.about("encoder")
    assert "2 encoders for h264, hevc, av1, 0 % busy" in first.text
    assert "1 encoder for h264, hevc" in second.text
    assert [device.gpu_id for device in found.devices] == [0, 1]
    page = str(found)
    assert page.endswith("This machine can encode in hardware.")
    assert all(finding.text in page for finding in found.findings)
    assert pdum.nvenc.__version__ in page


def test_findings_are_frozen(simulator: Simulator) -> None:
    with simulator.machine(gpus=[GOOD]):
        found = doctor()
    with pytest.raises(FrozenInstanceError):
        found.findings[0].text = ""  # type: ignore[misc]


def test_nvtx_is_reported(simulator: Simulator) -> None:
    with simulator.machine(gpus=[GOOD]):
        text = only(doctor(), "nvtx").text
    assert ("is on" in text) is pdum.nvenc.nvtx_enabled


def test_an_old_driver(simulator: Simulator) -> None:
    with simulator.machine(gpus=[GOOD], max_api="11.1", driver_version="470.1"):
        found = doctor()
    assert problems(found) == ["old driver"]
    finding = only(found, "old driver")
    assert "11.1" in finding.text
    assert "12.1" in finding.text
    assert "530.41.03" in finding.advice
    assert "470.1" in only(found, "cuda").text
    assert not found.can_encode
    assert found.used == "software"
    assert "It can encode in software" in str(found).splitlines()[-1]


def test_one_gpu_with_an_encoder_and_one_without(simulator: Simulator) -> None:
    with simulator.machine(gpus=[WITHOUT_ENCODER, GOOD]):
        found = doctor()
    finding = only(found, "no encoder")
    assert "H200" in finding.text
    assert finding.gpu_id == 0
    assert "gpu_id" in finding.advice
    assert found.can_encode


def test_taken_sessions_and_who_holds_them(abi: str, simulator: Simulator, tmp_path: Path) -> None:
    gpu = {"name": GOOD, "session_limit": 2}
    with simulator.machine(gpus=[gpu], state=str(tmp_path / "state")):
        with NvencEncoder(320, 192), NvencEncoder(320, 192):
            found = doctor()
        free = doctor()
    finding = only(found, "session limit")
    name = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
    assert f"2 encode sessions held: 2 by process {os.getpid()} ({name})" in finding.text
    assert "Close encoders" in finding.advice
    assert not found.can_encode
    assert free.can_encode
    assert free.about("sessions") == []


def test_sessions_that_nvml_does_not_report(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with simulator.machine(gpus=[{"name": GOOD, "session_limit": 1}]), NvencEncoder(320, 192):
        found = doctor()
    assert "NVML does not say by whom" in only(found, "session limit").text


def test_nvml_that_is_not_installed(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with simulator.machine(gpus=[GOOD]):
        found = doctor()
    assert "pip install pdum-nvenc[nvml]" in only(found, "nvml").text
    assert found.can_encode
    assert problems(found) == []


def test_live_sessions_are_reported(simulator: Simulator, tmp_path: Path) -> None:
    with simulator.machine(gpus=[GOOD], state=str(tmp_path / "state")), NvencEncoder(320, 192):
        found = doctor()
    assert "1 encode session held" in only(found, "sessions").text
    assert found.can_encode


@pytest.mark.parametrize(("call", "status"), [("cuInit", 803), ("nvmlInitWithFlags", 18)])
def test_a_kernel_module_of_another_version(simulator: Simulator, call: str, status: int) -> None:
    with simulator.machine(gpus=[GOOD], faults=[{"call": call, "nth": 0, "status": status}]):
        found = doctor()
    assert problems(found) == ["mismatch"]
    assert "Reboot" in only(found, "mismatch").advice
    assert not found.can_encode


def test_no_gpu() -> None:
    """In separate processes, since GPUs cannot be hidden from a process that has used one."""
    told = {name: value for name, value in environment(gpus=[]).items() if name != "CUDA_VISIBLE_DEVICES"}
    show = (
        "from pdum.nvenc import doctor\nfound = doctor()\nassert found.devices == ()\n"
        "print([one.topic for one in found.findings if one.level == 'problem'], found)"
    )
    for variable, words in ((None, "nvidia-smi"), ("7", "CUDA_VISIBLE_DEVICES='7'")):
        given = told if variable is None else {**told, "CUDA_VISIBLE_DEVICES": variable}
        done = subprocess.run([sys.executable, "-c", show], env=given, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert words in done.stdout
        assert "no gpu" in done.stdout


def test_a_forced_version(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    with simulator.machine(gpus=[GOOD], max_api="12.2"):
        assert doctor().about("forced abi") == []
        monkeypatch.setenv("PDUM_NVENC_ABI", "12.1")
        found = doctor()
        assert "PDUM_NVENC_ABI=12.1" in only(found, "forced abi").text
        assert found.can_encode
        monkeypatch.setenv("PDUM_NVENC_ABI", "13.0")
        found = doctor()
        assert problems(found) == ["old driver"]
        assert "570" in only(found, "old driver").advice
        monkeypatch.setenv("PDUM_NVENC_ABI", "11.9")
        found = doctor()
        assert problems(found) == ["interface"]
        assert "11.9" in only(found, "interface").text


def test_it_answers_if_any_call_fails(simulator: Simulator) -> None:
    """Each call that it makes, with a few statuses."""
    with simulator.machine(gpus=[GOOD], count=True) as machine:
        assert doctor().can_encode
        calls = {**machine.calls(), **machine.calls("cuda"), **machine.calls("nvml")}
    assert len(calls) > 15
    releases = {"nvEncDestroyEncoder", "cuDevicePrimaryCtxRelease_v2", "nvmlShutdown"}
    for call in sorted(calls):
        for status in (1, 2, 10, 15, 999):
            _capabilities._found.clear()
            faults = [{"call": call, "nth": 1, "status": status}]
            with simulator.machine(check=call not in releases, gpus=[GOOD], faults=faults):
                assert str(doctor())
            if call in releases:
                simulator.configure()
    cuda("cuDevicePrimaryCtxReset_v2", 0)  # of releases that were made to fail


def ask(libraries: Path, kernel_text: str | None = None, **config: Any) -> tuple[dict[str, list[str]], bool]:
    """By topic, from a fresh process whose loader finds the driver's libraries in that folder first.

    What the kernel of this machine says about a driver is out of its sight.
    """
    kernel = libraries / "version"
    if kernel_text is not None:
        kernel.write_text(kernel_text)
    surroundings = {**environment(**config), "LD_LIBRARY_PATH": str(libraries)}
    command = [sys.executable, "-c", ASK, str(kernel)]
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=True, timeout=100)
    *findings, can_encode = json.loads(done.stdout)
    return {topic: [level, text, advice] for level, topic, text, advice in findings}, can_encode


def test_no_driver(tmp_path: Path) -> None:
    (tmp_path / "libcuda.so.1").write_text("no library")
    found, can_encode = ask(tmp_path)
    level, text, advice = found["driver"]
    assert level == "problem"
    assert "no NVIDIA driver" in text
    assert "Install NVIDIA's driver" in advice
    assert not can_encode


def test_a_driver_only_in_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "libcuda.so.1").write_text("no library")
    found, can_encode = ask(tmp_path, KERNEL_TEXT)
    level, text, advice = found["driver"]
    assert level == "problem"
    assert "570.86.10" in text
    assert "--gpus all" in advice
    assert not can_encode


def test_a_container_without_the_video_capability(tmp_path: Path, nvsim_dir: Path) -> None:
    (tmp_path / "libcuda.so.1").symlink_to(nvsim_dir / "full" / "libcuda.so.1")
    (tmp_path / "libnvidia-encode.so.1").write_text("no library")
    found, can_encode = ask(tmp_path, gpus=[GOOD])
    level, text, advice = found["encode library"]
    assert level == "problem"
    assert "libnvidia-encode.so.1" in text
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video" in advice
    assert "RTX 4090" in found["gpu"][1]
    assert not can_encode


@pytest.mark.parametrize(
    ("gpu", "engine", "status"),
    [(GOOD, "auto", 0), (WITHOUT_ENCODER, "auto", 0), (WITHOUT_ENCODER, "nvenc", 1), (WITHOUT_ENCODER, "software", 0)],
)
def test_the_command(gpu: str, engine: str, status: int) -> None:
    command = [sys.executable, "-m", "pdum.nvenc", "doctor", "--engine", engine]
    done = subprocess.run(command, env=environment(gpus=[gpu]), capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (status, "")
    assert ("This machine can encode in hardware." in done.stdout) is (gpu == GOOD)
    assert "The processor can encode h264, hevc, av1" in done.stdout


def test_a_machine_without_pyav_cannot_encode_in_software(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with simulator.machine(gpus=[WITHOUT_ENCODER]):
        found = doctor()
    assert "pdum-nvenc[files]" in only(found, "pyav").advice
    assert (found.can_encode_in_software, found.used) == (False, None)
    assert str(found).endswith("This machine cannot encode now.")


def test_taken_sessions_are_waited_for(simulator: Simulator) -> None:
    with simulator.machine(gpus=[{"name": GOOD, "session_limit": 1}]), NvencEncoder(320, 192):
        assert doctor().used is None
