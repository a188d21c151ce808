"""What a stream's parameter sets say about its pictures, in one form for all codecs."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

SAMPLE_ASPECT_RATIOS = (
    *((0, 1), (1, 1), (12, 11), (10, 11), (16, 11), (40, 33), (24, 11), (20, 11), (32, 11)),
    *((80, 33), (18, 11), (15, 11), (64, 33), (160, 99), (4, 3), (3, 2), (2, 1)),
)
"""The ratios for which H.264 and HEVC have a number."""
WRITTEN_OUT = 255
UNSPECIFIED = 2


@dataclass(frozen=True, kw_only=True)
class StreamDescription:
    """One video stream. ``codec_string`` is what browsers and manifests call it (RFC 6381)."""

    width: int
    height: int
    bit_depth: int
    chroma_format: int
    """0 for grey, 1 for 4:2:0, 2 for 4:2:2, 3 for 4:4:4."""
    codec_string: str
    colour: tuple[int, int, int, bool] | None = None
    """Primaries, transfer and matrix in numbers of H.273, and whether the range is full. None if it says nothing."""
    sample_aspect_ratio: Fraction | None = None
    configuration: bytes = b""
    """The decoder's configuration record: the contents of avcC, hvcC or av1C."""


def aspect_ratio(number: int, width: int = 0, height: int = 0) -> Fraction | None:
    """The ratio for a number in a parameter set. ``width`` and ``height`` are for ratios that are written out."""
    if number < len(SAMPLE_ASPECT_RATIOS):
        width, height = SAMPLE_ASPECT_RATIOS[number]
    return Fraction(width, height) if width and height else None
