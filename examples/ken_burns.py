"""A slide show with the Ken Burns effect: each image slowly pans and zooms, and fades into the next.

    python examples/ken_burns.py --images 12 --out slides.mp4

Every encoder of the machine works on a part of the video at the same time; on a machine without one the processor
does. Frames are made with CuPy on the encoder's own GPU where there are both, else with NumPy: the code is the same,
since both have the same functions. The images are made up by this script, so that it needs nothing else.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

import numpy

from pdum.nvenc import EncoderPool, EngineInfo, Event, events

MARGIN = 1.5
"""The images are this many times larger than the video, so that there is room to pan and zoom."""


class Slides:
    """All images and their movements. ``render`` makes the frame of any number, in any thread."""

    def __init__(self, arrays: Any, options: argparse.Namespace) -> None:
        self.arrays = arrays
        self.width, self.height = options.size
        self.images = options.images
        self.frames_an_image = max(1, round(options.seconds * options.fps))
        self.fade = min(round(options.fade * options.fps), self.frames_an_image // 2)
        self.frames = self.images * self.frames_an_image
        # Each GPU makes images when they are first shown, and drops them after others have been shown.
        self.image = lru_cache(maxsize=4 * max(options.lanes, 1))(self._image)
        self._making = threading.Lock()

    def render(self, index: int, _: None, engine: EngineInfo) -> Any:
        """The frame of that number as NV12: rows of Y, then half as many rows of alternating U and V."""
        number, place = divmod(index, self.frames_an_image)
        with self.on_gpu(engine):
            frame = self.moved(number, place, engine)
            into_next = place - (self.frames_an_image - self.fade)
            if into_next >= 0 and number + 1 < self.images:
                share = round(256 * (into_next + 1) / (self.fade + 1))
                frame = self.mixed(frame, self.moved(number + 1, place - self.frames_an_image, engine), share)
            return frame

    def on_gpu(self, engine: EngineInfo) -> AbstractContextManager[Any]:
        if self.arrays is numpy:
            return nullcontext()
        device: AbstractContextManager[Any] = self.arrays.cuda.Device(engine.gpu_id or 0)
        return device

    def moved(self, number: int, place: int, engine: EngineInfo) -> Any:
        """An image at a frame of its own time, which begins while the previous image fades out."""
        luma, chroma = self.image(number, None if self.arrays is numpy else engine.gpu_id)
        left, top, scale = self.view(number, (place + self.fade) / (self.frames_an_image + self.fade))
        frame = self.arrays.empty((self.height * 3 // 2, self.width), "uint8")
        frame[: self.height] = self.sampled(luma, left, top, scale, self.width, self.height)
        half = self.sampled(chroma, left / 2, top / 2, scale, self.width // 2, self.height // 2)
        frame[self.height :] = half.reshape(self.height // 2, self.width)
        return frame

    def view(self, number: int, progress: float) -> tuple[float, float, float]:
        """The visible part of the image: its first pixel, and the number of image pixels for one of the video's."""
        chance = random.Random(number)
        zooms = [chance.uniform(0.8, 1.0), chance.uniform(1.2, MARGIN * 0.98)]
        begin, end = zooms if chance.random() < 0.5 else zooms[::-1]
        eased = progress * progress * (3 - 2 * progress)
        scale = begin + (end - begin) * eased
        corners = [(chance.random(), chance.random()) for _ in range(2)]
        across, down = (a + (b - a) * eased for a, b in zip(*corners, strict=True))
        return across * (MARGIN - scale) * (self.width - 2), down * (MARGIN - scale) * (self.height - 2), scale

    def sampled(self, image: Any, left: float, top: float, scale: float, width: int, height: int) -> Any:
        """A part of the image in another size. Each pixel is interpolated from four."""
        rows, below = self.taps(top, scale, height, image.shape[0])
        columns, right = self.taps(left, scale, width, image.shape[1])
        if image.ndim == 3:
            below, right = below[:, None, None], right[None, :, None]
        else:
            below, right = below[:, None], right[None, :]
        lines = self.mixed(image[rows], image[rows + 1], below)
        return self.mixed(lines[:, columns], lines[:, columns + 1], right)

    def taps(self, begin: float, scale: float, count: int, most: int) -> tuple[Any, Any]:
        places = begin + self.arrays.arange(count) * scale
        whole = self.arrays.clip(self.arrays.floor(places), 0, most - 2)
        parts = self.arrays.clip((places - whole) * 256, 0, 256).astype("uint16")
        return whole.astype("int32"), parts

    def mixed(self, one: Any, other: Any, share: Any) -> Any:
        """A mix of the two, with this many 256ths of the second."""
        total = one.astype("uint16") * self.arrays.asarray(256 - share, "uint16")
        total += other.astype("uint16") * self.arrays.asarray(share, "uint16")
        return (total >> 8).astype("uint8")

    def _image(self, number: int, gpu_id: int | None) -> tuple[Any, Any]:  # noqa: ARG002
        """A random landscape with a sky, a sun and rows of hills: Y, and U and V at half the size."""
        with self._making:
            xp, chance = self.arrays, random.Random(1000 + number)
            width, height = int(self.width * MARGIN) // 2 * 2, int(self.height * MARGIN) // 2 * 2
            x = xp.arange(width, dtype="float32")[None, :] / height
            y = xp.arange(height, dtype="float32")[:, None] / height
            sun = ((x - chance.uniform(0.2, 1.5)) ** 2 + (y - chance.uniform(0.1, 0.4)) ** 2) * chance.uniform(8, 30)
            luma = 90 + 60 * y + 120 * xp.exp(-sun)
            u = 128 + chance.uniform(10, 50) * (1 - y) - 40 * xp.exp(-sun)
            v = 128 + chance.uniform(-30, 30) * y + 30 * xp.exp(-sun)
            for hill in range(4):
                waves = sum(xp.sin(x * chance.uniform(1, 9) + chance.uniform(0, 6)) / (wave + 2) for wave in range(4))
                inside = y > 0.45 + 0.13 * hill + 0.06 * waves
                grain = 6 * xp.sin(x * 180 + y * 90)
                luma = xp.where(inside, 110 - 22 * hill + grain, luma)
                u = xp.where(inside, 116 - 4 * hill, u)
                v = xp.where(inside, 112 + chance.uniform(-14, 14), v)
            chroma = xp.stack([u[::2, ::2] + 0 * x[:, ::2], v[::2, ::2] + 0 * x[:, ::2]], axis=2)
            return xp.clip(luma, 16, 235).astype("uint8"), xp.clip(chroma, 16, 240).astype("uint8")


def array_library(wanted: str, uses_hardware: bool) -> Any:
    """CuPy if it can be used, else NumPy."""
    if wanted == "numpy" or (wanted == "auto" and not uses_hardware):
        return numpy
    try:
        import cupy

        cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        if wanted == "cupy":
            sys.exit(f"CuPy cannot be used: {error}")
        return numpy
    return cupy


def show(event: Event) -> None:
    if isinstance(event, events.Notice):
        print(f"\n{event.message}", file=sys.stderr)
    elif isinstance(event, events.RunProgress):
        print(f"\r{event.frames} of {event.total} frames, {event.fps:.0f} a second   ", end="", file=sys.stderr)


def size(text: str) -> tuple[int, int]:
    width, height = (int(part) for part in text.lower().split("x"))
    if width % 4 or height % 4:
        raise argparse.ArgumentTypeError(f"{text}: width and height have to be multiples of 4")
    return width, height


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=12, help="how many (%(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each image (%(default)s)")
    parser.add_argument("--fade", type=float, default=0.25, help="seconds from one into the next (%(default)s)")
    parser.add_argument("--fps", type=int, default=30, help="frames a second (%(default)s)")
    parser.add_argument("--size", type=size, default=(1280, 720), metavar="WxH", help="of the video (1280x720)")
    parser.add_argument("--codec", choices=("h264", "hevc", "av1"), default="h264")
    parser.add_argument("--preset", default="p4", help="p1 (fast) to p7 (best) (%(default)s)")
    parser.add_argument("--engine", choices=("auto", "nvenc", "software"), default="auto", help="what encodes")
    parser.add_argument("--arrays", choices=("auto", "cupy", "numpy"), default="auto", help="what makes the frames")
    parser.add_argument("--segments", default="auto", help='"auto", or how many parts (%(default)s)')
    parser.add_argument("--out", default="ken_burns.mp4", help="the file; its end tells the kind (%(default)s)")
    return parser.parse_args()


def main() -> None:
    options = parse()
    with EncoderPool(backend=options.engine) as pool:
        options.lanes = len(pool.engines)
        arrays = array_library(options.arrays, pool.uses_hardware)
        slides = Slides(arrays, options)
        begin = time.perf_counter()
        result = pool.render_video(
            slides.render,
            slides.frames,
            destination=options.out,
            segments=options.segments if options.segments == "auto" else int(options.segments),
            on_event=show,
            width=slides.width,
            height=slides.height,
            fps=options.fps,
            codec=options.codec,
            preset=options.preset,
            tuning="hq",
            gop=2 * options.fps,
        )
        seconds = time.perf_counter() - begin
        engines = ", ".join(engine.label for engine in pool.engines)
    print(f"\n{result.destination}: {result.frames} frames, {result.size / 1e6:.1f} MB")
    print(f"{seconds:.2f} s, {result.frames / seconds:.0f} frames a second with {arrays.__name__} on {engines}")


if __name__ == "__main__":
    main()
