"""The beginning of the video usability information, which H.264 and HEVC have in common."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from .bits import BitReader
from .stream_description import UNSPECIFIED, WRITTEN_OUT, aspect_ratio


class Vui(NamedTuple):
    sample_aspect_ratio: Fraction | None = None
    colour: tuple[int, int, int, bool] | None = None


def read_vui(reader: BitReader) -> Vui:
    """Aspect ratio and colour. Reads nothing that comes after them."""
    ratio = None
    if reader.flag():
        number = reader.bits(8)
        ratio = (
            aspect_ratio(number, reader.bits(16), reader.bits(16)) if number == WRITTEN_OUT else aspect_ratio(number)
        )
    if reader.flag():  # overscan
        reader.skip(1)
    return Vui(ratio, _colour(reader) if reader.flag() else None)


def _colour(reader: BitReader) -> tuple[int, int, int, bool]:
    reader.skip(3)  # video format
    full = reader.flag()
    primaries, transfer, matrix = (
        [reader.bits(8) for _ in range(3)] if reader.flag() else [UNSPECIFIED, UNSPECIFIED, UNSPECIFIED]
    )
    return primaries, transfer, matrix, full
