"""The search for one file's quality value: the highest value that reaches a target, with few tries."""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST_STEP = 4
PATIENCE = 5
"""After this many tries, the search no longer assumes that scores lie on a curve."""


@dataclass(kw_only=True)
class Search:
    """Searches whole quality values from ``best``, the lowest, to ``worst``, for the highest whose score is at least
    ``wanted``. Scores fall as values rise. It ends with a score that is above by no more than ``tolerance``."""

    wanted: float
    tolerance: float
    best: int
    worst: int
    start: int
    usual_fall: float = 0.0
    """By how much scores usually fall from one value to the next; 0: not known."""
    tried: dict[int, float] = field(default_factory=dict)

    def add_score(self, value: int, score: float) -> None:
        self.tried[value] = score

    @property
    def reached(self) -> int | None:
        """The highest value known to reach the target, below the lowest that does not."""
        good = [value for value, score in self.tried.items() if score >= self.wanted and value < self._missed]
        return max(good, default=None)

    @property
    def _missed(self) -> int:
        return min((value for value, score in self.tried.items() if score < self.wanted), default=self.worst + 1)

    @property
    def next_value(self) -> int | None:
        """The value to try next; None if the search is over."""
        good, bad = self.reached, self._missed
        if not self.tried:
            return min(max(self.start, self.best), self.worst)
        if good is None:
            return None if bad == self.best else max(self.best, bad - self._step())
        if bad - good <= 1 or self.tried[good] - self.wanted <= self.tolerance:
            return None
        if bad > self.worst:
            return min(self.worst, good + self._step())
        return min(max(self._between(good, bad), good + 1), bad - 1)

    def _step(self) -> int:
        """The next step while all tried values are on one side of the target: the slope of the outermost two values
        decides, but a step is at most twice as long as the one before.

        After PATIENCE tries the step has that length in any case, so that noise cannot cause many small steps.
        """
        most = int(FIRST_STEP * 2 ** len(self.tried))
        down = self.reached is None
        outer, *others = sorted(self.tried, reverse=not down)
        if not others:
            far = abs(self.tried[outer] - self.wanted)
            return int(far / self.usual_fall) + 1 if self.usual_fall else FIRST_STEP
        gain = (self.tried[outer] - self.tried[others[0]]) * (1 if down else -1)
        slope = gain / abs(outer - others[0])
        far = abs(self.tried[outer] - self.wanted)
        return int(far / slope) + 1 if len(self.tried) <= PATIENCE and slope * most > far else most

    def _between(self, good: int, bad: int) -> int:
        """The value where a line through both meets the target. After PATIENCE tries the middle, which always ends."""
        if len(self.tried) > PATIENCE:
            return (good + bad) // 2
        high, low = self.tried[good], self.tried[bad]
        return good + int((high - self.wanted) / (high - low) * (bad - good))
