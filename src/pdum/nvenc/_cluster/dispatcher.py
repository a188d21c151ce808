"""Hands a run's pieces to the engines of a cluster: one thread, however many engines there are."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from .. import events
from .._errors import ClusterFailed, InvalidConfig, NoEngineLeft, NvencError, UnsupportedFeature
from .._pool.job import as_error
from .._pool.lane_session import LOST_FOR_GOOD
from .._tasks import EncodedRange
from .._text import error_text
from .._version import __version__
from .given_order import GivenOrder
from .orders import Outcome
from .remote_lane import RemoteLane, packed_order
from .seam import Cluster

if TYPE_CHECKING:
    from .._pool.lane_view import RunHost
    from .._pool.pieces import Piece
    from ..events import EngineInfo

TICK = 0.1
"""Seconds between two looks, if nothing happens."""
BUSY_SECONDS = 10.0
"""An engine that has not begun after this time works for another run, so its piece goes to another engine."""
LEAD_SECONDS = 0.1
"""So long before an engine's piece ends, its worker gets the next one."""
LOSSES = 5
"""An engine that is lost so often without finishing a piece is not used again in this run."""
ENGINES_AT_FULL_PACE, SLOWEST_PACE = 100, 20.0
"""With more engines, each reports less often and is granted more frames at a time."""
SHORTEST_WAIT = 0.005
"""Seconds between two looks."""
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
        self._kind_missing_since: dict[str, float] = {}
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
                    self._look_at(lane)
                self._hand_out()
                self._wait_for_kinds()
                self._wait_for_engines()
                with self._scheduler.lock:
                    if not self._has_news and not self._scheduler.is_over:
                        self._scheduler.changed.wait(self._seconds_until_next_look())
                    self._has_news = False
        except BaseException as error:  # our own mistake: no thread must wait for these engines forever
            told = NvencError(f"The work for the cluster could not be done: {error!r}")
            told.__cause__ = error
            self._scheduler.fail_all(told)
        finally:
            for lane in self.lanes:
                for order in lane.orders:
                    order.cancel()
                self._host.give_back_lease(lane.engine)

    def _seconds_until_next_look(self) -> float:
        """An engine whose piece is about to end needs the next one."""
        at_work = [lane.current for lane in self.lanes if lane.current is not None and lane.following is None]
        coming = [wait for order in at_work if (wait := order.seconds_left() - LEAD_SECONDS) > 0]
        return max(min([TICK, *coming]), SHORTEST_WAIT)

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
        lane = RemoteLane(engine)
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
        if lane.current is not None:
            self._losses[index] = self._losses.get(index, 0) + 1
        self._take_away(lane, lambda piece: f"{lane.engine.label} ended while it encoded {piece.job.source}: {reason}")
        self._give_up(lane, reason)

    def _take_away(self, lane: RemoteLane, why: Callable[[Piece], str]) -> None:
        """Takes the lane's pieces from a worker that may be alive, and only cut off. The one at work counts as failed:
        the following one if it has begun, because then the end of the current one was lost on its way."""
        orders = lane.orders
        at_work = next((order for order in reversed(orders) if order.has_begun), lane.current)
        for order in orders:
            order.cancel()
            self._remove(lane, order)
            if order is at_work:
                self._announce(order)
                self._scheduler.failed(order.piece, ClusterFailed(why(order.piece)), by_engine=True)
            else:
                self._scheduler.put_back(order.piece)

    def _give_up(self, lane: RemoteLane, reason: str) -> None:
        lane.is_lost = True
        self._workers.pop(lane.engine.index, None)
        if lane in self._idle:
            self._idle.remove(lane)
        self._resting.pop(lane, None)
        self._host.lose(lane.engine, reason)

    def _remove(self, lane: RemoteLane, order: GivenOrder) -> None:
        """Takes an order from the lane, whose worker begins with the following one, if it has one."""
        lane.remove(order)
        if lane.current is None:
            self._host.give_back_lease(lane.engine)

    def _announce(self, order: GivenOrder) -> None:
        if not order.is_announced:
            order.is_announced, order.heard = True, monotonic()
            self._scheduler.started(order.piece)

    # --- a lane at work ---

    def _look_at(self, lane: RemoteLane) -> None:
        while lane.current is not None:
            self._announce(lane.current)
            if lane.current.outcome is None:
                self._look_at_current(lane, lane.current)
                break
            self._take_outcome(lane, lane.current, lane.current.outcome)
            if lane.current is None and not lane.is_lost:
                self._idle.append(lane)
        if lane.following is not None:
            self._look_at_following(lane, lane.following)

    def _look_at_current(self, lane: RemoteLane, order: GivenOrder) -> None:
        if order.piece.is_dropped:
            self._drop(lane, order)
        elif order.has_begun:
            if monotonic() - order.heard > self._host.watchdog:
                self._silent(lane, order)
        elif monotonic() - order.heard > BUSY_SECONDS:
            self._rest(lane, order)

    def _look_at_following(self, lane: RemoteLane, order: GivenOrder) -> None:
        """Takes it back if the engine must not begin with it. The worker says whether it has begun."""
        may_begin = order.has_begun or self._scheduler.may_work(lane.engine.index)
        if order.piece.is_dropped or not may_begin:
            order.cancel()
        if order.outcome == Outcome():
            self._take_outcome(lane, order, order.outcome)

    def _drop(self, lane: RemoteLane, order: GivenOrder) -> None:
        """Waits for the worker to stop, so that it writes nothing more. A run that cannot wait gives the piece up."""
        order.cancel()
        if order.piece not in self._scheduler.working:
            self._put_all_back(lane)
            self._resting[lane] = monotonic() + TICK

    def _silent(self, lane: RemoteLane, order: GivenOrder) -> None:
        reason = f"{lane.engine.label} has not reported for {monotonic() - order.heard:.0f} s."
        self._take_away(lane, lambda _: reason)
        self._give_up(lane, reason)

    def _rest(self, lane: RemoteLane, order: GivenOrder) -> None:
        reason = order.waits_for or "Another run uses this engine, or its machine does not answer."
        self._put_all_back(lane)
        self._host.emit(events.EngineWaiting, engine=lane.engine.index, reason=reason)
        self._resting[lane] = monotonic() + BUSY_SECONDS

    def _put_all_back(self, lane: RemoteLane) -> None:
        for order in reversed(lane.orders):
            order.cancel()
            self._remove(lane, order)
            self._scheduler.put_back(order.piece)

    def _take_outcome(self, lane: RemoteLane, order: GivenOrder, outcome: Outcome) -> None:
        scheduler, piece, error = self._scheduler, order.piece, outcome.error
        is_lost = outcome.is_lost or isinstance(error, LOST_FOR_GOOD)
        if is_lost and order is lane.current and lane.following is not None:
            lane.following.cancel()
            self._scheduler.put_back(lane.following.piece)
            self._remove(lane, lane.following)
        self._remove(lane, order)
        if outcome.forgot:
            lane.known.clear()
            scheduler.put_back(piece)
        elif error is not None:
            is_jobs = not outcome.by_engine or isinstance(error, InvalidConfig)
            scheduler.failed(piece, error, by_engine=not is_jobs)
            if is_lost:
                self._losses[lane.engine.index] = self._losses.get(lane.engine.index, 0) + 1
                self._give_up(lane, error_text(error))
        elif piece.is_dropped:
            scheduler.drop(piece)
        elif outcome.encoded is None:
            scheduler.put_back(piece)
        else:
            self._keep(lane, order, outcome.encoded)

    def _keep(self, lane: RemoteLane, order: GivenOrder, encoded: EncodedRange) -> None:
        piece = order.piece
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
            lane.has_encoded(piece.frames, order.latest.frames)
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
        for lane in self.lanes:
            if lane.following is None and lane.current is not None and lane.current.seconds_left() < LEAD_SECONDS:
                without_work += not self._try_to_begin(lane)
            if without_work >= IDLE_ASKED:
                break
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
        """Gives an idle lane a piece, or one at work its next piece. That is none that has failed: if it ends its
        worker's process, the result of the piece before may still be there. An order at work holds the lease."""
        is_idle = lane.current is None
        if is_idle and not self._host.lease(lane.engine):
            return False
        piece = self._scheduler.take_now(lane.engine.index, has_failed=is_idle)
        if piece is None:
            if is_idle:
                self._host.give_back_lease(lane.engine)
            return False
        return self._begin(lane, piece)

    def _begin(self, lane: RemoteLane, piece: Piece) -> bool:
        pace = min(max(1.0, len(self._workers) / ENGINES_AT_FULL_PACE), SLOWEST_PACE)
        order = GivenOrder(piece, os.urandom(9).hex(), self._scheduler, self._wake, pace)
        lane.add(order)
        packed = packed_order(order, __version__, lane.known, lane.engine, pace)
        if isinstance(packed, Exception):
            self._remove(lane, order)
            self._scheduler.failed(piece, packed, by_engine=isinstance(packed, UnsupportedFeature))
            return False
        if order is lane.current:
            self._announce(order)
        try:
            running = self._cluster.start(self._workers[lane.engine.index], packed, order)
        except Exception as error:
            self._remove(lane, order)
            self._scheduler.failed(piece, error, by_engine=not isinstance(error, InvalidConfig))
            return False
        lane.known.add(packed.key)
        order.runs(running)
        return True

    def _wait_for_kinds(self) -> None:
        """If hardware and software work for the run, and all engines of one kind have left."""
        now, missing = monotonic(), self._scheduler.kinds_without_engines()
        self._kind_missing_since = {kind: self._kind_missing_since.get(kind, now) for kind in missing}
        for kind, since in self._kind_missing_since.items():
            if now - since > self._host.session_timeout:
                error = NoEngineLeft(
                    f"The cluster {self._cluster.address} had no {kind} engine for {self._host.session_timeout:.0f} s, "
                    "and engines of that kind have begun with the file. Start workers, and run this again."
                )
                self._scheduler.fail_without_engines(kind, error)

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
