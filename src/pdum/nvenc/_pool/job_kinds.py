"""Which kind of engines each job gets, if hardware and software work for one run.

What they make of one file could not be joined, so each file is for one kind. Hardware gets the longest files and
software the shortest, because it is slow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from .engine_set import EngineSet
from .job import QUEUED, WORKING, Job
from .job_states import JobStates

if TYPE_CHECKING:
    from .._tasks import Task
    from ..events import Event
    from .pieces import Piece

HARDWARE, SOFTWARE = "nvenc", "software"


class JobKinds(JobStates):
    """``kinds``: the kind of each engine; None: all are of one kind, and nothing here has any effect."""

    def __init__(
        self,
        tasks: Sequence[Task],
        engines: Sequence[int],
        emit: Callable[..., Event],
        cores: int,
        kinds: Mapping[int, str] | None,
    ) -> None:
        super().__init__(tasks, emit)
        self.engine_set = EngineSet(engines, cores, self.changed.notify_all, kinds)
        self._has_both = kinds is not None

    def _of_kind(self, pieces: list[Piece], kind: str) -> list[Piece]:
        return pieces if not self._has_both else [piece for piece in pieces if piece.job.kind == kind]

    def _next_queued(self) -> Job | None:
        if not self._has_both:
            return super()._next_queued()
        hardware = len(self.engine_set.able_of(HARDWARE))
        idle = self.engine_set.able_of(SOFTWARE) - {piece.engine for piece in self.working}
        if hardware and self._wants_more(hardware, HARDWARE):
            kind, job = HARDWARE, self._queue.longest()
        elif idle and self._wants_more(len(idle) - 1, SOFTWARE):
            kind, job = SOFTWARE, self._short_enough()
        else:
            return None
        if job is not None:
            job.kind = kind
        return job

    def _short_enough(self) -> Job | None:
        """The shortest job, if hardware will still be at work on the others when software has done it."""
        job, hardware = self._queue.shortest(), len(self.engine_set.able_of(HARDWARE))
        fast, slow = self.engine_set.rate_of(HARDWARE), self.engine_set.rate_of(SOFTWARE)
        if job is None or not hardware:
            return job
        if fast and slow:
            is_soon_done = job.work * fast * hardware <= self.totals.sums.work_unknown * slow
        else:
            is_soon_done = len(self._in_state[QUEUED]) > hardware
        return job if is_soon_done else None

    def settle_kind(self, job: Job, before: str) -> str:
        """The kind of engines for a job that is about to be prepared. ``before``: those that have begun with it in an
        earlier run; they go on with it if there are any."""
        with self.lock:
            if before and self.engine_set.able_of(before):
                job.kind = before
            return job.kind

    def kinds_without_engines(self) -> set[str]:
        """The kinds that jobs wait for although no engine of them is there."""
        with self.lock:
            wanted = {piece.job.kind for piece in self.waiting} if self._has_both else set()
            return {kind for kind in wanted if not self.engine_set.able_of(kind)}

    def fail_without_engines(self, kind: str, error: Exception) -> None:
        """Ends the jobs that only engines of this kind could encode."""
        with self.lock:
            for job in list(self._in_state[WORKING].values()):
                if job.kind == kind:
                    self._fail(job, error)
