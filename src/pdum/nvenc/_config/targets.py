"""What a result must reach: a lowest score, and a largest size."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .._errors import InvalidConfig


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A way to compare a result with its source. Higher scores are better."""

    least: float
    most: float
    unit: str
    tolerance: float
    """A search ends with a score that is above the target by no more than this."""


METRICS = {
    "vmaf": Metric(least=10, most=99.5, unit="", tolerance=0.25),
    "xpsnr": Metric(least=10, most=99, unit=" dB", tolerance=0.1),
    "ssim": Metric(least=0.3, most=0.99999, unit="", tolerance=0.0005),
}
EXAMPLES = "'vmaf=95' (10 to 99.5), 'xpsnr=40' (decibels, 10 to 99) or 'ssim=0.98' (0.3 to 0.99999)"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A score of a metric."""

    metric: str
    wanted: float

    @classmethod
    def of(cls, value: object, name: str = "target") -> Target:
        """A target from a text such as ``"xpsnr=40"``. Raises InvalidConfig for one that cannot be right."""
        metric, _, number = str(value).lower().replace(":", "=").partition("=")
        metric = metric.strip()
        try:
            wanted = float(number)
        except ValueError:
            wanted = -1.0
        known = METRICS.get(metric)
        if known is None or not known.least <= wanted <= known.most:
            raise InvalidConfig(f"Expected {EXAMPLES}, got {name}={value!r}.")
        return cls(metric=metric, wanted=wanted)

    @property
    def text(self) -> str:
        """The text form, as settings have it."""
        return f"{self.metric}={self.wanted:g}"

    @property
    def tolerance(self) -> float:
        return METRICS[self.metric].tolerance

    def __str__(self) -> str:
        return self.score_text(self.wanted)

    def score_text(self, score: float) -> str:
        return f"{self.metric} {score:.4g}{METRICS[self.metric].unit}"


UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
BINARY_UNITS = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
LEAST_BYTES = 1000


def byte_count(name: str, value: Any) -> int:
    """A number of bytes: ``500_000_000``, ``"500M"``, ``"1.5 GB"``, ``"700MiB"``; 0: no limit."""
    if value in ("", 0, None) and not isinstance(value, bool):
        return 0
    number = -1.0
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        number = float(value)
    elif isinstance(value, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", value.strip().lower())
        if match and (match[2] or not match[3]):
            number = float(match[1]) * (BINARY_UNITS if match[3] else UNITS)[match[2]]
    if not LEAST_BYTES <= number <= 2**62:
        raise InvalidConfig(f"Expected a size such as '500M', '1.5G' or '700MiB', got {name}={value!r}.")
    return int(number)
