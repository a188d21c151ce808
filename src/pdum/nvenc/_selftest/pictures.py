"""Frames to encode, and what comes back through a decoder."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

from .probe import NotAsked

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

SIZE = (320, 192)
"""Wide and high enough for each codec's least size."""

DECODERS = {"h264": "h264", "hevc": "hevc", "av1": "libdav1d"}


@functools.cache
def nv12(number: int, size: tuple[int, int] = SIZE) -> bytes:
    """A texture that moves from picture to picture, with a little noise."""
    return image(number, size).tobytes()


@functools.cache
def image(number: int, size: tuple[int, int] = SIZE) -> Array:
    import numpy as np

    width, height = size
    random = np.random.default_rng(number)
    y, x = np.mgrid[:height, :width]
    made = np.full((height * 3 // 2, width), 128, np.uint8)
    waves = 120 + 50 * np.sin((x + 3 * number) / 11) + 40 * np.cos((y - 2 * number) / 7)
    made[:height] = np.clip(waves + random.normal(0, 2, waves.shape), 16, 235)
    return made


@functools.cache
def noise(number: int, size: tuple[int, int] = SIZE) -> bytes:
    """Nothing that an encoder can predict, so that rate control has to act."""
    import numpy as np

    width, height = size
    return np.random.default_rng(number).integers(16, 236, width * height * 3 // 2, dtype=np.uint8).tobytes()


def flat(luma: int, size: tuple[int, int] = SIZE) -> bytes:
    width, height = size
    return bytes([luma]) * (width * height) + bytes([128]) * (width * height // 2)


def decode(codec: str, units: list[bytes], *, both_views: bool = False) -> list[Any]:
    """The pictures of a stream's access units in display order, as frames of PyAV; ``both_views``: of each eye in turn,
    which FFmpeg can from version 7.1 on."""
    try:
        import av
        import av.error
    except ModuleNotFoundError:
        raise NotAsked("PyAV is missing; pip install 'pdum-nvenc[files]'") from None
    try:
        decoder: Any = av.CodecContext.create(DECODERS[codec], "r")
    except ValueError:
        raise NotAsked(f"PyAV has no decoder for {codec} here") from None
    decoder.thread_count = 1
    if both_views:
        decoder.options = {"view_ids": "-1"}
    pictures: list[Any] = []
    for number, unit in enumerate(units):
        packet = av.Packet(unit)
        packet.pts = packet.dts = number
        pictures += decoder.decode(packet)
    pictures += decoder.decode(None)
    return pictures


def luma(picture: Any) -> Array:
    """The first plane of a decoded picture, as 8 bits."""
    return plane(picture, 0)


def plane(picture: Any, number: int) -> Array:
    import numpy as np

    source = picture.planes[number]
    kind = np.dtype("<u2") if "10" in picture.format.name else np.dtype(np.uint8)
    rows = np.frombuffer(source, kind).reshape(source.height, source.line_size // kind.itemsize)
    values: Array = rows[:, : source.width]
    return values if kind.itemsize == 1 else values >> 2


def mean_luma(picture: Any) -> int:
    return round(float(luma(picture).mean()))


def psnr(picture: Any, number: int, size: tuple[int, int] = SIZE) -> float:
    """Of the luma of a decoded picture against that of the frame that went in, in decibels; at most 99."""
    import numpy as np

    wanted = image(number, size)[: size[1]].astype(np.float64)
    error = float(np.mean((luma(picture)[: size[1], : size[0]] - wanted) ** 2))
    return 99.0 if error == 0 else min(99.0, 10 * math.log10(255**2 / error))
