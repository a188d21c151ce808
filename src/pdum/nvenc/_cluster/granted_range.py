"""The range of an order, of which a worker may claim only what its pool has granted."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition

from .._pool.ranges import FrameRange
from .orders import Grant


class GrantedRange(FrameRange):
    """``claim`` waits for the next grant. ``ask`` is called when one is needed soon, by the thread that claims."""

    def __init__(self, first: int, last: int, grant: Grant, ask: Callable[[], object]) -> None:
        super().__init__(first, max(grant.until, first + 1))
        self._planned_end = last
        self._ask = ask
        self._granted = Condition(self._lock)
        self._last = grant.until
        self._newest = grant.until - first
        """Frames of the newest grant."""
        self.is_final = grant.is_final

    @property
    def rest(self) -> int:
        return (self._last if self.is_final else max(self._planned_end, self._next + 1)) - self._next

    @property
    def is_hungry(self) -> bool:
        """Whether the worker needs another grant soon."""
        return not self.is_final and 2 * (self._last - self._next) <= self._newest

    def claim(self, most: int) -> tuple[int, int]:
        with self._granted:
            while self._next == self._last and not self.is_final:
                self._ask()
                self._granted.wait()
            begin = self._next
            self._next = min(begin + most, self._last)
            is_hungry = self.is_hungry
        if is_hungry:
            self._ask()
        return begin, self._next

    def extend(self, grant: Grant) -> None:
        """Takes a grant. One that came twice or late, or that grants nothing now, changes nothing."""
        with self._granted:
            if self.is_final or grant.until < self._last or (grant.until == self._last and not grant.is_final):
                return
            self._newest = grant.until - self._last
            self._last = grant.until
            self.is_final = grant.is_final
            self._granted.notify_all()

    def end_now(self) -> None:
        """Nothing more is wanted: ``claim`` returns what is granted, and then nothing."""
        with self._granted:
            self.is_final = True
            self._granted.notify_all()
