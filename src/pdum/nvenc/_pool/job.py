"""One job of a run and the states that it goes through."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from math import inf, isfinite
from threading import Lock
from typing import TYPE_CHECKING

from .._errors import InvalidConfig, NvencError

if TYPE_CHECKING:
    from .._results import Result
    from .._tasks import Plan, Task


class JobState(Enum):
    QUEUED = "queued"
    PREPARING = "preparing"
    WORKING = "working"
    FINISHING = "finishing"
    ENDING = "ending"
    """It failed or was cancelled, and engines or helpers are still letting go of it."""
    OVER = "over"


QUEUED, PREPARING, WORKING = JobState.QUEUED, JobState.PREPARING, JobState.WORKING
FINISHING, ENDING, OVER = JobState.FINISHING, JobState.ENDING, JobState.OVER

MAY_FOLLOW = {
    QUEUED: {PREPARING, ENDING},
    PREPARING: {WORKING, QUEUED, ENDING},
    WORKING: {FINISHING, ENDING},
    FINISHING: {OVER, WORKING, ENDING},
    ENDING: {OVER},
    OVER: {QUEUED},
}
"""All allowed changes. ``OVER`` to ``QUEUED`` is another attempt, ``PREPARING`` to ``QUEUED`` a task that waits for the
end of another one, and ``FINISHING`` to ``WORKING`` the next plan."""

NEEDED = (
    "source", "destination", "source_bytes", "estimated_work", "needs_encoder", "is_committing",
    "prepare", "config", "frames", "frames_with", "sink", "finish", "abandon", "interrupt",
)  # fmt: skip


class Job:
    """One task of a run, and how far it is. The scheduler's lock guards it."""

    def __init__(self, number: int, task: Task) -> None:
        self.number = number
        self._task: Task | None = task
        self.rank = 0
        """Its place in the order of work: the longest is 0."""
        self.lock = Lock()
        """Held while a method of the task runs, so that they run one at a time."""
        self.attempt = 0
        """Grows when the job begins again. Results of an earlier attempt are dropped."""
        self.source = self.destination = ""
        self.source_bytes = 0
        self.work = 0.0
        """The task's estimate, read once."""
        self.is_direct = False
        """The task makes its frames in the engine's thread."""
        self.trouble: Exception | None = None
        """What is wrong with the task itself. Its job fails with it."""
        try:
            self._read(task)
        except Exception as error:
            self.trouble = error
        self.forget()

    def _read(self, task: Task) -> None:
        self.source, self.destination = str(task.source), str(task.destination)
        missing = [name for name in NEEDED if not hasattr(type(task), name) and not hasattr(task, name)]
        if missing:
            raise InvalidConfig(
                f"The task {type(task).__name__} has no {', '.join(missing)}. Derive it from pdum.nvenc.BaseTask, "
                "which has everything that a task may leave out."
            )
        self.source_bytes, self.is_direct = task.source_bytes, task.needs_encoder
        self.work = _finite(task.estimated_work, self.source)

    def forget(self) -> None:
        """Resets the job to the state before any work."""
        self.state = QUEUED
        self.kind = ""
        """The kind of the engines that encode it, if hardware and software work for one run: what they make of one file
        could not be joined."""
        self.plan: Plan | None = None
        self.open_pieces = 0
        self.engines_at_work = 0
        self.pieces_made = 0
        self.frames_before = 0
        """Frames of the plan's pieces that are complete, and of earlier runs."""
        self.frames_of_plan = 0
        self.refused_by: dict[int, Exception] = {}
        """Engines that cannot encode it, and why."""
        self.refusals: dict[int, int] = {}
        """How often each engine could not make an encoder for it."""
        self.began: float | None = None
        self.is_helped = False
        """A helper is in one of its task's methods."""
        self.is_to_be_abandoned = False
        self.ending_since = 0.0
        self.ended_before = 0
        """How many jobs had ended when it was last prepared."""
        self.outcome: Result | Exception | None = None
        self.ended_as = ""

    @property
    def task(self) -> Task:
        assert self._task is not None, "a finished task must not be called"
        return self._task

    def release_task(self) -> None:
        """It has finished, so its task and plan are not needed again: they may hold the index of an hour of video."""
        self._task = None
        if self.plan is not None:
            self.plan = replace(self.plan, ranges=())

    @property
    def is_open(self) -> bool:
        """Whether it has not ended and is not ending."""
        return self.state not in (ENDING, OVER)

    def take_up(self, plan: Plan) -> None:
        wanted = sum(last - first for first, last in plan.ranges)
        self.plan = plan
        self.frames_of_plan = wanted if plan.is_for_samples else plan.frames
        self.frames_before = self.frames_of_plan - wanted

    @property
    def plan_frames(self) -> int:
        return 0 if self.plan is None else self.plan.frames

    @property
    def total(self) -> int:
        """Frames of all plans together."""
        if self.plan is None:
            return 0
        return self.plan.frames if self.plan.phase is None else self.plan.phase.work

    @property
    def weight(self) -> float:
        """How much one frame of the plan counts in ``total``."""
        phase = None if self.plan is None else self.plan.phase
        return 1.0 if phase is None else phase.work * (phase.ends_at - phase.begins_at) / max(self.frames_of_plan, 1)

    @property
    def work_done(self) -> float:
        """The finished part of ``total``, without the pieces that engines work on."""
        phase = None if self.plan is None else self.plan.phase
        return self.frames_before * self.weight + (0.0 if phase is None else phase.work * phase.begins_at)

    @property
    def searches(self) -> bool:
        """Whether it encodes only samples so far."""
        return self.plan is not None and self.plan.is_for_samples

    @property
    def pixels(self) -> int:
        """Pixels of a frame. The cost of a frame is taken to grow with them."""
        return 1 if self.plan is None else max(self.plan.width * self.plan.height, 1)

    @property
    def may_be_divided(self) -> bool:
        return self.plan is not None and not self.plan.whole_ranges

    @property
    def shortest(self) -> int:
        return 1 if self.plan is None else max(self.plan.shortest_range, 1)

    @property
    def good_length(self) -> int:
        return self.shortest if self.plan is None else max(self.plan.good_range, self.shortest)


def as_error(error: BaseException, where: str) -> Exception:
    """The error that a job ends with. An error that is not an ``Exception``, such as SystemExit, becomes an
    ``NvencError``: in a thread of the pool it can only end the job."""
    if isinstance(error, Exception):
        return error
    told = NvencError(f"{where} raised {error!r}, which ends this job and nothing else. Raise an Exception instead.")
    told.__cause__ = error
    return told


def _finite(work: object, source: str) -> float:
    try:
        number = float(work)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = inf
    if not isfinite(number):
        raise InvalidConfig(f"Expected a finite number as estimated_work of {source}, got {work!r}.")
    return number
