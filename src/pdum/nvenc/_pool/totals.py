"""The sums over a run's jobs, which are kept up to date instead of being computed for each question."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from .job import OVER

if TYPE_CHECKING:
    from .job import Job


class Share(NamedTuple):
    """What one job adds."""

    frames_done: int = 0
    frames_known: int = 0
    work_known: float = 0.0
    """The estimates of the jobs whose frames are known."""
    work_unknown: float = 0.0
    jobs_unknown: int = 0
    jobs_over: int = 0


def share_of(job: Job) -> Share:
    is_over = job.state is OVER
    if job.plan is not None:
        done = job.total if job.ended_as == "finished" else job.work_done
        return Share(frames_done=round(done), frames_known=job.total, work_known=job.work, jobs_over=is_over)
    if is_over:
        return Share(jobs_over=1)
    return Share(work_unknown=job.work, jobs_unknown=1)


class Totals:
    """The sums over all jobs. Call ``update`` after a change of a job."""

    def __init__(self) -> None:
        self._shares: dict[int, Share] = {}
        self.sums = Share()

    def update(self, job: Job) -> None:
        before, now = self._shares.get(job.number, Share()), share_of(job)
        self._shares[job.number] = now
        sums: Iterable[Any] = (total + new - old for total, new, old in zip(self.sums, now, before, strict=True))
        self.sums = Share(*sums)

    def estimated_frames(self) -> int:
        """Frames of all jobs. Jobs that are not prepared yet have as many for their estimated work as the others."""
        sums = self.sums
        if sums.jobs_unknown == 0 or sums.work_known <= 0:
            return sums.frames_known
        return sums.frames_known + round(max(sums.work_unknown, 0.0) * sums.frames_known / sums.work_known)
