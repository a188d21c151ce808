"""One engine at work: a thread that owns its encoder and takes from its feeder what to do."""

from __future__ import annotations

import threading
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any

from .._errors import (
    CudaFailed,
    DeviceLost,
    EncoderFailed,
    InvalidConfig,
    InvalidFrame,
    NvencError,
    OutOfMemory,
    SourceEnded,
)
from .channel import Closed
from .feeder import Begin, Direct, End, Feeder, Frames, Open, batch, close_source, ended_early
from .lane_session import LOST_FOR_GOOD, LaneSession, Surroundings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .._nvenc import Packet
    from .._tasks import VideoEncoder
    from ..events import EngineInfo
    from .pieces import Piece

THE_ENGINES_OWN = (DeviceLost, EncoderFailed, CudaFailed, OutOfMemory)
THE_TASKS_OWN = (InvalidConfig, InvalidFrame, SourceEnded)
FAILURES_IN_A_ROW = 4
"""An engine that has failed as often, without a piece done in between, is lost."""


class Lane:
    """The threads of one engine, and what a watchdog and a display may read of it without a lock."""

    def __init__(self, run: Surroundings, engine: EngineInfo) -> None:
        self.engine = engine
        self.frames = 0
        """Given to the engine, of all pieces."""
        self.piece: Piece | None = None
        self.is_lost = False
        self._run = run
        self._scheduler = run.scheduler
        self._feeder = Feeder(run.scheduler, engine, lambda: self.has_session)
        self._session = LaneSession(run, engine, self._feeder.answers.wait)
        self._failures = 0
        self._force_idr = True
        self._thread = threading.Thread(target=self._encode, name=f"pdum.nvenc {engine.label}", daemon=True)
        self.threads = [self._thread, self._feeder.thread]

    @property
    def calls(self) -> int:
        """Grows before and after each call of the encoder: odd while one runs."""
        return self._session.calls

    @property
    def has_session(self) -> bool:
        return self._session.encoder is not None

    def join(self, deadline: float) -> None:
        """Waits for its threads, but not for one whose engine hangs: that ends when the engine answers, if ever."""
        for thread in self.threads:
            hangs = thread is self._thread and self.is_lost and self._session.is_in_call
            thread.join(0.0 if hangs else max(deadline - monotonic(), 0.0))

    def stop(self) -> None:
        """No more is begun; what runs is let go of as soon as its encoder's call returns."""
        self._feeder.stop()

    def give_up(self, reason: str) -> None:
        """Called by the watchdog: the engine's thread is left to itself, and lets its encoder go if it ever returns."""
        self.is_lost = True
        for piece in self._scheduler.lose(self.engine.index, reason):
            discard(piece)
        self._feeder.stop(forget=True)

    # --- the engine's thread ---

    def _encode(self) -> None:
        try:
            while True:
                item = self._feeder.channel.get(self._run.idle_release if self.has_session else None)
                if item is not None:
                    self._handle(item)
                elif self.piece is None:
                    self._session.close()
        except Closed:
            pass
        finally:
            self._session.close()
            if self.piece is not None:
                discard(self.piece)
                self._scheduler.let_go(self.piece)
            self._feeder.stop(forget=True)

    def _handle(self, item: Any) -> None:
        if isinstance(item, Open):
            self._feeder.answer(self._open_for(item))
        elif isinstance(item, Begin):
            self._begin(item.piece)
        elif item.piece is self.piece:
            self._go_on(item)
        if isinstance(item, Direct):
            self._feeder.answer(True)

    def _open_for(self, item: Open | Begin) -> bool:
        try:
            is_open = self._session.open_for(item.job if isinstance(item, Open) else item.piece.job)
        except LOST_FOR_GOOD as error:
            self.give_up(str(error))
            return False
        if self.is_lost:
            self._session.close()
        return is_open and not self.is_lost

    def _begin(self, piece: Piece) -> None:
        self.piece = piece
        if piece.is_dropped:
            self._drop(piece)
            return
        if not self._open_for(Begin(piece)):
            self.piece = None
            self._scheduler.put_back(piece)
            return
        try:
            with piece.job.lock:
                piece.sink = piece.job.task.sink(piece.first)
        except Exception as error:
            self._fail(piece, error, by_engine=False)
            return
        self._force_idr = True
        self._scheduler.started(piece)

    def _go_on(self, item: Frames | Direct | End) -> None:
        piece = item.piece
        try:
            if isinstance(item, Frames):
                self._submit(piece, item.frames, len(item.frames))
            elif isinstance(item, Direct):
                self._encode_directly(piece)
            if not isinstance(item, Frames) and not piece.is_dropped:
                self._end(piece)
        except Exception as error:
            self._fail(piece, error, by_engine=self._is_the_engines(error))
        if piece.is_dropped and self.piece is piece:
            self._drop(piece)

    def _encode_directly(self, piece: Piece) -> None:
        scheduler, task = self._scheduler, piece.job.task
        source: Iterator[Any] = getattr(task, "frames_with")(piece.first, self.engine, self._session.encoder)  # noqa: B009
        try:
            while not piece.is_dropped:
                if scheduler.is_paused:
                    scheduler.wait_while_paused(piece)
                begin, end = piece.range.claim(batch(scheduler, self.engine, piece))
                if begin == end:
                    return
                self._submit(piece, source, end - begin)
        finally:
            close_source(source)

    def _submit(self, piece: Piece, frames: Iterable[Any], count: int) -> None:
        """The innermost loop: with 8 engines of 1,250 frames a second it has 100 microseconds for each."""
        session, packets = self._session, []
        assert session.encoder is not None
        submit = session.encoder.submit
        begin = seq = piece.first + piece.frames
        for frame in islice(frames, count):
            if piece.is_dropped:
                return
            session.calls += 1
            packets += submit(frame, seq, self._force_idr)
            session.calls += 1
            self._force_idr = False
            seq += 1
        if seq < begin + count:
            raise ended_early(piece, seq)
        piece.frames += count
        self.frames += count
        self._write(piece, packets)

    def _write(self, piece: Piece, packets: list[Packet]) -> None:
        if packets:
            with piece.lock:
                if piece.sink is not None and not piece.is_dropped:
                    piece.sink.write(packets)
                    piece.packets += len(packets)

    def _end(self, piece: Piece) -> None:
        encoder = self._session.encoder
        assert encoder is not None
        self._flush(piece, encoder)
        if piece.is_dropped:
            return
        header = self._session.call(encoder.sequence_header)
        frames = piece.last - piece.first
        with piece.lock:
            if piece.is_dropped or piece.sink is None:  # meanwhile
                return
            if piece.packets != frames:
                raise EncoderFailed(f"{self.engine.label} gave {piece.packets} packets for {frames} frames.")
            size = piece.sink.complete(piece.last, header)
            piece.sink = None
        self.piece = None
        self._failures = 0
        self._scheduler.done(piece, size)

    def _flush(self, piece: Piece, encoder: VideoEncoder) -> None:
        lazily = getattr(encoder, "flush_lazily", None)
        if lazily is None:
            self._write(piece, self._session.call(encoder.flush_pipeline))
            return
        coming = self._session.call(lazily)
        while not piece.is_dropped and (packet := self._session.call(lambda: next(coming, None))) is not None:
            self._write(piece, [packet])

    # --- what goes wrong ---

    def _is_the_engines(self, error: Exception) -> bool:
        """Whether a failure is not the task's: its source and its sink fail between calls of the encoder."""
        in_call = self._session.is_in_call and isinstance(error, NvencError) and not isinstance(error, THE_TASKS_OWN)
        return in_call or isinstance(error, THE_ENGINES_OWN)

    def _fail(self, piece: Piece, error: Exception, *, by_engine: bool) -> None:
        self._session.leave_call()
        self.piece = None
        discard(piece)
        if self.is_lost:
            return
        self._session.close()
        self._scheduler.failed(piece, error, by_engine=by_engine)
        if by_engine:
            self._failures += 1
            if isinstance(error, LOST_FOR_GOOD) or self._failures >= FAILURES_IN_A_ROW:
                self.give_up(str(error))

    def _drop(self, piece: Piece) -> None:
        """Nobody wants it any more: the engine's queue is emptied, the encoder stays."""
        self.piece = None
        discard(piece)
        self._scheduler.let_go(piece)
        encoder = self._session.encoder
        if encoder is not None and not self.is_lost:
            try:
                self._session.call(encoder.flush_pipeline)
            except Exception:
                self._session.close()


def discard(piece: Piece) -> None:
    """Drops what the piece's sink has. Its failure is of no interest: nobody wants what is in it."""
    with piece.lock:
        sink, piece.sink = piece.sink, None
        if sink is not None:
            try:
                sink.discard()
            except Exception:
                return
