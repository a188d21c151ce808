"""One engine at work: a thread that owns the encoder and takes one piece of work after the other."""

from __future__ import annotations

import threading
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

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
from .._profiling import profiled
from .._text import error_text
from .channel import Closed
from .feeder import Feeder, Production, batch, close_source, ended_early, is_near_end
from .job import as_error
from .lane_session import LOST_FOR_GOOD, LaneHost, LaneSession
from .supply import Supply

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._nvenc import Packet
    from .._tasks import VideoEncoder
    from ..events import EngineInfo
    from .job import Job
    from .pieces import Piece
    from .supply import Waits

THE_ENGINES_OWN = (DeviceLost, EncoderFailed, CudaFailed, OutOfMemory)
THE_TASKS_OWN = (InvalidConfig, InvalidFrame, SourceEnded)
FAILURES_IN_A_ROW = 4
"""An engine that fails this often without finishing a piece is lost."""
LOOK_UP = 0.1
"""Seconds between two looks at whether the piece is still wanted, while no frames come."""


class Next(NamedTuple):
    """The piece after the one at work."""

    piece: Piece
    production: Production | None
    """Its frames, if a feeder makes them."""


class Lane:
    """The threads of one engine, and what a watchdog and a display may read of it without a lock."""

    def __init__(self, host: LaneHost, engine: EngineInfo) -> None:
        self.engine = engine
        self.frames = 0
        """Frames given to the engine, over all pieces."""
        self.measured_fps = None
        self.piece: Piece | None = None
        self.is_lost = False
        self._host = host
        self._scheduler = host.scheduler
        supply = Supply(engine, host.emit, lambda: host.lanes_on_gpu_of(engine))
        self._feeder = Feeder(host.scheduler, engine, supply)
        self._stopped = threading.Event()
        self._session = LaneSession(host, engine, self._stopped.wait)
        self._next: Next | None = None
        self._failures = 0
        self._force_idr = True
        self._thread = threading.Thread(target=self._work, name=f"pdum.nvenc {engine.label}", daemon=True)
        self.threads = [self._thread, *self._feeder.threads]

    @property
    def calls(self) -> int:
        """Grows before and after each call of the encoder: odd while one runs."""
        return self._session.calls

    @property
    def has_session(self) -> bool:
        return self._session.encoder is not None

    @property
    def decoders(self) -> tuple[int, int]:
        """How many decoders it has, and how many of them are the processor's. 0 if it needs none."""
        return self._feeder.decoders

    @property
    def waited(self) -> Waits:
        """For how long it has waited for frames, and frames for it."""
        return self._feeder.waited

    def join(self, deadline: float) -> None:
        """Waits for its threads, except one whose engine hangs: it ends when the engine answers, if it ever does."""
        for thread in self.threads:
            hangs = thread is self._thread and self.is_lost and self._session.is_in_call
            if thread.ident is not None:
                thread.join(0.0 if hangs else max(deadline - monotonic(), 0.0))

    def stop(self) -> None:
        """Begins no more work, and stops as soon as the encoder's call returns."""
        self._stopped.set()
        self._feeder.stop()

    def give_up(self, reason: str) -> None:
        """Called by the watchdog: the engine's thread is left alone, and closes its encoder if it ever returns."""
        self.is_lost = True
        for piece in self._host.lose(self.engine, reason):
            discard(piece)
        self.stop()

    # --- the engine's thread ---

    def _work(self) -> None:
        try:
            while not self._stopped.is_set() and (piece := self._take()) is not None:
                self._encode(piece)
        except BaseException as error:  # our own mistake: no thread must wait for this engine forever
            told = NvencError(f"The work for {self.engine.label} could not be done: {error!r}")
            told.__cause__ = error
            self._scheduler.fail_all(told)
        finally:
            self._leave()

    def _leave(self) -> None:
        self._feeder.stop()
        self._session.close()
        for piece in (self.piece, None if self._next is None else self._next.piece):
            if piece is not None:
                discard(piece)
                self._scheduler.drop(piece)

    def _take(self) -> Piece | None:
        """Waits for the next piece, with an encoder for it if one can be had; None at the end."""
        if self._next is not None:
            return self._next.piece
        while not self._scheduler.is_done_for(self.engine.index):
            if not self.has_session:
                job = self._scheduler.wait_for_work(self.engine.index)
                if job is None or not self._open_for(job):
                    continue
            piece = self._scheduler.take(self.engine.index, self._host.idle_release)
            if piece is not None:
                return piece
            self._session.close()  # other processes can have it meanwhile
        return None

    def _open_for(self, job: Job) -> bool:
        try:
            is_open = self._session.open_for(job)
        except LOST_FOR_GOOD as error:
            self.give_up(error_text(error))
            return False
        if self.is_lost:
            self._session.close()
        return is_open and not self.is_lost

    def _encode(self, piece: Piece) -> None:
        self.piece = piece
        production = None if self._next is None else self._next.production
        self._next = None
        try:
            if piece.is_dropped:
                self._drop(piece)
            elif not self._open_for(piece.job):
                self.piece = None
                self._scheduler.put_back(piece)
            elif self._begin(piece):
                self._encode_begun(piece, production)
        finally:
            if production is not None:
                self._stop(production)

    def _begin(self, piece: Piece) -> bool:
        try:
            with piece.job.lock:
                piece.sink = piece.job.task.sink(piece.first)
        except BaseException as error:
            self._fail(piece, as_error(error, piece.job.source), by_engine=False)
            return False
        self._force_idr = True
        self._scheduler.started(piece)
        return True

    @profiled("pdum.pool.piece")
    def _encode_begun(self, piece: Piece, production: Production | None) -> None:
        try:
            if piece.job.is_direct:
                self._encode_directly(piece)
            else:
                self._encode_fed(piece, self._feeder.begin(piece) if production is None else production)
            if not piece.is_dropped:
                self._end(piece)
        except Closed:
            pass
        except BaseException as error:
            self._fail(piece, as_error(error, piece.job.source), by_engine=self._is_the_engines(error))
        if piece.is_dropped and self.piece is piece:
            self._drop(piece)

    def _encode_fed(self, piece: Piece, production: Production) -> None:
        production.is_engines_present = True
        try:
            while not piece.is_dropped and not self._stopped.is_set():
                frames = production.channel.get(LOOK_UP)
                if self._next is None:
                    self._look_ahead(piece, production)
                if frames is not None:
                    self._submit(piece, frames, len(frames))
        except Closed:
            return
        finally:
            self._stop(production)

    def _look_ahead(self, piece: Piece, production: Production) -> None:
        """Takes the next piece, so that its first frames are made while this piece's last ones are encoded."""
        found = None
        if production.is_all_claimed:
            found = self._scheduler.take_now(self.engine.index)
        elif is_near_end(self._scheduler, self.engine, piece):
            found = self._scheduler.take_waiting(self.engine.index)
        if found is not None:
            self._next = Next(found, None if found.job.is_direct else self._feeder.begin(found))

    def _stop(self, production: Production) -> None:
        """Waits until the source is closed, so that the task does not learn of its end while it makes frames."""
        production.stop()
        while not production.ended.wait(LOOK_UP) and not self._stopped.is_set():
            pass

    def _encode_directly(self, piece: Piece) -> None:
        scheduler, task = self._scheduler, piece.job.task
        source = task.frames_with(piece.first, self.engine, self._session.encoder)
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

    @profiled("pdum.pool.batch")
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

    @profiled("pdum.pool.flush")
    def _flush(self, piece: Piece, encoder: VideoEncoder) -> None:
        coming = self._session.call(encoder.flush_lazily)
        while not piece.is_dropped and (packet := self._session.call(lambda: next(coming, None))) is not None:
            self._write(piece, [packet])

    # --- what goes wrong ---

    def _is_the_engines(self, error: BaseException) -> bool:
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
                self.give_up(error_text(error))

    def _drop(self, piece: Piece) -> None:
        """The piece is no longer wanted. Empties the engine's queue and keeps the encoder."""
        self.piece = None
        discard(piece)
        self._scheduler.drop(piece)
        encoder = self._session.encoder
        if encoder is not None and not self.is_lost:
            try:
                self._session.call(encoder.flush_pipeline)
            except Exception:
                self._session.close()


def discard(piece: Piece) -> None:
    """Drops what the piece's sink has. A failure does not matter, because the contents are not needed."""
    with piece.lock:
        sink, piece.sink = piece.sink, None
        if sink is not None:
            try:
                sink.discard()
            except BaseException:
                return
