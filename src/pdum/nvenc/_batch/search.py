"""The search for one file's quality value: the highest value that reaches a target, with few tries."""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST_STEP = 4
PATIENCE = 5
"""After this many tries, the search no longer assumes that scores lie on a curve."""
TOLERANCE = {"xpsnr": 0.1, "ssim": 0.0005}
"""The search ends with a score that is above the target by no more than this."""


@dataclass(frozen=True, kw_only=True)
class Target:
    metric: str
    wanted: float

    @classmethod
    def of(cls, text: str) -> Target:
        """A target from a text such as ``"xpsnr=40"``, which was checked before."""
        metric, _, wanted = text.partition("=")
        return cls(metric=metric, wanted=float(wanted))

    def __str__(self) -> str:
        return f"{self.metric} {self.wanted:g}" + (" dB" if self.metric == "xpsnr" else "")


@dataclass(kw_only=True)
class Search:
    """Searches whole quality values from ``best``, the lowest, to ``worst``. Scores fall as values rise."""

    target: Target
    best: int
    worst: int
    start: int
    tried: dict[int, float] = field(default_factory=dict)

    def add_score(self, value: int, score: float) -> None:
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
        """The value to try next; None if the search is over."""
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
        """The next step while all tried values are on one side of the target: the slope of the outermost two values
        decides, but a step is at most twice as long as the one before.

        After PATIENCE tries the step has that length in any case, so that noise cannot cause many small steps.
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
        """The value where a line through both meets the target. After PATIENCE tries the middle, which always ends."""
        if len(self.tried) > PATIENCE:
            return (good + bad) // 2
        high, low = self.tried[good], self.tried[bad]
        return good + int((high - self.target.wanted) / (high - low) * (bad - good))
