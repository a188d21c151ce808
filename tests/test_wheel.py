"""build-wheel.sh makes a wheel that passes its own check, and the check refuses wrong wheels."""

from __future__ import annotations

import platform
import re
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from check_wheel import problems
from clips import content, make_clip, without_driver
from loud import need_module

pytestmark = [pytest.mark.wheel, pytest.mark.slow, pytest.mark.one_abi, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    house = tmp_path_factory.mktemp("wheelhouse")
    command = [str(root / "build-wheel.sh"), "--python", sys.executable, "--out", str(house)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=3000)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"Python {platform.python_version()} on {platform.machine()} encoded" in result.stdout
    (made,) = house.glob("*.whl")
    return made


def rewritten(wheel: Path, folder: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """A copy of the wheel with files changed by `change`; None leaves a file out."""
    copy = folder / wheel.name
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return copy


def as_typed(root: Path, runner: str, wheel: Path) -> list[str]:
    """The documented command of this runner, with the name of this wheel and this Python."""
    lines = (root / "docs" / "cli.md").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(f"{runner} ")]
    line = re.sub(r"\./wheelhouse/[^[]+", str(wheel), line)
    return shlex.split(re.sub(r"(--python )\S+", rf"\1{sys.executable}", line))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("runner", ["uvx", "pipx run"])
def test_the_documented_command_runs_without_an_installation(
    wheel: Path, root: Path, tmp_path: Path, runner: str
) -> None:
    """From a folder with nothing but videos, on a machine without a driver."""
    module = runner.split()[0].replace("uvx", "uv")
    need_module(module)
    program = Path(sys.executable).parent / runner.split()[0]
    clip = make_clip(tmp_path / "Videos" / "a.mp4")
    home = {"HOME": str(tmp_path), "UV_CACHE_DIR": str(tmp_path / "cache"), "PIPX_HOME": str(tmp_path / "pipx")}
    command = [str(program), *as_typed(root, runner, wheel)[1:]]
    told = subprocess.run(command, env={**without_driver(), **home}, cwd=tmp_path, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr
    made = content(tmp_path / "Videos" / "compressed" / "a.mp4")
    assert made["times"] == content(clip)["times"]


@pytest.mark.timeout(900)
def test_wheel_is_good(wheel: Path) -> None:
    assert list(problems(wheel)) == []


def test_lost_file_is_found(wheel: Path, tmp_path: Path) -> None:
    copy = rewritten(wheel, tmp_path, lambda name, content: None if name.endswith("py.typed") else content)
    assert list(problems(copy)) == [
        "pdum/nvenc/py.typed is missing",
        "RECORD and the files differ: pdum/nvenc/py.typed",
    ]


def test_driver_dependency_is_found(wheel: Path, tmp_path: Path) -> None:
    copy = rewritten(wheel, tmp_path, lambda _, content: content.replace(b"libc.so.6\0", b"libcu.so1\0"))
    assert "needs libcu.so1" in list(problems(copy))


def test_simulator_in_the_wheel_is_found(wheel: Path, tmp_path: Path) -> None:
    extra = b"\n# NVSIM_CONFIG\n"
    copy = rewritten(wheel, tmp_path, lambda name, content: content + extra * (name == "pdum/nvenc/__init__.py"))
    assert list(problems(copy)) == [
        "pdum/nvenc/__init__.py holds the word NVSIM_CONFIG",
        "RECORD has another hash or size of pdum/nvenc/__init__.py",
    ]


def for_platform(wheel: Path, folder: Path, platform_tag: str) -> Path:
    """The same wheel with another tag of its platform."""
    copy = folder / f"{wheel.name.rpartition('-')[0]}-{platform_tag}.whl"
    copy.write_bytes(wheel.read_bytes())
    return copy


def test_promises_of_the_name_are_checked(wheel: Path, tmp_path: Path) -> None:
    own = platform.machine()
    new = for_platform(wheel, tmp_path, f"manylinux_2_36_{own}")
    assert list(problems(new)) == ["is for glibc 2.36 and newer: 2.28 is wanted, or older"]
    (module,) = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")]
    other = {"x86_64": "aarch64", "aarch64": "x86_64"}[own]
    found = list(problems(for_platform(wheel, tmp_path, f"manylinux_2_17_{other}")))
    assert len(found) == 2
    assert found[0].startswith(f"{module} is not the name of a module for cp3")
    assert found[1].endswith(f"not for {other}")
    assert list(problems(for_platform(wheel, tmp_path, f"linux_{own}")))[-1].endswith("has no manylinux tag")


@pytest.mark.timeout(900)
def test_a_clean_environment_builds_the_sdist(root: Path, tmp_path: Path) -> None:
    """With the machine's compiler and what the package says that it needs, nothing else."""
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "build"], check=True)
    subprocess.run([python, "-m", "build", "-q", "--sdist", "--outdir", tmp_path / "dist", root], check=True)
    (sdist,) = (tmp_path / "dist").glob("*.tar.gz")
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-cache-dir", sdist], check=True, timeout=900)
    code = "import pdum.nvenc; print(pdum.nvenc.__file__, pdum.nvenc.nvtx_enabled)"
    told = subprocess.run([python, "-I", "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path).stdout
    assert told.startswith(str(environment))
