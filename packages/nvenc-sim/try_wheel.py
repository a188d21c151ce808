"""Tries an installed pdum-nvenc-sim: its plugin in pytest, and its command with ffmpeg if there is one.

It says in a line what ran, and exits with 1 if anything failed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = """
import ctypes

import pytest


def test_the_driver_is_there(nvenc_sim):
    cuda = ctypes.CDLL("libcuda.so.1")
    count = ctypes.c_int()
    assert cuda.cuInit(0) == cuda.cuDeviceGetCount(ctypes.byref(count)) == 0
    assert count.value == 1
    version = ctypes.c_uint32()
    assert ctypes.CDLL("libnvidia-encode.so.1").NvEncodeAPIGetMaxSupportedVersion(ctypes.byref(version)) == 0
    assert version.value == 0xD1
    assert [call.name for call in nvenc_sim.calls()][:2] == ["cuInit", "cuDeviceGetCount"]


@pytest.mark.nvenc_machine("L4", "T4", max_api="12.1")
def test_a_broken_rule_is_seen(nvenc_sim):
    with nvenc_sim.expect_violation("no allocation begins here"):
        ctypes.CDLL("libcuda.so.1").cuMemFree_v2(ctypes.c_uint64(1))
"""
FFMPEG = ["-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:duration=1", "-c:v", "h264_nvenc"]


def run(*command: str, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def nvsim() -> list[str]:
    """The command, which is beside Python only where that is an environment's."""
    command = Path(sys.executable).with_name("nvsim")
    return [str(command)] if command.exists() else [sys.executable, "-m", "nvsim"]


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="try-nvsim-"))
    try:
        (folder / "test_wheel.py").write_text(TESTS)
        (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n")
        told = run(sys.executable, "-m", "pytest", "-q", folder=folder)
        ran = ["2 tests" if "2 passed" in told else sys.exit(told)]
        ran.append(f"{len(run(*nvsim(), 'gpus', folder=folder).splitlines()) - 1} GPUs")
        if ffmpeg := shutil.which("ffmpeg"):
            told = run(*nvsim(), "run", "--", ffmpeg, *FFMPEG, "out.mp4", folder=folder)
            ran.append("ffmpeg" if "no rule broken, 1 session" in told else sys.exit(told))
        print(", ".join(ran))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
