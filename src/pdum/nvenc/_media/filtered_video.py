"""A source's video behind filters: its frames, their times, and how they are made."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from itertools import islice, pairwise
from math import inf
from typing import Any

from .._config.filters import Filters
from .._errors import InvalidConfig, NvencError
from .alpha_plane import has_alpha
from .av import time_base
from .filter_chain import chain_of, gives_one_for_one
from .filter_graph import FilterGraph, FrameTiming, aspect_behind
from .frame_selection import select
from .look import Look, colour_of, stored_as
from .settled_filters import settled
from .source import Index
from .spread_frames import Decode

MOST_FRAMES, MOST_FOR_ONE = 10_000, 240
"""If filters give more frames than both of these (in all, and for each source frame), they never end."""
MIXES_FIELDS = re.compile(r"scale|transpose|vflip")


class FilteredVideo:
    """What the filters make of a source.

    Args:
        source: the index of the source.
        first: some of its first frames, by which the filters are tried.
        decode: gives the source's frames, for filters whose number of frames is not known before.

    Raises:
        InvalidConfig: the filters do not work with this source.
    """

    def __init__(self, source: Index, filters: Filters, first: Sequence[Any], decode: Decode) -> None:
        self.source = source
        selection = select(source, filters)
        part = range(selection.numbers[0], selection.numbers[-1] + 1)
        found = settled(filters, source, part, decode)
        self.filters = filters = found.filters
        """The filters, without "auto"."""
        self.notes = found.notes
        """What was found out about the source for them."""
        self._chain = chain_of(filters, source.look)
        self._graph_for_all = filters.vf if filters.vf and not gives_one_for_one(filters.vf) else ""
        """Filters that need all frames in their order."""
        self._numbers = selection.numbers
        self.span = selection.span
        """What is kept of the other streams; None: all."""
        self._selected = self.index = self._tried(selection.index, first)
        if self._graph_for_all:
            self.index = self._counted(decode)

    @property
    def runs_on_host(self) -> bool:
        """Whether frames must come from the processor's decoder."""
        return bool(self._chain.text or self._graph_for_all)

    @property
    def begins_at(self) -> int:
        """The frame of the source at which decoding begins."""
        return self._numbers[0]

    def needed_for(self, last: int) -> int:
        """How many of the source's frames it takes to make the frames before ``last``."""
        if self._graph_for_all or not last:
            return self.source.frames
        return self._numbers[min(last, len(self._numbers)) - 1] + 1

    def frames(self, first: int, decode: Decode) -> Generator[Any, None, None]:
        """The frames of the result from this number on."""
        if not self._graph_for_all:
            yield from self._selected_from(first, decode)
            return
        with closing(self._selected_from(0, decode)) as frames:
            yield from islice(self._through_all(frames), first, None)

    def _through_all(self, frames: Iterator[Any]) -> Iterator[Any]:
        graph: FilterGraph | None = None
        for number, frame in enumerate(frames):
            graph = graph or FilterGraph(self._graph_for_all, frame, self._timing_for_all())
            yield from graph.push(frame, self._selected.pts[number])
        if graph is not None:
            yield from graph.rest()

    def _timing_for_all(self) -> FrameTiming:
        index = self._selected
        return FrameTiming(time_base=index.time_base, rate=index.rate, aspect=index.look.sample_aspect_ratio)

    def _counted(self, decode: Decode) -> Index:
        """The index behind filters that may give any number of frames: they are run once to find out."""
        before, times = self._selected, []
        first: Any = None
        last: Any = None
        with closing(self._selected_from(0, decode)) as frames:
            for last in self._through_all(frames):
                first = first or last
                times.append(last.pts)
                if len(times) > MOST_FRAMES + MOST_FOR_ONE * before.frames:
                    raise InvalidConfig(f"vf={self.filters.vf!r} gives frames without end. Use other filters.")
        if first is None or any(one is None or one >= other for one, other in pairwise([*times, inf])):
            what = "leaves no frame" if first is None else "gives frames whose times do not rise"
            raise InvalidConfig(f"vf={self.filters.vf!r} {what} of this video. Use other filters.")
        unit, look = time_base(first), self._look_behind(before.look, first)
        with closing(self._selected_from(0, decode)) as frames:
            look = replace(
                look, sample_aspect_ratio=aspect_behind(self._graph_for_all, next(frames), self._timing_for_all())
            )
        step = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 1 / float(before.rate * unit)
        return replace(
            before, pts=times, time_base=unit, keys=(), straight=True, look=look,
            rate=_rate(1 / Fraction(step) / unit, before.rate), last_duration=last.duration or max(1, round(step)),
            warnings=(*before.warnings, "One engine encodes the whole file: vf may make a frame of several frames."),
        )  # fmt: skip

    def _selected_from(self, first: int, decode: Decode) -> Generator[Any, None, None]:
        begin = self._numbers[first]
        with closing(self._made_from(begin, decode)) as coming:
            number, frame = -1, None
            for wanted in self._numbers[first:]:
                while number < wanted:
                    number, frame = next(coming, (self.source.frames, None))
                if frame is None:
                    return
                yield frame

    def _made_from(self, begin: int, decode: Decode) -> Generator[tuple[int, Any], None, None]:
        """Frames behind the filters, each with the number of the source's frame that it is made of."""
        start = max(0, begin - self._chain.looks_back)
        with closing(decode(start)) as frames:
            numbered = ((number, frame) for number, frame in enumerate(frames, start))
            if not self._chain.text:
                yield from numbered
                return
            yield from ((number, frame) for number, frame in self._through(numbered) if number >= begin)

    def _through(self, frames: Iterator[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
        graph: FilterGraph | None = None
        waiting: deque[int] = deque()
        for number, frame in frames:
            graph = graph or self._graph(frame)
            waiting.append(number)
            for made in graph.push(frame, self.source.pts[number]):
                yield waiting.popleft(), made
        if graph is not None:
            for made in graph.rest():
                yield waiting.popleft(), made
        if waiting:
            raise NvencError(f"The filters {self._chain.text!r} did not return {len(waiting)} frames.")

    def _graph(self, like: Any) -> FilterGraph:
        look = self.source.look
        timing = FrameTiming(time_base=self.source.time_base, rate=self.source.rate, aspect=look.sample_aspect_ratio)
        return FilterGraph(self._chain.text, like, timing)

    def _tried(self, index: Index, first: Sequence[Any]) -> Index:
        """The index behind the filters, which make some frames for that."""
        if not self._chain.text:
            return index
        made = [frame for _, frame in self._through(enumerate(first))]
        warnings = [*index.warnings]
        mixes_fields = self._chain.swaps_fields or MIXES_FIELDS.search(self._chain.text)
        if self.source.look.interlaced and not self.filters.deinterlace and mixes_fields:
            warnings.append(
                "The source is interlaced, and the filters mix its two fields. deinterlace='auto' makes whole pictures "
                "of them first."
            )
        return replace(index, look=self._look_of(first[0], made[0]), warnings=tuple(warnings))

    def _look_of(self, before: Any, made: Any) -> Look:
        shape = self._chain.shape
        look = replace(self.source.look, sample_aspect_ratio=shape.aspect, matrix=shape.matrix)
        if self.filters.vf and not self._graph_for_all:
            timing = FrameTiming(
                time_base=self.source.time_base, rate=self.source.rate, aspect=self.source.look.sample_aspect_ratio
            )
            look = replace(look, sample_aspect_ratio=aspect_behind(self._chain.text, before, timing))
        return self._look_behind(look, made)

    def _look_behind(self, look: Look, frame: Any) -> Look:
        """The look behind the filters, with what the frame itself tells."""
        chroma, depth, exact = stored_as(frame.format)
        colour = look.colour
        if self.filters.vf:
            colour = None if frame.format.is_rgb else colour_of(frame, frame) or colour
        made = replace(
            look, width=frame.width, height=frame.height, pix_fmt=frame.format.name,
            chroma=chroma, depth=depth, exact=exact and look.exact, colour=colour,
            interlaced=look.interlaced and not self.filters.deinterlace, gives_alpha=has_alpha(frame),
        )  # fmt: skip
        if self.filters.vf:
            made = replace(made, interlaced=made.interlaced and frame.interlaced_frame)
        if colour is not None and look.colour is not None and colour.native()[1] != look.colour.native()[1]:
            made = replace(made, mastering_display=None, content_light=None, dynamic_hdr=None)
        return made


def _rate(found: Fraction, before: Fraction) -> Fraction:
    """The rate before the filters, or half or double of it, if the times are only rounded."""
    near = [rate for rate in (before, before / 2, before * 2) if abs(found - rate) < rate / 100]
    return near[0] if near else max(Fraction(1, 100), min(Fraction(1000), found.limit_denominator(1001)))
