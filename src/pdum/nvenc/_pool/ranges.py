"""Ranges of frames. While one engine works through a range, others may take the part that it has not begun."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from threading import Lock


class FrameRange:
    """Frames from ``first`` to before ``last``, which are claimed in runs from the front.

    Whoever works on it claims; whoever has nothing to do takes a part of the unclaimed rest from the back. Each frame
    is claimed exactly once, whatever the order of calls from whatever threads.
    """

    __slots__ = ("_last", "_lock", "_next", "first")

    def __init__(self, first: int, last: int) -> None:
        if not 0 <= first < last:
            raise ValueError(f"Expected a range of at least one frame, got {first} to {last}.")
        self.first = first
        self._next = first
        self._last = last
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"FrameRange({self.first}, {self._last}, claimed to {self._next})"

    @property
    def last(self) -> int:
        return self._last

    @property
    def claimed(self) -> int:
        """The first frame that is not claimed."""
        return self._next

    @property
    def rest(self) -> int:
        """How many frames are not claimed."""
        return self._last - self._next

    def claim(self, most: int) -> tuple[int, int]:
        """Claims the next frames, at most ``most``; an empty range at the end."""
        with self._lock:
            begin = self._next
            self._next = min(begin + most, self._last)
            return begin, self._next

    def steal(self, share: float = 0.5, shortest: int = 1, behind: int = 0, before: int = 0) -> FrameRange | None:
        """A range from the back, so long that with it the thief has that share of all that is to be done; None where
        that is too short.

        ``behind``: how many claimed frames are still to be done by the owner, who keeps at least one more; ``before``:
        how many other ones by the thief.
        """
        with self._lock:
            rest = self._last - self._next
            taken = min(round((rest + behind + before) * share) - before, rest - 1)
            if taken < max(shortest, 1):
                return None
            middle = self._last - taken
            stolen = FrameRange(middle, self._last)
            self._last = middle
            return stolen

    def cut(self) -> FrameRange | None:
        """Takes all of the unclaimed rest; None if there is none, or if nothing was claimed."""
        with self._lock:
            if self._next in (self.first, self._last):
                return None
            rest = FrameRange(self._next, self._last)
            self._last = self._next
            return rest


def divided(first: int, last: int, parts: int, shortest: int = 1) -> list[tuple[int, int]]:
    """Divides the range into parts of equal length; into fewer if they would be too short."""
    frames = last - first
    parts = max(1, min(parts, frames // max(shortest, 1)))
    bounds = [first + frames * part // parts for part in range(parts + 1)]
    return list(pairwise(bounds))


def gaps(ranges: Iterable[tuple[int, int]], frames: int) -> str | None:
    """Says what is wrong if the ranges are not in order, disjoint and within the video; else None."""
    end = 0
    for first, last in ranges:
        if not end <= first < last <= frames:
            return f"The range from {first} to {last} does not follow frame {end}, in a video of {frames} frames."
        end = last
    return None
