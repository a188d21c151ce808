"""Hands a run's pieces to the engines of a cluster: one thread, however many engines there are."""

from __future__ import annotations

import os
import threading
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from .. import events
from .._errors import ClusterFailed, InvalidConfig, NoEngineLeft, NvencError, UnsupportedFeature
from .._pool.job import as_error
from .._pool.lane_session import LOST_FOR_GOOD
from .._tasks import EncodedRange
from .._text import error_text
from .._version import __version__
from .remote_lane import RemoteLane, order_of
from .seam import Cluster

if TYPE_CHECKING:
    from .._pool.lane_view import RunHost
    from .._pool.pieces import Piece
    from ..events import EngineInfo
    from .orders import Outcome

TICK = 0.1
"""Seconds between two looks, if nothing happens."""
BUSY_SECONDS = 10.0
"""An engine that has not begun after this time works for another run, so its piece goes to another engine."""
LOSSES = 5
"""An engine that is lost so often without finishing a piece is not used again in this run."""
ENGINES_AT_FULL_PACE, SLOWEST_PACE = 100, 20.0
"""With more engines, each reports less often and is granted more frames at a time."""
IDLE_ASKED = 16
"""If so many idle engines in a row find no work, the others are not asked."""


class Dispatcher:
    """``joined`` and ``left`` are called by ``ClusterEngines``, in any thread."""

    def __init__(self, host: RunHost, cluster: Cluster) -> None:
        self._host, self._cluster, self._scheduler = host, cluster, host.scheduler
        self.lanes: list[RemoteLane] = []
        self._workers: dict[int, str] = {}
        """The worker of each engine that is not lost."""
        self._idle: deque[RemoteLane] = deque()
        self._resting: dict[RemoteLane, float] = {}
        """Engines that other runs use, and when they are asked again."""
        self._losses: dict[int, int] = {}
        self._news: deque[tuple[EngineInfo, str, str]] = deque()
        self._has_news = True
        self._without_engines_since: float | None = None
        self.thread = threading.Thread(target=self._work, name="pdum.nvenc dispatcher", daemon=True)

    def begin_with(self, engine: EngineInfo, worker: str) -> None:
        """An engine that is there when the run begins."""
        if engine.index in self._scheduler.engines:
            self._add(engine, worker)
        else:
            self._news.append((engine, worker, ""))

    def joined(self, engine: EngineInfo, worker: str) -> None:
        self._tell(engine, worker, "")

    def left(self, engine: EngineInfo, worker: str, reason: str) -> None:
        self._tell(engine, worker, reason)

    def warn(self, reason: str) -> None:
        self._host.warn_once(reason)

    def _tell(self, engine: EngineInfo, worker: str, reason: str) -> None:
        self._news.append((engine, worker, reason))
        self._wake()

    def _wake(self) -> None:
        self._has_news = True
        with self._scheduler.lock:
            self._scheduler.changed.notify_all()

    # --- its own thread ---

    def _work(self) -> None:
        try:
            self._lose_the_missing()
            while not self._scheduler.is_over:
                self._take_news()
                for lane in list(self.lanes):
                    if lane.piece is not None:
                        self._look_at(lane, lane.piece)
                self._hand_out()
                self._wait_for_engines()
                with self._scheduler.lock:
                    if not self._has_news and not self._scheduler.is_over:
                        self._scheduler.changed.wait(TICK)
                    self._has_news = False
        except BaseException as error:  # our own mistake: no thread must wait for these engines forever
            told = NvencError(f"The work for the cluster could not be done: {error!r}")
            told.__cause__ = error
            self._scheduler.fail_all(told)
        finally:
            for lane in self.lanes:
                lane.cancel()
                self._host.give_back_lease(lane.engine)

    def _lose_the_missing(self) -> None:
        """Engines that have left between the beginning of the run and that of this thread."""
        for engine in self._host.engines:
            if self._lane_of(engine.index) is None:
                self._host.lose(engine, f"{engine.label} has left the cluster.")

    def _take_news(self) -> None:
        while self._news:
            engine, worker, reason = self._news.popleft()
            if reason:
                self._lost(engine.index, worker, reason)
            elif self._losses.get(engine.index, 0) < LOSSES:
                self._back(engine, worker)

    def _add(self, engine: EngineInfo, worker: str) -> RemoteLane:
        lane = RemoteLane(engine, self._scheduler, self._wake)
        self.lanes.append(lane)
        self._workers[engine.index] = worker
        self._idle.append(lane)
        return lane

    def _lane_of(self, index: int) -> RemoteLane | None:
        return next((lane for lane in self.lanes if lane.engine.index == index), None)

    def _back(self, engine: EngineInfo, worker: str) -> None:
        lane = self._lane_of(engine.index)
        if lane is None:
            self._add(engine, worker)
        elif lane.is_lost:
            lane.is_lost = False
            lane.known.clear()
            self._workers[engine.index] = worker
            self._idle.append(lane)
        else:
            return
        self._host.join(engine)

    def _lost(self, index: int, worker: str, reason: str) -> None:
        lane = self._lane_of(index)
        if lane is None or lane.is_lost or self._workers.get(index) != worker:
            return
        piece = lane.piece
        if piece is not None:
            lane.cancel()  # the worker may be alive, and only cut off
            self._let_go(lane)
            self._losses[index] = self._losses.get(index, 0) + 1
            error = ClusterFailed(f"{lane.engine.label} ended while it encoded {piece.job.source}: {reason}")
            self._scheduler.failed(piece, error, by_engine=True)
        self._give_up(lane, reason)

    def _give_up(self, lane: RemoteLane, reason: str) -> None:
        lane.is_lost = True
        self._workers.pop(lane.engine.index, None)
        if lane in self._idle:
            self._idle.remove(lane)
        self._resting.pop(lane, None)
        self._host.lose(lane.engine, reason)

    def _let_go(self, lane: RemoteLane) -> None:
        lane.leave()
        self._host.give_back_lease(lane.engine)

    # --- a lane at work ---

    def _look_at(self, lane: RemoteLane, piece: Piece) -> None:
        outcome = lane.outcome
        if outcome is not None:
            self._let_go(lane)
            self._take_outcome(lane, piece, outcome)
            if not lane.is_lost:
                self._idle.append(lane)
        elif piece.is_dropped:
            self._drop(lane, piece)
        elif lane.has_begun:
            if monotonic() - lane.heard > self._host.watchdog:
                self._silent(lane, piece)
        elif monotonic() - lane.heard > BUSY_SECONDS:
            self._rest(lane, piece)

    def _drop(self, lane: RemoteLane, piece: Piece) -> None:
        """Waits for the worker to stop, so that it writes nothing more. A run that cannot wait gives the piece up."""
        lane.cancel()
        if piece not in self._scheduler.working:
            self._let_go(lane)
            self._resting[lane] = monotonic() + TICK

    def _silent(self, lane: RemoteLane, piece: Piece) -> None:
        reason = f"{lane.engine.label} has not reported for {monotonic() - lane.heard:.0f} s."
        lane.cancel()
        self._let_go(lane)
        self._scheduler.failed(piece, ClusterFailed(reason), by_engine=True)
        self._give_up(lane, reason)

    def _rest(self, lane: RemoteLane, piece: Piece) -> None:
        reason = lane.waits_for or "Another run uses this engine, or its machine does not answer."
        lane.cancel()
        self._let_go(lane)
        self._host.emit(events.EngineWaiting, engine=lane.engine.index, reason=reason)
        self._resting[lane] = monotonic() + BUSY_SECONDS
        self._scheduler.put_back(piece)

    def _take_outcome(self, lane: RemoteLane, piece: Piece, outcome: Outcome) -> None:
        scheduler, error = self._scheduler, outcome.error
        if outcome.forgot:
            lane.known.clear()
            scheduler.put_back(piece)
        elif error is not None:
            is_jobs = not outcome.by_engine or isinstance(error, InvalidConfig)
            scheduler.failed(piece, error, by_engine=not is_jobs)
            if outcome.is_lost or isinstance(error, LOST_FOR_GOOD):
                self._losses[lane.engine.index] = self._losses.get(lane.engine.index, 0) + 1
                self._give_up(lane, error_text(error))
        elif piece.is_dropped or outcome.encoded is None:
            scheduler.drop(piece)
        else:
            self._keep(lane, piece, outcome.encoded)

    def _keep(self, lane: RemoteLane, piece: Piece, encoded: EncodedRange) -> None:
        try:
            if (encoded.first, encoded.last) != (piece.first, piece.last):
                raise ClusterFailed(
                    f"Expected the frames from {piece.first} to {piece.last}, got {encoded.first} to {encoded.last}."
                )
            self._take_in(piece, encoded)
            with piece.job.lock:
                piece.job.task.take_remarks(encoded.remarks)  # type: ignore[attr-defined]
        except BaseException as error:
            self._scheduler.failed(piece, as_error(error, piece.job.source), by_engine=False)
        else:
            piece.frames = piece.packets = piece.last - piece.first
            lane.has_encoded(piece.frames)
            self._losses.pop(piece.engine, None)
            self._scheduler.done(piece, encoded.size)

    def _take_in(self, piece: Piece, encoded: EncodedRange) -> None:
        task = piece.job.task
        with piece.job.lock:
            if encoded.kept is not None:
                task.adopt(encoded)  # type: ignore[attr-defined]  # a task with portable() has it
                return
            sink = task.sink(piece.first)
        try:
            sink.write(encoded.packets)
            sink.complete(encoded.last, encoded.header)
        except BaseException:
            sink.discard()
            raise

    # --- idle lanes ---

    def _hand_out(self) -> None:
        now = monotonic()
        for lane, until in list(self._resting.items()):
            if now >= until:
                del self._resting[lane]
                self._idle.append(lane)
        without_work = 0
        for _ in range(len(self._idle)):
            lane = self._idle.popleft()
            if self._try_to_begin(lane):
                without_work = 0
            elif lane not in self._resting and not lane.is_lost:
                self._idle.append(lane)
                without_work += 1
            if without_work >= IDLE_ASKED:
                return

    def _try_to_begin(self, lane: RemoteLane) -> bool:
        if not self._host.lease(lane.engine):
            return False
        piece = self._scheduler.take_now(lane.engine.index)
        if piece is None:
            self._host.give_back_lease(lane.engine)
            return False
        self._begin(lane, piece)
        return lane.piece is not None

    def _begin(self, lane: RemoteLane, piece: Piece) -> None:
        number = os.urandom(9).hex()
        pace = min(max(1.0, len(self._workers) / ENGINES_AT_FULL_PACE), SLOWEST_PACE)
        grant = lane.take(piece, number, pace)
        order = order_of(piece, number, __version__, grant, lane.known, lane.engine, pace)
        if isinstance(order, Exception):
            self._let_go(lane)
            self._scheduler.failed(piece, order, by_engine=isinstance(order, UnsupportedFeature))
            return
        self._scheduler.started(piece)
        try:
            running = self._cluster.start(self._workers[lane.engine.index], order, lane.listener(number))
        except Exception as error:
            self._let_go(lane)
            self._scheduler.failed(piece, error, by_engine=not isinstance(error, InvalidConfig))
        else:
            lane.known.add(order.key)
            lane.runs(running)

    def _wait_for_engines(self) -> None:
        if self._workers or self._scheduler.is_over:
            self._without_engines_since = None
            return
        now = monotonic()
        self._without_engines_since = self._without_engines_since or now
        if now - self._without_engines_since > self._host.session_timeout:
            lost = self._scheduler.engine_set.reasons()
            self._scheduler.fail_all(
                NoEngineLeft(
                    f"The cluster {self._cluster.address} had no engine for {self._host.session_timeout:.0f} s. {lost} "
                    "Start workers (pdum-nvenc worker ADDRESS), and run this again."
                )
            )
