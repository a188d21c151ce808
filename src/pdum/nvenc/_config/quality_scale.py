"""One scale of quality for all codecs: what each encoder's own constant quality has to be for the same look.

The scale goes from 1 (best) to 63, and is that of NVENC's AV1 encoder: quality 28 is its ``cq`` 28. All other encoders
get the ``cq`` with which their pictures look like those. ``docs/quality.md`` says where the values come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from .._errors import InvalidConfig

BEST, WORST = 1, 63
DEFAULT = 28

QUALITIES = (1, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 63)
"""The values of the scale for which the tables have a ``cq``. Between them, a straight line decides."""

TABLES: dict[tuple[str, str], tuple[float, ...]] = {
    ("nvenc", "av1"): QUALITIES,
    ("nvenc", "hevc"): (
        *(2.3, 8.7, 13.3, 16.3, 18.5, 20.2, 21.8, 24.1, 26.3, 28.7, 31.1, 33.5, 36.2, 38.8, 41.4, 44.1, 46.1),
    ),
    ("nvenc", "h264"): (
        *(1.3, 7.2, 11.8, 14.8, 17.0, 18.7, 20.3, 22.6, 24.8, 27.2, 29.6, 32.0, 34.7, 37.3, 39.9, 42.6, 44.6),
    ),
    ("software", "av1"): (1, 3, 6, 9, 12, 16, 20.5, 25, 30, 35, 40.5, 46, 51, 55, 58, 61, 63),
    ("software", "hevc"): (
        *(1.0, 5.8, 9.7, 12.3, 14.4, 16.8, 19.3, 20.8, 22.4, 23.7, 25.3, 27.2, 29.1, 31.0, 32.4, 35.9, 38.2),
    ),
    ("software", "h264"): (
        *(1.0, 6.7, 11.0, 14.1, 16.3, 18.6, 20.5, 21.7, 23.1, 24.4, 25.8, 27.5, 29.3, 30.9, 32.1, 35.4, 37.7),
    ),
}
"""The ``cq`` of each kind of engine and codec, for QUALITIES.

x264 and x265 were measured against SVT-AV1. SVT-AV1 and NVENC's H.264 and HEVC follow what others published.
"""

PLACES = {("nvenc", "av1"): 2, ("software", "av1"): 0}
"""Decimal places of ``cq``; 1 for all other codecs. SVT-AV1 takes only whole numbers."""


def require_quality(quality: float) -> None:
    if isinstance(quality, bool) or not isinstance(quality, (int, float)) or not BEST <= quality <= WORST:
        raise InvalidConfig(f"Expected a quality from {BEST} (best) to {WORST}, got quality={quality!r}.")


def cq_for(quality: float, codec: str, engine_kind: str) -> float:
    """The encoder's own ``cq`` for a quality of the scale. ``engine_kind``: ``"nvenc"`` or ``"software"``.

    It never falls as ``quality`` rises, and lies within the encoder's range.
    """
    require_quality(quality)
    table = zip(QUALITIES, TABLES[engine_kind, codec], strict=True)
    exact = next(
        low_cq + (quality - low) / (high - low) * (high_cq - low_cq)
        for (low, low_cq), (high, high_cq) in pairwise(table)
        if quality <= high
    )
    rounded = round(exact, PLACES.get((engine_kind, codec), 1))
    return int(rounded) if rounded.is_integer() else rounded


def rates_in(fields: Mapping[str, Any]) -> list[str]:
    """Which of these fields of ``EncoderConfig`` decide how many bits there are, and leave nothing for a quality."""
    given = [name for name in ("cq", "qp") if fields.get(name) is not None] + ["bitrate"] * bool(fields.get("bitrate"))
    if str(fields.get("rate_control") or "vbr").lower() != "vbr":
        given.append("rate_control")
    if str(fields.get("tuning", "")).lower() == "lossless":
        given.append("tuning='lossless'")
    return given
