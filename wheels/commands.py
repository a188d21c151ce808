"""Runs programs, keeping what they say until they fail, and tells where things are kept."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def cache(*parts: str) -> Path:
    """A place in the cache, outside the repository."""
    home = os.environ.get("PDUM_WHEEL_CACHE") or Path.home() / ".cache" / "pdum-nvenc-wheels"
    return Path(home).resolve().joinpath(*parts)


def build_folder(*parts: str) -> Path:
    """A place for what is built from these sources. Other checkouts have others: CMake's folders belong to one each."""
    return cache("build", hashlib.sha256(str(ROOT).encode()).hexdigest()[:12], *parts)


def run(*command: str | Path, environment: Mapping[str, str] | None = None, folder: Path = ROOT) -> str:
    """What the program prints. If it fails, so does all, with everything that it said."""
    done = subprocess.run(
        list(map(str, command)), env={**os.environ, **(environment or {})}, cwd=folder, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{done.stdout}\nfailed ({done.returncode}): {' '.join(map(str, command))}")
    return done.stdout


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
