"""The state of a run, under one lock: which job is how far, which engine has which piece, what is to be done next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Condition
from time import monotonic
from typing import TYPE_CHECKING, Any

from . import _events as events
from ._errors import Cancelled, InvalidConfig, NoEngineLeft, NvencError, UnsupportedFeature
from ._pieces import ENDING, FINISHING, OVER, PREPARING, QUEUED, WORKING, Job, Piece
from ._ranges import FrameRange, gaps
from ._schedule import may_take, next_waiting, ranked, shares, steal

if TYPE_CHECKING:
    from ._events import Event
    from ._work import Plan, Result, Task

PIECE_FAILURES = 4
"""How often a piece is tried before its job fails."""
MOST_REFUSALS = 2
MOST_FINISHING = 2
WORTH_A_SESSION = 16
"""Frames: an engine without a session does not open one for less."""


class Scheduler:
    """What engines, helpers and the caller ask and tell. Each method takes the lock; none calls a task."""

    def __init__(self, tasks: Sequence[Task], engines: Sequence[int], emit: Callable[..., Event]) -> None:
        self.changed = Condition()
        self.jobs = [Job(number, task) for number, task in enumerate(tasks)]
        self.emit = emit
        self.engines = set(engines)
        """Those that are not lost."""
        self.lost: dict[int, str] = {}
        self._all_engines = tuple(engines)
        self._allowed = set(engines)
        """Those that the caller lets work now."""
        self.rates: dict[int, float] = {}
        self.waiting: list[Piece] = []
        self.working: list[Piece] = []
        self.abandoning: list[tuple[Job, bool]] = []
        self.finishing: list[Job] = []
        self.finishing_now = 0
        self.is_paused = False
        self.is_over = not tasks
        self._queue = ranked(self.jobs)
        for job in self.jobs:
            self._tell_queued(job)

    # --- engines ---

    def wait_for_work(self, engine: int) -> Job | None:
        """A job that this engine could help with, to open a session for; None at the end."""
        with self.changed:
            while not self._is_done_for(engine):
                if self._may_work(engine):
                    piece = next_waiting(self.waiting, engine, self._able())
                    if piece is not None:
                        return piece.job
                    for other in self.working:
                        if self._is_worth_a_session(other, engine):
                            return other.job
                self.changed.wait()
            return None

    def _is_worth_a_session(self, piece: Piece, engine: int) -> bool:
        fitting = piece.job.may_be_divided and not piece.is_dropped and may_take(piece, engine, self._able())
        return fitting and piece.range.rest > max(WORTH_A_SESSION, 2 * piece.job.shortest)

    def take(self, engine: int) -> Piece | None:
        """The next piece for this engine, waiting for one; None at the end."""
        with self.changed:
            while not self._is_done_for(engine):
                piece = self._next(engine) if self._may_work(engine) else None
                if piece is not None:
                    piece.engine = engine
                    piece.job.engines_at_work += 1
                    self.working.append(piece)
                    self.changed.notify_all()
                    return piece
                self.changed.wait()
            return None

    def _next(self, engine: int) -> Piece | None:
        piece = next_waiting(self.waiting, engine, self._able())
        if piece is None:
            stolen = None if self._is_more_to_come() else steal(self.working, engine, self._able(), self.rates)
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
            job.refusals[engine] = job.refusals.get(engine, 0) + 1
            if isinstance(error, UnsupportedFeature) or job.refusals[engine] >= MOST_REFUSALS:
                job.unfit[engine] = error
            if not isinstance(error, NvencError) or isinstance(error, InvalidConfig) or self._is_unfit(job):
                self._fail(job, error)
            self.changed.notify_all()

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

    def next_chore(self) -> tuple[str, Job, bool] | None:
        """What a helper is to do next: "abandon", "finish" or "prepare" a job; None at the end."""
        with self.changed:
            while not self.is_over:
                if self.abandoning:
                    job, keep = self.abandoning.pop(0)
                    return "abandon", job, keep
                if self.finishing and self.finishing_now < MOST_FINISHING:
                    self.finishing_now += 1
                    return "finish", self.finishing.pop(0), False
                if self._queue and self._wants_more():
                    job = self._queue.pop(0)
                    job.state = PREPARING
                    return "prepare", job, False
                self.changed.wait()
            return None

    def _wants_more(self) -> bool:
        ahead = {piece.job.number for piece in self.waiting} | {
            job.number for job in self.jobs if job.state == PREPARING
        }
        return len(ahead) <= len(self.engines)

    def prepared(self, job: Job, plan: Plan) -> None:
        with self.changed:
            if job.state == ENDING:
                self._abandon(job)
                return
            wrong = gaps(plan.ranges, plan.frames)
            job.plan, job.state = plan, WORKING
            job.frames_before = plan.frames - sum(last - first for first, last in plan.ranges)
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

    def _finish_if_complete(self, job: Job) -> None:
        if job.open_pieces == 0 and job.state == WORKING:
            job.state = FINISHING
            self.emit(events.JobFinishing, job=job.number)
            self.finishing.append(job)
            self.changed.notify_all()

    def finished(self, job: Job, result: Result) -> None:
        with self.changed:
            self.finishing_now -= 1
            self._over(job, result, "finished" if result.skipped is None else "skipped")
            if result.skipped is None:
                seconds = monotonic() - (job.began or monotonic())
                self.emit(
                    events.JobFinished, job=job.number, destination=result.destination, frames=result.frames,
                    source_bytes=result.source_bytes, size=result.size, seconds=seconds, warnings=result.warnings,
                )  # fmt: skip
            else:
                self.emit(
                    events.JobSkipped, job=job.number, reason=result.skipped,
                    source_bytes=result.source_bytes, size=result.size,
                )  # fmt: skip

    def finish_failed(self, job: Job, error: Exception) -> None:
        with self.changed:
            self.finishing_now -= 1
            self._fail(job, error)
            self._abandon(job)

    def fail(self, job: Job, error: Exception) -> None:
        """The task itself has failed."""
        with self.changed:
            self._fail(job, error)

    def fail_all(self, error: Exception) -> None:
        with self.changed:
            self._fail_all(error)

    def _fail_all(self, error: Exception) -> None:
        for job in self.jobs:
            self._fail(job, error)

    def _fail(self, job: Job, error: Exception) -> None:
        self._end(job, error, "failed")

    def call_off(self, jobs: Sequence[Job], reason: str, ended_as: str = "cancelled") -> list[Job]:
        """Ends those that are not over; returns them, for tasks that can be interrupted to be so."""
        with self.changed:
            ended = [job for job in jobs if job.state not in (ENDING, OVER)]
            for job in ended:
                self._end(job, Cancelled(reason), ended_as)
            return ended

    def queued(self) -> list[Job]:
        with self.changed:
            begun = {piece.job.number for piece in self.working}
            return [
                job
                for job in self.jobs
                if job.state in (QUEUED, PREPARING)
                or (job.state == WORKING and job.began is None and job.number not in begun)
            ]

    def _end(self, job: Job, error: Exception, ended_as: str) -> None:
        """Begins to end a job; it is over once no engine and no helper works on it and its task has been told."""
        if job.state in (ENDING, OVER):
            return
        before, job.state = job.state, ENDING
        job.outcome, job.ended_as = error, ended_as
        self.waiting = [piece for piece in self.waiting if piece.job is not job]
        for piece in self.working:
            if piece.job is job:
                piece.is_dropped = True
        if before == QUEUED:
            self._queue.remove(job)
            self._tell_ended(job)
        elif before == FINISHING and job in self.finishing:
            self.finishing.remove(job)
            self._abandon(job)
        elif before == WORKING and job.engines_at_work == 0:
            self._abandon(job)
        self.changed.notify_all()

    def _abandon(self, job: Job) -> None:
        self.abandoning.append((job, job.ended_as == "cancelled"))
        self.changed.notify_all()

    def prepare_failed(self, job: Job, error: Exception) -> None:
        with self.changed:
            self._fail(job, error)
            self._abandon(job)

    def abandoned(self, job: Job) -> None:
        with self.changed:
            self._tell_ended(job)

    def _tell_ended(self, job: Job) -> None:
        error = job.outcome
        assert isinstance(error, Exception)
        self._over(job, error, job.ended_as)
        if job.ended_as == "failed":
            self.emit(events.JobFailed, job=job.number, error=type(error).__name__, message=str(error))
        elif job.ended_as == "skipped":
            self.emit(events.JobSkipped, job=job.number, reason=str(error), source_bytes=job.task.source_bytes)
        else:
            self.emit(events.JobCancelled, job=job.number)

    def _over(self, job: Job, outcome: Result | Exception, ended_as: str) -> None:
        job.state, job.outcome, job.ended_as = OVER, outcome, ended_as
        self.is_over = all(other.state == OVER for other in self.jobs)
        self.changed.notify_all()

    # --- the caller ---

    def retry(self, job: Job) -> bool:
        """Whether the job, which has ended without a result, is begun again."""
        with self.changed:
            if self.is_over or job.state != OVER or job.ended_as == "finished":
                return False
            job.forget()
            self._queue = ranked([*self._queue, job])
            self._tell_queued(job)
            self.changed.notify_all()
            return True

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

    def _tell_queued(self, job: Job) -> None:
        task = job.task
        self.emit(
            events.JobQueued, job=job.number, source=task.source, destination=task.destination,
            source_bytes=task.source_bytes,
        )  # fmt: skip

    def _tell(self, kind: type[Event], piece: Piece, **more: Any) -> None:
        self.emit(
            kind, job=piece.job.number, engine=piece.engine, piece=piece.number,
            first=piece.first, last=piece.last, **more,
        )  # fmt: skip
