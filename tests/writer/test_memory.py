"""The memory of a writer does not grow with the video."""

from __future__ import annotations

import gc
import os
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frames import nv12
from pdum.nvenc import VideoWriter
from video_frames import FAST, HARDWARE_HEIGHT, HARDWARE_WIDTH, rgb

from simulator import Simulator

pytestmark = pytest.mark.one_abi

PACKET_BYTES = 2000
MORE = 4000
"""Frames between the two points. A hundred bytes that were kept of each would be twice as much as is allowed."""
IN_FLIGHT = 200_000
"""Bytes of packets that may wait at one point and not at the other."""
INDEX_BYTES = 64
"""At most so many for each frame and packet of sound, in an MP4 file: its index is written at the end."""


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def write(video: VideoWriter, first: int, last: int, frame: Any, sound: Any) -> None:
    for _ in range(first, last):
        video.write(frame)
        if sound is not None:
            video.add_audio(sound, 48_000)


@pytest.mark.parametrize(("name", "drop"), [("a.mp4", None), ("a.h264", None), ("a.h264", "oldest")])
def test_python_keeps_nothing_of_frames_that_are_written(
    simulator: Simulator, tmp_path: Path, name: str, drop: Any
) -> None:
    """Counted, and not measured: all that Python allocates between two points of the same video."""
    frame = nv12(HARDWARE_WIDTH, HARDWARE_HEIGHT)
    with (
        simulator.machine(gpus=FAST, backend="null", null_bytes=PACKET_BYTES),
        VideoWriter(tmp_path / name, format="nv12", drop=drop, queue_frames=64, gop=30) as video,
    ):
        write(video, 0, 600, frame, None)
        tracemalloc.start()
        try:
            before = settled(video)
            write(video, 600, 600 + MORE, frame, None)
            after = settled(video)
        finally:
            tracemalloc.stop()
        if drop is not None:
            video.abort()
    assert after - before < IN_FLIGHT + (MORE * INDEX_BYTES if name == "a.mp4" else 0)


def settled(video: VideoWriter) -> int:
    """What is allocated when nothing waits any more."""
    while video.statistics.waiting or video.statistics.bytes < video.statistics.encoded * PACKET_BYTES:
        time.sleep(0.001)  # leaves the processor to the threads
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "with_sound", "backend"),
    [("a.mp4", True, "nvenc"), ("a.mkv", True, "nvenc"), ("a.h264", False, "nvenc"), ("a.mp4", False, "software")],
)
def test_100_000_frames_leave_memory_flat(
    simulator: Simulator, tmp_path: Path, name: str, with_sound: bool, backend: str
) -> None:
    frames = 100_000
    sound = np.zeros(1600, np.int16) if with_sound else None
    on_hardware = backend == "nvenc"
    frame = nv12(HARDWARE_WIDTH, HARDWARE_HEIGHT) if on_hardware else rgb(0, 32, 32)
    form: Any = "nv12" if on_hardware else "rgb"
    with (
        simulator.machine(gpus=FAST, backend="null" if name != "a.mkv" else "echo", null_bytes=200),
        VideoWriter(tmp_path / name, format=form, backend=backend, audio="pcm" if with_sound else "auto") as video,
    ):
        write(video, 0, frames // 5, frame, sound)
        early = resident()
        write(video, frames // 5, frames, frame, sound)
        late = resident()
    assert video.frames == frames
    assert late - early < frames * 2 * INDEX_BYTES + (16 << 20)
