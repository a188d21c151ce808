"""A moving ball on a noisy ground, encoded with and without a region of interest that follows the ball.

    python examples/regions.py --codec hevc --bitrate 600000

It needs a GPU with an encoder, and PyAV to decode what comes out: pip install pdum-nvenc[files]. It prints the size of
both streams, and how far the ball and the rest are from the original.
"""

from __future__ import annotations

import argparse
import io
import math
from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from pdum.nvenc import NvencEncoder, NvencError, PictureOptions, Region

RADIUS = 48


class Scene:
    """The pictures, and where the ball is in each."""

    def __init__(self, width: int, height: int, count: int) -> None:
        self.width, self.height, self.count = width, height, count
        ground = np.random.default_rng(1).integers(60, 120, (height + 64, width + 64), np.uint8)
        self.ground = (ground + np.roll(ground, 1, 0) // 2 + np.roll(ground, 1, 1) // 2) // 2

    def middle(self, number: int) -> tuple[int, int]:
        turn = 2 * math.pi * number / self.count
        return round(self.width * (0.5 + 0.3 * math.cos(turn))), round(self.height * (0.5 + 0.3 * math.sin(turn)))

    def ball(self, number: int) -> Region:
        x, y = self.middle(number)
        return Region(x - RADIUS, y - RADIUS, 2 * RADIUS, 2 * RADIUS, qp=-10)

    def luma(self, number: int) -> Any:
        """The ground drifts slowly; the ball has a fine pattern, which coarse quantisation wipes out."""
        drift = number % 64
        picture = self.ground[drift : drift + self.height, drift : drift + self.width].copy()
        x, y = self.middle(number)
        rows, columns = np.ogrid[: self.height, : self.width]
        inside = (columns - x) ** 2 + (rows - y) ** 2 < RADIUS**2
        pattern = 170 + 30 * (((columns - x) // 4 + (rows - y) // 4) % 2)
        picture[inside] = pattern[inside]
        return picture

    def frame(self, number: int) -> Any:
        """NV12 without colour."""
        return np.concatenate([self.luma(number), np.full((self.height // 2, self.width), 128, np.uint8)])


def encoded(scene: Scene, options: argparse.Namespace, follows: bool) -> bytes:
    with NvencEncoder(
        scene.width, scene.height, codec=options.codec, bitrate=options.bitrate, qp_map="delta"
    ) as encoder:
        stream = b""
        for number in range(scene.count):
            picture = PictureOptions(regions=[scene.ball(number)]) if follows else None
            stream += encoder.encode(scene.frame(number), picture=picture)
        return stream + encoder.flush()


def decoded(stream: bytes, codec: str) -> Iterator[Any]:
    form = {"h264": "h264", "hevc": "hevc", "av1": "obu"}[codec]
    with av.open(io.BytesIO(stream), format=form) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="gray")


def errors(scene: Scene, stream: bytes, codec: str) -> tuple[float, float]:
    """The mean difference of brightness in the ball's region, and in the rest of the picture."""
    ball, rest = [], []
    for number, luma in enumerate(decoded(stream, codec)):
        difference = np.abs(luma.astype(int) - scene.luma(number))
        region = scene.ball(number)
        inside = np.zeros(difference.shape, bool)
        inside[max(region.y, 0) : region.y + region.height, max(region.x, 0) : region.x + region.width] = True
        ball.append(difference[inside].mean())
        rest.append(difference[~inside].mean())
    return float(np.mean(ball)), float(np.mean(rest))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codec", choices=("h264", "hevc", "av1"), default="h264")
    parser.add_argument("--bitrate", type=int, default=1_000_000, help="bits a second")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 720), metavar=("WIDTH", "HEIGHT"))
    options = parser.parse_args()
    width, height = options.size
    scene = Scene(width, height, options.frames)
    try:
        for follows in (False, True):
            stream = encoded(scene, options, follows)
            ball, rest = errors(scene, stream, options.codec)
            name = "with the region" if follows else "without"
            print(f"{name:>16}: {len(stream):9,} bytes, error of the ball {ball:5.2f}, of the rest {rest:5.2f}")
    except NvencError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
