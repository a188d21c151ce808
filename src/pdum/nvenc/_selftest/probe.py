"""What a question and an answer are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Bench = Any  # which stands above this module

AS_ASSUMED = "as assumed"
DIFFERENT = "different"
NOT_HERE = "not on this card"
NOT_ASKED = "not asked"
FAILED = "failed"

SECONDS = 30.0
"""How long a question may take before its process is ended."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the card did. ``found`` is compared with what is assumed; ``numbers`` are for reading."""

    found: str
    numbers: dict[str, Any] = field(default_factory=dict)
    recordings: dict[str, Any] = field(default_factory=dict)


class NotHere(Exception):
    """The card or its driver has nothing to answer with. ``numbers`` holds what was found out all the same."""

    def __init__(self, reason: str, numbers: dict[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.numbers = numbers or {}


class NotAsked(Exception):
    """Something is missing here, such as PyAV, so the question was not asked."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One line of the report."""

    theme: str
    name: str
    question: str
    assumed: str | Callable[[Bench], str]
    """What this package and its tests take for granted. A function if that depends on the card's capabilities."""
    source: str
    """Where the assumption comes from."""
    ask: Callable[[Bench], Answer]
    seconds: float = SECONDS


@dataclass(frozen=True, kw_only=True)
class Line:
    """A question with its answer and verdict, as the report has it."""

    theme: str
    name: str
    question: str
    assumed: str
    source: str
    found: str
    verdict: str
    numbers: dict[str, Any] = field(default_factory=dict)


def line_of(probe: Probe, found: str, verdict: str, assumed: str = "", numbers: dict[str, Any] | None = None) -> Line:
    known = probe.assumed if isinstance(probe.assumed, str) else "depends on the card's capabilities"
    return Line(
        theme=probe.theme,
        name=probe.name,
        question=probe.question,
        assumed=assumed or known,
        source=probe.source,
        found=found,
        verdict=verdict,
        numbers=numbers or {},
    )
