"""A run: tasks on a pool's engines, from the first frame to the last. The caller can steer it meanwhile."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import events
from .._errors import EncoderClosed, InvalidConfig, NvencError, TimedOut
from .._results import RunReport
from .callbacks import Callbacks
from .event_log import EventLog, events_async
from .helpers import HELPERS, make_helpers, number_of
from .interruptible import Latch
from .lane import Lane
from .leases import Leases
from .monitor import Monitor
from .progress import ProgressTeller
from .scheduler import Scheduler

if TYPE_CHECKING:
    from .._tasks import Task
    from ..events import EngineInfo, Event
    from .job import Job
    from .lane_view import LaneView, RemoteEngines
    from .pieces import Piece

CALLBACK_SECONDS = 0.2
"""How long a cancelled run waits for callbacks that have not returned."""


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What a run takes from its pool."""

    cores: int
    session_timeout: float
    watchdog: float
    idle_release: float
    leases: dict[int, threading.Lock]
    notices: tuple[str, ...] = ()
    remote: RemoteEngines | None = None
    """The engines of a cluster, instead of this machine's."""
    has_both: bool = False
    """Hardware and software may both work for a run."""
    most_engines: int | None = None
    """How many engines work at once; None: all."""


ENGINES_FOR_EACH_HELPER, MOST_HELPERS = 4, 16
"""A cluster's files are examined and joined here, in up to so many threads."""


class Host:
    """What the lanes of a run share: its scheduler, its events and its engines."""

    def __init__(self, tasks: Sequence[Task], engines: Sequence[EngineInfo], settings: RunSettings, log: EventLog):
        self.session_timeout = settings.session_timeout
        self.idle_release = settings.idle_release
        self.watchdog = settings.watchdog
        self.emit = log.emit
        self._is_news = log.is_news
        self.scheduler = Scheduler(
            tasks, [engine.index for engine in engines], log.emit,
            cores=settings.cores, may_grow=settings.remote is not None,
            kinds={engine.index: engine.kind for engine in engines} if settings.has_both else None,
        )  # fmt: skip
        self.scheduler.most_finishing = _helpers(len(engines), settings) - 1
        if settings.most_engines is not None:
            self.scheduler.set_limit(settings.most_engines)
        self.leases = Leases(settings.leases)
        self.lease, self.give_back_lease = self.leases.take, self.leases.give_back
        self.engines = list(engines)
        """All engines that the run has had, also lost ones."""
        self.threads: list[threading.Thread] = []
        """Threads that work for all lanes."""
        self.lanes: Sequence[LaneView]
        if settings.remote is None:
            self.lanes = [Lane(self, engine) for engine in engines]
        else:
            remote = settings.remote.lanes_for(self)
            self.lanes, self.threads = remote.lanes, [remote.thread]

    def warn_once(self, message: str) -> None:
        """Gives a warning only once, even if several engines have the same reason."""
        if self._is_news(message):
            self.emit(events.Notice, message=message, level="warning")

    def sessions_held(self) -> int:
        return sum(lane.has_session and not lane.is_lost for lane in self.lanes)

    def lanes_on_gpu_of(self, engine: EngineInfo) -> int:
        """The number of lanes on the GPU. Idle ones count too, so that all parts of a video are alike."""
        return sum(one.gpu_id == engine.gpu_id for one in self.engines)

    def able(self) -> tuple[EngineInfo, ...]:
        able = self.scheduler.engine_set.able
        return tuple(engine for engine in self.engines if engine.index in able)

    def join(self, engine: EngineInfo) -> None:
        """An engine of a cluster is new, or back."""
        if engine not in self.engines:
            self.engines.append(engine)
        self.scheduler.join(engine.index, engine.kind)
        self.emit(events.EngineJoined, engine=engine)

    def lose(self, engine: EngineInfo, reason: str) -> list[Piece]:
        """Reports which engines work from now on, if another engine replaces the lost one."""
        before = self.able()
        pieces = self.scheduler.lose(engine.index, reason)
        if set(self.able()) - set(before):
            self.emit(events.EnginesChanged, engines=self.able())
        return pieces


class Run:
    """Tasks at work. Iterate over it to get its events, and ``wait`` for its end.

    ::

        run = pool.start(tasks)
        for event in run:                       # or `async for`, or on_event
            print(event)
        report = run.wait()
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        engines: Sequence[EngineInfo],
        settings: RunSettings,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        self._process = os.getpid()
        self._log = EventLog()
        self._callbacks = Callbacks(self._log)
        self._done = Latch()
        self._is_cancelled = False
        self._report: RunReport | None = None
        self._log.emit(events.RunStarted, engines=tuple(engines), jobs=len(tasks), started=time.time())
        for notice in settings.notices:
            self._log.emit(events.Notice, message=notice, level="warning")
        if on_event is not None:
            self._callbacks.add(on_event)
        self._host = Host(tasks, engines, settings, self._log)
        self.scheduler = self._host.scheduler
        self._lanes = self._host.lanes
        self._teller = ProgressTeller(self.scheduler, self._lanes, self._log.emit)
        self._monitor = Monitor(
            self.scheduler,
            self._lanes,
            [*make_helpers(self.scheduler, engines, _helpers(len(engines), settings)), *self._host.threads],
            self._callbacks.thread,
            watchdog=settings.watchdog,
            tell_progress=self._teller.tell,
            cancel=self.cancel,
            end=self._end,
        )

    @property
    def engines(self) -> tuple[EngineInfo, ...]:
        """All engines that the run has had, also lost ones."""
        return tuple(self._host.engines)

    def begin(self) -> None:
        """Starts the run. If Ctrl+C interrupts this, it can be called again: nothing is started twice."""
        self._monitor.begin()

    @property
    def is_of_this_process(self) -> bool:
        """False in a forked child, which has none of the run's threads."""
        return os.getpid() == self._process

    def _require_own_process(self) -> None:
        if not self.is_of_this_process:
            raise EncoderClosed(
                f"This run belongs to process {self._process}, from which this one was forked. Make another pool here."
            )

    # --- events ---

    def __iter__(self) -> Iterator[Event]:
        self._require_own_process()
        return iter(self._log.subscribe())

    def __aiter__(self) -> AsyncIterator[Event]:
        self._require_own_process()
        return events_async(self._log)

    def on_event(self, callback: Callable[[Event], object]) -> None:
        """Calls the function with each event, in a thread of the run. A function that raises is not called again."""
        self._require_own_process()
        self._callbacks.add(callback)

    # --- control ---

    def cancel(self, reason: str = "The run was cancelled.") -> None:
        """Ends all unfinished jobs within a second, and removes what they have written. Returns at once."""
        if self.is_of_this_process:
            self._is_cancelled = True
            self._call_off(self.scheduler.jobs, reason)

    def cancel_soon(self, reason: str = "The run was cancelled.") -> None:
        """``cancel`` for signal handlers: a thread of the run does it."""
        self._is_cancelled = True
        self._monitor.cancel_soon(reason)

    def drain(self) -> None:
        """Cancels the jobs that have not begun, and finishes the others."""
        self._call_off(self.scheduler.queued(), "The run was drained before this job began.")

    def skip(self, job: int) -> None:
        """Ends one job, and removes what it has written."""
        one = self.scheduler.jobs[number_of(job, len(self.scheduler.jobs))]
        self._call_off([one], "Skipped on request.", "skipped")

    def retry(self, job: int) -> None:
        """Starts a job again that failed, was skipped or was cancelled. The run must still be working on others."""
        one = self.scheduler.jobs[number_of(job, len(self.scheduler.jobs))]
        if not self.scheduler.retry(one):
            raise InvalidConfig(f"Job {job} cannot be retried: it has not failed, or the run has ended.")

    def pause(self) -> None:
        """The engines finish the frames that they have, and take no new ones."""
        self.scheduler.pause(True)
        self._log.emit(events.RunPaused, paused=True)

    def resume(self) -> None:
        self.scheduler.pause(False)
        self._log.emit(events.RunPaused, paused=False)

    def set_engines(self, engines: int) -> None:
        """Uses this many of the run's engines from now on. If one of them is lost, another takes its place."""
        if not 1 <= engines <= len(self.engines):
            raise InvalidConfig(f"Expected 1 to {len(self.engines)} engines for this run, got engines={engines}.")
        self.scheduler.set_limit(engines)
        self._log.emit(events.EnginesChanged, engines=self._host.able())

    def _call_off(self, jobs: Iterable[Job], reason: str, ended_as: str = "cancelled") -> None:
        for job in self.scheduler.call_off(jobs, reason, ended_as):
            try:
                job.task.interrupt()
            except Exception as error:
                text = f"{job.source} could not be interrupted: {error!r}"
                self._log.emit(events.Notice, message=text, level="warning")

    # --- its end ---

    @property
    def is_over(self) -> bool:
        return self._done.is_open

    def wait(self, timeout: float | None = None) -> RunReport:
        """Waits until all is over and all engines are released. Ctrl+C interrupts it within a tenth of a second.

        Raises:
            TimedOut: (also TimeoutError) the run did not end within so many seconds.
        """
        self._require_own_process()
        if threading.current_thread() is self._callbacks.thread:
            raise NvencError("Do not wait for a run in its own callback: the run waits for the callback to return.")
        if not self._done.wait(timeout):
            raise TimedOut(f"The run did not finish within {timeout} s.")
        self._monitor.thread.join()
        assert self._report is not None
        return self._report

    async def wait_async(self) -> RunReport:
        """``wait`` for asyncio; cancelling the await leaves the run as it is."""
        async for _ in self:
            pass
        import asyncio  # a quarter of what the import of pools would take

        return await asyncio.get_running_loop().run_in_executor(None, self.wait)

    def hanging_engines(self) -> dict[int, str]:
        """Engines that are still in use although they are lost or the run is over, with the reasons."""
        return self._host.leases.hanging(self.scheduler.lost, self.is_over)

    def _end(self) -> None:
        """Called by the run's own thread, once the others have ended."""
        try:
            self._report = self._make_report()
            self._callbacks.deliver(self._callback_deadline())  # errors of these callbacks can still be reported
            self._teller.tell_end(self._report)
            self._callbacks.deliver(self._callback_deadline())
        finally:
            self._report = self._report or RunReport(results=(), frames=0, seconds=0.0, lost_engines={})
            self._callbacks.close(CALLBACK_SECONDS if self._is_cancelled else None)
            self._log.close()
            self._done.open()

    def _callback_deadline(self) -> float | None:
        return time.monotonic() + CALLBACK_SECONDS if self._is_cancelled else None

    def _make_report(self) -> RunReport:
        jobs = self.scheduler.jobs
        return RunReport(
            results=tuple(job.outcome or NvencError("The job never ran.") for job in jobs),
            frames=sum(lane.frames for lane in self._lanes),
            seconds=time.monotonic() - self._log.began,
            lost_engines=dict(self.scheduler.lost),
        )


def _helpers(engines: int, settings: RunSettings) -> int:
    return HELPERS if settings.remote is None else max(HELPERS, min(engines // ENGINES_FOR_EACH_HELPER, MOST_HELPERS))
