"""Installs a wheel into an empty folder and encodes with it on the simulated driver, with the Python that it is for."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from functools import cache as once
from pathlib import Path

from wheels import compiler, interpreter
from wheels.commands import ROOT, build_folder, cache, run
from wheels.target import Target

MACHINE = {"gpus": ["RTX 4090"], "backend": "echo"}
PLATFORMS = ("manylinux_2_17", "manylinux2014", "manylinux_2_28")


@once
def driver(architecture: str) -> Path:
    """The folder of the simulated driver for this processor: the one of the tests if it fits, else without codecs."""
    of_tests = Path(os.environ.get("NVSIM_DIR", ROOT / "build" / "driver")) / "full"
    if architecture == platform.machine() and (of_tests / "libnvidia-encode.so.1").exists():
        return of_tests
    build = build_folder(f"driver-{architecture}")
    options = [
        *compiler.cmake_options(Target("3.13", architecture)),
        "-GNinja",
        f"-DPython3_EXECUTABLE={sys.executable}",
        "-DNVSIM_SCRIPT_OPTION=-Wl,-T,",
    ]
    absent = [f"-DNVSIM_INCLUDE_{header}=" for header in ("x264_h", "x265_h", "aom_aomcx_h")]
    run("cmake", "-S", ROOT / "tests" / "driver", "-B", build, *options, *absent)
    run("cmake", "--build", build, "-j", compiler.jobs(), "-t", "nvsim_cuda", "nvsim_nvml", "nvsim_encode")
    return build / "full"


def install(wheel: Path, target: Target) -> Path:
    """pip chooses as it would on a machine of the target, and refuses a wheel whose tags do not fit."""
    folder = build_folder(f"{target.version}-{target.architecture}", "installed")
    shutil.rmtree(folder, ignore_errors=True)
    platforms = [f"--platform={name}_{target.architecture}" for name in PLATFORMS]
    run(
        sys.executable, "-m", "pip", "install", "-q", "--only-binary=:all:", "--implementation=cp", "--target", folder,
        f"--python-version={target.minor}", f"--abi={target.abi}", *platforms, wheel,
    )  # fmt: skip
    return folder


def run_on(target: Target, wheel: Path) -> str:
    """What the trial said, or why there was none."""
    python = interpreter.find(target)
    if python is None:
        return "not run: no such Python here"
    installed = install(wheel, target)
    environment = {
        **python.environment, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1",
        "LD_LIBRARY_PATH": str(driver(target.architecture)), "NVSIM_CONFIG": json.dumps(MACHINE),
    }  # fmt: skip
    program = Path(__file__).with_name("encode_some.py")
    told = run(*python.command, program, installed, target.version, environment=environment, folder=cache())
    return f"{told.strip()} ({python.about})"


def build_from(sdist: Path) -> str:
    """Whether pip makes a wheel of it with this machine's compiler, and with what the package says that it needs."""
    folder = build_folder("from-sdist")
    shutil.rmtree(folder, ignore_errors=True)
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-cache-dir", "-w", folder, sdist, folder=cache())
    (made,) = folder.glob("*.whl")
    return f"pip built {made.name}"
