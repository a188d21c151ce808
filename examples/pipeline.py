"""Renders and encodes at the same time: `encode` waits for each frame, `submit` leaves some of them in flight.

    python examples/pipeline.py --depth 2 --out tunnel.h264

It draws a tunnel, on the GPU with CuPy if that is installed, else on the processor, first with `encode` and then with
`submit`, and prints the frames a second of both. It needs a GPU with an encoder. `ffplay tunnel.h264` shows the film.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pdum.nvenc import NvencEncoder, NvencError

try:
    import cupy as xp
except ImportError:
    import numpy as xp


class Tunnel:
    """Pictures of a flight through a tunnel: blue, green, red and a fourth byte for each pixel."""

    def __init__(self, width: int, height: int) -> None:
        y, x = xp.mgrid[-1.0 : 1.0 : height * 1j, -1.0 : 1.0 : width * 1j].astype(xp.float32)
        self.radius = xp.sqrt(x * x + y * y) + xp.float32(0.02)
        self.angle = xp.arctan2(y, x)

    def picture(self, number: int) -> Any:
        rings = xp.sin(6 / self.radius + number / 4)
        stripes = xp.cos(self.angle * 8 + number / 30)
        light = xp.clip(self.radius * 1.5, 0, 1)
        colours = xp.stack([rings, rings * stripes, stripes, stripes], axis=-1)
        return ((colours * 0.5 + 0.5) * 255 * light[..., None]).astype(xp.uint8)


def one_by_one(encoder: NvencEncoder, tunnel: Tunnel, frames: int) -> Iterator[bytes]:
    """The engine has nothing to do while a picture is drawn, and nothing is drawn while the engine works."""
    for number in range(frames):
        yield encoder.encode(tunnel.picture(number))
    yield encoder.flush()


def in_a_pipeline(encoder: NvencEncoder, tunnel: Tunnel, frames: int) -> Iterator[bytes]:
    """The next picture is drawn while the engine works. A packet is of an earlier frame: its `seq` says of which."""
    for number in range(frames):
        for packet in encoder.submit(tunnel.picture(number), number):
            yield packet.data
    for packet in encoder.flush_pipeline():
        yield packet.data


def film(options: argparse.Namespace, depth: int) -> tuple[bytes, float]:
    """The stream, and frames a second."""
    tunnel = Tunnel(options.width, options.height)
    way = in_a_pipeline if depth else one_by_one
    with NvencEncoder(options.width, options.height, format="argb", extra_output_delay=depth) as encoder:
        tunnel.picture(0)  # the first one takes longer
        begin = time.perf_counter()
        stream = b"".join(way(encoder, tunnel, options.frames))
        return stream, options.frames / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--depth", type=int, default=2, help="frames in flight (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("tunnel.h264"))
    options = parser.parse_args()
    try:
        _, alone = film(options, 0)
        stream, together = film(options, options.depth)
    except NvencError as error:
        raise SystemExit(str(error)) from None
    options.out.write_bytes(stream)
    print(
        f"drawn with {xp.__name__}: encode {alone:.0f} frames a second, submit {together:.0f}: {together / alone:.2f} x"
    )
    print(f"{options.out}: {len(stream)} bytes")


if __name__ == "__main__":
    main()
