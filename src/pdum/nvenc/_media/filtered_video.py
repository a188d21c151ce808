"""A source's video behind filters: which frames there are then, at which times, and how they are made."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from .._config.filters import Filters
from .._errors import NvencError
from .filter_chain import chain_of
from .filter_graph import FilterGraph, FrameTiming
from .frame_selection import select
from .look import Look, stored_as
from .source import Index

MIXES_FIELDS = re.compile(r"scale|transpose|vflip")
Decode = Callable[[int], Generator[Any, None, None]]
"""Gives the frames of the source from this number on."""


class FilteredVideo:
    """What the filters make of a source.

    Args:
        source: the index of the source.
        first: some of its first frames, by which the filters are tried.

    Raises:
        InvalidConfig: the filters do not work with this source.
    """

    def __init__(self, source: Index, filters: Filters, first: Sequence[Any]) -> None:
        self.source = source
        self._filters = filters
        self._chain = chain_of(filters, source.look, filters.crop_area)
        selection = select(source, filters)
        self._numbers = selection.numbers
        self.span = selection.span
        """What is kept of the other streams; None: all."""
        self.index = self._tried(selection.index, first)

    @property
    def runs_on_host(self) -> bool:
        """Whether frames must come from the processor's decoder."""
        return bool(self._chain.text)

    @property
    def begins_at(self) -> int:
        """The frame of the source at which decoding begins."""
        return self._numbers[0]

    def frames(self, first: int, decode: Decode) -> Generator[Any, None, None]:
        """The frames of the result from this number on."""
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
            if not self.runs_on_host:
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
            raise NvencError(f"The filters {self._chain.text!r} kept {len(waiting)} frames for themselves.")

    def _graph(self, like: Any) -> FilterGraph:
        look = self.source.look
        timing = FrameTiming(time_base=self.source.time_base, rate=self.source.rate, aspect=look.sample_aspect_ratio)
        return FilterGraph(self._chain.text, like, timing)

    def _tried(self, index: Index, first: Sequence[Any]) -> Index:
        """The index behind the filters, which make some frames for that."""
        if not self.runs_on_host:
            return index
        made = [frame for _, frame in self._through(enumerate(first))]
        warnings = [*index.warnings]
        if self.source.look.interlaced and not self._filters.deinterlace and MIXES_FIELDS.search(self._chain.text):
            warnings.append(
                "The source is interlaced, and the filters mix its two fields. deinterlace='auto' makes whole pictures "
                "of them first."
            )
        return replace(index, look=self._look_behind(made[0]), warnings=tuple(warnings))

    def _look_behind(self, frame: Any) -> Look:
        chroma, depth, exact = stored_as(frame.format)
        shape, look = self._chain.shape, self.source.look
        return replace(
            look, width=frame.width, height=frame.height, sample_aspect_ratio=shape.aspect, matrix=shape.matrix,
            pix_fmt=frame.format.name, chroma=chroma, depth=depth, exact=exact and look.exact,
            interlaced=look.interlaced and not self._filters.deinterlace,
        )  # fmt: skip
