"""How a file's frames are divided into ranges, and whether the finished ranges fit together."""

from __future__ import annotations

import os
from itertools import pairwise

from .._errors import NvencError
from .._media.source import Index
from .._media.spool import Piece
from .._tasks import Plan

CORES_KEPT_BUSY = {"h264": 8, "hevc": 1, "av1": 1}
"""How many cores one software encoder keeps busy. Up to so many, a second range costs a key frame and gains nothing."""
GOOD_SECONDS = 2.0
"""Seconds of a range in software. For one second of video, lookahead and a key frame would cost too much."""
MANY_CORES = {"h264": 8, "hevc": 4, "av1": 8}
"""Cores for each encoder. With so many, ranges may be shorter than good ones, because most cores are idle then.
x264 keeps its eight cores busy, so it has no idle ones."""
SNAP = 8
"""A cut moves to a key frame of the source if one is nearer than this part of a range."""


def good_range(index: Index, codec: str, shortest: int) -> int:
    """The length of a range in software: the file gets as many ranges as its codec finds cores for."""
    cores = len(os.sched_getaffinity(0))
    good = max(1, round(index.rate * GOOD_SECONDS))
    parts = min(cores // CORES_KEPT_BUSY[codec], index.frames // good)
    at_least = min(cores // MANY_CORES[codec], index.frames // shortest)
    return max(shortest, index.frames // max(parts, at_least, 1))


def shortest_range(index: Index, is_slow: bool) -> int:
    """A range begins with decoding from a key frame of the source. About one group of pictures is decoded in vain,
    which is little compared with the time that a slow codec takes for a second."""
    if index.straight:
        return index.frames
    return max(8, round(index.rate), 0 if is_slow else index.frames // max(1, len(index.keys)))


def plan_of(index: Index, ranges: list[tuple[int, int]], segments: int | str, codec: str | None) -> Plan:
    """The plan for these ranges, divided as the caller wants it. ``codec``: software's; None: hardware encodes."""
    is_divided = isinstance(segments, int)
    if isinstance(segments, int) and not index.straight:
        ranges = divide(ranges, cuts(index, segments))
    shortest = shortest_range(index, codec not in (None, "h264"))
    return Plan(
        frames=index.frames,
        ranges=ranges,
        whole_ranges=is_divided or index.straight,
        width=index.look.width,
        height=index.look.height,
        fps=float(index.rate),
        duration=index.duration,
        shortest_range=shortest,
        good_range=shortest if codec is None else good_range(index, codec, shortest),
    )


def cuts(index: Index, segments: int) -> list[int]:
    """The first frames of ranges of about equal length: key frames of the source if there are any near."""
    length = index.frames / segments
    starts = sorted({key.frame for key in index.keys})
    found = []
    for number in range(1, segments):
        cut = round(number * length)
        near = min(starts, key=lambda start: abs(start - cut), default=cut)
        found.append(near if abs(near - cut) <= length / SNAP else cut)
    return sorted({cut for cut in found if 0 < cut < index.frames})


def divide(ranges: list[tuple[int, int]], at: list[int]) -> list[tuple[int, int]]:
    """The same frames, with further ranges that begin at these frames."""
    found = []
    for first, last in ranges:
        edges = [first, *(cut for cut in at if first < cut < last), last]
        found += list(pairwise(edges))
    return found


def require_whole(pieces: list[Piece], frames: int) -> None:
    """Raises unless the pieces have each frame once, in order."""
    at = 0
    for piece in pieces:
        if piece.first != at:
            raise NvencError(f"The ranges do not fit together: one begins at {piece.first} instead of {at}.")
        at = piece.last
    if at != frames:
        raise NvencError(f"{at} of {frames} frames are encoded.")
