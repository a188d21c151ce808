"""Makes wheels: the files that all share come from scikit-build-core once, the native module from CMake for each."""

from __future__ import annotations

import shutil
import sys
import tarfile
from functools import cache as once
from importlib.metadata import version
from pathlib import Path

from wheels import compiler, headers
from wheels.assemble import assemble
from wheels.commands import ROOT, build_folder, run, tell
from wheels.target import Target

TOGETHER = ("-DCMAKE_UNITY_BUILD=ON", "-DCMAKE_UNITY_BUILD_BATCH_SIZE=8")
"""Compiles eight files as one: there are fourteen modules to build."""


@once
def common_files() -> Path:
    """The wheel without the native module."""
    folder = build_folder("common")
    shutil.rmtree(folder, ignore_errors=True)
    options = ["--config-settings=wheel.cmake=false", f"--config-settings=build-dir={folder / 'work'}"]
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ".", *options)
    (made,) = folder.glob("*.whl")
    return made


def native_files(target: Target) -> Path:
    """A folder with what CMake installs: the module and the tables of the interfaces."""
    build = build_folder(target.folder)
    include = headers.find(target)
    pybind11 = run(sys.executable, "-m", "pybind11", "--cmakedir").strip()
    options = [
        *compiler.cmake_options(target), "-GNinja", f"-Dpybind11_DIR={pybind11}",
        f"-DPython_EXECUTABLE={sys.executable}", f"-DPython_INCLUDE_DIR={include}",
        f"-DPYTHON_MODULE_EXTENSION={target.suffix}", target.nvtx_option, *TOGETHER,
    ]  # fmt: skip
    run("cmake", "-S", ROOT, "-B", build, *options)
    run("cmake", "--build", build, "-j", compiler.jobs())
    staged = build / "staged"
    shutil.rmtree(staged, ignore_errors=True)
    run("cmake", "--install", build, "--prefix", staged)
    return staged


def wheel(target: Target, out: Path) -> Path:
    """Builds the wheel and lets auditwheel name the oldest systems that can have it."""
    raw = build_folder(target.folder, "raw")
    made = assemble(common_files(), native_files(target), target, raw)
    out.mkdir(parents=True, exist_ok=True)
    told = run(sys.executable, "-m", "auditwheel", "show", made)
    repaired = build_folder(target.folder, "repaired")
    shutil.rmtree(repaired, ignore_errors=True)
    run(sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", repaired, made)
    (result,) = repaired.glob("*.whl")
    tell("   " + next(line for line in told.splitlines() if "platform tag" in line or "manylinux" in line).strip())
    return Path(shutil.copy(result, out))


def compiled_in() -> dict[str, str]:
    """What goes into the wheels from elsewhere, with its version."""
    return {name: version(name) for name in ("pybind11", "nvidia-nvtx-cu12", "ziglang")}


def check_sdist(made: Path) -> str:
    """A wheel can be built only if these are in it."""
    with tarfile.open(made) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {
        "PKG-INFO",
        "pyproject.toml",
        "CMakeLists.txt",
        "src/pdum/nvenc/_version.py",
        "third_party/nvenc_abi/13.1.json",
    }
    if missing := sorted(wanted - names):
        raise SystemExit(f"{made.name} has no {missing[0]}")
    return "good"


def sdist(out: Path) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", out)
    return max(out.glob("pdum_nvenc-*.tar.gz"), key=lambda path: path.stat().st_mtime)
