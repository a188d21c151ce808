"""Two runs side by side: what got worse or better by more than chance explains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .measuring import Figure, quartiles
from .result_files import Result, describe, figures_of
from .written_numbers import number

LEAST_CHANGE = 0.05
"""Smaller differences are noise, whatever the quartiles say."""
LEAST_CHANGE_OF_ONE = 0.15
"""If one of both has a single sample, nothing else tells how much it varies."""
LEAST_SAMPLES = 3
RULE = (
    f"A figure has changed if its median differs by more than {LEAST_CHANGE:.0%} and the ranges between the quartiles "
    f"do not overlap; with fewer than {LEAST_SAMPLES} samples, if it differs by more than {LEAST_CHANGE_OF_ONE:.0%}."
)

Key = tuple[str, str, str]
"""Part, row and column."""


@dataclass(frozen=True)
class Change:
    key: Key
    before: Figure
    after: Figure

    @property
    def part_of_before(self) -> float:
        """The difference of the medians: 0.1 is a tenth more."""
        before, after = quartiles(self.before.samples)[1], quartiles(self.after.samples)[1]
        if before == after:
            return 0.0
        return (after - before) / abs(before) if before else float("inf") * (1 if after > 0 else -1)

    @property
    def is_real(self) -> bool:
        """Whether it is more than noise."""
        few = min(len(self.before.samples), len(self.after.samples)) < LEAST_SAMPLES
        if few:
            return abs(self.part_of_before) > LEAST_CHANGE_OF_ONE
        one, other = quartiles(self.before.samples), quartiles(self.after.samples)
        overlap = one[0] <= other[2] and other[0] <= one[2]
        return abs(self.part_of_before) > LEAST_CHANGE and not overlap

    @property
    def is_worse(self) -> bool:
        return (self.part_of_before > 0) == (self.before.better == "less")

    def __str__(self) -> str:
        before, after = (quartiles(one.samples) for one in (self.before, self.after))
        part, row, column = self.key
        unit = f" {self.before.unit}" if self.before.unit else ""
        return (
            f"{part}: {row}, {column}: {number(before[1])}{unit} ({number(before[0])} to {number(before[2])}) became "
            f"{number(after[1])}{unit} ({number(after[0])} to {number(after[2])}), {self.part_of_before:+.0%}"
        )


def by_key(result: Result) -> dict[Key, Figure]:
    return {
        (name, figure.row, figure.column): figure
        for name, part in result["parts"].items()
        for figure in figures_of(part)
    }


def changes(before: Result, after: Result) -> list[Change]:
    """Of all figures that both have and of which one direction is better."""
    old, new = by_key(before), by_key(after)
    return [Change(key, old[key], new[key]) for key in old if key in new and old[key].better]


def report(before: Result, after: Result) -> Iterator[str]:
    """Lines to print: worse ones first."""
    if before["machine"] != after["machine"]:
        yield f"Different machines: {describe(before['machine'])}; {describe(after['machine'])}."
    found = changes(before, after)
    if not found:
        yield "The two have no figure in common."
        return
    real = [change for change in found if change.is_real]
    for title, worse in (("worse", True), ("better", False)):
        some = [change for change in real if change.is_worse is worse]
        for change in sorted(some, key=lambda change: -abs(change.part_of_before)):
            yield f"{title}: {change}"
    gone = [key for key in by_key(before) if key not in by_key(after) and key[0] in after["parts"]]
    for part, row, column in gone:
        yield f"missing in the second: {part}: {row}, {column}"
    yield f"{len(found)} figures in both, {len(real)} changed beyond the noise. {RULE}"


def got_worse(before: Result, after: Result) -> bool:
    return any(change.is_real and change.is_worse for change in changes(before, after))
