"""Decides what ``crop="auto"`` and ``deinterlace="auto"`` mean for one source, from frames spread over it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from .._config.filter_words import AUTO
from .._config.filters import Filters
from .black_bars import is_plausible, joined, lit_area, without_bars
from .filter_chain import area_as_shown
from .source import Index
from .spread_frames import Decode, spread_frames
from .telecine import LOOKED_AT, is_telecined

ROWS_OF_FIELDS = 4
"""A crop of interlaced 4:2:0 begins and ends at such a row, so that each field keeps its own colour."""
PLACES_OF_FIELDS, IN_A_ROW = 16, 3
"""Where frames are looked at to see whether any is interlaced, and how many in each place."""

TELEVISION = Fraction(30000, 1001)
"""The rate of video that film is stretched to by telecine."""
PLACES_OF_TELECINE = 8
MOSTLY = 0.75
"""The part of the moving places that must show telecine."""


@dataclass(frozen=True, kw_only=True)
class Settled:
    """Filters that no longer depend on the source. ``notes``: what was found, as sentences to show."""

    filters: Filters
    notes: tuple[str, ...] = ()


def settled(filters: Filters, source: Index, part: range, decode: Decode) -> Settled:
    """``part``: the frames that are kept."""
    notes: list[str] = []
    if filters.deinterlace == AUTO:
        filters, notes = _deinterlaced(filters, source, part, decode)
    if filters.crop == AUTO:
        filters, more = _cropped(filters, source, part, decode)
        notes += more
    return Settled(filters=filters, notes=tuple(notes))


def _deinterlaced(filters: Filters, source: Index, part: range, decode: Decode) -> tuple[Filters, list[str]]:
    without = replace(filters, deinterlace="")
    if not source.look.interlaced and not any(
        frame.interlaced_frame
        for frames in spread_frames(source, part, decode, IN_A_ROW, PLACES_OF_FIELDS)
        for frame in frames
    ):
        return without, []
    if abs(source.rate - TELEVISION) > 0.01:
        return filters, []
    seen = [is_telecined(frames) for frames in spread_frames(source, part, decode, LOOKED_AT, PLACES_OF_TELECINE)]
    moving = [one for one in seen if one is not None]
    if not moving or sum(moving) < MOSTLY * len(moving):
        return filters, []
    note = (
        "The video is film with repeated fields (telecine), which deinterlace='auto' leaves as it is. "
        "vf='fieldmatch,decimate' brings back the frames of the film."
    )
    return without, [note]


def _cropped(filters: Filters, source: Index, part: range, decode: Decode) -> tuple[Filters, list[str]]:
    look = source.look
    full_range = look.pix_fmt.startswith("yuvj") or (look.colour is not None and look.colour.full_range)
    uncropped = replace(filters, crop="")
    found = joined(lit_area(frame, full_range) for frames in spread_frames(source, part, decode) for frame in frames)
    if found is None:
        return uncropped, ["crop='auto' crops nothing: all frames that were looked at are black."]
    keeps_fields = look.interlaced and not filters.deinterlace
    area = without_bars(found, look.width, look.height, ROWS_OF_FIELDS if keeps_fields else 2)
    if (area.width, area.height) == (look.width, look.height):
        return uncropped, []
    if not is_plausible(area, look.width, look.height):
        note = (
            f"crop='auto' crops nothing: only {area.width}x{area.height} pixels of {look.width}x{look.height} are not "
            "black, which looks like a dark video without bars. Name the part to keep: crop='WIDTH:HEIGHT:X:Y'."
        )
        return uncropped, [note]
    crop = area_as_shown(look, area.width, area.height, area.left, area.top)
    return replace(filters, crop=crop), [f"The black bars are cropped off: crop={crop}."]
