"""Pythons that run what was built: this machine's, or Debian's from a newer suite or for another processor."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from wheels import debian
from wheels.commands import cache
from wheels.headers import SUITES, local_python
from wheels.target import Target

OF_NUMPY = "libstdc++6"
"""The package of what numpy needs."""


@dataclass(frozen=True)
class Interpreter:
    """How to start it, in which environment, and what it is."""

    command: tuple[str, ...]
    about: str
    environment: dict[str, str] = field(default_factory=dict)


def find(target: Target) -> Interpreter | None:
    """None if no Python of this version can be had for this processor."""
    if target.is_native and (python := local_python(target.version)):
        return Interpreter((str(python),), "this machine's")
    if target.free_threaded or target.minor not in SUITES or not debian.apt_is_here():
        return None
    suite = SUITES[target.minor]
    name = f"python{target.minor}"
    root = debian.system(suite, target.debian_architecture, name, OF_NUMPY)
    starter = native_starter if target.is_native else emulated_starter
    program = starter(root, root / "usr" / "bin" / name, target)
    how = f"Debian {suite}'s" + ("" if target.is_native else ", emulated")
    return Interpreter((str(program),), how, {"PYTHONHOME": str(root / "usr")})


def place(target: Target, name: str) -> Path:
    """Where a program is that starts the one of this name, which can start itself again by it."""
    return cache("bin", target.architecture, name)


def starting(program: Path, command: str) -> Path:
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    program.chmod(0o755)
    return program


def native_starter(root: Path, python: Path, target: Target) -> Path:
    """With the C library of its suite, which may be newer than this machine's."""
    loader = next((root / "usr").glob("lib*/ld-linux-*.so.*"), None) or next(
        (root / "usr" / "lib" / target.triplet).glob("ld-linux-*.so.*")
    )
    libraries = root / "usr" / "lib" / target.triplet
    own = place(target, python.name)
    path = f"{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"
    return starting(own, f'"{loader}" --library-path "{path}" --argv0 "{own}" "{python}"')


def emulated_starter(root: Path, program: Path, target: Target) -> Path:
    emulator = shutil.which(f"qemu-{target.architecture}") or fetched_emulator(target)
    own = place(target, program.name)
    return starting(own, f'"{emulator}" -L "{root}" -0 "{own}" "{program}"')


def fetched_emulator(target: Target) -> Path:
    """qemu-user-static needs nothing of this machine."""
    host = {"aarch64": "x86_64", "x86_64": "aarch64"}[target.architecture]
    folder = debian.system("bookworm", Target(target.version, host).debian_architecture, "qemu-user-static")
    return folder / "usr" / "bin" / f"qemu-{target.architecture}-static"
