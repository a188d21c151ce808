"""Jobs of a run and the pieces that they fall into, as the scheduler keeps them. Its lock guards all of it."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from .ranges import FrameRange

if TYPE_CHECKING:
    from .._tasks import PieceSink, Plan, Result, Task

QUEUED, PREPARING, WORKING, FINISHING, ENDING = "queued", "preparing", "working", "finishing", "ending"
OVER = "over"
"""The states of a job. ``ENDING``: it failed or was called off, and engines are still letting go of it."""


class Job:
    """One task of a run, and how far it is."""

    def __init__(self, number: int, task: Task) -> None:
        self.number = number
        self.task = task
        self.rank = 0
        """Its place in the order of work: the longest is 0."""
        self.lock = Lock()
        """Of the task, whose methods are called from one thread at a time."""
        self.forget()

    def forget(self) -> None:
        """As it was before anything was done for it."""
        self.state = QUEUED
        self.plan: Plan | None = None
        self.open_pieces = 0
        self.engines_at_work = 0
        self.pieces_made = 0
        self.frames_before = 0
        """Frames of pieces that are complete, and of earlier runs."""
        self.unfit: dict[int, Exception] = {}
        """Engines that cannot encode it, and why."""
        self.refusals: dict[int, int] = {}
        """How often each engine would not make an encoder for it."""
        self.began: float | None = None
        self.is_helped = False
        """A helper is in one of its task's methods."""
        self.ending_since = 0.0
        self.outcome: Result | Exception | None = None
        self.ended_as = ""

    @property
    def total(self) -> int:
        return 0 if self.plan is None else self.plan.frames

    @property
    def pixels(self) -> int:
        """Of a frame: what its cost is taken to grow with."""
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


class Piece:
    """A range of a job's frames for one engine to encode from an IDR to a flush."""

    def __init__(self, job: Job, frames: FrameRange) -> None:
        self.job = job
        self.range = frames
        self.number = job.pieces_made
        job.pieces_made += 1
        self.engine = -1
        self.sink: PieceSink | None = None
        self.lock = Lock()
        """Of the sink: an engine that was given up may come back while another thread takes its piece away."""
        self.frames = 0
        """Given to the engine."""
        self.packets = 0
        self.began = 0.0
        self.is_dropped = False
        """Nobody wants it any more: whoever works on it lets go of it."""
        self.failed_on: set[int] = set()
        self.failures = 0

    def __repr__(self) -> str:
        return f"Piece({self.job.number}.{self.number}, {self.range})"

    @property
    def first(self) -> int:
        return self.range.first

    @property
    def last(self) -> int:
        return self.range.last

    def again(self) -> Piece:
        """The same frames as a piece that nobody has begun. Nothing can be stolen from this one afterwards."""
        self.range.claim(self.range.last)
        piece = Piece(self.job, FrameRange(self.first, self.last))
        piece.failed_on, piece.failures = set(self.failed_on), self.failures
        return piece
