"""Hands the pieces of jobs to engines, and takes back the outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, SupportsIndex

from .. import events
from .._errors import InvalidConfig, NoEngineLeft, NvencError, UnsupportedFeature
from .._text import error_text
from .job import ENDING, WORKING, Job
from .job_kinds import JobKinds
from .job_states import Chore
from .pieces import Piece
from .ranges import FrameRange, gaps
from .schedule import may_take, next_waiting, shares, steal

if TYPE_CHECKING:
    from .._tasks import NextPlan, Plan, Task
    from ..events import Event

PIECE_FAILURES = 4
"""How often a piece is tried before its job fails."""
MOST_REFUSALS = 2
WORTH_A_SESSION = 16
"""Frames. An engine does not open a session for less."""


class Scheduler(JobKinds):
    """Answers engines, helpers and the caller. Each method takes the lock; none calls a task."""

    def __init__(
        self,
        tasks: Sequence[Task],
        engines: Sequence[int],
        emit: Callable[..., Event],
        *,
        cores: int = 0,
        may_grow: bool = False,
        kinds: Mapping[int, str] | None = None,
    ) -> None:
        """``may_grow``: engines may still join, so that jobs wait for them if there is none. ``kinds``: the kind of
        each engine, if hardware and software both work for the run."""
        super().__init__(tasks, engines, emit, cores, kinds)
        self._may_grow = may_grow
        self.engines = self.engine_set.left
        self.rates = self.engine_set.rates
        self.lost = self.engine_set.lost
        self.is_paused = False

    # --- engines ---

    def wait_for_work(self, engine: int) -> Job | None:
        """Waits for a job that is worth a session of this engine; None at the end."""
        with self.lock:
            self.engine_set.stops_opening(engine)
            while not self.is_done_for(engine):
                job = self._job_to_help_with(engine) if self.may_work(engine) else None
                if job is not None:
                    self.engine_set.opening.add(engine)
                    return job
                self.changed.wait()
            return None

    def _job_to_help_with(self, engine: int) -> Job | None:
        engines = self.engine_set
        piece = next_waiting(self.waiting, engine, engines.able)
        if piece is not None:
            needed = engines.cores == 0 or len(engines.opening) < sum(map(_parts, self.waiting))
            return piece.job if needed else None
        if engines.are_all_cores_lent:
            return None
        return next((other.job for other in self.working if self._is_worth_a_session(other, engine)), None)

    def waits_for_session(self, engine: int) -> None:
        """The engine has to wait for a session, so another engine takes the work."""
        with self.lock:
            self.engine_set.stops_opening(engine)

    def _is_worth_a_session(self, piece: Piece, engine: int) -> bool:
        fitting = piece.job.may_be_divided and not piece.is_dropped and may_take(piece, engine, self.engine_set.able)
        return fitting and piece.range.rest > max(WORTH_A_SESSION, 2 * piece.job.shortest)

    def take(self, engine: int, seconds: float | None = None) -> Piece | None:
        """Waits for the engine's next piece; None at the end, or if none arrived in time."""
        deadline = None if seconds is None else monotonic() + seconds
        with self.lock:
            self.engine_set.opening.discard(engine)
            while not self.is_done_for(engine):
                piece = self._try_to_take(engine)
                left = None if deadline is None else deadline - monotonic()
                if piece is not None or (left is not None and left <= 0):
                    return piece
                self.changed.wait(left)
            return None

    def take_now(self, engine: int, *, has_failed: bool = True) -> Piece | None:
        """Likewise, without waiting. ``has_failed``: it may be one that has failed before."""
        with self.lock:
            return None if self.is_done_for(engine) else self._try_to_take(engine, has_failed=has_failed)

    def take_waiting(self, engine: int) -> Piece | None:
        """A piece that the engine will begin soon. Until then, and later, others may take a part of it."""
        with self.lock:
            piece = next_waiting(self.waiting, engine, self.engine_set.able)
            may_wait = piece is not None and piece.job.may_be_divided and not self.is_done_for(engine)
            return self._try_to_take(engine) if may_wait else None

    def _try_to_take(self, engine: int, *, has_failed: bool = True) -> Piece | None:
        piece = self._next(engine, has_failed) if self.may_work(engine) else None
        if piece is not None:
            piece.engine = engine
            piece.job.engines_at_work += 1
            self.working.append(piece)
            self.changed.notify_all()
        return piece

    def _next(self, engine: int, has_failed: bool) -> Piece | None:
        kind = self.engine_set.kind_of(engine)
        able = self.engine_set.able_of(kind)
        own = self._of_kind(self.waiting, kind)
        piece = next_waiting(own if has_failed else [one for one in own if not one.failures], engine, able)
        if piece is None:
            return None if self._is_more_to_come() else self._stolen(engine)
        waiting = len(own)
        self.waiting.remove(piece)
        if self._is_more_to_come():
            return piece
        idle = len({engine, *able} - {other.engine for other in self.working})
        (_, last), *rest = shares(piece, idle, waiting)
        if rest:
            piece.range = FrameRange(piece.first, last)
            self.waiting += [self._made(piece.job, first, end) for first, end in rest]
        return piece

    def _stolen(self, engine: int) -> Piece | None:
        # An engine that shares cores is as fast as the others let it be: its rate says nothing.
        rates = self.rates if self.engine_set.cores == 0 else {}
        kind = self.engine_set.kind_of(engine)
        stolen = steal(self._of_kind(self.working, kind), engine, self.engine_set.able_of(kind), rates)
        if stolen is not None:
            stolen.job.open_pieces += 1
        return stolen

    def lend_cores(self, engine: int) -> int:
        """How many cores the encoder that this engine makes now is for."""
        with self.lock:
            return self.engine_set.lend_cores(engine, self._engines_at_once())

    def take_cores_back(self, engine: int) -> None:
        with self.lock:
            self.engine_set.take_cores_back(engine)

    def _engines_at_once(self) -> int:
        """How many engines have work at the same time, as far as is known now; at least one."""
        able = max(1, len(self.engine_set.able))
        if self._is_more_to_come():
            return able
        return max(1, min(able, sum(map(_parts, (*self.waiting, *self.working)))))

    def _made(self, job: Job, first: int, last: int) -> Piece:
        job.open_pieces += 1
        return Piece(job, FrameRange(first, last))

    def may_work(self, engine: int) -> bool:
        """Whether the engine may begin with a piece now."""
        return not self.is_paused and engine in self.engine_set.able

    def is_done_for(self, engine: int) -> bool:
        return self.is_over or engine in self.lost

    def started(self, piece: Piece) -> None:
        with self.lock:
            piece.began = monotonic()
            if piece.job.began is None:
                piece.job.began = piece.began
            self._tell(events.PieceStarted, piece)

    def done(self, piece: Piece, size: int) -> None:
        """The piece is encoded and its sink has all of it."""
        with self.lock:
            if self._release(piece):
                self._tell(events.PieceFinished, piece, size=size, seconds=monotonic() - piece.began)
                job = piece.job
                job.frames_before += piece.last - piece.first
                self.totals.update(job)
                job.open_pieces -= 1
                self._finish_if_complete(job)

    def put_back(self, piece: Piece) -> None:
        """The engine could not begin with it."""
        with self.lock:
            if self._release(piece):
                self.waiting.append(piece.again())
                self.changed.notify_all()

    def drop(self, piece: Piece) -> None:
        """The engine has stopped working on what was dropped."""
        with self.lock:
            self._release(piece)

    def failed(self, piece: Piece, error: Exception, *, by_engine: bool) -> None:
        """The piece is done again, on another engine if there is one; after some attempts its job fails."""
        with self.lock:
            if not self._release(piece):
                return
            job = piece.job
            if not by_engine:
                self._fail(job, error)
                return
            if isinstance(error, UnsupportedFeature):
                job.refused_by[piece.engine] = error
            else:
                piece.failed_on.add(piece.engine)
                piece.failures += 1
            if self._no_engine_can(job) or piece.failures >= PIECE_FAILURES:
                self._fail(job, error)
                return
            self._tell(events.PieceRetried, piece, reason=error_text(error))
            self.waiting.append(piece.again())
            self.changed.notify_all()

    def refused(self, job: Job, engine: int, error: Exception) -> None:
        """The engine could not open an encoder for the job. If no engine can, the job fails."""
        with self.lock:
            self.engine_set.stops_opening(engine)
            job.refusals[engine] = job.refusals.get(engine, 0) + 1
            if isinstance(error, UnsupportedFeature) or job.refusals[engine] >= MOST_REFUSALS:
                job.refused_by[engine] = error
            if not isinstance(error, NvencError) or isinstance(error, InvalidConfig) or self._no_engine_can(job):
                self._fail(job, error)
            self.changed.notify_all()

    def give_up_on(self, seconds: float) -> tuple[bool, list[Piece]]:
        """Ends jobs whose tasks take too long to stop. Returns whether there are any, and their pieces.

        A helper that is stuck in one of them, or that has had no time for it yet, clears up after it later.
        """
        with self.lock:
            late = self._late(seconds)
            pieces = [piece for piece in self.working if piece.job in late]
            for piece in pieces:
                self._release(piece)
            for job in late:
                self._tell_ended(job)
            return bool(late), pieces

    def _no_engine_can(self, job: Job) -> bool:
        """Whether no engine can encode it."""
        able = self.engine_set.able_of(job.kind)
        return bool(able) and able <= job.refused_by.keys()

    def _release(self, piece: Piece) -> bool:
        """Takes the piece from its engine. Returns whether the engine had it and it is still wanted."""
        if piece not in self.working:
            return False
        self.working.remove(piece)
        job = piece.job
        job.engines_at_work -= 1
        if job.state is ENDING and job.engines_at_work == 0:
            self._abandon(job)
        self.changed.notify_all()
        return not piece.is_dropped

    def join(self, engine: int, kind: str = "") -> None:
        """An engine is new, or back."""
        with self.lock:
            self.engine_set.join(engine, kind if self._has_both else "")

    def lose(self, engine: int, reason: str) -> list[Piece]:
        """Gives the engine up. Other engines do its pieces again; what it had of them is returned, to be discarded."""
        with self.lock:
            if engine in self.lost:
                return []
            self.engine_set.lose(engine, reason)
            self.emit(events.EngineLost, engine=engine, reason=reason)
            pieces = [piece for piece in self.working if piece.engine == engine]
            for piece in pieces:
                if self._release(piece):
                    piece.is_dropped = True
                    piece.failed_on.add(engine)
                    self._tell(events.PieceRetried, piece, reason=reason)
                    self.waiting.append(piece.again())
            if not self.engines and not self._may_grow:
                self._fail_all(self._no_engine_left())
            for job in list(self._in_state[WORKING].values()):
                if self._no_engine_can(job):
                    self._fail(job, next(iter(job.refused_by.values())))
            self.changed.notify_all()
            return pieces

    def _no_engine_left(self) -> NvencError:
        return NoEngineLeft(f"All engines are lost. {self.engine_set.reasons()}")

    # --- jobs ---

    def prepared(self, chore: Chore, plan: Plan) -> bool:
        """Returns False if the job was abandoned meanwhile: the helper then cleans up itself."""
        with self.lock:
            if not self._is_of_now(chore):
                return False
            job = chore.job
            job.is_helped = False
            if job.state is ENDING:
                self._abandon(job)
                return True
            wrong = _what_is_wrong(job, plan)
            if wrong is not None:
                return self._chore_failed(chore, wrong)
            job.take_up(plan)
            self._move(job, WORKING)
            self.emit(
                events.JobPrepared, job=job.number, frames=plan.frames, frames_done=job.frames_before,
                width=plan.width, height=plan.height, fps=plan.fps, duration=plan.duration,
                goal="" if plan.phase is None else plan.phase.goal, engine_kind=job.kind,
            )  # fmt: skip
            self._begin(job, plan)
            return True

    def _begin(self, job: Job, plan: Plan) -> None:
        if not self.engines and not self._may_grow:
            self._fail(job, self._no_engine_left())
        else:
            self.waiting += [self._made(job, first, last) for first, last in plan.ranges]
            self._finish_if_complete(job)

    def _go_on(self, job: Job, step: NextPlan) -> None:
        """The task has another plan: its job goes back to the engines."""
        wrong = _what_is_wrong(job, step.plan)
        if wrong is not None:
            self._fail(job, wrong)
        if job.state is ENDING:
            self._abandon(job)
            return
        job.take_up(step.plan)
        self._move(job, WORKING)
        for trial in step.trials:
            self.emit(events.QualityTried, job=job.number, **vars(trial))
        self._begin(job, step.plan)

    # --- the caller ---

    def pause(self, paused: bool) -> None:
        with self.lock:
            self.is_paused = paused
            self.changed.notify_all()

    def set_limit(self, engines: int) -> None:
        """Lets only so many engines work. The others finish the frames that they have claimed."""
        with self.lock:
            self.engine_set.limit(engines)
            for piece in self.working:
                leaves = piece.engine not in self.engine_set.able and piece.job.may_be_divided
                rest = piece.range.cut() if leaves else None
                if rest is not None:
                    piece.job.open_pieces += 1
                    self.waiting.append(Piece(piece.job, rest))
            self.changed.notify_all()

    def wait_while_paused(self, piece: Piece) -> None:
        with self.lock:
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


def _what_is_wrong(job: Job, plan: Plan) -> NvencError | None:
    wrong = _no_whole_number(plan) or gaps(plan.ranges, plan.frames)
    return NvencError(f"The plan for {job.source} is not possible. {wrong}") if wrong else None


def _no_whole_number(plan: Plan) -> str | None:
    """Says which number of a plan is not a whole number; it would stop an engine half-way."""
    told: list[tuple[str, Any]] = [(name, getattr(plan, name)) for name in ("frames", "shortest_range", "good_range")]
    told += [("ranges", number) for pair in plan.ranges for number in pair]
    for name, value in told:
        if not isinstance(value, SupportsIndex):
            return f"{name} has {value!r}; frames are counted in whole numbers."
    return None
