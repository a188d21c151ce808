"""The pieces of jobs, as the scheduler keeps them. Its lock guards all of them."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from .ranges import FrameRange

if TYPE_CHECKING:
    from .._tasks import PieceSink
    from .job import Job


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
        """Guards the sink: an abandoned engine may come back while another thread takes its piece away."""
        self.frames = 0
        """Frames given to the engine."""
        self.packets = 0
        self.began = 0.0
        self.is_dropped = False
        """The piece is no longer wanted. Its engine stops working on it."""
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
        """The same frames as a new piece that has not begun. Afterwards, nothing can be taken from this one."""
        self.range.claim(self.range.last)
        piece = Piece(self.job, FrameRange(self.first, self.last))
        piece.failed_on, piece.failures = set(self.failed_on), self.failures
        return piece
