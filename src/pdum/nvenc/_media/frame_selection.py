"""Which frames of a source are kept, and at which times they are shown: trimming, and another frame rate."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from .._config.filters import Filters
from .._errors import InvalidConfig
from .containers import nearest
from .source import Index, Key
from .span import Span


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The frames of the result. ``numbers``: for each, the number of the source's frame which it shows."""

    index: Index
    numbers: Sequence[int]
    span: Span | None = None
    """What is kept of the other streams; None: all."""


def select(source: Index, filters: Filters) -> Selection:
    """Raises InvalidConfig if no frame is left."""
    selection = Selection(index=source, numbers=range(source.frames))
    if filters.trim:
        selection = _trimmed(source, filters)
    if filters.rate is not None:
        selection = _at_rate(selection, filters.rate)
    return selection


def _trimmed(source: Index, filters: Filters) -> Selection:
    unit, start = source.time_base, source.pts[0]
    begin, end = filters.seconds
    first = bisect_left(source.pts, start + begin / unit)
    last = source.frames if end is None else bisect_left(source.pts, start + end / unit)
    if first >= last:
        raise InvalidConfig(
            f"Expected a part of the video, which is {source.duration:.3f} seconds long, got trim={filters.trim!r}, "
            "in which no frame begins."
        )
    moved = source.pts[first] - start
    at_end = last == source.frames
    index = replace(
        source,
        pts=[time - moved for time in source.pts[first:last]],
        keys=_keys(source, range(first, last)),
        last_duration=source.last_duration if at_end else source.pts[last] - source.pts[last - 1],
    )
    span = Span(
        begin=source.pts[first] * unit if first else None,
        end=None if at_end else source.pts[last] * unit,
        offset=moved * unit,
    )
    return Selection(index=index, numbers=range(first, last), span=span)


def _at_rate(before: Selection, rate: Fraction) -> Selection:
    """A frame begins at the nearest multiple of a frame's new length. If several begin there, the last one is shown."""
    index = before.index
    factor = index.time_base * rate
    places = [nearest(time * factor) for time in index.pts]
    end = max(nearest((index.pts[-1] + index.last_duration) * factor), places[0] + 1)
    numbers = []
    for number, (place, following) in enumerate(zip(places, [*places[1:], end], strict=True)):
        numbers += [before.numbers[number]] * (min(following, end) - place)
    made = replace(
        index,
        time_base=1 / rate,
        pts=range(places[0], end),
        keys=_keys(index, numbers),
        rate=rate,
        last_duration=1,
    )
    return replace(before, index=made, numbers=numbers)


def _keys(index: Index, numbers: Sequence[int]) -> Sequence[Key]:
    """The key frames of the source, by the number of the first frame that is made of it or of a later one."""
    found = {bisect_left(numbers, key.frame): key for key in reversed(index.keys)}
    return [replace(key, frame=frame) for frame, key in sorted(found.items()) if frame < len(numbers)]
