"""Looks at some frames that are spread over a source, without decoding all of it if its key frames allow that."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import islice
from typing import Any

from .source import Index

PLACES = 32
ENOUGH_KEY_FRAMES = 12
"""With fewer, the source is decoded from one end of the part to the other."""
Decode = Callable[[int], Generator[Any, None, None]]
"""Gives the frames of the source from this number on."""


def spread_frames(source: Index, part: range, decode: Decode, at_each: int = 1) -> Iterator[Any]:
    """Frames of this part of the source, so many in a row at each place. A short part is looked at as a whole."""
    places = sorted({part[number * (len(part) - 1) // (PLACES - 1)] for number in range(PLACES)})
    keys = sorted({source.key_for(place).frame for place in places}) if source.keys else []
    keys = [key for key in keys if key >= part.start]
    if source.straight or len(keys) < ENOUGH_KEY_FRAMES:
        yield from _on_the_way(part, decode, {place + number for place in places for number in range(at_each)})
        return
    for key in keys:
        with closing(decode(key)) as frames:
            yield from islice(frames, min(at_each, part.stop - key))


def _on_the_way(part: range, decode: Decode, wanted: set[int]) -> Iterator[Any]:
    with closing(decode(part.start)) as frames:
        for number, frame in zip(part, frames, strict=False):
            if number in wanted:
                yield frame
