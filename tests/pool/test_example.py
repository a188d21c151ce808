"""The example, started as a user would, with simulated hardware and without hardware."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from loud import need_module
from simulator import environment

pytestmark = pytest.mark.one_abi


def run_example(root: Path, folder: Path, variables: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, str(root / "examples" / "ken_burns.py"), "--size", "320x192", *arguments]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def look(path: Path) -> Any:
    av = need_module("av")
    with av.open(str(path)) as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]


def test_on_encoders(root: Path, tmp_path: Path) -> None:
    told = run_example(
        root,
        tmp_path,
        environment(gpus=["L40S"], backend="codec"),
        *("--images", "3", "--codec", "hevc", "--out", "a.mkv"),
    )
    assert "90 frames" in told
    assert "GPU 0 · NVENC 2" in told
    assert "processor" not in told
    frames = look(tmp_path / "a.mkv")
    assert len(frames) == 90
    # The view moves a little from frame to frame, and the images are others.
    steps = [abs(one.astype(int) - other.astype(int)).mean() for one, other in pairwise(frames)]
    assert 0 < max(steps) < 25
    assert abs(frames[5].astype(int) - frames[35].astype(int)).mean() > max(steps)


def test_without_hardware(root: Path, tmp_path: Path) -> None:
    need_module("av")
    hidden = {name: value for name, value in os.environ.items() if name not in ("LD_LIBRARY_PATH", "NVSIM_CONFIG")}
    told = run_example(root, tmp_path, hidden, "--images", "2", "--seconds", "0.5", "--engine", "software")
    assert "30 frames" in told
    assert "on CPU 0" in told
    assert len(look(tmp_path / "ken_burns.mp4")) == 30
