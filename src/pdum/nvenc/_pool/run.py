"""A run: some tasks on a pool's engines, from the first frame to the last, and what can be done with it meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import events
from .._errors import InvalidConfig, NvencError
from .._tasks import RunReport
from .event_log import EventLog, Subscription, events_async
from .helpers import interrupt, make_helpers, number_of
from .lane import Lane, discard
from .pieces import Job
from .progress import ProgressTeller
from .scheduler import Scheduler

if TYPE_CHECKING:
    from .._tasks import Task
    from ..events import EngineInfo, Event

TICK = 0.1
"""Seconds between two looks at the engines."""
LET_GO_SECONDS = 0.8
"""How long a cancelled run waits for a task that does not react."""


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What a run takes from its pool."""

    cores: int
    session_timeout: float
    watchdog: float
    idle_release: float
    leases: dict[int, threading.Lock]
    notices: tuple[str, ...] = ()


class Run:
    """Tasks at work. Iterate it for its events, ``wait`` for its end.

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
        self._settings = settings
        self.session_timeout = settings.session_timeout
        self.idle_release = settings.idle_release
        self._log = EventLog()
        self.emit = self._log.emit
        self._callbacks: list[tuple[Callable[[Event], object], Subscription]] = []
        self._done = threading.Event()
        self._held: set[int] = set()
        self._told: set[str] = set()
        self._report: RunReport | None = None
        self.engines = tuple(engines)
        self.emit(events.RunStarted, engines=self.engines, jobs=len(tasks), started=time.time())
        for notice in settings.notices:
            self.emit(events.Notice, message=notice, level="warning")
        if on_event is not None:
            self.on_event(on_event)
        numbers = [engine.index for engine in engines]
        self.scheduler = Scheduler(tasks, numbers, self.emit, cores=settings.cores)
        self._lanes = [Lane(self, engine) for engine in engines]
        self._teller = ProgressTeller(self.scheduler, self._lanes, self.emit)
        self._helpers = make_helpers(self.scheduler, len(engines))
        self._monitor = threading.Thread(target=self._watch, name="pdum.nvenc run", daemon=True)

    def begin(self) -> None:
        """Starts the threads that are not started yet: Ctrl+C may come in between, and then this is called again."""
        threads = [*self._helpers, *(thread for lane in self._lanes for thread in lane.threads), self._monitor]
        for thread in threads:
            if thread.ident is None:
                thread.start()

    # --- events ---

    def __iter__(self) -> Iterator[Event]:
        return iter(self._log.subscribe())

    def __aiter__(self) -> AsyncIterator[Event]:
        return events_async(self._log)

    def on_event(self, callback: Callable[[Event], object]) -> None:
        """Calls it with each event, from the first on, in a thread of the run's; one that raises is called no more."""
        self._callbacks.append((callback, self._log.subscribe()))

    # --- control ---

    def cancel(self, reason: str = "The run was cancelled.") -> None:
        """Ends all that is not over, within a second, and leaves nothing of it. Returns at once; ``wait`` waits."""
        self._call_off(self.scheduler.jobs, reason)

    def drain(self) -> None:
        """Jobs that have not begun are cancelled; those that have are done to their end."""
        self._call_off(self.scheduler.queued(), "The run was drained before this job began.")

    def skip(self, job: int) -> None:
        """Ends one job, and leaves nothing of it."""
        one = self.scheduler.jobs[number_of(job, len(self.scheduler.jobs))]
        self._call_off([one], "It was skipped.", "skipped")

    def retry(self, job: int) -> None:
        """Begins a job again that has failed, was skipped or was cancelled, while the run still works on others."""
        one = self.scheduler.jobs[number_of(job, len(self.scheduler.jobs))]
        if not self.scheduler.retry(one):
            raise InvalidConfig(f"Job {job} cannot be begun again: it is not over, went well, or the run has ended.")

    def pause(self) -> None:
        """No further frames are begun; what the engines have is finished."""
        self.scheduler.pause(True)
        self.emit(events.RunPaused, paused=True)

    def resume(self) -> None:
        self.scheduler.pause(False)
        self.emit(events.RunPaused, paused=False)

    def set_engines(self, engines: int) -> None:
        """Goes on with so many of the run's engines, from now on."""
        if not 1 <= engines <= len(self.engines):
            raise InvalidConfig(f"engines={engines} came; this run can have 1 to {len(self.engines)}.")
        self.scheduler.set_limit(engines)
        self.emit(events.EnginesChanged, engines=self.engines[:engines])

    def _call_off(self, jobs: Sequence[Job], reason: str, ended_as: str = "cancelled") -> None:
        for job in self.scheduler.call_off(jobs, reason, ended_as):
            interrupt(job)

    # --- its end ---

    @property
    def is_over(self) -> bool:
        return self._done.is_set()

    def wait(self, timeout: float | None = None) -> RunReport:
        """Waits until all is over and all engines are given back. Raises TimeoutError."""
        if threading.current_thread() is self._monitor:
            raise NvencError("A run cannot be waited for in a callback of its own, which it waits for.")
        if not self._done.wait(timeout):
            raise TimeoutError(f"The run was not over after {timeout} s.")
        self._monitor.join()
        assert self._report is not None
        return self._report

    async def wait_async(self) -> RunReport:
        """``wait`` for asyncio; cancelling the await leaves the run as it is."""
        async for _ in self:
            pass
        import asyncio  # a quarter of what the import of pools would take

        return await asyncio.get_running_loop().run_in_executor(None, self.wait)

    # --- what lanes ask ---

    def tell_once(self, message: str) -> None:
        """A warning that several engines have the same reason for."""
        with self._log.changed:
            is_new = message not in self._told
            self._told.add(message)
        if is_new:
            self.emit(events.Notice, message=message, level="warning")

    def lease(self, engine: EngineInfo) -> bool:
        """Whether the engine is this run's now; it may be another's of the same pool."""
        is_free = self._settings.leases[engine.index].acquire(blocking=False)
        if is_free:
            self._held.add(engine.index)
        return is_free

    def give_back_lease(self, engine: EngineInfo) -> None:
        if engine.index in self._held:
            self._held.discard(engine.index)
            self._settings.leases[engine.index].release()

    def hanging_engines(self) -> dict[int, str]:
        """Engines that are not given back although they are lost or the run is over, and why."""
        busy = "Code of a task that was called off has not returned."
        lost = self.scheduler.lost
        return {engine: lost.get(engine, busy) for engine in list(self._held) if engine in lost or self.is_over}

    def sessions_held(self) -> int:
        return sum(lane.has_session and not lane.is_lost for lane in self._lanes)

    # --- the run's own thread ---

    def _watch(self) -> None:
        watchdog = {lane: (lane.calls, time.monotonic()) for lane in self._lanes}
        while not self.scheduler.is_over:
            with self._log.changed:
                if not self._has_unread():
                    self._log.changed.wait(TICK)
            self._call_back()
            for lane in self._lanes:
                watchdog[lane] = self._look_at(lane, *watchdog[lane])
            for piece in self.scheduler.give_up_on(LET_GO_SECONDS):
                discard(piece)
            self._teller.tell()
        self._end()

    def _look_at(self, lane: Lane, calls: int, since: float) -> tuple[int, float]:
        """Gives a lane up whose call of the encoder has not returned for too long."""
        now = time.monotonic()
        if lane.calls != calls or calls % 2 == 0 or lane.is_lost or lane.engine.gpu_id is None:
            return lane.calls, now
        if now - since > self._settings.watchdog:
            lane.give_up(f"{lane.engine.label} has not answered for {now - since:.1f} s.")
        return calls, since

    def _has_unread(self) -> bool:
        return any(listener.unread for _, listener in self._callbacks)

    def _call_back(self) -> None:
        for callback, listener in list(self._callbacks):
            for event in listener.take():
                try:
                    callback(event)
                except Exception as error:
                    listener.end()
                    self._callbacks.remove((callback, listener))
                    self._tell_of(callback, error, event)
                    break

    def _tell_of(self, callback: Callable[[Event], object], error: Exception, event: Event) -> None:
        """An event of its own; after the last one Python tells of it, as of any error in a thread."""
        if isinstance(event, events.RunFinished):
            hook_arguments = (type(error), error, error.__traceback__, threading.current_thread())
            threading.excepthook(threading.ExceptHookArgs(hook_arguments))
        else:
            text = f"{callback!r} raised {error!r} and is not told of events any more."
            self.emit(events.Notice, message=text, level="warning")

    def _end(self) -> None:
        with self.scheduler.changed:  # whoever ended the last job has told of it once this is free
            pass
        for lane in self._lanes:
            lane.stop()
        deadline = time.monotonic() + LET_GO_SECONDS
        for lane in self._lanes:
            lane.join(deadline)  # a task's own code may take longer: its thread ends when that returns
        for helper in self._helpers:
            helper.join(max(deadline - time.monotonic(), 0.0))
        self._report = self._make_report()
        self._call_back()  # what one of these raises can still be told
        self._teller.tell_end(self._report)
        self._call_back()
        self._log.close()
        self._done.set()

    def _make_report(self) -> RunReport:
        jobs = self.scheduler.jobs
        return RunReport(
            results=tuple(job.outcome or NvencError("Nothing became of it.") for job in jobs),
            frames=sum(lane.frames for lane in self._lanes),
            seconds=time.monotonic() - self._log.began,
            lost_engines=dict(self.scheduler.lost),
        )
