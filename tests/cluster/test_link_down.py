"""A machine whose link goes down: nothing refuses a connection, and nothing is said any more."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from loud import missing, need_program

pytestmark = [pytest.mark.one_abi, pytest.mark.slow]

RUNNER = Path(__file__).with_name("link_down_runner.py")


def need_namespaces() -> None:
    need_program("ip", "iproute2")
    for name in ("unshare", "nsenter"):
        need_program(name, "util-linux")
    tried = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        missing("network namespaces", tried.stderr.strip())


def test_a_machine_whose_link_goes_down(tmp_path: Path) -> None:
    need_namespaces()
    done = subprocess.run(
        ["unshare", "--net", sys.executable, str(RUNNER), str(tmp_path)],
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    assert re.search(r"lost: far: .* has not reported for", done.stdout)
    assert "frames: 300" in done.stdout
