"""The work beside the engines: examining sources, joining and verifying results, clearing up."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from .. import events
from .._errors import InvalidConfig, NvencError
from .._profiling import profiled
from .._tasks import NotYet
from .._text import error_text
from .job import as_error
from .job_states import is_worth_keeping

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..events import EngineInfo
    from .job import Job
    from .job_states import Chore
    from .scheduler import Scheduler

HELPERS = 3


def make_helpers(scheduler: Scheduler, engines: Sequence[EngineInfo], helpers: int = HELPERS) -> list[threading.Thread]:
    """Threads that end with the run. They are few: what they do is mostly waiting for a disk.

    One more only clears up after tasks, so that sources that do not answer cannot hold up the end of others.
    """
    return [
        threading.Thread(target=_help, args=(scheduler, engines, clears_up), name=f"pdum.nvenc {name}", daemon=True)
        for name, clears_up in [*((f"helper {number}", False) for number in range(helpers)), ("cleaner", True)]
    ]


def _help(scheduler: Scheduler, engines: Sequence[EngineInfo], clears_up: bool) -> None:
    try:
        _do_chores(scheduler, engines, clears_up)
    except BaseException as error:  # our own mistake: no thread must wait for this helper forever
        told = NvencError(f"A helper of the run failed: {error!r}")
        told.__cause__ = error
        scheduler.fail_all(told)


def _do_chores(scheduler: Scheduler, engines: Sequence[EngineInfo], clears_up: bool) -> None:
    while (chore := scheduler.next_chore(clears_up=clears_up)) is not None:
        if chore.what == "prepare":
            _prepare(scheduler, chore, engines)
        elif chore.what == "finish":
            _finish(scheduler, chore)
        else:
            _abandon(scheduler, chore)


@profiled("pdum.pool.prepare")
def _prepare(scheduler: Scheduler, chore: Chore, engines: Sequence[EngineInfo]) -> None:
    job = chore.job
    with job.lock:  # held until the task is cleared up, if it is: a further attempt then finds nothing of this one
        if not scheduler.is_wanted(chore):
            return
        try:
            _tell_engines(scheduler, job, engines)
            plan = job.task.prepare(len(engines))
        except NotYet as waits:
            is_wanted = scheduler.queue_again(chore, waits.error)
        except BaseException as error:
            is_wanted = scheduler.prepare_failed(chore, as_error(error, job.source))
        else:
            is_wanted = scheduler.prepared(chore, plan)
        if not is_wanted:
            _clear_up(scheduler, chore)


def _tell_engines(scheduler: Scheduler, job: Job, engines: Sequence[EngineInfo]) -> None:
    """Tells the task which engines there are, and which kind it gets if hardware and software work for the run."""
    task: Any = job.task
    if hasattr(task, "expect_engines"):
        task.expect_engines(engines)
    if job.kind and hasattr(task, "use_engines"):
        task.use_engines(scheduler.settle_kind(job, task.engines_before()))


@profiled("pdum.pool.finish")
def _finish(scheduler: Scheduler, chore: Chore) -> None:
    job = chore.job
    with job.lock:
        try:
            result = job.task.finish()
        except BaseException as error:
            if not scheduler.finish_failed(chore, as_error(error, job.source)):
                _clear_up(scheduler, chore)
        else:
            scheduler.finished(chore, result)


def _abandon(scheduler: Scheduler, chore: Chore) -> None:
    with chore.job.lock:
        _clear_up(scheduler, chore)
    scheduler.abandoned(chore)


def _clear_up(scheduler: Scheduler, chore: Chore) -> None:
    try:
        chore.job.task.abandon(chore.keep or is_worth_keeping(chore.job))
    except BaseException as error:
        text = f"The temporary files of {chore.job.source} could not be removed: {error_text(error)}"
        scheduler.emit(events.Notice, message=text, level="warning")


def number_of(number: int, jobs: int) -> int:
    """The job's number if there is such a job."""
    if not 0 <= number < jobs:
        raise InvalidConfig(f"Expected a job from 0 to {jobs - 1}, got job={number}.")
    return number
