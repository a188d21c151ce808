"""The progress of a scan. It is reported only if the scan takes a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from ..events import Scanning

Item = TypeVar("Item")

SECONDS_BETWEEN = 1.0
"""Seconds between two events, and from the beginning to the first one."""


@dataclass(kw_only=True)
class ScanProgress:
    """Makes an event of what a scan has found, at most once a second.

    Args:
        tell: is called with each event.
        clock: seconds, counted from anywhere.
    """

    tell: Callable[[Scanning], object]
    clock: Callable[[], float] = time.monotonic
    _began: float = field(init=False)
    _next: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.clock()
        self._next = self._began + SECONDS_BETWEEN

    def update(self, found: int, checked: int = 0) -> None:
        """``found``: videos so far. ``checked``: how many of them have been compared with earlier results."""
        now = self.clock()
        if now >= self._next:
            self._next = now + SECONDS_BETWEEN
            self.tell(Scanning(at=now - self._began, found=found, checked=checked))


def ignore_progress(_found: int, _checked: int = 0) -> None:
    """Does nothing, for scans whose progress is not shown."""


def counted(items: Iterable[Item], tell: Callable[[int], object]) -> Iterator[Item]:
    """The items. ``tell`` gets their number so far."""
    for number, item in enumerate(items, 1):
        yield item
        tell(number)
