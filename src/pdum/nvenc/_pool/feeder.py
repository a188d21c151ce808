"""What gives an engine its frames: a thread that is a little ahead of it, from one piece into the next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from .._errors import NvencError, SourceEnded
from .channel import Channel, Closed

if TYPE_CHECKING:
    from ..events import EngineInfo
    from .pieces import Job, Piece
    from .scheduler import Scheduler

MOST_CLAIMED = 16
"""Frames at once: what is claimed cannot go to another engine any more."""
SECONDS_CLAIMED = 0.02
BATCHES_AHEAD = {"nvenc": 2, "software": 4}
"""Of a software codec's, most are of a single frame, and it takes several at once when it goes on to the next ones."""


class Frames(NamedTuple):
    piece: Piece
    frames: list[Any]


class Begin(NamedTuple):
    piece: Piece


class Direct(NamedTuple):
    """The task's frames are made in the engine's own thread."""

    piece: Piece


class End(NamedTuple):
    piece: Piece


class Open(NamedTuple):
    job: Job


class Feeder:
    """Takes pieces from the scheduler and hands them over in parts; waits for answers where it has asked."""

    def __init__(self, scheduler: Scheduler, engine: EngineInfo, has_session: Callable[[], bool]) -> None:
        self.channel: Channel[Any] = Channel(BATCHES_AHEAD[engine.kind])
        """To the engine."""
        self.answers: Channel[bool] = Channel(1)
        """From it: whether it has a session now, or that it is done with a piece."""
        self.thread = threading.Thread(target=self._feed, name=f"pdum.nvenc {engine.label} feeder", daemon=True)
        self._scheduler = scheduler
        self._engine = engine
        self._has_session = has_session

    def stop(self, forget: bool = False) -> None:
        """Nothing more is handed over, and with ``forget`` what is on its way is dropped."""
        self.channel.close(forget)
        self.answers.close()

    def answer(self, answer: bool) -> None:
        try:
            self.answers.put(answer)
        except Closed:
            return

    def _feed(self) -> None:
        try:
            while True:
                if not self._has_session():
                    job = self._scheduler.wait_for_work(self._engine.index)
                    if job is None:
                        return
                    self.channel.put(Open(job))
                    if not self.answers.get():
                        continue
                piece = self._scheduler.take(self._engine.index)
                if piece is None:
                    return
                self._feed_piece(piece)
        except Closed:
            return
        except Exception as error:  # of what a task told, or of ours: nobody is to wait for this engine in vain
            told = NvencError(f"The work for {self._engine.label} could not be divided: {error!r}")
            told.__cause__ = error
            self._scheduler.fail_all(told)
        finally:
            self.channel.close()

    def _feed_piece(self, piece: Piece) -> None:
        try:
            self.channel.put(Begin(piece))
            if hasattr(piece.job.task, "frames_with"):
                self.channel.put(Direct(piece))
                self.answers.get()
            else:
                self._feed_frames(piece)
                self.channel.put(End(piece))
        except Closed:
            self._scheduler.let_go(piece)
            raise

    def _feed_frames(self, piece: Piece) -> None:
        source: Iterator[Any] | None = None
        try:
            while True:
                if self._scheduler.is_paused:
                    self._scheduler.wait_while_paused(piece)
                begin, end = piece.range.claim(batch(self._scheduler, self._engine, piece))
                if begin == end or piece.is_dropped:
                    return
                if source is None:
                    source = piece.job.task.frames(piece.first, self._engine)
                frames = list(islice(source, end - begin))
                if len(frames) < end - begin:
                    raise ended_early(piece, begin + len(frames))
                self.channel.put(Frames(piece, frames))
        except Closed:
            raise
        except Exception as error:
            self._scheduler.fail(piece.job, error)
        finally:
            close_source(source)


def batch(scheduler: Scheduler, engine: EngineInfo, piece: Piece) -> int:
    """As many frames as take the engine a moment; few at a range's end, so that others can help with the rest."""
    rate = scheduler.rates.get(engine.index)
    most = 4 if rate is None else int(rate * 1e6 / piece.job.pixels * SECONDS_CLAIMED)
    return max(1, min(most, MOST_CLAIMED, piece.range.rest // 8))


def ended_early(piece: Piece, frame: int) -> SourceEnded:
    return SourceEnded(
        f"{piece.job.task.source} ended before frame {frame}, but it has to have {piece.job.total}. "
        "Either it is cut off, or its own count is wrong."
    )


def close_source(source: Any) -> None:
    close = getattr(source, "close", None)
    if close is not None:
        try:
            close()
        except Exception:
            return
