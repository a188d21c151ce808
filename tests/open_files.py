"""The files that this process has open."""

from __future__ import annotations

import os
from pathlib import Path


def open_files(below: Path) -> list[str]:
    """The paths of all descriptors that are open on this file, or on one in this folder."""
    named = map(_path_of, os.listdir("/proc/self/fd"))
    return sorted(path for path in named if path == str(below) or path.startswith(f"{below}/"))


def _path_of(descriptor: str) -> str:
    """Empty if it has been closed meanwhile: another thread may close its own, and so does the call that lists them."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError:
        return ""
