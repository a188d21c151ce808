"""What ``crop="auto"`` and ``deinterlace="auto"`` mean for one source, by frames that are spread over it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from .._config.filter_words import AUTO
from .._config.filters import Filters
from .black_bars import Area, is_plausible, joined, lit_area, without_bars
from .decode import frames_from
from .filter_chain import area_as_shown
from .frame_selection import select
from .look import Look
from .source import Index, index_source
from .spread_frames import Decode, spread_frames

ROWS_OF_FIELDS = 4
"""A crop of interlaced 4:2:0 begins and ends at such a row, so that each field keeps its own colour."""
IN_A_ROW = 3
"""Frames that are looked at in one place to see whether any is interlaced."""


@dataclass(frozen=True, kw_only=True)
class Settled:
    """Filters that no longer depend on the source. ``notes``: what was found, for people."""

    filters: Filters
    notes: tuple[str, ...] = ()


def settled(filters: Filters, source: Index, part: range, decode: Decode) -> Settled:
    """``part``: the frames that are kept."""
    if filters.deinterlace == AUTO and not source.look.interlaced:
        is_needed = any(frame.interlaced_frame for frame in spread_frames(source, part, decode, IN_A_ROW))
        filters = filters if is_needed else replace(filters, deinterlace="")
    if filters.crop != AUTO:
        return Settled(filters=filters)
    look = source.look
    full_range = look.pix_fmt.startswith("yuvj") or (look.colour is not None and look.colour.full_range)
    area = joined(lit_area(frame, full_range) for frame in spread_frames(source, part, decode))
    return _cropped(filters, look, area)


def settled_for(path: Path, filters: Filters) -> Settled:
    """The same for a file of which nothing is known yet."""
    source = index_source(path)
    numbers = select(source, filters).numbers
    return settled(
        filters, source, range(numbers[0], numbers[-1] + 1), lambda number: frames_from(path, source, number)
    )


def _cropped(filters: Filters, look: Look, found: Area | None) -> Settled:
    uncropped = replace(filters, crop="")
    if found is None:
        note = "crop='auto' crops nothing: all frames that were looked at are black."
        return Settled(filters=uncropped, notes=(note,))
    keeps_fields = look.interlaced and not filters.deinterlace
    area = without_bars(found, look.width, look.height, ROWS_OF_FIELDS if keeps_fields else 2)
    if (area.width, area.height) == (look.width, look.height):
        return Settled(filters=uncropped)
    if not is_plausible(area, look.width, look.height):
        note = (
            f"crop='auto' crops nothing: only {area.width}x{area.height} pixels of {look.width}x{look.height} are not "
            "black, which looks like a dark video without bars. Name the part to keep: crop='WIDTH:HEIGHT:X:Y'."
        )
        return Settled(filters=uncropped, notes=(note,))
    crop = area_as_shown(look, area.width, area.height, area.left, area.top)
    note = f"The black bars are cropped off: crop={crop}."
    return Settled(filters=replace(filters, crop=crop), notes=(note,))
