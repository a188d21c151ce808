"""The session that an engine's thread has or waits for. Counts the encoder's calls, so that a watchdog sees them."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from .. import events
from .._encoders.notices import ignored_notice
from .._errors import DeviceLost, DriverNotFound, DriverTooOld, NoEncoder, OutOfSessions
from .job import as_error
from .sessions import for_engine, open_encoder, out_of_sessions

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._config.config import EncoderConfig
    from .._tasks import VideoEncoder
    from ..events import EngineInfo
    from .job import Job
    from .lane_scheduler import LaneScheduler
    from .pieces import Piece

LOST_FOR_GOOD = (DeviceLost, NoEncoder, DriverNotFound, DriverTooOld)
SHORTEST_WAIT, LONGEST_WAIT = 0.05, 1.0
"""Seconds between two attempts to get a session."""


class LaneHost(Protocol):
    """What a lane needs of its run."""

    session_timeout: float
    idle_release: float

    @property
    def scheduler(self) -> LaneScheduler: ...

    def warn_once(self, message: str) -> None: ...
    def emit(self, kind: type[events.Event], **values: Any) -> object: ...
    def lease(self, engine: EngineInfo) -> bool: ...
    def give_back_lease(self, engine: EngineInfo) -> None: ...
    def sessions_held(self) -> int: ...
    def lanes_on_gpu_of(self, engine: EngineInfo) -> int: ...
    def lose(self, engine: EngineInfo, reason: str) -> list[Piece]: ...


class LaneSession:
    """One engine's encoder. It stays open while the next jobs have the same configuration."""

    def __init__(self, host: LaneHost, engine: EngineInfo, wait: Callable[[float], object]) -> None:
        self.calls = 0
        """Grows before and after each call of the encoder: odd while one runs, or after one that failed."""
        self.encoder: VideoEncoder | None = None
        self._config: EncoderConfig | None = None
        self._host = host
        self._engine = engine
        self._wait = wait
        self._waiting_since: float | None = None
        self._nobody_since = 0.0

    def call(self, call: Callable[[], Any]) -> Any:
        """Calls the encoder. The watchdog sees the call, and a failure in it counts as the engine's."""
        self.calls += 1
        answer = call()
        self.calls += 1
        return answer

    @property
    def is_in_call(self) -> bool:
        return self.calls % 2 == 1

    def leave_call(self) -> None:
        """The failure of a call has been dealt with."""
        self.calls += self.calls % 2

    def open_for(self, job: Job) -> bool:
        """Opens an encoder for the job. Returns False if there is none now: it has waited, or the job has failed.

        Raises an error of ``LOST_FOR_GOOD`` if the engine is lost.
        """
        try:
            config = for_engine(job.task.config(self._engine), self._engine, self._host.lanes_on_gpu_of(self._engine))
        except BaseException as error:
            self._host.scheduler.fail(job, as_error(error, job.source))
            return False
        if config == self._config:
            return True
        self.close()
        try:
            if not self._host.lease(self._engine):
                return self._wait_for_session("Another run of this pool uses this engine.", may_time_out=False)
            threads = self._host.scheduler.lend_cores(self._engine.index)
            self.encoder = self.call(lambda: open_encoder(config, self._engine, threads))
        except OutOfSessions as error:
            self.leave_call()
            self._give_back()
            return self._wait_for_session(str(error), may_time_out=True)
        except Exception as error:
            self.leave_call()
            self._give_back()
            self._host.scheduler.refused(job, self._engine.index, error)
            if isinstance(error, LOST_FOR_GOOD):
                raise
            return False
        self._config, self._waiting_since = config, None
        if self.encoder.unmapped:
            self._host.warn_once(ignored_notice(self.encoder.unmapped))
        return True

    def _wait_for_session(self, reason: str, *, may_time_out: bool) -> bool:
        self._host.scheduler.waits_for_session(self._engine.index)
        now = monotonic()
        if self._waiting_since is None:
            self._waiting_since = self._nobody_since = now
            told = str(out_of_sessions(reason)) if may_time_out else reason
            self._host.emit(events.EngineWaiting, engine=self._engine.index, reason=told)
        if self._host.sessions_held() or not may_time_out:
            self._nobody_since = now
        elif now - self._nobody_since > self._host.session_timeout:
            self._host.scheduler.fail_all(out_of_sessions(reason, waited=now - self._nobody_since))
        self._wait(min(max((now - self._waiting_since) / 4, SHORTEST_WAIT), LONGEST_WAIT))
        return False

    def close(self) -> None:
        encoder, self.encoder, self._config = self.encoder, None, None
        if encoder is None:
            return
        self.leave_call()
        try:
            self.call(encoder.close)
        except Exception as error:
            self.leave_call()
            self._host.emit(events.Notice, message=f"{self._engine.label}: {error}", level="warning")
        self._give_back()

    def _give_back(self) -> None:
        self._host.scheduler.take_cores_back(self._engine.index)
        self._host.give_back_lease(self._engine)
