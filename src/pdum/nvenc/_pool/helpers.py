"""What is done off the engines: looking sources through, joining and verifying results, clearing up."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from .. import events
from .._errors import InvalidConfig

if TYPE_CHECKING:
    from .pieces import Job
    from .scheduler import Scheduler

HELPERS = 3


def make_helpers(scheduler: Scheduler, lanes: int) -> list[threading.Thread]:
    """Threads that end with the run. They are few: what they do is mostly waiting for a disk."""
    return [
        threading.Thread(target=_help, args=(scheduler, lanes), name=f"pdum.nvenc helper {number}", daemon=True)
        for number in range(HELPERS)
    ]


def _help(scheduler: Scheduler, lanes: int) -> None:
    while (chore := scheduler.next_chore()) is not None:
        what, job, keep = chore
        if what == "prepare":
            _prepare(scheduler, job, lanes)
        elif what == "finish":
            _finish(scheduler, job)
        else:
            _abandon(scheduler, job, keep)


def _was_given_up(scheduler: Scheduler, job: Job) -> bool:
    """Whether the run has ended without this helper, which then clears up after itself."""
    if not scheduler.helped(job):
        return False
    _clear_up(scheduler, job, keep=False)
    return True


def _prepare(scheduler: Scheduler, job: Job, lanes: int) -> None:
    try:
        with job.lock:
            plan = job.task.prepare(lanes)
    except Exception as error:
        if not _was_given_up(scheduler, job):
            scheduler.prepare_failed(job, error)
    else:
        if not _was_given_up(scheduler, job):
            scheduler.prepared(job, plan)


def _finish(scheduler: Scheduler, job: Job) -> None:
    try:
        with job.lock:
            result = job.task.finish()
    except Exception as error:
        if not _was_given_up(scheduler, job):
            scheduler.finish_failed(job, error)
    else:
        scheduler.helped(job)
        scheduler.finished(job, result)


def _abandon(scheduler: Scheduler, job: Job, keep: bool) -> None:
    _clear_up(scheduler, job, keep)
    scheduler.helped(job)
    scheduler.abandoned(job)


def _clear_up(scheduler: Scheduler, job: Job, keep: bool) -> None:
    try:
        with job.lock:
            job.task.abandon(keep)
    except Exception as error:
        text = f"What {job.task.source} left could not be cleared up: {error}"
        scheduler.emit(events.Notice, message=text, level="warning")


def interrupt(job: Job) -> None:
    """Tells a task that it is called off, if it wants to know: what it is doing may take long."""
    call = getattr(job.task, "interrupt", None)
    if call is not None:
        call()


def number_of(number: int, jobs: int) -> int:
    """The job's number if there is such a job."""
    if not 0 <= number < jobs:
        raise InvalidConfig(f"job={number} came; this run has jobs from 0 to {jobs - 1}.")
    return number
