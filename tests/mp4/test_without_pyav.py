"""The bare package, without PyAV, writes MP4."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mp4_files import packets_of

from simulator import environment

pytestmark = pytest.mark.one_abi

RENDER = """
import sys
sys.modules["av"] = None  # as if it was not installed
import numpy as np
from pdum.nvenc import EncoderPool
with EncoderPool() as pool:
    result = pool.render_video(
        lambda number, _: np.full((216, 256), 20 * number, np.uint8), 8, width=256, height=144, destination=sys.argv[1]
    )
print(result.size, "av" in sys.modules and sys.modules["av"] is not None)
"""


def test_the_pool_writes_mp4_without_pyav(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    given = {**os.environ, **environment(gpus={"name": "L4", "fps_1080p": 0}, backend="codec")}
    run = subprocess.run(
        [sys.executable, "-c", RENDER, str(path)], env=given, capture_output=True, text=True, timeout=120, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.split() == [str(path.stat().st_size), "False"]
    assert len(packets_of(path)) == 8
