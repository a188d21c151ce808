"""Packages that are too heavy for the tests' own environment: each set of them is installed into its own folder."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from loud import missing, need_module, need_program
from simulator import environment

ROOT = Path(__file__).resolve().parents[1]
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "HF_HUB_OFFLINE": "1"}
"""Packages that would talk to their makers do not."""
NETWORK = """
ip link set lo up && ip link add here type veth peer name there && ip addr add 10.55.0.1/24 dev here &&
ip link set here up && ip link set there up || exit 77
exec "$@"
"""


def installed(*requirements: str) -> Path:
    """The folder that holds these packages. They are installed once, by pip, and kept under build/."""
    need_module("pip")
    folder = ROOT / "build" / "peers" / sha256(repr((requirements, sys.version)).encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other processes run tests with the same packages
        if not (folder / "complete").exists():
            install(folder, requirements)
    return folder


def install(folder: Path, requirements: Sequence[str]) -> None:
    command = [sys.executable, "-m", "pip", "install", "-q", "--upgrade", "--target", str(folder), *requirements]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        missing(f"{', '.join(requirements)} from PyPI", result.stderr.strip()[-400:])
    (folder / "complete").touch()


def run(packages: Path, *arguments: str | Path, before: Sequence[str] = ()) -> str:
    """Runs Python with these packages and without a GPU, started by ``before``. Returns what it printed."""
    paths = [str(packages), str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = {**environment(), "LD_LIBRARY_PATH": "", "PYTHONPATH": os.pathsep.join(paths), **QUIET}
    command = [*before, sys.executable, *map(str, arguments)]
    result = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def own_network() -> list[str]:
    """A command that runs another one without the machine's network: there are the loopback and one address more."""
    command = [need_program("unshare", "util-linux"), "-n", "sh", "-c", NETWORK, "sh"]
    need_program("ip", "iproute2")
    if os.geteuid() or subprocess.run([*command, "true"], capture_output=True).returncode:
        missing("networks of their own for processes", "which take root and the kernel's veth")
    return command
