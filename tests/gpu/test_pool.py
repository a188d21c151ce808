"""A pool with frames that CuPy makes on a real GPU, in the threads of all engines at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gpu.frames import HEIGHT, SHAPE, WIDTH, SlowProducer, pattern
from gpu.library import EncodeLibrary
from pdum.nvenc import EncoderPool
from pdum.nvenc._machine import capabilities as _capabilities

from simulator import nvsim_dir
from simulator.echo import checksum, parse

FRAMES = 240
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _capabilities_of_this_machine() -> Iterator[None]:
    _capabilities._found.clear()
    yield
    _capabilities._found.clear()


@pytest.mark.parametrize("surfaces", [False, True])
def test_frames_of_all_engines_are_the_ones_that_were_made(
    engine: EncodeLibrary, abi: str, cupy: Any, surfaces: bool
) -> None:
    """Each frame is still being written when it is passed on, on the thread's current stream."""
    produce = SlowProducer(cupy)
    of_thread = threading.local()

    def render(index: int, surface: Any) -> Any:
        if not hasattr(of_thread, "stream"):
            of_thread.stream = cupy.cuda.Stream(non_blocking=True)
        of_thread.stream.use()
        frame = cupy.empty(SHAPE, cupy.uint8) if surface is None else cupy.asarray(surface)
        produce(frame, index, of_thread.stream, cycles=200_000)
        if surface is not None:
            of_thread.stream.synchronize()  # a surface is submitted on the legacy default stream
        return frame if surface is None else None

    with EncoderPool(gpus=[0]) as pool:  # CuPy makes the frames there
        assert len(pool.engines) == 3
        stream = pool.render_video(render, FRAMES, width=WIDTH, height=HEIGHT, surfaces=surfaces)
    units = parse(stream)
    assert [unit.checksum for unit in units] == [checksum(pattern(number)) for number in range(FRAMES)]
    assert {unit.engine for unit in units if unit.is_idr} == {0, 1, 2}


def test_the_example_with_cupy(cupy: Any, tmp_path: Path) -> None:
    """Started as a user would, on the GPU and on the processor."""
    variables = {
        **os.environ,
        "LD_LIBRARY_PATH": f"{nvsim_dir() / 'encode'}:{os.environ.get('LD_LIBRARY_PATH', '')}",
        "NVSIM_CONFIG": '{"gpus": ["L4"], "backend": "echo"}',
    }
    sizes = []
    for arrays in ("cupy", "numpy"):
        command = [sys.executable, str(ROOT / "examples" / "ken_burns.py"), "--size", "320x192", "--images", "3"]
        command += ["--arrays", arrays, "--out", f"{arrays}.h264"]
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
        assert f"with {arrays} on GPU 0" in done.stdout
        sizes.append(len(parse((tmp_path / f"{arrays}.h264").read_bytes())))
    assert sizes == [90, 90]
