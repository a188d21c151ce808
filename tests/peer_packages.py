"""Packages that are too heavy for the tests' own environment: each set of them is installed into its own folder."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from loud import missing, need_module
from simulator import environment

ROOT = Path(__file__).resolve().parents[1]


def installed(*requirements: str, dependencies: bool = True) -> Path:
    """The folder that holds these packages. They are installed once, by pip, and kept under build/."""
    need_module("pip")
    folder = ROOT / "build" / "peers" / sha256(repr((requirements, sys.version)).encode()).hexdigest()[:16]
    if (folder / "complete").exists():
        return folder
    command = [sys.executable, "-m", "pip", "install", "-q", "--upgrade", "--target", str(folder), *requirements]
    result = subprocess.run([*command, *([] if dependencies else ["--no-deps"])], capture_output=True, text=True)
    if result.returncode:
        missing(f"{', '.join(requirements)} from PyPI", result.stderr.strip()[-400:])
    (folder / "complete").touch()
    return folder


def run(packages: Path, *arguments: str | Path, **variables: str) -> str:
    """Runs Python with these packages and without a GPU. Returns what it printed."""
    paths = [str(packages), str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = {**environment(), "LD_LIBRARY_PATH": "", "PYTHONPATH": os.pathsep.join(paths), **variables}
    command = [sys.executable, *map(str, arguments)]
    result = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout
