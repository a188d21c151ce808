"""Which quality value a file gets: the highest that reaches a target, or a higher one if the result is too big."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, exp, log

from .._config.targets import Target
from .._errors import TargetOutOfReach
from .._text import size
from .search import Search

ROOM = 0.98
"""The part of the largest size that a prediction may reach, because predictions are not exact."""
NEAR_ENOUGH = 0.05
"""A search for a size ends at a size that is below the limit by no more than this part."""
VALUES_FOR_HALF = 6.0
"""By how much a value must rise for half the size, if nothing better is known."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """The outcome of one value. ``size`` is that of the whole result."""

    size: int
    score: float | None = None


@dataclass(kw_only=True)
class QualityChoice:
    """``next_value`` says what to try next, ``add`` takes the outcome, and ``chosen`` is the answer.

    ``start`` is the quality that was asked for. Without a target it stays if the result is small enough.
    """

    target: Target | None
    max_size: int
    start: int
    worst: int
    tried: dict[int, Tried] = field(default_factory=dict)

    def add(self, value: int, what: Tried) -> None:
        self.tried[value] = what

    @property
    def next_value(self) -> int | None:
        """The value to try next; None if the search is over."""
        by_score = self._by_score()
        if by_score is not None:
            if by_score.next_value is not None:
                return by_score.next_value
            if by_score.reached is None:
                return None
        first = self._first(by_score)
        if first not in self.tried:
            return first
        by_size = self._by_size(first)
        wanted = None if by_size is None else by_size.next_value
        return None if wanted is None else self._mirrored(wanted)

    def chosen(self) -> int:
        """Raises TargetOutOfReach if no value will do."""
        by_score = self._by_score()
        if by_score is not None and by_score.reached is None:
            assert self.target is not None
            best = max(one.score or 0.0 for one in self.tried.values())
            raise TargetOutOfReach(
                f"{self.target} cannot be reached: the best quality value gives {best:.4g}. "
                "Lower the target, choose another codec (-c), or use --lossless."
            )
        first = self._first(by_score)
        by_size = self._by_size(first)
        if by_size is None:
            return first
        if by_size.reached is None:
            raise TargetOutOfReach(
                f"The result cannot be as small as {size(self.max_size)}: the lowest quality gives about "
                f"{size(min(one.size for one in self.tried.values()))}. Allow more (--max-size), make the picture "
                "smaller (--scale), or reduce the sound (-a 96k)."
            )
        return self._mirrored(by_size.reached)

    def corrected(self, value: int, actual: int) -> int | None:
        """A value for a result that came out too big with this one; None if there is none."""
        if value >= self.worst:
            return None
        step = ceil(log(actual / (ROOM * self.max_size)) / self._fall_of_size())
        return min(self.worst, value + max(1, step))

    def predicted(self, value: int) -> int:
        """The size with a value, which may not have been tried itself."""
        if value in self.tried:
            return self.tried[value].size
        near = min(self.tried, key=lambda one: abs(one - value))
        return round(self.tried[near].size * exp(self._fall_of_size() * (near - value)))

    def _fall_of_size(self) -> float:
        """How much the logarithm of the size falls when the value rises by one."""
        low, high = min(self.tried), max(self.tried)
        if low == high:
            return log(2) / VALUES_FOR_HALF
        return max(log(self.tried[low].size / self.tried[high].size) / (high - low), 0.02)

    def _by_score(self) -> Search | None:
        if self.target is None:
            return None
        search = Search(
            wanted=self.target.wanted, tolerance=self.target.tolerance, best=1, worst=self.worst, start=self.start
        )
        for value, one in self.tried.items():
            search.add_score(value, one.score or 0.0)
        return search

    def _first(self, by_score: Search | None) -> int:
        """The value that it would be if the size did not matter."""
        reached = None if by_score is None else by_score.reached
        return min(max(self.start, 1), self.worst) if reached is None else reached

    def _by_size(self, first: int) -> Search | None:
        """A search among higher values, in mirrored numbers: the size falls when a value rises."""
        if not self.max_size:
            return None
        most = self._mirrored(first)
        search = Search(
            wanted=-log(ROOM * self.max_size),
            tolerance=NEAR_ENOUGH,
            best=1,
            worst=most,
            start=most,
            usual_fall=log(2) / VALUES_FOR_HALF,
        )
        for value, one in self.tried.items():
            if value >= first:
                search.add_score(self._mirrored(value), -log(max(one.size, 1)))
        return search

    def _mirrored(self, value: int) -> int:
        return self.worst + 1 - value
