"""One engine at work: a thread that owns its encoder, and one that feeds it with frames a little ahead."""

from __future__ import annotations

import threading
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from . import _events as events
from ._channel import Channel, Closed
from ._errors import (
    CudaFailed,
    DeviceLost,
    DriverNotFound,
    DriverTooOld,
    EncoderFailed,
    InvalidConfig,
    InvalidFrame,
    NoEncoder,
    NvencError,
    OutOfMemory,
    OutOfSessions,
    SourceEnded,
)
from ._sessions import for_engine, open_encoder, out_of_sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ._config import EncoderConfig
    from ._events import EngineInfo
    from ._nvenc import Packet
    from ._pieces import Job, Piece
    from ._scheduler import Scheduler
    from ._work import VideoEncoder

LOST_FOR_GOOD = (DeviceLost, NoEncoder, DriverNotFound, DriverTooOld)
THE_ENGINES_OWN = (DeviceLost, EncoderFailed, CudaFailed, OutOfMemory)
THE_TASKS_OWN = (InvalidConfig, InvalidFrame, SourceEnded)
MOST_CLAIMED = 16
"""Frames at once: what is claimed cannot go to another engine any more."""
SECONDS_CLAIMED = 0.02
BATCHES_AHEAD = 2
FAILURES_IN_A_ROW = 4
"""An engine that has failed as often, without a piece done in between, is lost."""
SHORTEST_WAIT, LONGEST_WAIT = 0.05, 1.0
"""Seconds between two attempts to get a session."""


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


class Surroundings(Protocol):
    """What a lane needs of its run."""

    scheduler: Scheduler
    threads: int
    session_timeout: float
    idle_release: float

    def emit(self, kind: type[events.Event], **values: Any) -> object: ...
    def lease(self, engine: EngineInfo) -> bool: ...
    def give_back_lease(self, engine: EngineInfo) -> None: ...
    def sessions_held(self) -> int: ...


class Lane:
    """The threads of one engine, and what a watchdog and a display may read of it without a lock."""

    def __init__(self, run: Surroundings, engine: EngineInfo) -> None:
        self.engine = engine
        self.calls = 0
        """Grows before and after each call of the encoder: odd while one runs."""
        self.frames = 0
        self.piece: Piece | None = None
        self.has_session = False
        self.is_lost = False
        self._run = run
        self._scheduler = run.scheduler
        self._channel: Channel[Any] = Channel(BATCHES_AHEAD)
        self._answer: Channel[bool] = Channel(1)
        self._encoder: VideoEncoder | None = None
        self._config: EncoderConfig | None = None
        self._failures = 0
        self._waiting_since: float | None = None
        self._nobody_since = 0.0
        self._force_idr = True
        name = f"pdum.nvenc {engine.label}"
        self.threads = [
            threading.Thread(target=self._encode, name=name, daemon=True),
            threading.Thread(target=self._feed, name=f"{name} feeder", daemon=True),
        ]

    def stop(self) -> None:
        """No more is begun; what runs is let go of as soon as its encoder's call returns."""
        self._channel.close()
        self._answer.close()

    def give_up(self, reason: str) -> None:
        """Called by the watchdog: the engine's thread is left to itself, and lets its encoder go if it ever returns."""
        self.is_lost = True
        for piece in self._scheduler.lose(self.engine.index, reason):
            _discard(piece)
        self._channel.close(forget=True)
        self._answer.close()

    # --- the feeder's thread ---

    def _feed(self) -> None:
        try:
            while not self.is_lost:
                if not self.has_session:
                    job = self._scheduler.wait_for_work(self.engine.index)
                    if job is None:
                        return
                    self._channel.put(Open(job))
                    if not self._answer.get():
                        continue
                piece = self._scheduler.take(self.engine.index)
                if piece is None:
                    return
                self._feed_piece(piece)
        except Closed:
            return
        finally:
            self._channel.close()

    def _feed_piece(self, piece: Piece) -> None:
        try:
            self._channel.put(Begin(piece))
            if hasattr(piece.job.task, "frames_with"):
                self._channel.put(Direct(piece))
                self._answer.get()
            else:
                self._feed_frames(piece)
                self._channel.put(End(piece))
        except Closed:
            self._scheduler.let_go(piece)
            raise

    def _feed_frames(self, piece: Piece) -> None:
        source: Iterator[Any] | None = None
        try:
            while True:
                if self._scheduler.is_paused:
                    self._scheduler.wait_while_paused(piece)
                begin, end = piece.range.claim(self._batch(piece))
                if begin == end or piece.is_dropped:
                    return
                if source is None:
                    source = piece.job.task.frames(piece.first, self.engine)
                frames = list(islice(source, end - begin))
                if len(frames) < end - begin:
                    raise ended_early(piece, begin + len(frames))
                self._channel.put(Frames(piece, frames))
        except Closed:
            raise
        except Exception as error:
            self._scheduler.fail(piece.job, error)
        finally:
            _close(source)

    def _batch(self, piece: Piece) -> int:
        """As many frames as take the engine a moment; few at a range's end, so that others can help with the rest."""
        rate = self._scheduler.rates.get(self.engine.index)
        most = 4 if rate is None else int(rate * 1e6 / piece.job.pixels * SECONDS_CLAIMED)
        return max(1, min(most, MOST_CLAIMED, piece.range.rest // 8))

    # --- the engine's thread ---

    def _encode(self) -> None:
        try:
            while True:
                item = self._channel.get(self._run.idle_release if self.has_session else None)
                if item is None:
                    if self.piece is None:
                        self._close_encoder()
                else:
                    self._handle(item)
        except Closed:
            pass
        finally:
            self._close_encoder()
            if self.piece is not None:
                _discard(self.piece)
                self._scheduler.let_go(self.piece)
            self._channel.close(forget=True)
            self._answer.close()

    def _handle(self, item: Any) -> None:
        if isinstance(item, Open):
            self._reply(self._open_for(item.job))
        elif isinstance(item, Begin):
            self._begin(item.piece)
        elif item.piece is self.piece:
            self._go_on(item)
        elif isinstance(item, Direct):
            self._reply(True)  # it could not begin, or failed

    def _reply(self, answer: bool) -> None:
        try:
            self._answer.put(answer)
        except Closed:
            return

    def _go_on(self, item: Frames | Direct | End) -> None:
        piece = item.piece
        try:
            if not piece.is_dropped:
                if isinstance(item, Frames):
                    self._submit(piece, item.frames)
                elif isinstance(item, Direct):
                    self._encode_directly(piece)
                if isinstance(item, (End, Direct)) and not piece.is_dropped:
                    self._end(piece)
        except Exception as error:
            self._fail(piece, error, by_engine=self._is_the_engines(error))
        if piece.is_dropped and self.piece is piece:
            self._drop(piece)
        if isinstance(item, Direct):
            self._reply(True)

    def _begin(self, piece: Piece) -> None:
        self.piece = piece
        if piece.is_dropped:
            self._drop(piece)
            return
        if not self._open_for(piece.job):
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

    def _submit(self, piece: Piece, frames: list[Any]) -> None:
        assert self._encoder is not None
        submit, packets = self._encoder.submit, []
        seq, force_idr = piece.first + piece.frames, self._force_idr
        for frame in frames:
            self.calls += 1
            packets += submit(frame, seq, force_idr)
            self.calls += 1
            force_idr = False
            seq += 1
        self._force_idr = force_idr
        piece.frames += len(frames)
        self.frames += len(frames)
        self._write(piece, packets)

    def _encode_directly(self, piece: Piece) -> None:
        source: Iterator[Any] = _directly(piece, self.engine, self._encoder)
        scheduler = self._scheduler
        try:
            while not piece.is_dropped:
                if scheduler.is_paused:
                    scheduler.wait_while_paused(piece)
                begin, end = piece.range.claim(self._batch(piece))
                if begin == end:
                    return
                self._submit_from(source, piece, end - begin)
        finally:
            _close(source)

    def _submit_from(self, source: Iterator[Any], piece: Piece, count: int) -> None:
        assert self._encoder is not None
        submit, packets = self._encoder.submit, []
        begin = seq = piece.first + piece.frames
        for frame in islice(source, count):
            self.calls += 1
            packets += submit(frame, seq, self._force_idr)
            self.calls += 1
            self._force_idr = False
            seq += 1
            if piece.is_dropped:
                return
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
        assert self._encoder is not None
        self._write(piece, self._call(self._encoder.flush_pipeline))
        header = self._call(self._encoder.sequence_header)
        if piece.packets != piece.last - piece.first:
            raise EncoderFailed(
                f"{self.engine.label} gave {piece.packets} packets for the {piece.last - piece.first} frames from "
                f"{piece.first} on."
            )
        with piece.lock:
            if piece.is_dropped or piece.sink is None:
                return
            size = piece.sink.complete(piece.last, header)
            piece.sink = None
        self.piece = None
        self._failures = 0
        self._scheduler.done(piece, size)

    def _call(self, call: Callable[[], Any]) -> Any:
        """So that a watchdog sees it, and that a failure of it is known for the engine's."""
        self.calls += 1
        answer = call()
        self.calls += 1
        return answer

    # --- what goes wrong ---

    def _is_the_engines(self, error: Exception) -> bool:
        """Whether a failure is not the task's: its source and its sink fail between calls of the encoder."""
        in_call = self.calls % 2 == 1 and isinstance(error, NvencError) and not isinstance(error, THE_TASKS_OWN)
        return in_call or isinstance(error, THE_ENGINES_OWN)

    def _fail(self, piece: Piece, error: Exception, *, by_engine: bool) -> None:
        self.calls += self.calls % 2
        self.piece = None
        _discard(piece)
        if self.is_lost:
            return
        self._close_encoder()
        self._scheduler.failed(piece, error, by_engine=by_engine)
        if by_engine:
            self._count_failure(error)

    def _count_failure(self, error: Exception) -> None:
        self._failures += 1
        if isinstance(error, LOST_FOR_GOOD) or self._failures >= FAILURES_IN_A_ROW:
            self.give_up(str(error))

    def _drop(self, piece: Piece) -> None:
        """Nobody wants it any more: the engine's queue is emptied, the encoder stays."""
        self.piece = None
        _discard(piece)
        self._scheduler.let_go(piece)
        if self._encoder is not None and not self.is_lost:
            try:
                self._call(self._encoder.flush_pipeline)
            except Exception:
                self._close_encoder()

    # --- the session ---

    def _open_for(self, job: Job) -> bool:
        """Whether there is an encoder for that job now. Where there is none, it was waited for or the job told."""
        try:
            config = for_engine(job.task.config(self.engine), self.engine)
        except Exception as error:
            self._scheduler.fail(job, error)
            return False
        if config == self._config:
            return True
        self._close_encoder()
        try:
            if not self._run.lease(self.engine):
                return self._wait_for_session("Another run of this pool uses this engine.", may_time_out=False)
            self._encoder = self._call(lambda: open_encoder(config, self.engine, self._run.threads))
        except OutOfSessions as error:
            self.calls += 1
            self._run.give_back_lease(self.engine)
            return self._wait_for_session(str(error), may_time_out=True)
        except Exception as error:
            self.calls += 1
            self._run.give_back_lease(self.engine)
            self._scheduler.refused(job, self.engine.index, error)
            if isinstance(error, LOST_FOR_GOOD):
                self.give_up(str(error))
            return False
        if self.is_lost:
            self._close_encoder()
            return False
        self._config, self.has_session, self._waiting_since = config, True, None
        return True

    def _wait_for_session(self, reason: str, *, may_time_out: bool) -> bool:
        now = monotonic()
        if self._waiting_since is None:
            self._waiting_since = self._nobody_since = now
            told = str(out_of_sessions(reason)) if may_time_out else reason
            self._run.emit(events.EngineWaiting, engine=self.engine.index, reason=told)
        if self._run.sessions_held() or not may_time_out:
            self._nobody_since = now
        elif now - self._nobody_since > self._run.session_timeout:
            self._scheduler.fail_all(out_of_sessions(reason, waited=now - self._nobody_since))
        self._answer.wait(min(max((now - self._waiting_since) / 4, SHORTEST_WAIT), LONGEST_WAIT))
        return False

    def _close_encoder(self) -> None:
        encoder, self._encoder, self._config, self.has_session = self._encoder, None, None, False
        if encoder is None:
            return
        self.calls += self.calls % 2
        try:
            self._call(encoder.close)
        except Exception as error:
            self.calls += 1
            self._run.emit(events.Notice, message=f"{self.engine.label}: {error}", level="warning")
        self._run.give_back_lease(self.engine)


def ended_early(piece: Piece, frame: int) -> SourceEnded:
    return SourceEnded(
        f"{piece.job.task.source} ended before frame {frame}, but it has to have {piece.job.total}. "
        "Either it is cut off, or its own count is wrong."
    )


def _directly(piece: Piece, engine: EngineInfo, encoder: VideoEncoder | None) -> Iterator[Any]:
    task: Any = piece.job.task
    frames: Iterator[Any] = task.frames_with(piece.first, engine, encoder)
    return frames


def _discard(piece: Piece) -> None:
    """Drops what the piece's sink has. Its failure is of no interest: nobody wants what is in it."""
    with piece.lock:
        sink, piece.sink = piece.sink, None
        if sink is not None:
            try:
                sink.discard()
            except Exception:
                return


def _close(source: Any) -> None:
    close = getattr(source, "close", None)
    if close is not None:
        try:
            close()
        except Exception:
            return
