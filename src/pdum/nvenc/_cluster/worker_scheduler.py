"""Gives the orders of a pool to the only lane of a worker, one after the other, and takes back how they end."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Condition
from time import monotonic
from typing import Any

from .. import events
from .._errors import InvalidConfig, NvencError, SourceUnreadable
from .._pool.job import Job
from .._pool.lane import Lane
from .._pool.lane_session import LOST_FOR_GOOD
from .._pool.pieces import Piece
from ..events import EngineInfo
from .granted_range import GrantedRange
from .orders import Grant, Order, Outcome, Report
from .worker_task import WorkerTask


class Work:
    """An order that the lane works on."""

    def __init__(self, order: Order, task: WorkerTask, ask: Any) -> None:
        self.order, self.task = order, task
        self.job = Job(0, task)
        self.job.take_up(task.plan)
        self.range = GrantedRange(order.first, order.last, order.grant, ask)
        self.piece = Piece(self.job, self.range)
        self.piece.engine = 0
        self.is_taken = False
        self.outcome: Outcome | None = None
        self.waits_for = ""


class WorkerScheduler:
    """A ``LaneScheduler`` and ``LaneHost`` for one lane. The worker's own thread gives it orders and waits."""

    idle_release = 2.0
    """Seconds after which the lane gives its session back if there is no order."""
    is_paused = False
    """A pool that is paused grants no frames."""

    def __init__(self, threads: int, lanes_on_gpu: int, session_timeout: float) -> None:
        self.session_timeout = session_timeout
        self.rates: Mapping[int, float] = {}
        self._threads, self._lanes_on_gpu = threads, lanes_on_gpu
        self._changed = Condition()
        self._work: Work | None = None
        self._news = False
        self._is_closed = False
        self._counted: tuple[float, int] = (0.0, 0)
        self._fps = 0.0
        self.last_heard = 0.0
        """When the pool has last answered."""

    @property
    def scheduler(self) -> WorkerScheduler:
        return self

    # --- the worker's thread ---

    def begin(self, order: Order, task: WorkerTask) -> Work:
        work = Work(order, task, self._ask)
        with self._changed:
            self._work, self._counted, self._fps = work, (monotonic(), 0), 0.0
            self._changed.notify_all()
        return work

    def wait(self, seconds: float) -> Outcome | None:
        """The outcome; None if there is something to report, or after so many seconds."""
        with self._changed:
            assert self._work is not None
            if self._work.outcome is None and not self._news:
                self._changed.wait(seconds)
            self._news = False
            return self._work.outcome

    def report(self, lane: Lane) -> Report:
        work = self._work
        assert work is not None
        now, frames = monotonic(), work.piece.frames
        since, before = self._counted
        if now - since >= 0.2:
            self._fps, self._counted = (frames - before) / (now - since), (now, frames)
            self.rates = {0: self._fps * work.job.pixels / 1e6} if self._fps else {}
        return Report(
            frames=frames, packets=work.piece.packets, fps=self._fps, until=work.range.last,
            wants_more=work.range.is_hungry, waits_for=work.waits_for, decoders=lane.decoders, waited=lane.waited,
        )  # fmt: skip

    def end_work(self) -> None:
        with self._changed:
            self._work = None

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    # --- any thread ---

    def grant(self, number: str, grant: Grant) -> None:
        work = self._work
        if work is not None and work.order.number == number:
            self.last_heard = monotonic()
            work.range.extend(grant)

    def cancel(self, number: str) -> None:
        """Stops the work on this order, if it is the current one."""
        work = self._work
        if work is not None and work.order.number == number:
            work.piece.is_dropped = True
            work.range.end_now()
            if not work.is_taken:
                self._end(work, Outcome())

    def _ask(self) -> None:
        with self._changed:
            self._news = True
            self._changed.notify_all()

    def _end(self, work: Work | None, outcome: Outcome) -> None:
        if work is None:
            return
        with self._changed:
            work.outcome = work.outcome or outcome
            self._changed.notify_all()
        work.range.end_now()

    def _current(self, piece: Piece) -> Work | None:
        work = self._work
        return work if work is not None and work.piece is piece else None

    def _waiting(self) -> Work | None:
        work = self._work
        return work if work is not None and not work.is_taken and work.outcome is None else None

    # --- the lane: what a scheduler does ---

    def is_done_for(self, engine: int) -> bool:  # noqa: ARG002
        return self._is_closed

    def wait_for_work(self, engine: int) -> Job | None:
        with self._changed:
            while not self.is_done_for(engine):
                work = self._waiting()
                if work is not None:
                    return work.job
                self._changed.wait()
            return None

    def take(self, engine: int, seconds: float | None = None) -> Piece | None:
        deadline = None if seconds is None else monotonic() + seconds
        with self._changed:
            while not self.is_done_for(engine):
                work = self._waiting()
                if work is not None:
                    work.is_taken = True
                    return work.piece
                left = None if deadline is None else deadline - monotonic()
                if left is not None and left <= 0:
                    return None
                self._changed.wait(left)
            return None

    def take_now(self, engine: int) -> Piece | None:  # noqa: ARG002
        return None

    def take_waiting(self, engine: int) -> Piece | None:  # noqa: ARG002
        return None

    def put_back(self, piece: Piece) -> None:
        work = self._current(piece)
        with self._changed:
            if work is not None:
                work.is_taken = False

    def started(self, piece: Piece) -> None:
        work = self._current(piece)
        if work is not None:
            work.waits_for = ""
            self._ask()

    def done(self, piece: Piece, size: int) -> None:  # noqa: ARG002
        work = self._current(piece)
        if work is not None and work.task.kept is not None:
            self._end(work, Outcome(encoded=work.task.kept.encoded))

    def drop(self, piece: Piece) -> None:
        self._end(self._current(piece), Outcome())

    def failed(self, piece: Piece, error: Exception, *, by_engine: bool) -> None:
        by_engine = by_engine or is_of_the_machine(error)
        self._end(self._current(piece), Outcome(error=error, by_engine=by_engine, is_lost=is_for_good(error)))

    def refused(self, job: Job, engine: int, error: Exception) -> None:  # noqa: ARG002
        outcome = Outcome(error=error, by_engine=True, is_refusal=True, is_lost=is_for_good(error))
        self._end(self._work, outcome)

    def fail(self, job: Job, error: Exception) -> None:  # noqa: ARG002
        self._end(self._work, Outcome(error=error, by_engine=is_of_the_machine(error)))

    def fail_all(self, error: Exception) -> None:
        self._end(self._work, Outcome(error=error, by_engine=True))

    def waits_for_session(self, engine: int) -> None: ...
    def wait_while_paused(self, piece: Piece) -> None: ...

    def lend_cores(self, engine: int) -> int:  # noqa: ARG002
        return self._threads

    def take_cores_back(self, engine: int) -> None: ...

    # --- the lane: what a run does ---

    def emit(self, kind: type[events.Event], **values: Any) -> None:
        work = self._work
        if work is not None and kind is events.EngineWaiting:
            work.waits_for = str(values["reason"])
            self._ask()

    def warn_once(self, message: str) -> None: ...

    def lease(self, engine: EngineInfo) -> bool:  # noqa: ARG002
        return True

    def give_back_lease(self, engine: EngineInfo) -> None: ...

    def sessions_held(self) -> int:
        return 0

    def lanes_on_gpu_of(self, engine: EngineInfo) -> int:  # noqa: ARG002
        return self._lanes_on_gpu

    def lose(self, engine: EngineInfo, reason: str) -> list[Piece]:  # noqa: ARG002
        work = self._work
        error = NvencError(f"An engine is lost: {reason}")
        self._end(work, Outcome(error=error, by_engine=True, is_lost=True))
        return [] if work is None else [work.piece]


def is_for_good(error: Exception) -> bool:
    """Whether no order can succeed on this engine any more."""
    return isinstance(error, LOST_FOR_GOOD)


def is_of_the_machine(error: Exception) -> bool:
    """Whether another machine may succeed: its disk has room, or its view of the shared storage is right."""
    return isinstance(error, (OSError, MemoryError, SourceUnreadable)) and not isinstance(error, InvalidConfig)
