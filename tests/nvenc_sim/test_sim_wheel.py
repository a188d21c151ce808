"""packages/nvenc-sim/build-wheel.sh makes a wheel for any Python on any Linux, and its check refuses others."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from release.check import problems_of_name
from release.proof import read_proof
from release.version import version
from wheels import debian

pytestmark = [pytest.mark.wheel, pytest.mark.slow, pytest.mark.timeout(1800)]
PACKAGE = Path(__file__).resolve().parents[2] / "packages" / "nvenc-sim"


def build(*arguments: str) -> Path:
    """The wheel that the script made; the folder is its last argument."""
    command = [str(PACKAGE / "build-wheel.sh"), *arguments]
    environment = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = Path(arguments[-1]).glob("*.whl")
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(str(tmp_path_factory.mktemp("wheelhouse")))


def check(wheel: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PACKAGE / "check_wheel.py"), str(wheel)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_it_was_tried_and_has_its_proof(wheel: Path) -> None:
    """The script installs it into an empty environment, and runs tests with its plugin and ffmpeg with its command."""
    proof = read_proof(wheel)
    assert proof.passed["contents"] == "good"
    (ran,) = [result for what, result in proof.passed.items() if what.startswith("Python 3.")]
    assert re.fullmatch(r"2 tests, 2\d GPUs(, ffmpeg)?", ran)
    assert list(problems_of_name(wheel, version())) == []


def test_a_wheel_for_another_processor_runs_in_qemu(tmp_path: Path) -> None:
    """Debian's FFmpeg for that processor opens a session, with the codecs of Debian."""
    if not debian.apt_is_here():
        pytest.skip("missing: apt-get, dpkg-deb and debian-archive-keyring, which fetch QEMU and a Python to run in it")
    (other,) = {"x86_64", "aarch64"} - {platform.machine()}
    made = build("--arch", other, str(tmp_path))
    proof = read_proof(made)
    assert made.name.endswith(f"_{other}.whl")
    assert proof.passed["contents"] == "good"
    assert re.fullmatch(r"2 tests, 2\d GPUs, ffmpeg \(.+, emulated\)", proof.passed[f"Python 3.13 {other}"])
    assert list(problems_of_name(made, version())) == []
    named_wrongly = tmp_path / made.name.replace(other, platform.machine())
    made.rename(named_wrongly)
    told = check(named_wrongly)
    assert told.returncode == 1
    assert f"libcuda.so.1 is not for {platform.machine()}" in told.stdout


def test_the_check_finds_what_is_wrong(wheel: Path, tmp_path: Path) -> None:
    assert check(wheel).stdout == "good\n"
    copy = tmp_path / wheel.name.replace("manylinux_2_", "linux_")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(copy, "w") as new:
        for name in old.namelist():
            if name.endswith("libnvidia-ml.so.1"):
                continue
            content = old.read(name).replace(b"libcuda.so.1\0", b"libxuda.so.1\0")
            new.writestr(name, content)
    told = check(copy)
    assert told.returncode == 1
    assert "is not for manylinux and every Python 3" in told.stdout
    assert "driver/full/libnvidia-ml.so.1 is missing" in told.stdout
    assert "libcuda.so.1 has another SONAME" in told.stdout
