"""The engine of a worker process: carries out orders, one at a time, with a lane as in a pool of one machine."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from .._errors import ClusterFailed
from .._pool.job import as_error
from .._pool.lane import Lane
from .._version import __version__
from .assigned_engine import AssignedEngine, engine_of_this_process, own_engine
from .orders import Grant, Order, Outcome, Report
from .worker_scheduler import WorkerScheduler, is_of_the_machine
from .worker_task import WorkerTask

if TYPE_CHECKING:
    from .._tasks import PortableTask

REPORT_SECONDS = 0.25
LONGEST_SILENCE = 20.0
"""Seconds. A pool that answers nothing for so long is gone."""
WATCHDOG = 30.0
"""Seconds. An encoder whose call does not return for so long is lost."""
SESSION_TIMEOUT = 60.0
LET_GO_SECONDS = 5.0
"""How long an order that is not wanted any more may go on, such as in a decoder that does not return."""
IDLE_SECONDS = 30.0
"""After so long without an order, a worker lets go of its sources, and of the disk that copies of them take."""
MOST_KEPT = 4
"""Tasks that stay open for further orders. Each keeps its source's index, which is megabytes for a long film."""


class OrderRunner:
    """``do`` is called by one thread."""

    def __init__(self, assigned: AssignedEngine) -> None:
        self._assigned = assigned
        self._engine = own_engine(assigned)
        self._one_at_a_time = threading.Lock()
        self._is_idle = threading.Timer(IDLE_SECONDS, self._let_go_of_tasks)
        self._tasks: OrderedDict[str, PortableTask] = OrderedDict()
        self.scheduler = WorkerScheduler(assigned.threads, assigned.workers_on_gpu, SESSION_TIMEOUT)
        self._lane = Lane(self.scheduler, self._engine)
        for thread in self._lane.threads:
            thread.start()

    def close(self) -> None:
        """Gives the encoder's session back."""
        self.scheduler.close()
        self._lane.stop()
        self._lane.join(monotonic() + LET_GO_SECONDS)
        self._let_go_of_tasks()

    def _let_go_of_tasks(self) -> None:
        """Does nothing while there is work."""
        if self._one_at_a_time.acquire(blocking=False):
            try:
                self._is_idle.cancel()
                while self._tasks:
                    self._tasks.popitem()[1].close()
            finally:
                self._one_at_a_time.release()

    def do(self, order: Order, tell: Callable[[Report], object], is_wanted: Callable[[], bool]) -> Outcome:
        """Carries out the order. ``is_wanted`` is asked now and then."""
        with self._one_at_a_time:
            self._is_idle.cancel()
            try:
                return self._do(order, tell, is_wanted)
            finally:
                self._is_idle = threading.Timer(IDLE_SECONDS, self._let_go_of_tasks)
                self._is_idle.daemon = True
                self._is_idle.start()

    def _do(self, order: Order, tell: Callable[[Report], object], is_wanted: Callable[[], bool]) -> Outcome:
        _begun.append(order.number)
        if order.number in _cancelled:
            return Outcome()
        try:
            if order.version != __version__:
                raise ClusterFailed(versions_differ(self._assigned.label, __version__, order.version))
            task = self._task_of(order)
        except BaseException as error:
            told = as_error(error, order.source)
            return Outcome(error=told, by_engine=is_of_the_machine(told) or isinstance(told, ClusterFailed))
        if task is None:
            return Outcome(forgot=True)
        if self._lane.is_lost:
            lost = ClusterFailed(f"{self._assigned.label} has failed. Its process has to be started again.")
            return Outcome(error=lost, by_engine=True, is_lost=True)
        return self._carried_out(order, task, tell, is_wanted)

    def _task_of(self, order: Order) -> PortableTask | None:
        if order.key not in self._tasks:
            if order.portable is None:
                return None
            self._tasks[order.key] = order.portable.make()
            while len(self._tasks) > MOST_KEPT:
                self._tasks.popitem(last=False)[1].close()
        self._tasks.move_to_end(order.key)
        return self._tasks[order.key]

    def _carried_out(
        self, order: Order, task: PortableTask, tell: Callable[[Report], object], is_wanted: Callable[[], bool]
    ) -> Outcome:
        self.scheduler.begin(order, WorkerTask(order, task))
        if order.number in _cancelled:
            self.scheduler.cancel(order.number)
        watch = Watch(order, self.scheduler, self._lane)
        try:
            tell(self.scheduler.report(self._lane))
            while (outcome := self.scheduler.wait(REPORT_SECONDS * order.pace)) is None:
                report = self.scheduler.report(self._lane)
                tell(report)
                if not is_wanted():
                    self.scheduler.cancel(order.number)
                watch.look(report)
            return outcome
        finally:
            self.scheduler.end_work()


class Watch:
    """Ends an order whose encoder hangs, whose pool is gone, or that does not end although it is cancelled."""

    def __init__(self, order: Order, scheduler: WorkerScheduler, lane: Lane) -> None:
        self._order, self._scheduler, self._lane = order, scheduler, lane
        self._calls = (lane.calls, monotonic())
        self._hungry_since: float | None = None
        self._dropped_since: float | None = None

    def look(self, report: Report) -> None:
        now, lane = monotonic(), self._lane
        if lane.calls != self._calls[0] or lane.calls % 2 == 0:
            self._calls = lane.calls, now
        elif now - self._calls[1] > WATCHDOG:
            lane.give_up(f"{lane.engine.label} has not answered for {WATCHDOG:.0f} s.")
        self._hungry_since = (self._hungry_since or now) if report.wants_more else None
        heard = max(self._hungry_since or now, self._scheduler.last_heard)
        if now - heard > LONGEST_SILENCE and report.wants_more:
            self._scheduler.cancel(self._order.number)
        is_dropped = lane.piece is not None and lane.piece.is_dropped
        self._dropped_since = (self._dropped_since or now) if is_dropped else None
        if self._dropped_since is not None and now - self._dropped_since > LET_GO_SECONDS:
            lane.give_up("A cancelled task has not returned.")


def versions_differ(worker: str, theirs: str, ours: str) -> str:
    return (
        f"{worker} has pdum-nvenc {theirs}, and the pool has {ours}, so they do not work together. "
        "Install the same version on all machines."
    )


_runner: list[OrderRunner] = []
_begun: deque[str] = deque(maxlen=256)
"""The last orders that this process has begun."""
_cancelled: deque[str] = deque(maxlen=256)
"""The last orders that were cancelled, which may not even have begun."""
_opening = threading.Lock()


def of_this_process() -> OrderRunner:
    """The runner of this process, which is made at the first order."""
    with _opening:
        if not _runner:
            _runner.append(OrderRunner(engine_of_this_process()))
        return _runner[0]


def grant(number: str, answer: Grant) -> None:
    """May be called for orders that have ended, or not begun."""
    for one in _runner:
        one.scheduler.grant(number, answer)


def cancel(number: str) -> bool:
    """Stops the order. Returns whether it has not begun, and so never will."""
    _cancelled.append(number)
    for one in _runner:
        one.scheduler.cancel(number)
    return number not in _begun
