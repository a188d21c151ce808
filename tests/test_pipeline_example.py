"""The example of a pipeline, started as a user would: both ways, and what it says without an encoder."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from loud import need_module
from simulator import environment

pytestmark = pytest.mark.one_abi


def run_example(root: Path, folder: Path, *arguments: str, **machine: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "examples" / "pipeline.py"), "--width", "192", "--height", "128", *arguments]
    return subprocess.run(command, cwd=folder, env=environment(**machine), capture_output=True, text=True, timeout=120)


def test_the_film_has_all_frames(root: Path, tmp_path: Path) -> None:
    av = need_module("av")
    done = run_example(root, tmp_path, "--frames", "40", gpus=["RTX 4090"], backend="codec")
    assert done.returncode == 0, done.stderr
    assert " x\n" in done.stdout
    with av.open(str(tmp_path / "tunnel.h264")) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(shown) == 40
    assert all(abs(one.astype(int) - next_.astype(int)).mean() > 1 for one, next_ in pairwise(shown))


def test_without_an_encoder_it_says_so(root: Path, tmp_path: Path) -> None:
    done = run_example(root, tmp_path, gpus=["H100"])
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "H100" in done.stderr
    assert list(tmp_path.iterdir()) == []
