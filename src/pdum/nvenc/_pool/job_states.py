"""The states of a run's jobs from the queue to the end: the chores of helpers, and what ends a job early."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from threading import Condition, RLock
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from .. import events
from .._errors import (
    Cancelled,
    CudaFailed,
    DeviceLost,
    EncoderFailed,
    NoEncoder,
    NoEngineLeft,
    OutOfMemory,
    OutOfSessions,
    StorageFailed,
)
from .._tasks import NextPlan
from .._text import error_text
from .interruptible import Bell
from .job import ENDING, FINISHING, MAY_FOLLOW, OVER, PREPARING, QUEUED, WORKING, Job, JobState
from .job_queue import JobQueue
from .schedule import ranked
from .totals import Totals

if TYPE_CHECKING:
    from .._results import Result
    from .._tasks import Task
    from ..events import Event
    from .pieces import Piece

MOST_SEARCHED = 8
"""Jobs beyond one for each engine that search for a quality value at a time. Each keeps its source's index in memory,
which is megabytes for a long film."""
MOST_FINISHING = 2
"""Jobs that helpers finish at a time, so that one helper is always free for the next source."""

CURABLE = (
    *(OSError, MemoryError, DeviceLost, NoEngineLeft, NoEncoder),
    *(OutOfSessions, OutOfMemory, CudaFailed, EncoderFailed, StorageFailed),
)
"""Errors of the machine rather than of the job: a later run can use what is complete."""


def is_worth_keeping(job: Job) -> bool:
    """Whether a later run can go on with the complete pieces of a job that has ended early."""
    if job.ended_as == "failed":
        return isinstance(job.outcome, CURABLE)
    return job.ended_as == "cancelled"


class Chore(NamedTuple):
    """What a helper is to do: "prepare", "finish" or "abandon" a job's task."""

    what: str
    job: Job
    attempt: int
    keep: bool = False
    """Whether a later run may use what is done."""


class JobStates:
    """The part of a scheduler that knows jobs and no engines. Each public method takes the lock; none calls a task.

    No method looks at all jobs, except those that end or tell all of them.
    """

    def __init__(self, tasks: Sequence[Task], emit: Callable[..., Event]) -> None:
        self.lock = RLock()
        self.changed = Condition(self.lock)
        """Callers take ``lock`` itself, whose ``with`` Ctrl+C cannot interrupt half-way."""
        self.attention = Bell()
        """Wakes the run's own thread."""
        self.jobs = [Job(number, task) for number, task in enumerate(tasks)]
        self.emit = emit
        self.engines: set[int] = set()
        """The engines that are not lost."""
        self.most_finishing = MOST_FINISHING
        self.waiting: list[Piece] = []
        self.working: list[Piece] = []
        self.totals = Totals()
        self._in_state: dict[JobState, dict[int, Job]] = {state: {} for state in JobState}
        self._in_state[QUEUED] = {job.number: job for job in self.jobs}
        self._abandoning: deque[Chore] = deque()
        self._finishing: deque[Job] = deque()
        self._finishing_now = 0
        self._waits_at: int | None = None
        """How many jobs had ended when a task said that it waits for the end of another one."""
        ranked(self.jobs)
        self._queue = JobQueue(self.jobs)
        for job in self.jobs:
            self.totals.update(job)
            self._tell_queued(job)
        with self.lock:
            for job in self.jobs:
                if job.trouble is not None:
                    self._fail(job, job.trouble)

    @property
    def is_over(self) -> bool:
        return len(self._in_state[OVER]) == len(self.jobs)

    def _move(self, job: Job, state: JobState) -> None:
        assert state in MAY_FOLLOW[job.state], (job.state, state)
        del self._in_state[job.state][job.number]
        self._in_state[state][job.number] = job
        job.state = state
        self.totals.update(job)
        self.changed.notify_all()
        if self.is_over:
            self.attention.ring()

    # --- helpers ---

    def next_chore(self, *, clears_up: bool = False) -> Chore | None:
        """Waits for what a helper is to do next; None at the end. ``clears_up``: the helper does nothing else."""
        with self.lock:
            while True:
                chore = self.next_chore_now(clears_up=clears_up)
                if chore is not None or self.is_over:
                    return chore
                self.changed.wait()

    def next_chore_now(self, *, clears_up: bool = False) -> Chore | None:
        """Likewise, without waiting."""
        with self.lock:
            if self._abandoning:
                chore = self._abandoning.popleft()
                chore.job.is_helped = True
                return chore
            if clears_up or self.is_over:
                return None
            if self._finishing and self._finishing_now < self.most_finishing:
                self._finishing_now += 1
                return self._helped("finish", self._finishing.popleft())
            job = self._next_queued()
            if job is None:
                return None
            self._move(job, PREPARING)
            job.ended_before = len(self._in_state[OVER])
            return self._helped("prepare", job)

    def _helped(self, what: str, job: Job) -> Chore:
        job.is_helped = True
        return Chore(what, job, job.attempt)

    def _next_queued(self) -> Job | None:
        """The job to be prepared next; None if enough jobs are prepared."""
        return self._queue.longest() if self._wants_more(len(self.engines)) else None

    def _is_of_now(self, chore: Chore) -> bool:
        return chore.attempt == chore.job.attempt and chore.job.state is not OVER

    def is_wanted(self, chore: Chore) -> bool:
        """Whether the job still waits for this chore. If it was abandoned meanwhile, the helper goes on without it."""
        with self.lock:
            return self._is_of_now(chore)

    def _wants_more(self, engines: int, kind: str = "") -> bool:
        """Whether more jobs should be prepared for so many engines, of this kind if hardware and software work."""
        ahead = {piece.job.number for piece in self.waiting if kind in ("", piece.job.kind)}
        preparing = sum(kind in ("", job.kind) for job in self._in_state[PREPARING].values())
        open_jobs = (*self._in_state[WORKING].values(), *self._in_state[FINISHING].values())
        if sum(job.searches for job in open_jobs) >= len(self.engines) + MOST_SEARCHED:
            return False
        if self._waits_at == len(self._in_state[OVER]) and self._has_work_besides(None):
            return False
        return len(ahead) + preparing <= engines

    def _has_work_besides(self, job: Job | None) -> bool:
        """Whether another job has begun and has not ended."""
        begun = [one for state in (PREPARING, WORKING, FINISHING, ENDING) for one in self._in_state[state].values()]
        return any(one is not job for one in begun)

    def queue_again(self, chore: Chore, error: Exception) -> bool:
        """Queues a job again whose task waits for the end of another one. It fails with the error if there is none.

        Returns False if the job was abandoned meanwhile.
        """
        with self.lock:
            job = chore.job
            has_ended = len(self._in_state[OVER]) != job.ended_before
            is_late = not self._is_of_now(chore) or job.state is not PREPARING
            if is_late or not (has_ended or self._has_work_besides(job)):
                return self._chore_failed(chore, error)
            job.is_helped = False
            self._waits_at = None if has_ended else job.ended_before
            self._move(job, QUEUED)
            self._queue.add(job)
            return True

    def _is_more_to_come(self) -> bool:
        """Whether jobs are still to be prepared: until then nothing is divided to give idle engines work."""
        return bool(self._in_state[QUEUED] or self._in_state[PREPARING])

    def _finish_if_complete(self, job: Job) -> None:
        if job.open_pieces == 0 and job.state is WORKING:
            self._move(job, FINISHING)
            if not job.searches:
                self.emit(events.JobFinishing, job=job.number)
            self._finishing.append(job)

    def finished(self, chore: Chore, result: Result | NextPlan) -> None:
        with self.lock:
            self._finishing_now -= 1
            self.changed.notify_all()
            job = chore.job
            if not self._is_of_now(chore):
                return
            job.is_helped = False
            if isinstance(result, NextPlan):
                self._go_on(job, result)
                return
            kept = result.skipped is None
            self._over(job, result, "finished" if kept else "skipped")
            if kept:
                job.release_task()
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

    def _go_on(self, job: Job, step: NextPlan) -> None:
        raise NotImplementedError

    def finish_failed(self, chore: Chore, error: Exception) -> bool:
        """Returns False if the job was abandoned meanwhile: the helper then cleans up itself."""
        with self.lock:
            self._finishing_now -= 1
            job = chore.job
            if job.state is ENDING and job.task.is_committing:
                job.outcome, job.ended_as = error, "failed"  # the cancel was too late to have any effect
            return self._chore_failed(chore, error)

    def prepare_failed(self, chore: Chore, error: Exception) -> bool:
        """Likewise."""
        with self.lock:
            return self._chore_failed(chore, error)

    def _chore_failed(self, chore: Chore, error: Exception) -> bool:
        self.changed.notify_all()
        if not self._is_of_now(chore):
            return False
        chore.job.is_helped = False
        self._fail(chore.job, error)
        self._abandon(chore.job)
        return True

    # --- early ends ---

    def fail(self, job: Job, error: Exception) -> None:
        """The task itself has failed."""
        with self.lock:
            self._fail(job, error)

    def fail_all(self, error: Exception) -> None:
        with self.lock:
            self._fail_all(error)

    def _fail_all(self, error: Exception) -> None:
        for job in self._open_jobs():
            self._fail(job, error)

    def _open_jobs(self) -> list[Job]:
        return [job for state in (QUEUED, PREPARING, WORKING, FINISHING) for job in self._in_state[state].values()]

    def _fail(self, job: Job, error: Exception) -> None:
        self._end(job, error, "failed")

    def call_off(self, jobs: Iterable[Job], reason: str, ended_as: str = "cancelled") -> list[Job]:
        """Ends the jobs that are not over. Returns those at work, whose tasks must be interrupted."""
        with self.lock:
            ended = [job for job in jobs if job.is_open]
            for job in ended:
                self._end(job, Cancelled(reason), ended_as)
            return [job for job in ended if job.state is ENDING]

    def queued(self) -> list[Job]:
        """Jobs that have encoded nothing yet for a result."""
        with self.lock:
            begun = {piece.job.number for piece in self.working}
            working, finishing = self._in_state[WORKING].values(), self._in_state[FINISHING].values()
            prepared = [job for job in working if job.began is None and job.number not in begun]
            searching = [job for job in (*working, *finishing) if job.searches and job not in prepared]
            queued = [*self._in_state[QUEUED].values(), *self._in_state[PREPARING].values()]
            return [*queued, *prepared, *searching]

    def _end(self, job: Job, error: Exception, ended_as: str) -> None:
        """Begins to end a job. It is over once no engine and no helper works on it and its task knows."""
        if not job.is_open:
            return
        before = job.state
        job.ending_since = monotonic()
        job.outcome, job.ended_as = error, ended_as
        self._move(job, ENDING)
        if before is QUEUED:
            self._tell_ended(job)
        elif before is FINISHING and job in self._finishing:
            self._finishing.remove(job)
            self._abandon(job)
        elif before is WORKING:
            self.waiting = [piece for piece in self.waiting if piece.job is not job]
            for piece in self.working:
                if piece.job is job:
                    piece.is_dropped = True
            if job.engines_at_work == 0:
                self._abandon(job)

    def _abandon(self, job: Job) -> None:
        job.is_to_be_abandoned = True
        self._abandoning.append(Chore("abandon", job, job.attempt, is_worth_keeping(job)))
        self.changed.notify_all()

    def abandoned(self, chore: Chore) -> None:
        with self.lock:
            job = chore.job
            if chore.attempt == job.attempt:
                job.is_helped = job.is_to_be_abandoned = False
                self._tell_ended(job)

    def _late(self, seconds: float) -> list[Job]:
        """Jobs that have been ending for longer than this. A commit is waited for, however slow the disk is."""
        now = monotonic()
        ending = self._in_state[ENDING].values()
        return [job for job in ending if now - job.ending_since > seconds and not job.task.is_committing]

    def _tell_ended(self, job: Job) -> None:
        if job.state is OVER:
            return
        error = job.outcome
        assert isinstance(error, Exception)
        self._over(job, error, job.ended_as)
        if job.ended_as == "failed":
            self.emit(events.JobFailed, job=job.number, error=type(error).__name__, message=error_text(error))
        elif job.ended_as == "skipped":
            self.emit(events.JobSkipped, job=job.number, reason=str(error), source_bytes=job.source_bytes)
        else:
            self.emit(events.JobCancelled, job=job.number)

    def _over(self, job: Job, outcome: Result | Exception, ended_as: str) -> None:
        job.outcome, job.ended_as = outcome, ended_as
        self._move(job, OVER)

    def retry(self, job: Job) -> bool:
        """Begins a job again that has ended without a result. Returns False if that cannot be."""
        with self.lock:
            good = job.ended_as == "finished" or job.trouble is not None
            if self.is_over or job.state is not OVER or good or job.is_to_be_abandoned:
                return False
            self._move(job, QUEUED)
            job.attempt += 1
            job.forget()
            self.totals.update(job)
            self._queue.add(job)
            self._tell_queued(job)
            return True

    def _tell_queued(self, job: Job) -> None:
        self.emit(
            events.JobQueued, job=job.number, source=job.source, destination=job.destination,
            source_bytes=job.source_bytes,
        )  # fmt: skip
