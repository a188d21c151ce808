"""A video that all engines share, of frames that CuPy makes on a real GPU, in one array that is written again."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest

from gpu.frames import SHAPE, SlowProducer, pattern
from gpu.library import EncodeLibrary
from pdum.nvenc import VideoWriter
from pdum.nvenc._machine import capabilities as _capabilities

from simulator.echo import checksum, parse

FRAMES = 240


@pytest.fixture(autouse=True)
def _capabilities_of_this_machine() -> Iterator[None]:
    _capabilities._found.clear()
    yield
    _capabilities._found.clear()


def test_frames_are_the_ones_that_were_made(engine: EncodeLibrary, abi: str, cupy: Any) -> None:
    """Each frame is still being written when the writer gets it, and is overwritten as soon as the writer has it."""
    produce, stream, file = SlowProducer(cupy), cupy.cuda.Stream(non_blocking=True), io.BytesIO()
    with stream, VideoWriter(file, format="nv12", gop=20, engines="all", container="stream") as video:
        frame = cupy.empty(SHAPE, cupy.uint8)
        for number in range(FRAMES):
            produce(frame, number, stream, cycles=200_000)
            video.write(frame)
    units = parse(file.getvalue())
    assert [unit.checksum for unit in units] == [checksum(pattern(number)) for number in range(FRAMES)]
    assert {unit.engine for unit in units if unit.is_idr} == {0, 1, 2}
