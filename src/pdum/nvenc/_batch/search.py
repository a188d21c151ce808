"""The search for the quality value of one file: few tries, and the highest value that reaches a target."""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST_STEP = 4
PATIENCE = 5
"""Tries after which scores are no longer trusted to lie on a curve."""
TOLERANCE = {"xpsnr": 0.1, "ssim": 0.0005}
"""A target is met well enough by what is better by no more than this."""


@dataclass(frozen=True, kw_only=True)
class Target:
    metric: str
    wanted: float

    @classmethod
    def of(cls, text: str) -> Target:
        """``"xpsnr=40"``, which has been checked."""
        metric, _, wanted = text.partition("=")
        return cls(metric=metric, wanted=float(wanted))

    def __str__(self) -> str:
        return f"{self.metric} {self.wanted:g}" + (" dB" if self.metric == "xpsnr" else "")


@dataclass(kw_only=True)
class Search:
    """Over whole quality values from ``best``, the lowest, to ``worst``. Scores fall as values rise."""

    target: Target
    best: int
    worst: int
    start: int
    tried: dict[int, float] = field(default_factory=dict)

    def tell(self, value: int, score: float) -> None:
        self.tried[value] = score

    @property
    def reached(self) -> int | None:
        """The highest value known to reach the target, below the lowest that does not."""
        good = [value for value, score in self.tried.items() if score >= self.target.wanted and value < self._missed]
        return max(good, default=None)

    @property
    def _missed(self) -> int:
        return min((value for value, score in self.tried.items() if score < self.target.wanted), default=self.worst + 1)

    @property
    def next_value(self) -> int | None:
        """To be tried next; None: the search is over."""
        good, bad = self.reached, self._missed
        if not self.tried:
            return min(max(self.start, self.best), self.worst)
        if good is None:
            return None if bad == self.best else max(self.best, bad - self._step())
        if bad - good <= 1 or self.tried[good] - self.target.wanted <= TOLERANCE[self.target.metric]:
            return None
        if bad > self.worst:
            return min(self.worst, good + self._step())
        return min(max(self._between(good, bad), good + 1), bad - 1)

    def _step(self) -> int:
        """As long as all are on one side: as far as the outermost two say, but no more than twice as far each time.

        After some tries as far as that, whatever they say: noise must not make many small steps.
        """
        most = int(FIRST_STEP * 2 ** len(self.tried))
        down = self.reached is None
        outer, *others = sorted(self.tried, reverse=not down)
        if not others:
            return FIRST_STEP
        gain = (self.tried[outer] - self.tried[others[0]]) * (1 if down else -1)
        slope = gain / abs(outer - others[0])
        far = abs(self.tried[outer] - self.target.wanted)
        return int(far / slope) + 1 if len(self.tried) <= PATIENCE and slope * most > far else most

    def _between(self, good: int, bad: int) -> int:
        """Where a line through both meets the target; after some tries the middle, which always gets there."""
        if len(self.tried) > PATIENCE:
            return (good + bad) // 2
        high, low = self.tried[good], self.tried[bad]
        return good + int((high - self.target.wanted) / (high - low) * (bad - good))
