"""Conspicuous skips. `PDUM_NO_SKIPS=1` turns each into a failure."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest


def missing(what: str, how: str = "") -> NoReturn:
    """Skips the running test, or fails it under `PDUM_NO_SKIPS`, since `what` is missing; `how` says how to get it."""
    reason = f"missing: {what}" + (f" ({how})" if how else "")
    if os.environ.get("PDUM_NO_SKIPS", "") not in ("", "0"):
        pytest.fail(f"{reason}; PDUM_NO_SKIPS forbids to skip", pytrace=False)
    pytest.skip(reason)


def need_program(name: str, package: str) -> str:
    """The program's path; `package` is the Debian package that has it."""
    return shutil.which(name) or missing(f"program {name}", f"apt-get install {package}")


def need_module(name: str, distribution: str = "") -> ModuleType:
    """The imported module. A module that is installed but broken fails the test."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        missing(f"module {name}", f"pip install {distribution or name}")


def need_pyav(version: int, what: str) -> ModuleType:
    """PyAV of this version or later. The newest one differs between versions of Python."""
    module = need_module("av")
    if int(module.__version__.partition(".")[0]) < version:
        missing(f"PyAV {version} for {what}", "which needs a newer Python")
    return module


def need_data(module: str, folder: str, distribution: str) -> Path:
    """A folder of data that a package brings along. The package itself is not imported, nor is what it needs."""
    top, *inner = module.split(".")
    specification = importlib.util.find_spec(top)
    if specification is None or not specification.submodule_search_locations:
        missing(f"data of {distribution}", f"pip install --no-deps {distribution}")
    return Path(specification.submodule_search_locations[0]).joinpath(*inner, folder)
