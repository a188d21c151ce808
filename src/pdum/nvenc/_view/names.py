"""What tells the files of a run apart, so that names that are cut stay different."""

from __future__ import annotations

from bisect import bisect_left

WORD = 8
"""A part is widened to whole words, but by no more characters than these at each end."""


class Names:
    """The names of a run's files.

    What is added is sorted when it is next asked about, which is quick: most of it is sorted already.
    """

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}
        """For each name, the folder that had it first."""
        self._shared: set[str] = set()
        """Names that files of several folders have."""
        self._shown: set[str] = set()
        self._sorted: list[str] = []
        self._sorted_by_ends: list[str] = []
        self._is_sorted = True

    def add(self, name: str, folder: str) -> None:
        first = self._folders.setdefault(name, folder)
        if first != folder and name not in self._shared:
            self._shared.add(name)
            self._show(self.label(name, first))
        self._show(self.label(name, folder))

    def label(self, name: str, folder: str) -> str:
        """The name, with its folder's own name before it if files of several folders have that name."""
        return f"{folder.rpartition('/')[2]}/{name}" if name in self._shared else name

    def differences(self, label: str) -> tuple[int, int] | None:
        """Two characters of the label that tell it from all others; None if it is the only one.

        The characters up to the first number are not the beginning of any other label, those from the second number on
        are not the end of any other. The second may be the smaller number.
        """
        if len(self._shown) < 2 or label not in self._shown:
            return None
        if not self._is_sorted:
            self._sorted.sort()
            self._sorted_by_ends.sort()
            self._is_sorted = True
        first = _shared_with_neighbours(self._sorted, label)
        last = len(label) - 1 - _shared_with_neighbours(self._sorted_by_ends, label[::-1])
        return min(first, len(label) - 1), max(last, 0)

    def _show(self, label: str) -> None:
        if label not in self._shown:
            self._shown.add(label)
            self._sorted.append(label)
            self._sorted_by_ends.append(label[::-1])
            self._is_sorted = False


def _shared_with_neighbours(labels: list[str], label: str) -> int:
    """How many characters at its beginning the label shares with another one of the sorted labels."""
    place = bisect_left(labels, label)
    neighbours = labels[max(0, place - 1) : place] + labels[place + 1 : place + 2]
    return max(_shared(label, other) for other in neighbours)


def _shared(one: str, other: str) -> int:
    """How many characters both have at their beginning."""
    shorter = min(len(one), len(other))
    return next((place for place in range(shorter) if one[place] != other[place]), shorter)


def whole_words(text: str, part: range) -> range:
    """The part of the text, widened to the ends of its words."""
    first, end = part.start, part.stop
    while first > max(0, part.start - WORD) and text[first - 1].isalnum():
        first -= 1
    while end < min(len(text), part.stop + WORD) and text[end].isalnum():
        end += 1
    return range(first, end)
