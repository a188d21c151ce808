"""The thread that a run has for itself: it starts the others, watches over them, and ends the run whatever happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .._errors import NvencError
from .interruptible import Once
from .lane import discard

if TYPE_CHECKING:
    from .lane_view import LaneView
    from .scheduler import Scheduler

TICK = 0.1
"""Seconds between two looks at the engines."""
LET_GO_SECONDS = 0.6
"""How long a run waits for a task that does not react to being cancelled."""
LEAVE_SECONDS = 0.2
"""How long it then waits for threads that still run such a task."""
END_SECONDS = 5.0
"""How long it waits for threads that have only to end."""


class Monitor:
    """``begin`` starts it, once, however often it is called."""

    def __init__(
        self,
        scheduler: Scheduler,
        lanes: Sequence[LaneView],
        helpers: Sequence[threading.Thread],
        callbacks: threading.Thread,
        *,
        watchdog: float,
        tell_progress: Callable[[], object],
        cancel: Callable[[str], object],
        end: Callable[[], object],
    ) -> None:
        self._scheduler, self._lanes, self._helpers = scheduler, lanes, helpers
        self._others = [callbacks, *helpers]
        self._watchdog, self._tell_progress, self._cancel, self._end = watchdog, tell_progress, cancel, end
        self._reason_to_cancel: str | None = None
        self._has_given_up = False
        self._seen: dict[LaneView, tuple[int, float]] = {}
        self.thread = threading.Thread(target=self._work, name="pdum.nvenc run", daemon=True)
        self.begin = Once(self.thread.start).begin

    def cancel_soon(self, reason: str) -> None:
        """Takes no lock, so that the caller may be interrupted meanwhile."""
        self._reason_to_cancel = reason
        self._scheduler.attention.ring()

    def _work(self) -> None:
        try:
            self._start_the_others()
            self._watch()
        except BaseException as error:
            told = NvencError(f"The run could not be monitored: {error!r}")
            told.__cause__ = error
            self._scheduler.fail_all(told)
            while not self._scheduler.is_over:
                self._give_up_late_jobs()
                self._scheduler.attention.wait(TICK)
        finally:
            self._leave()

    def _start_the_others(self) -> None:
        for thread in (*self._others, *(thread for lane in self._lanes for thread in lane.threads)):
            thread.start()

    def _watch(self) -> None:
        while not self._scheduler.is_over:
            if self._reason_to_cancel is not None:
                self._cancel(self._reason_to_cancel)
                self._reason_to_cancel = None
            for lane in list(self._lanes):  # others may join meanwhile
                self._look_at(lane)
            self._give_up_late_jobs()
            self._tell_progress()
            if not self._scheduler.is_over:
                self._scheduler.attention.wait(TICK)

    def _look_at(self, lane: LaneView) -> None:
        """Gives a lane up if its call of the encoder has not returned for too long."""
        now = time.monotonic()
        calls, since = self._seen.setdefault(lane, (lane.calls, now))
        if lane.calls != calls or calls % 2 == 0 or lane.is_lost or lane.engine.gpu_id is None:
            self._seen[lane] = lane.calls, now
        elif now - since > self._watchdog:
            lane.give_up(f"{lane.engine.label} has not answered for {now - since:.1f} s.")

    def _give_up_late_jobs(self) -> None:
        late, pieces = self._scheduler.give_up_on(LET_GO_SECONDS)
        self._has_given_up |= late
        for piece in pieces:
            discard(piece)

    def _leave(self) -> None:
        with self._scheduler.lock:  # when this is free, the thread that ended the last job has reported it
            pass
        for lane in self._lanes:
            lane.stop()
        deadline = time.monotonic() + (LEAVE_SECONDS if self._has_given_up else END_SECONDS)
        for lane in self._lanes:
            lane.join(deadline)  # a task's own code may take longer: its thread ends when that returns
        for helper in self._helpers:
            if helper.ident is not None:
                helper.join(max(deadline - time.monotonic(), 0.0))
        self._end()
