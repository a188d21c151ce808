"""The state of a run, under one lock: which job is how far, which engine has which piece, what is to be done next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, SupportsIndex

from .. import events
from .._errors import InvalidConfig, NoEngineLeft, NvencError, UnsupportedFeature
from .job_states import JobStates
from .pieces import ENDING, PREPARING, QUEUED, WORKING, Job, Piece
from .ranges import FrameRange, gaps
from .schedule import may_take, next_waiting, shares, steal

if TYPE_CHECKING:
    from .._tasks import Plan, Task
    from ..events import Event

PIECE_FAILURES = 4
"""How often a piece is tried before its job fails."""
MOST_REFUSALS = 2
WORTH_A_SESSION = 16
"""Frames: an engine without a session does not open one for less."""


class Scheduler(JobStates):
    """What engines, helpers and the caller ask and tell. Each method takes the lock; none calls a task."""

    def __init__(
        self,
        tasks: Sequence[Task],
        engines: Sequence[int],
        emit: Callable[..., Event],
        *,
        cores: int = 0,
    ) -> None:
        super().__init__(tasks, emit)
        self.engines = set(engines)
        self._cores = cores
        """That the engines share; 0 where each is hardware of its own."""
        self._lent: dict[int, int] = {}
        """Cores, by the engine whose encoder was made for them."""
        self.lost: dict[int, str] = {}
        self._all_engines = tuple(engines)
        self._allowed = set(engines)
        """Those that the caller lets work now."""
        self._opening: set[int] = set()
        """Those that make an encoder for what waits."""
        self.rates: dict[int, float] = {}
        self.is_paused = False

    # --- engines ---

    def wait_for_work(self, engine: int) -> Job | None:
        """A job that this engine could help with, to open a session for; None at the end."""
        with self.changed:
            self._no_longer_opening(engine)
            while not self._is_done_for(engine):
                job = self._job_to_help_with(engine) if self._may_work(engine) else None
                if job is not None:
                    self._opening.add(engine)
                    return job
                self.changed.wait()
            return None

    def _job_to_help_with(self, engine: int) -> Job | None:
        piece = next_waiting(self.waiting, engine, self._able())
        if piece is not None:
            needed = self._cores == 0 or len(self._opening) < sum(map(_parts, self.waiting))
            return piece.job if needed else None
        if self._cores and sum(self._lent.values()) >= self._cores:
            return None  # those at work keep all cores busy: a further encoder would take their time
        return next((other.job for other in self.working if self._is_worth_a_session(other, engine)), None)

    def waits_for_session(self, engine: int) -> None:
        """It gets none for now: what it would have begun is another's, if that one is faster."""
        with self.changed:
            self._no_longer_opening(engine)

    def _no_longer_opening(self, engine: int) -> None:
        if engine in self._opening:
            self._opening.discard(engine)
            self.changed.notify_all()

    def _is_worth_a_session(self, piece: Piece, engine: int) -> bool:
        fitting = piece.job.may_be_divided and not piece.is_dropped and may_take(piece, engine, self._able())
        return fitting and piece.range.rest > max(WORTH_A_SESSION, 2 * piece.job.shortest)

    def take(self, engine: int) -> Piece | None:
        """The next piece for this engine, waiting for one; None at the end."""
        with self.changed:
            self._opening.discard(engine)
            while not self._is_done_for(engine):
                piece = self._try_to_take(engine)
                if piece is not None:
                    return piece
                self.changed.wait()
            return None

    def take_now(self, engine: int) -> Piece | None:
        """Likewise, without waiting."""
        with self.changed:
            return None if self._is_done_for(engine) else self._try_to_take(engine)

    def _try_to_take(self, engine: int) -> Piece | None:
        piece = self._next(engine) if self._may_work(engine) else None
        if piece is not None:
            piece.engine = engine
            piece.job.engines_at_work += 1
            self.working.append(piece)
            self.changed.notify_all()
        return piece

    def _next(self, engine: int) -> Piece | None:
        piece = next_waiting(self.waiting, engine, self._able())
        if piece is None:
            rates = self.rates if self._cores == 0 else {}  # who shares cores is as fast as the others let him
            stolen = None if self._is_more_to_come() else steal(self.working, engine, self._able(), rates)
            if stolen is not None:
                stolen.job.open_pieces += 1
            return stolen
        waiting = len(self.waiting)
        self.waiting.remove(piece)
        if self._is_more_to_come():
            return piece
        idle = len({engine, *self._able()} - {other.engine for other in self.working})
        (_, last), *rest = shares(piece, idle, waiting)
        if rest:
            piece.range = FrameRange(piece.first, last)
            self.waiting += [self._made(piece.job, first, end) for first, end in rest]
        return piece

    def _is_more_to_come(self) -> bool:
        """Whether jobs are still being looked through: then nothing is divided for want of work."""
        return any(job.state in (QUEUED, PREPARING) for job in self.jobs)

    def lend_cores(self, engine: int) -> int:
        """How many cores an encoder that it makes now is for: its share among those that will work beside it."""
        with self.changed:
            self._lent[engine] = -(-self._cores // self._engines_at_once())
            return self._lent[engine]

    def take_cores_back(self, engine: int) -> None:
        with self.changed:
            if self._lent.pop(engine, 0):
                self.changed.notify_all()

    def _engines_at_once(self) -> int:
        """How many engines there is work for at the same time, as far as is known now; at least one."""
        able = max(1, len(self._able()))
        if self._is_more_to_come():
            return able
        return max(1, min(able, sum(map(_parts, (*self.waiting, *self.working)))))

    def _made(self, job: Job, first: int, last: int) -> Piece:
        job.open_pieces += 1
        return Piece(job, FrameRange(first, last))

    def _able(self) -> set[int]:
        return self.engines & self._allowed

    def _may_work(self, engine: int) -> bool:
        return not self.is_paused and engine in self._allowed

    def _is_done_for(self, engine: int) -> bool:
        return self.is_over or engine in self.lost

    def started(self, piece: Piece) -> None:
        with self.changed:
            piece.began = monotonic()
            if piece.job.began is None:
                piece.job.began = piece.began
            self._tell(events.PieceStarted, piece)

    def done(self, piece: Piece, size: int) -> None:
        """The piece is encoded and its sink has all of it."""
        with self.changed:
            if self._release(piece):
                self._tell(events.PieceFinished, piece, size=size, seconds=monotonic() - piece.began)
                job = piece.job
                job.frames_before += piece.last - piece.first
                job.open_pieces -= 1
                self._finish_if_complete(job)

    def put_back(self, piece: Piece) -> None:
        """The engine could not begin with it."""
        with self.changed:
            if self._release(piece):
                self.waiting.append(piece.again())
                self.changed.notify_all()

    def let_go(self, piece: Piece) -> None:
        """The engine has stopped working on what was dropped."""
        with self.changed:
            self._release(piece)

    def failed(self, piece: Piece, error: Exception, *, by_engine: bool) -> None:
        """The piece is done again, on another engine if there is one; after some attempts its job fails."""
        with self.changed:
            if not self._release(piece):
                return
            job = piece.job
            if not by_engine:
                self._fail(job, error)
                return
            if isinstance(error, UnsupportedFeature):
                job.unfit[piece.engine] = error
            else:
                piece.failed_on.add(piece.engine)
                piece.failures += 1
            if self._is_unfit(job) or piece.failures >= PIECE_FAILURES:
                self._fail(job, error)
                return
            self._tell(events.PieceRetried, piece, reason=str(error))
            self.waiting.append(piece.again())
            self.changed.notify_all()

    def refused(self, job: Job, engine: int, error: Exception) -> None:
        """The engine could not make an encoder for the job; where none can, the job fails."""
        with self.changed:
            self._no_longer_opening(engine)
            job.refusals[engine] = job.refusals.get(engine, 0) + 1
            if isinstance(error, UnsupportedFeature) or job.refusals[engine] >= MOST_REFUSALS:
                job.unfit[engine] = error
            if not isinstance(error, NvencError) or isinstance(error, InvalidConfig) or self._is_unfit(job):
                self._fail(job, error)
            self.changed.notify_all()

    def give_up_on(self, seconds: float) -> list[Piece]:
        """Ends jobs whose task has not reacted for so long to being called off; returns what it still works on."""
        with self.changed:
            now = monotonic()
            late = [job for job in self.jobs if job.state == ENDING and now - job.ending_since > seconds]
            pieces = [piece for piece in self.working if piece.job in late]
            for piece in pieces:
                self._release(piece)
            for job in late:
                if job.is_helped:
                    self._tell_ended(job)
            return pieces

    def _is_unfit(self, job: Job) -> bool:
        """Whether no engine can encode it."""
        return bool(self._able()) and self._able() <= job.unfit.keys()

    def _release(self, piece: Piece) -> bool:
        """Whether the piece was still the engine's and is wanted."""
        if piece not in self.working:
            return False
        self.working.remove(piece)
        job = piece.job
        job.engines_at_work -= 1
        if job.state == ENDING and job.engines_at_work == 0:
            self._abandon(job)
        self.changed.notify_all()
        return not piece.is_dropped

    def lose(self, engine: int, reason: str) -> list[Piece]:
        """The engine is not used any more; its pieces, which are done again elsewhere, are returned to be discarded."""
        with self.changed:
            if engine in self.lost:
                return []
            self.engines.discard(engine)
            self._no_longer_opening(engine)
            self.lost[engine] = reason
            self.emit(events.EngineLost, engine=engine, reason=reason)
            pieces = [piece for piece in self.working if piece.engine == engine]
            for piece in pieces:
                if self._release(piece):
                    piece.is_dropped = True
                    piece.failed_on.add(engine)
                    self._tell(events.PieceRetried, piece, reason=reason)
                    self.waiting.append(piece.again())
            if not self.engines:
                self._fail_all(self._no_engine_left())
            for job in self.jobs:
                if job.state == WORKING and self._is_unfit(job):
                    self._fail(job, next(iter(job.unfit.values())))
            self.changed.notify_all()
            return pieces

    def _no_engine_left(self) -> NvencError:
        reasons = "; ".join(f"engine {engine}: {reason}" for engine, reason in sorted(self.lost.items()))
        return NoEngineLeft(f"All engines are lost. {reasons}")

    # --- jobs ---

    def prepared(self, job: Job, plan: Plan) -> None:
        with self.changed:
            if job.state == ENDING:
                self._abandon(job)
                return
            wrong = _no_whole_number(plan) or gaps(plan.ranges, plan.frames)
            job.plan, job.state = plan, WORKING
            job.frames_before = 0 if wrong else plan.frames - sum(last - first for first, last in plan.ranges)
            self.emit(
                events.JobPrepared, job=job.number, frames=plan.frames, frames_done=job.frames_before,
                width=plan.width, height=plan.height, fps=plan.fps, duration=plan.duration,
            )  # fmt: skip
            if wrong:
                self._fail(job, NvencError(f"The plan for {job.task.source} cannot be. {wrong}"))
            elif not self.engines:
                self._fail(job, self._no_engine_left())
            else:
                self.waiting += [self._made(job, first, last) for first, last in plan.ranges]
                self._finish_if_complete(job)
            self.changed.notify_all()

    # --- the caller ---

    def pause(self, paused: bool) -> None:
        with self.changed:
            self.is_paused = paused
            self.changed.notify_all()

    def set_limit(self, engines: int) -> None:
        """The first so many work on; the others finish what they have claimed, and leave the rest to these."""
        with self.changed:
            self._allowed = set(self._all_engines[:engines])
            for piece in self.working:
                leaves = piece.engine not in self._allowed and piece.job.may_be_divided
                rest = piece.range.cut() if leaves else None
                if rest is not None:
                    piece.job.open_pieces += 1
                    self.waiting.append(Piece(piece.job, rest))
            self.changed.notify_all()

    def wait_while_paused(self, piece: Piece) -> None:
        with self.changed:
            while self.is_paused and not piece.is_dropped and not self.is_over:
                self.changed.wait()

    def _tell(self, kind: type[Event], piece: Piece, **more: Any) -> None:
        self.emit(
            kind, job=piece.job.number, engine=piece.engine, piece=piece.number,
            first=piece.first, last=piece.last, **more,
        )  # fmt: skip


def _parts(piece: Piece) -> int:
    """How many engines could work on what is left of it."""
    return max(1, piece.range.rest // piece.job.good_length) if piece.job.may_be_divided else 1


def _no_whole_number(plan: Plan) -> str | None:
    """What of a plan would stop an engine half-way."""
    told: list[tuple[str, Any]] = [(name, getattr(plan, name)) for name in ("frames", "shortest_range", "good_range")]
    told += [("ranges", number) for pair in plan.ranges for number in pair]
    for name, value in told:
        if not isinstance(value, SupportsIndex):
            return f"{name} has {value!r}; frames are counted in whole numbers."
    return None
