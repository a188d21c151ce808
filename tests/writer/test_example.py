"""examples/record.py runs, with and without a clock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from video_frames import look

pytestmark = pytest.mark.one_abi


@pytest.mark.parametrize("more", [[], ["--live"]])
def test_the_example_records(root: Path, tmp_path: Path, more: list[str]) -> None:
    command = [sys.executable, str(root / "examples" / "record.py"), "--out", str(tmp_path / "a.mp4"), *more]
    done = subprocess.run(
        [*command, "--size", "96x64", "--frames", "20"], capture_output=True, text=True, timeout=100, check=True
    )
    assert "20 frames, 0 dropped" in done.stdout
    found = look(tmp_path / "a.mp4")
    assert len(found.times) == 20
    assert len(set(found.colours)) > 10
    assert found.sound
