"""Looks at some frames that are spread over a source, without decoding all of it if its key frames allow that."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import islice
from typing import Any

from .source import Index

PLACES = 32
ENOUGH_KEY_FRAMES = 3 / 8
"""Key frames that are needed for each place. With fewer, the part is decoded from one end to the other."""
Decode = Callable[[int], Generator[Any, None, None]]
"""Gives the frames of the source from this number on."""


def spread_frames(
    source: Index, part: range, decode: Decode, in_a_row: int = 1, places: int = PLACES
) -> Iterator[list[Any]]:
    """Frames of this part of the source, so many in a row at each of some places."""
    last = max(0, len(part) - in_a_row)
    starts = sorted({part[number * last // (places - 1)] for number in range(places)})
    keys = sorted({source.key_for(start).frame for start in starts}) if source.keys else []
    keys = [key for key in keys if key >= part.start]
    if source.straight or len(keys) < ENOUGH_KEY_FRAMES * places:
        yield from _on_the_way(part, decode, starts, in_a_row)
        return
    for key in keys:
        with closing(decode(key)) as frames:
            yield list(islice(frames, min(in_a_row, part.stop - key)))


def _on_the_way(part: range, decode: Decode, starts: list[int], in_a_row: int) -> Iterator[list[Any]]:
    """Runs of frames may overlap."""
    open_runs: dict[int, list[Any]] = {}
    with closing(decode(part.start)) as frames:
        for number, frame in zip(part, frames, strict=False):
            if number in starts:
                open_runs[number] = []
            for run in open_runs.values():
                run.append(frame)
            if len(open_runs.get(number - in_a_row + 1, ())) == in_a_row:
                yield open_runs.pop(number - in_a_row + 1)
    yield from open_runs.values()
