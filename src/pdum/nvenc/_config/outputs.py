"""What packets bring besides their bytes: what contradicts it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .values import FORMATS

EncoderConfig = Any  # a module above this one, which calls it

NOT_WRITTEN = ("argb", "abgr", "ayuv", "argb10", "abgr10")
"""Formats of frames that the engine converts before it encodes them, and cannot write."""


def contradictions(config: EncoderConfig, may_have_b_frames: bool) -> Iterator[str]:
    """Says of each contradiction what is wrong and what to do."""
    if not config.reconstruction:
        return
    if may_have_b_frames:
        yield (
            f"reconstruction=True does not work with bframes={config.bframes}: drivers do not tell in which picture's "
            "memory a B-frame is. Give bframes=0."
        )
    if config.format in NOT_WRITTEN:
        yield (
            f"reconstruction=True does not work with format={config.format!r}, which the engine only reads. Give nv12, "
            "p010, yuv420, yuv444, yuv444_10, nv16, p210 or rgb."
        )
    elif config.format != "rgb" and config._stream_format() != FORMATS[config.format]:
        chroma, depth = config._stream_format()
        yield (
            f"reconstruction=True does not work with chroma={chroma!r} and bit_depth={depth} for "
            f"format={config.format!r}: it has the stream's samples in the layout of the frames. Leave both out."
        )
