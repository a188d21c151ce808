"""One engine of a cluster at work for one run: the order that it has, and how far that is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from .._pool.supply import Waits
from .orders import Grant, Order, Outcome, Report

if TYPE_CHECKING:
    from .._pool.pieces import Piece
    from .._pool.scheduler import Scheduler
    from ..events import EngineInfo
    from .seam import RunningOrder

FIRST_GRANT = 32
"""Frames for an engine whose speed is not known yet."""
SECONDS_GRANTED = 0.5
"""What an engine is granted can no longer be taken by another one. It takes a few milliseconds to ask for more."""
SHORTEST_GRANT = 0.1
"""Seconds. While a worker waits for a grant, its engine may have nothing to do."""


class RemoteLane:
    """A ``LaneView``. The dispatcher's thread calls the methods, except ``report`` and ``ended``."""

    calls = 0
    """It has no calls for a watchdog: the worker has its own."""
    threads: Sequence[threading.Thread] = ()

    def __init__(self, engine: EngineInfo, scheduler: Scheduler, wake: Callable[[], object]) -> None:
        self.engine = engine
        self.frames = 0
        self.measured_fps: float | None = 0.0
        self.piece: Piece | None = None
        self.is_lost = False
        self.known: set[str] = set()
        """The keys of what the worker has been sent."""
        self.heard = 0.0
        """When the worker has last reported, or got its order."""
        self.has_begun = False
        self.waits_for = ""
        self.decoders = (0, 0)
        self.waited = Waits(0.0, 0.0)
        self._scheduler, self._wake = scheduler, wake
        self._number = ""
        self._running: RunningOrder | None = None
        self._granted = Grant(until=0, is_final=False)
        self._outcome: Outcome | None = None
        self._is_cancelled = False
        self._frames_before = 0
        self._granting = threading.Lock()
        self._pace = 1.0

    @property
    def has_session(self) -> bool:
        return self.piece is not None

    def stop(self) -> None: ...
    def join(self, deadline: float) -> None: ...
    def give_up(self, reason: str) -> None: ...

    # --- the dispatcher's thread ---

    def take(self, piece: Piece, number: str, pace: float = 1.0) -> Grant:
        """Begins a piece. Returns the first grant, for the order. With a higher pace, grants are longer."""
        self._pace = pace
        self.piece, self._number, self._outcome, self._is_cancelled = piece, number, None, False
        self.heard, self.has_begun, self.waits_for = monotonic(), False, ""
        self._frames_before = self.frames
        self._granted = self._next_grant(piece)
        return self._granted

    def runs(self, running: RunningOrder) -> None:
        self._running = running

    def cancel(self) -> None:
        if not self._is_cancelled and self._running is not None:
            self._is_cancelled = True
            self._running.cancel()

    def has_encoded(self, frames: int) -> None:
        """All of the range, of which the last report told only a part."""
        self.frames = self._frames_before + frames

    def leave(self) -> None:
        """The piece is no longer this lane's."""
        if self._running is not None and self._outcome is None:
            self._running.forget()
        self.piece, self._running, self._number, self.measured_fps = None, None, "", 0.0

    @property
    def outcome(self) -> Outcome | None:
        return self._outcome

    # --- threads of the cluster ---

    def listener(self, number: str) -> Listener:
        return Listener(self, number)

    def report(self, number: str, report: Report) -> None:
        piece = self.piece
        if piece is None or number != self._number:
            return  # of an order that was given up
        self.heard = monotonic()
        is_first, self.has_begun = not self.has_begun and not report.waits_for, not report.waits_for
        news = report.waits_for != self.waits_for
        self.waits_for = report.waits_for
        piece.frames, piece.packets = report.frames, report.packets
        self.frames, self.measured_fps = self._frames_before + report.frames, report.fps
        self.decoders, self.waited = report.decoders, Waits(*report.waited)
        if report.wants_more:
            self._answer(piece, report)
        if is_first or news:
            self._wake()

    def _answer(self, piece: Piece, report: Report) -> None:
        """Repeats the last grant if it was lost, and does so while the run is paused: that is a sign of life."""
        with self._granting:
            if report.until >= self._granted.until and not self._scheduler.is_paused and not self._granted.is_final:
                self._granted = self._next_grant(piece)
            running = self._running
        if running is not None:
            running.grant(self._granted)

    def ended(self, number: str, outcome: Outcome) -> None:
        if number == self._number:
            self._outcome = outcome
            self._wake()

    def _next_grant(self, piece: Piece) -> Grant:
        _, until = piece.range.claim(self._grant_size(piece))
        return Grant(until=until, is_final=piece.range.rest == 0)

    def _grant_size(self, piece: Piece) -> int:
        rest, job = piece.range.rest, piece.job
        if not job.may_be_divided or rest <= job.shortest:
            return rest  # which nobody else can take
        rate = self._scheduler.rates.get(self.engine.index)
        a_second = None if rate is None else rate * 1e6 / job.pixels
        if a_second is None:
            return min(FIRST_GRANT, max(1, rest // 4))
        most, least = round(a_second * SECONDS_GRANTED * self._pace), round(a_second * SHORTEST_GRANT)
        return max(1, least, min(most, rest // 4))


class Listener:
    """The ``OrderListener`` of one order: what comes after its end is dropped."""

    def __init__(self, lane: RemoteLane, number: str) -> None:
        self._lane, self._number = lane, number

    def report(self, report: Report) -> None:
        self._lane.report(self._number, report)

    def ended(self, outcome: Outcome) -> None:
        self._lane.ended(self._number, outcome)


def order_of(
    piece: Piece, number: str, version: str, grant: Grant, known: set[str], engine: EngineInfo, pace: float
) -> Order | Exception:
    """The order, or why the piece cannot be one."""
    from .._errors import InvalidConfig
    from .._pool.job import as_error

    job = piece.job
    try:
        with job.lock:
            config = job.task.config(engine)
            portable = getattr(job.task, "portable", lambda: None)()
    except BaseException as error:
        return as_error(error, job.source)
    if portable is None:
        return InvalidConfig(
            f"{job.source}: {type(job.task).__name__} has no portable(), so only this machine could encode it. "
            "Use a pool without a cluster."
        )
    return Order(
        number=number, version=version, source=job.source, key=portable.key,
        portable=None if portable.key in known else portable,
        config=config, frames=job.plan_frames, first=piece.first, last=piece.last, grant=grant, pace=pace,
    )  # fmt: skip
