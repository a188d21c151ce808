"""The lock of an encoder: first come, first served, so that one thread's calls cannot keep another's out."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_abi


def in_a_fixed_layout() -> list[str]:
    """ThreadSanitizer fails if addresses are too random, and some containers forbid changing that."""
    fixed = ["setarch", "-R"]
    return fixed if subprocess.run([*fixed, "true"], capture_output=True, check=False).returncode == 0 else []


@pytest.mark.parametrize("flags", [["-O2"], ["-O1", "-fsanitize=thread"]], ids=["plain", "thread sanitizer"])
def test_in_the_order_in_which_they_came_and_one_at_a_time(tmp_path: Path, root: Path, flags: list[str]) -> None:
    program = tmp_path / "turnstile_order"
    sources = [root / "tests" / "turnstile_order.cpp", root / "src" / "cpp" / "core" / "turnstile.cpp"]
    compiler = [os.environ.get("CXX", "g++"), "-std=c++17", "-Wall", "-Wextra", "-Werror", "-pthread", *flags]
    subprocess.run([*compiler, f"-I{root / 'src' / 'cpp'}", *sources, "-o", program], check=True, timeout=120)
    done = subprocess.run([*in_a_fixed_layout(), program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
