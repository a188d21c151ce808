"""The stretches of a video that several decoders can take in turn. Each begins with a key frame."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from .source import Index, Key

SHORTEST = 24
"""Frames. To begin a stretch costs a decoder about as much as a few frames."""


@dataclass(frozen=True)
class Stretch:
    """Frames from ``first`` to before ``last``."""

    first: int
    last: int
    begin: Key
    end: Key | None
    """The key frame that follows it; None at the end of the video."""


class Stretches:
    """A video's stretches in order. Groups of pictures that are very short are taken together.

    Empty for a video that one decoder has to decode: it is damaged, or has no frame times.
    """

    def __init__(self, index: Index, shortest: int = SHORTEST) -> None:
        self._keys: list[Key] = []
        self.frames = index.frames
        for key in () if index.straight or index.careful else index.keys:
            if not self._keys or key.frame - self._keys[-1].frame >= shortest:
                self._keys.append(key)
        self._starts = [key.frame for key in self._keys]

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, number: int) -> Stretch:
        key = self._keys[number]
        end = self._keys[number + 1] if number + 1 < len(self._keys) else None
        return Stretch(key.frame, self.frames if end is None else end.frame, key, end)

    @property
    def mean(self) -> float:
        """The mean length of a stretch, in frames."""
        return self.frames / max(1, len(self._keys))

    def of(self, frame: int) -> int:
        """The number of the stretch that has the frame."""
        return bisect_right(self._starts, frame) - 1

    def after(self, frame: int) -> int | None:
        """The number of the first stretch that begins after the frame; None if there is none."""
        number = bisect_right(self._starts, frame)
        return number if number < len(self._starts) else None
