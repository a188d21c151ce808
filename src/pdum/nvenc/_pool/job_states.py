"""The jobs of a run from the queue to their end, whatever that is: what helpers ask for, and what ends a job early."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Condition
from time import monotonic
from typing import TYPE_CHECKING

from .. import events
from .._errors import Cancelled
from .pieces import ENDING, FINISHING, OVER, PREPARING, QUEUED, WORKING, Job, Piece
from .schedule import ranked

if TYPE_CHECKING:
    from .._tasks import Result, Task
    from ..events import Event

MOST_FINISHING = 2
"""At a time, so that there is always a helper to look at the next source."""


class JobStates:
    """The part of a scheduler that knows jobs and no engines. Each public method takes the lock; none calls a task."""

    def __init__(self, tasks: Sequence[Task], emit: Callable[..., Event]) -> None:
        self.changed = Condition()
        self.jobs = [Job(number, task) for number, task in enumerate(tasks)]
        self.emit = emit
        self.engines: set[int] = set()
        """Those that are not lost."""
        self.waiting: list[Piece] = []
        self.working: list[Piece] = []
        self.is_over = not tasks
        self._abandoning: list[tuple[Job, bool]] = []
        self._finishing: list[Job] = []
        self._finishing_now = 0
        self._queue = ranked(self.jobs)
        for job in self.jobs:
            self._tell_queued(job)

    # --- helpers ---

    def next_chore(self) -> tuple[str, Job, bool] | None:
        """What a helper is to do next: "abandon", "finish" or "prepare" a job; None at the end."""
        with self.changed:
            while not self.is_over:
                if self._abandoning:
                    job, keep = self._abandoning.pop(0)
                    return self._helped("abandon", job, keep)
                if self._finishing and self._finishing_now < MOST_FINISHING:
                    self._finishing_now += 1
                    return self._helped("finish", self._finishing.pop(0))
                if self._queue and self._wants_more():
                    job = self._queue.pop(0)
                    job.state = PREPARING
                    return self._helped("prepare", job)
                self.changed.wait()
            return None

    def _helped(self, what: str, job: Job, keep: bool = False) -> tuple[str, Job, bool]:
        job.is_helped = True
        return what, job, keep

    def helped(self, job: Job) -> bool:
        """The helper is done with it; whether the job has been given up meanwhile, and its task is to be told so."""
        with self.changed:
            job.is_helped = False
            return job.state == OVER

    def _wants_more(self) -> bool:
        ahead = {piece.job.number for piece in self.waiting} | {
            job.number for job in self.jobs if job.state == PREPARING
        }
        return len(ahead) <= len(self.engines)

    def _finish_if_complete(self, job: Job) -> None:
        if job.open_pieces == 0 and job.state == WORKING:
            job.state = FINISHING
            self.emit(events.JobFinishing, job=job.number)
            self._finishing.append(job)
            self.changed.notify_all()

    def finished(self, job: Job, result: Result) -> None:
        with self.changed:
            self._finishing_now -= 1
            if job.state == OVER:
                return
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
            self._finishing_now -= 1
            self._fail(job, error)
            self._abandon(job)

    # --- early ends ---

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
        job.ending_since = monotonic()
        job.outcome, job.ended_as = error, ended_as
        self.waiting = [piece for piece in self.waiting if piece.job is not job]
        for piece in self.working:
            if piece.job is job:
                piece.is_dropped = True
        if before == QUEUED:
            self._queue.remove(job)
            self._tell_ended(job)
        elif before == FINISHING and job in self._finishing:
            self._finishing.remove(job)
            self._abandon(job)
        elif before == WORKING and job.engines_at_work == 0:
            self._abandon(job)
        self.changed.notify_all()

    def _abandon(self, job: Job) -> None:
        self._abandoning.append((job, job.ended_as == "cancelled"))
        self.changed.notify_all()

    def prepare_failed(self, job: Job, error: Exception) -> None:
        with self.changed:
            self._fail(job, error)
            self._abandon(job)

    def abandoned(self, job: Job) -> None:
        with self.changed:
            self._tell_ended(job)

    def _tell_ended(self, job: Job) -> None:
        if job.state == OVER:
            return
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

    def _tell_queued(self, job: Job) -> None:
        task = job.task
        self.emit(
            events.JobQueued, job=job.number, source=task.source, destination=task.destination,
            source_bytes=task.source_bytes,
        )  # fmt: skip
