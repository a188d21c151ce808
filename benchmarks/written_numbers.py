"""Numbers as people read them: three digits that count, and no more."""

from __future__ import annotations

from collections.abc import Sequence

from .measuring import quartiles


def number(value: float) -> str:
    if value == int(value) and abs(value) >= 100:
        return f"{value:,.0f}"
    size = abs(value)
    for bound, digits in ((100, 0), (10, 1), (1, 2)):
        if size >= bound:
            return f"{value:,.{digits}f}"
    return "0" if size < 0.0005 else f"{value:.3f}".rstrip("0").rstrip(".")


def median_and_spread(samples: Sequence[float]) -> str:
    """`3.1 (3.0 to 3.4)`: the median and the quartiles; a single sample has no spread."""
    low, middle, high = map(number, quartiles(samples))
    return middle if len(samples) < 2 else f"{middle} ({low} to {high})"
