"""The command behind packages/nvenc-sim/build-wheel.sh: wheels of the simulated driver, for any Python 3."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from release.proof import write_proof
from wheels import compiler, debian, interpreter
from wheels.commands import ROOT, build_folder, cache, run, tell
from wheels.target import ARCHITECTURES, Target

PACKAGE = ROOT / "packages" / "nvenc-sim"
GLIBC = "2.28"
SUITE, PYTHON = "trixie", "3.13"  # Debian's, in which a wheel for another processor is tried
# The variable of CMake for each codec, and what its headers are. They are the same for all processors.
HEADERS = {
    "NVSIM_INCLUDE_x264_h": ("x264.h", "x264_config.h"),
    "NVSIM_INCLUDE_x265_h": ("x265.h", "x265_config.h"),
    "NVSIM_INCLUDE_aom_aomcx_h": ("aom",),
    "NVSIM_INCLUDE_libavcodec": ("libavcodec", "libavutil"),
}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="packages/nvenc-sim/build-wheel.sh", description="Builds wheels of pdum-nvenc-sim, checks and tries them."
    )
    made.add_argument("folder", nargs="?", default=ROOT / "wheelhouse", type=Path, help="where they go (wheelhouse)")
    made.add_argument("--all", action="store_true", help=f"for {' and '.join(ARCHITECTURES)}")
    made.add_argument("--arch", action="append", default=[], choices=ARCHITECTURES, help="this machine's; repeatable")
    made.add_argument("--here", default=ROOT, type=Path, help=argparse.SUPPRESS)  # what a relative folder is meant from
    return made


def architectures(arguments: argparse.Namespace) -> list[str]:
    return arguments.arch or (list(ARCHITECTURES) if arguments.all else [platform.machine()])


def folder_of_headers(names: tuple[str, ...]) -> Path | None:
    """Where this system has the first of them."""
    places = [Path("/usr/include"), Path(f"/usr/include/{platform.machine()}-linux-gnu"), Path("/usr/include/ffmpeg")]
    return next((place for place in places if (place / names[0]).exists()), None)


def copied_headers() -> dict[str, str]:
    """The folder for each codec's variable. zig must not see this system's folders, where its own glibc has headers."""
    target = build_folder("sim-headers")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    found = {}
    for variable, names in HEADERS.items():
        place = folder_of_headers(names)
        if place is None:
            tell(f"== without {names[0]}: this codec is left out")
            found[variable] = "0"
            continue
        for name in names:
            copy = shutil.copytree if (place / name).is_dir() else shutil.copy
            copy(place / name, target / name)
        found[variable] = str(target)
    return found


def cross_compiler(target: Target) -> dict[str, str]:
    """What CMake has to know. The program that strips a library is this machine's, so the linker does it.

    zig compiles its C++ library once for each kind of optimisation, so that what CMake tries is of the same kind.
    """
    chosen = {
        "CMAKE_CXX_COMPILER": str(compiler.zig(target, cache("compiler", f"sim-{target.architecture}"), GLIBC)),
        "CMAKE_TRY_COMPILE_TARGET_TYPE": "STATIC_LIBRARY",
        "CMAKE_CXX_FLAGS": "-O2",
        "CMAKE_SHARED_LINKER_FLAGS": "-s",
        "NVSIM_SCRIPT_OPTION": "-Wl,-T,",
    }
    if not target.is_native:
        chosen |= {"CMAKE_SYSTEM_NAME": "Linux", "CMAKE_SYSTEM_PROCESSOR": target.architecture}
    return chosen


def build(target: Target) -> Path:
    """The wheel as auditwheel has named it."""
    own_compiler = "CXX" in os.environ and target.is_native
    defines = copied_headers() | ({} if own_compiler else cross_compiler(target))
    settings = [f"cmake.define.{name}={value}" for name, value in defines.items()]
    settings.append(f"build-dir={build_folder(f'sim-{target.architecture}' + '-own' * own_compiler)}")
    if not own_compiler:
        settings.append("install.strip=false")
    raw, repaired = (build_folder(f"sim-{target.architecture}-{what}") for what in ("raw", "repaired"))
    for folder in (raw, repaired):
        shutil.rmtree(folder, ignore_errors=True)
    run(
        sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", raw, PACKAGE,
        *(f"--config-settings={setting}" for setting in settings),
        environment={"_PYTHON_HOST_PLATFORM": f"linux-{target.architecture}"},
    )  # fmt: skip
    (made,) = raw.glob("*.whl")
    run(sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", repaired, made)
    (wheel,) = repaired.glob("*.whl")
    return wheel


def try_here(wheel: Path) -> tuple[str, str]:
    """What ran, and what it said: in an empty environment of this machine's Python."""
    folder = build_folder("sim-venv")
    run(os.environ.get("PYTHON", "python3"), "-m", "venv", "--clear", folder)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "-qq", wheel, "pytest")
    return run(python, "-V").strip(), trial([python], {})


def try_emulated(wheel: Path, target: Target) -> tuple[str, str]:
    """The same in QEMU, where pip has chosen as on a machine of the target."""
    what = f"Python {PYTHON} {target.architecture}"
    if not debian.apt_is_here():
        return what, "not run: apt-get and debian-archive-keyring are needed to fetch QEMU and Debian's Python"
    root = debian.system(SUITE, target.debian_architecture, f"python{PYTHON}", "ffmpeg")
    programs = [root / "usr" / "bin" / name for name in (f"python{PYTHON}", "ffmpeg")]
    python, ffmpeg = (interpreter.emulated_starter(root, program, target) for program in programs)
    platforms = [f"--platform=manylinux_2_{minor}_{target.architecture}" for minor in range(17, 29)]
    folder = build_folder(f"sim-{target.architecture}-installed")
    shutil.rmtree(folder, ignore_errors=True)
    run(
        sys.executable, "-m", "pip", "install", "-qq", "--only-binary=:all:", "--implementation=cp", "--target", folder,
        f"--python-version={PYTHON}", *platforms, wheel, "pytest",
    )  # fmt: skip
    libraries = root / "usr" / "lib" / target.triplet
    environment = {
        # Where Debian's own tools, which do not run here, would set links to.
        "LD_LIBRARY_PATH": os.pathsep.join(str(libraries / name) for name in ("blas", "lapack")),
        "PYTHONPATH": str(folder), "PYTHONHOME": str(root / "usr"), "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": f"{ffmpeg.parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    return what, trial([python], environment) + f" (Debian {SUITE}'s, emulated)"


def trial(python: list[Path], environment: dict[str, str]) -> str:
    """What packages/nvenc-sim/try_wheel.py says. Neither this checkout nor its driver may be found."""
    clean = {name: value for name, value in os.environ.items() if name not in ("NVSIM_DIR", "PYTHONPATH")}
    done = subprocess.run(
        [*map(str, python), str(PACKAGE / "try_wheel.py")], env={**clean, **environment}, cwd=cache(),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{done.stdout}{done.stderr}\nthe trial ended with {done.returncode}")
    return done.stdout.strip()


def make(target: Target, out: Path) -> str:
    """A line of the table at the end."""
    tell(f"== wheel of the simulated driver for {target.architecture}")
    built = build(target)
    contents = run(sys.executable, PACKAGE / "check_wheel.py", built).strip()
    what, ran = try_here(built) if target.is_native else try_emulated(built, target)
    out.mkdir(parents=True, exist_ok=True)
    wheel = Path(shutil.copy(built, out))
    built_with = {} if "CXX" in os.environ and target.is_native else {"ziglang": version("ziglang")}
    write_proof(wheel, {"contents": contents, what: ran}, built_with)
    return f"{wheel.name:<75} {wheel.stat().st_size / 1000:4.0f} kB   {what}: {ran}"


def main() -> int:
    arguments = parser().parse_args()
    out = arguments.here / arguments.folder
    print("\n".join(make(Target(PYTHON, name), out) for name in architectures(arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
