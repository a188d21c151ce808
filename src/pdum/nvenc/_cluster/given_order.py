"""An order that a worker has got, and how far that is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from .orders import Grant, Outcome, Report

if TYPE_CHECKING:
    from .._pool.pieces import Piece
    from .._pool.scheduler import Scheduler
    from .seam import RunningOrder

FIRST_GRANT = 32
"""Frames for an engine whose speed is not known yet."""
SECONDS_GRANTED = 0.5
"""What an engine is granted can no longer be taken by another one. It takes a few milliseconds to ask for more."""
NOTHING_YET = Report()
"""Stands for the report of a worker that has sent none."""
SHORTEST_GRANT = 0.1
"""Seconds. While a worker waits for a grant, its engine may have nothing to do."""


class GivenOrder:
    """An ``OrderListener``. The dispatcher's thread calls the methods, except ``report`` and ``ended``.

    Args:
        piece: what the worker encodes.
        number: the order's number.
        scheduler: the run's.
        wake: wakes the dispatcher.
        pace: with a higher one, grants are longer.
    """

    def __init__(
        self, piece: Piece, number: str, scheduler: Scheduler, wake: Callable[[], object], pace: float = 1.0
    ) -> None:
        self.piece, self.number = piece, number
        self.latest = NOTHING_YET
        self.heard = monotonic()
        """When the worker has last reported, or got the order."""
        self.has_begun = False
        self.is_announced = False
        """Whether the run has told that the piece has begun."""
        self.outcome: Outcome | None = None
        self._scheduler, self._wake, self._pace = scheduler, wake, pace
        self._running: RunningOrder | None = None
        self._is_cancelled = self._is_forgotten = False
        self._granting = threading.Lock()
        self.granted = self._next_grant()

    # --- the dispatcher's thread ---

    def runs(self, running: RunningOrder) -> None:
        self._running = running

    def cancel(self) -> None:
        if not self._is_cancelled and self._running is not None:
            self._is_cancelled = True
            self._running.cancel()

    def forget(self) -> None:
        """Nobody waits for the outcome any more."""
        self._is_forgotten = True
        if self._running is not None and self.outcome is None:
            self._running.forget()

    @property
    def waits_for(self) -> str:
        return self.latest.waits_for

    def seconds_left(self) -> float:
        """How long the engine will work on it, by its latest report."""
        rate = self._frames_a_second()
        if not self.has_begun or not rate:
            return inf
        return (self.piece.last - self.piece.first - self.latest.frames) / rate - (monotonic() - self.heard)

    # --- threads of the cluster ---

    def report(self, report: Report) -> None:
        if self._is_forgotten:
            return
        before, self.latest, self.heard = self.latest, report, monotonic()
        is_first, self.has_begun = not self.has_begun and not report.waits_for, not report.waits_for
        self.piece.frames, self.piece.packets = report.frames, report.packets
        if report.wants_more:
            self._answer(report)
        if is_first or report.waits_for != before.waits_for:
            self._wake()

    def ended(self, outcome: Outcome) -> None:
        if not self._is_forgotten:
            self.outcome = outcome
            self._wake()

    def _answer(self, report: Report) -> None:
        """Repeats the last grant if it was lost, and does so while the run is paused: that is a sign of life."""
        with self._granting:
            if report.until >= self.granted.until and not self._scheduler.is_paused and not self.granted.is_final:
                self.granted = self._next_grant()
            running = self._running
        if running is not None:
            running.grant(self.granted)

    def _next_grant(self) -> Grant:
        _, until = self.piece.range.claim(self._grant_size())
        return Grant(until=until, is_final=self.piece.range.rest == 0)

    def _grant_size(self) -> int:
        rest, job = self.piece.range.rest, self.piece.job
        if not job.may_be_divided or rest <= job.shortest:
            return rest  # which nobody else can take
        a_second = self._frames_a_second()
        if a_second is None:
            return min(FIRST_GRANT, max(1, rest // 4))
        most, least = round(a_second * SECONDS_GRANTED * self._pace), round(a_second * SHORTEST_GRANT)
        return max(1, least, min(most, rest // 4))

    def _frames_a_second(self) -> float | None:
        rate = self._scheduler.rates.get(self.piece.engine)
        return None if rate is None else rate * 1e6 / self.piece.job.pixels
