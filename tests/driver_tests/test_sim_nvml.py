"""The simulated libnvidia-ml, through nvidia-ml-py, and the register of encoder sessions that it shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from driver_tests import child
from driver_tests.cuda_client import Control

DRIVER_SOURCES = Path(__file__).resolve().parents[1] / "driver"


def facts() -> None:
    import pynvml as nvml

    nvml.nvmlInit()
    assert nvml.nvmlSystemGetDriverVersion() == "570.1.2"
    assert nvml.nvmlSystemGetNVMLVersion() == "12.570.1.2"
    assert nvml.nvmlSystemGetCudaDriverVersion() == 12080
    assert nvml.nvmlDeviceGetCount() == 2
    names = []
    for index in range(2):
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        names.append(nvml.nvmlDeviceGetName(handle))
        assert nvml.nvmlDeviceGetIndex(handle) == index
        same = (
            nvml.nvmlDeviceGetHandleByUUID(nvml.nvmlDeviceGetUUID(handle)),
            nvml.nvmlDeviceGetHandleByPciBusId(nvml.nvmlDeviceGetPciInfo(handle).busId),
        )
        assert [nvml.nvmlDeviceGetIndex(other) for other in same] == [index, index]
    assert names == ["NVIDIA L4", "NVIDIA GeForce RTX 5090"]
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    assert (memory.total, memory.free, memory.used) == (32 << 30, 32 << 30, 0)
    assert nvml.nvmlDeviceGetMemoryInfo(handle, nvml.nvmlMemory_v2).total == 32 << 30
    assert nvml.nvmlDeviceGetCudaComputeCapability(handle) == (12, 0)
    assert nvml.nvmlDeviceGetArchitecture(handle) == nvml.NVML_DEVICE_ARCH_BLACKWELL
    assert nvml.nvmlDeviceGetEncoderCapacity(handle, nvml.NVML_ENCODER_QUERY_AV1) == 100
    assert nvml.nvmlDeviceGetEncoderUtilization(handle)[0] == 0
    assert nvml.nvmlDeviceGetEncoderSessions(handle) == []
    assert nvml.nvmlDeviceGetComputeRunningProcesses(handle) == []


def test_gpus_are_those_of_the_configuration(nvsim_dir: Path) -> None:
    config = {"gpus": ["L4", "RTX 5090"], "driver_version": "570.1.2", "cuda_version": 12080}
    child.check(nvsim_dir, facts, config)


def misuse() -> None:
    import pynvml as nvml

    def error(call: Any, *arguments: Any) -> int:
        try:
            call(*arguments)
        except nvml.NVMLError as caught:
            return int(caught.value)
        return 0

    nvml.nvmlInit()
    handle = nvml.nvmlDeviceGetHandleByIndex(0)
    assert error(nvml.nvmlDeviceGetHandleByIndex, 1) == nvml.NVML_ERROR_INVALID_ARGUMENT
    assert error(nvml.nvmlDeviceGetHandleByUUID, "GPU-0") == nvml.NVML_ERROR_NOT_FOUND
    assert error(nvml.nvmlDeviceGetTemperature, handle, 0) == nvml.NVML_ERROR_NOT_SUPPORTED
    assert error(nvml.nvmlDeviceGetEncoderCapacity, handle, 0) == nvml.NVML_ERROR_NOT_SUPPORTED
    control = Control("libnvidia-ml.so.1")
    control.configure(faults=[{"call": "nvmlDeviceGetName", "nth": 2, "status": 15}])
    assert [error(nvml.nvmlDeviceGetName, handle) for _ in range(3)] == [0, nvml.NVML_ERROR_GPU_IS_LOST, 0]
    assert control.live() == {"initialisations": 1}
    nvml.nvmlShutdown()
    assert control.live() == {}
    assert error(nvml.nvmlDeviceGetCount) == nvml.NVML_ERROR_UNINITIALIZED


def test_misuse_and_faults(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, misuse, {"gpus": ["H200"]})


def every_name() -> None:
    library = Control("libnvidia-ml.so.1").library
    assert library.nvmlInit_v2() == 0
    for file in ("stubs.txt", "aliases.txt"):
        for line in (DRIVER_SOURCES / "nvml" / file).read_text().splitlines():
            if not line.startswith("#"):
                getattr(library, line.split()[0])
    assert library.nvmlUnitGetCount() == 3


def test_every_known_name_is_there(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, every_name)


# ---- sessions of other processes -----------------------------------------------------------------------------------


def encode_until_told(gpu: int, codec: str) -> None:
    """Holds a session of FFmpeg's encoder open from the first picture until it reads a line."""
    from fractions import Fraction

    import av

    encoder = av.CodecContext.create(f"{codec}_nvenc", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = 640, 360, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 30), Fraction(30)
    encoder.options = {"gpu": str(gpu)}
    frame = av.VideoFrame(640, 360, "yuv420p")
    try:
        for pts in range(5):
            frame.pts = pts
            encoder.encode(frame)
    except av.FFmpegError:
        print("refused", flush=True)
        return
    print("encoding", flush=True)
    sys.stdin.readline()


def sessions() -> None:
    import pynvml as nvml

    nvml.nvmlInit()
    found = {}
    for index in range(nvml.nvmlDeviceGetCount()):
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        listed = nvml.nvmlDeviceGetEncoderSessions(handle)
        assert nvml.nvmlDeviceGetEncoderStats(handle)[0] == len(listed)
        processes = [process.pid for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)]
        assert sorted(processes) == sorted({session.pid for session in listed})
        found[index] = [[s.pid, s.codecType, s.hResolution, s.vResolution] for s in listed]
    print(json.dumps(found))


def visible(directory: Path, config: child.Config) -> dict[str, list[list[int]]]:
    answer: dict[str, list[list[int]]] = json.loads(child.check(directory, sessions, config))
    return answer


class Encoding:
    """A process that encodes until the end of the block."""

    def __init__(self, directory: Path, config: child.Config, gpu: int, codec: str) -> None:
        self.process = child.start(directory, encode_until_told, config, gpu=gpu, codec=codec)
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline().strip()

    def __enter__(self) -> Encoding:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def test_sessions_of_other_processes_are_seen(nvsim_dir: Path, tmp_path: Path) -> None:
    config = {"gpus": ["L4", "L4"], "state": str(tmp_path / "state")}
    assert visible(nvsim_dir, config) == {"0": [], "1": []}
    with Encoding(nvsim_dir, config, 0, "h264") as first, Encoding(nvsim_dir, config, 1, "hevc") as second:
        assert (first.first_line, second.first_line) == ("encoding", "encoding"), first.process.communicate("\n")
        assert visible(nvsim_dir, config) == {
            "0": [[first.process.pid, 0, 640, 360]],
            "1": [[second.process.pid, 1, 640, 360]],
        }
        assert visible(nvsim_dir, {"gpus": ["L4", "L4"]}) == {"0": [], "1": []}, "only with a state file"
        first.process.communicate("\n")
        assert visible(nvsim_dir, config)["0"] == []
    assert visible(nvsim_dir, config) == {"0": [], "1": []}, "a killed process is no session"


@pytest.mark.parametrize(("limits", "geforce", "admitted"), [((1, 1), True, 1), ((1, 1), False, 2), ((0, 0), True, 3)])
def test_the_limit_of_sessions_holds_over_processes(
    nvsim_dir: Path, tmp_path: Path, limits: tuple[int, int], geforce: bool, admitted: int
) -> None:
    gpus = [{"name": "L4", "session_limit": limit, "geforce": geforce} for limit in limits]
    config = {"gpus": gpus, "state": str(tmp_path / "state")}
    with (
        Encoding(nvsim_dir, config, 0, "h264") as first,
        Encoding(nvsim_dir, config, 1, "h264") as second,
        Encoding(nvsim_dir, config, 1, "h264") as third,
    ):
        lines = [encoding.first_line for encoding in (first, second, third)]
        assert lines == ["encoding"] * admitted + ["refused"] * (3 - admitted)


def test_the_state_file_has_to_be_usable(nvsim_dir: Path, tmp_path: Path) -> None:
    config = {"state": str(tmp_path / "no" / "such" / "folder")}
    code = "import ctypes; ctypes.CDLL('libnvidia-encode.so.1')"
    environment = child.environment(nvsim_dir, config)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 78, os.fspath(nvsim_dir)
    assert "state " in done.stderr
