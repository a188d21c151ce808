"""Makes an engine's frames, in threads that are a little ahead of it and know only the pieces that they are given."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from .._errors import SourceEnded
from .._profiling import profiled
from .channel import Channel, Closed
from .job import as_error
from .supply import Feed, Supply, Waits

if TYPE_CHECKING:
    from ..events import EngineInfo
    from .lane_scheduler import LaneScheduler
    from .pieces import Piece

MOST_CLAIMED = 16
"""Frames at a time. Another engine cannot take frames that are claimed."""
SECONDS_CLAIMED = 0.02
SECONDS_AHEAD = 0.5
"""So long before an engine's piece ends, the frames of its next one are begun: to open a file takes time."""
BATCHES_AHEAD = {"nvenc": 2, "software": 4}
"""Most batches for a software codec have one frame, and the codec takes several of them at once."""
PIECES_AHEAD = 2
"""The engine's piece and the one after it, each with a thread."""


class Production:
    """The frames of one piece, on their way to its engine."""

    def __init__(self, piece: Piece, batches: int) -> None:
        self.piece = piece
        self.channel: Channel[list[Any]] = Channel(batches)
        """Closed after the last frames, or if there will be no more of them."""
        self.is_all_claimed = False
        """Whether no frame is left for another engine to take."""
        self.is_engines_present = False
        """Whether the engine takes these frames now, and not those of the piece before."""
        self.ended = Event()
        """Set when the feeder has closed the source."""

    def stop(self) -> None:
        """Says that no more of these frames are wanted."""
        self.channel.close(forget=True)


class Feeder:
    """Makes the frames of the pieces that the engine's thread gives it."""

    def __init__(self, scheduler: LaneScheduler, engine: EngineInfo, supply: Supply) -> None:
        name = f"pdum.nvenc {engine.label} feeder"
        self.threads = [Thread(target=self._feed, name=name, daemon=True) for _ in range(PIECES_AHEAD)]
        self._supply = supply
        self._scheduler = scheduler
        self._engine = engine
        self._orders: Channel[Production] = Channel(PIECES_AHEAD)
        self._lock = Lock()
        self._at_work: list[Production] = []
        self._waited = Waits(0.0, 0.0)
        """Of the productions that are over."""

    @property
    def decoders(self) -> tuple[int, int]:
        """How many decoders the engine has, and how many of them are the processor's."""
        return self._supply.decoders

    @property
    def waited(self) -> Waits:
        with self._lock:
            channels = [production.channel for production in self._at_work]
            return Waits(
                self._waited.engine + sum(channel.taker_waited for channel in channels),
                self._waited.frames + sum(channel.giver_waited for channel in channels),
            )

    def begin(self, piece: Piece) -> Production:
        """Begins to make the frames of the piece, and returns them. Raises Closed."""
        production = Production(piece, BATCHES_AHEAD[self._engine.kind])
        with self._lock:
            self._at_work.append(production)
        self._orders.put(production)
        return production

    def stop(self) -> None:
        """Ends the threads: no more frames are wanted."""
        self._orders.close(forget=True)
        with self._lock:
            at_work = list(self._at_work)
        for production in at_work:
            production.stop()

    def _feed(self) -> None:
        try:
            while (production := self._orders.get()) is not None:
                self._produce(production)
        except Closed:
            return

    def _produce(self, production: Production) -> None:
        piece = production.piece
        try:
            self._make_frames(production)
        except Closed:
            return
        except BaseException as error:
            self._scheduler.fail(piece.job, as_error(error, piece.job.source))
        finally:
            production.is_all_claimed = True
            production.channel.close()
            production.ended.set()
            self._forget(production)

    def _forget(self, production: Production) -> None:
        channel = production.channel
        with self._lock:
            before = self._waited
            self._waited = Waits(before.engine + channel.taker_waited, before.frames + channel.giver_waited)
            self._at_work.remove(production)

    def _make_frames(self, production: Production) -> None:
        piece, scheduler, engine = production.piece, self._scheduler, self._engine
        source: Iterator[Any] | None = None
        feed: Feed | None = None
        try:
            while not piece.is_dropped:
                if scheduler.is_paused:
                    scheduler.wait_while_paused(piece)
                    feed = feed and feed.anew()
                begin, end = piece.range.claim(batch(scheduler, engine, piece))
                if begin == end:
                    return
                if source is None:
                    source = piece.job.task.frames(piece.first, engine)
                    feed = self._supply.begin(source, production.channel)
                if feed is not None:
                    feed.end_at(end + piece.range.rest)  # a worker of a cluster is granted more
                frames = _made(source, end - begin)
                if len(frames) < end - begin:
                    raise ended_early(piece, begin + len(frames))
                production.is_all_claimed = piece.range.rest == 0
                production.channel.put(frames)
                if feed is not None and production.is_engines_present:
                    feed.made(len(frames))
        finally:
            close_source(source)


@profiled("pdum.pool.frames")
def _made(source: Iterator[Any], count: int) -> list[Any]:
    return list(islice(source, count))


def batch(scheduler: LaneScheduler, engine: EngineInfo, piece: Piece) -> int:
    """How many frames to claim: a moment's work, and fewer at a range's end, so that others can help with the rest."""
    rate = scheduler.rates.get(engine.index)
    most = 4 if rate is None else int(rate * 1e6 / piece.job.pixels * SECONDS_CLAIMED)
    return max(1, min(most, MOST_CLAIMED, piece.range.rest // 8))


def is_near_end(scheduler: LaneScheduler, engine: EngineInfo, piece: Piece) -> bool:
    """Whether it is time to begin with the frames of the engine's next piece."""
    rate = scheduler.rates.get(engine.index)
    return rate is not None and piece.range.rest * piece.job.pixels < rate * 1e6 * SECONDS_AHEAD


def ended_early(piece: Piece, frame: int) -> SourceEnded:
    return SourceEnded(
        f"{piece.job.source} ended before frame {frame}, although it should have {piece.job.plan_frames}. "
        "It is incomplete, or its own count is wrong."
    )


def close_source(source: Any) -> None:
    """Closes a generator, or anything with ``close``. A failure does not matter, because its frames were taken."""
    close = getattr(source, "close", None)
    if close is not None:
        try:
            close()
        except BaseException:
            return
