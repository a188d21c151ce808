"""Records something that moves, with sound, as fast as it can be drawn or at the pace of a clock.

    python examples/record.py --out clip.mp4
    python examples/record.py --out live.mp4 --live          # at the pace of a clock; drops frames rather than wait

Frames are made with CuPy on the GPU if there is one, else with NumPy; on a machine without a hardware encoder the
processor encodes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy

from pdum.nvenc import VideoWriter

RATE = 48_000


def library() -> Any:
    """CuPy, which has NumPy's functions, or NumPy."""
    try:
        import cupy

        cupy.zeros(1)
    except Exception:
        return numpy
    return cupy


def pictures(arrays: Any, width: int, height: int, count: int) -> Iterator[Any]:
    """Waves of colour, drawn into the same array again and again: a writer has read it when ``write`` returns."""
    x = arrays.linspace(-3, 3, width, dtype=arrays.float32)[None, :]
    y = arrays.linspace(-2, 2, height, dtype=arrays.float32)[:, None]
    image = arrays.empty((height, width, 3), arrays.float32)
    for number in range(count):
        phase = number / 15
        distance = arrays.sqrt((x - arrays.sin(phase)) ** 2 + (y - arrays.cos(phase * 0.7)) ** 2)
        for channel in range(3):
            image[..., channel] = 0.5 + 0.5 * arrays.sin(distance * (4 + channel) - phase * 2)
        yield image


def sound(number: int, fps: int) -> Any:
    """The sound beside one frame: a tone that rises and falls."""
    time_of = (number * RATE // fps + numpy.arange(RATE // fps)) / RATE
    return (0.2 * numpy.sin(2 * numpy.pi * (220 * time_of + 20 * numpy.sin(time_of)))).astype(numpy.float32)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="clip.mp4")
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--live", action="store_true", help="at the pace of a clock, dropping frames")
    options = parser.parse_args()
    width, height = (int(part) for part in options.size.split("x"))
    drop: Any = "oldest" if options.live else None
    started = time.monotonic()
    with VideoWriter(options.out, fps=options.fps, drop=drop) as video:
        for number, picture in enumerate(pictures(library(), width, height, options.frames)):
            if options.live:
                time.sleep(max(0.0, started + number / options.fps - time.monotonic()))
            video.write(picture, time=time.monotonic() if options.live else None)
            video.add_audio(sound(number, options.fps), RATE)
    told = video.statistics
    seconds = time.monotonic() - started
    print(f"{options.out}: {told.frames} frames, {told.dropped} dropped, {told.seconds:.1f} s, made in {seconds:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
