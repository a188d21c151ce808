"""What a run's own thread reads of a lane, and the little that it asks of one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ..events import EngineInfo, Event
    from .pieces import Piece
    from .scheduler import Scheduler
    from .supply import Waits


class LaneView(Protocol):
    """A lane of this machine, or one engine of a cluster. It can be read without a lock."""

    @property
    def engine(self) -> EngineInfo: ...
    @property
    def frames(self) -> int:
        """Frames given to the engine, over all pieces."""
        ...

    @property
    def measured_fps(self) -> float | None:
        """Frames a second now, if the lane measures that itself; None: ``frames`` tells it."""
        ...

    @property
    def piece(self) -> Piece | None:
        """The piece at work."""
        ...

    @property
    def decoders(self) -> tuple[int, int]:
        """How many decoders it has, and how many of them are the processor's. 0 if it needs none, or nobody knows."""
        ...

    @property
    def waited(self) -> Waits:
        """For how long it has waited for frames, and frames for it."""
        ...

    @property
    def calls(self) -> int:
        """Odd while a call of the encoder runs that a watchdog has to watch."""
        ...

    @property
    def is_lost(self) -> bool: ...
    @property
    def has_session(self) -> bool: ...
    @property
    def threads(self) -> Sequence[threading.Thread]: ...

    def stop(self) -> None:
        """Begins no more work, and ends soon."""
        ...

    def join(self, deadline: float) -> None: ...
    def give_up(self, reason: str) -> None: ...


class RunHost(Protocol):
    """What remote lanes need of their run."""

    session_timeout: float
    watchdog: float

    @property
    def scheduler(self) -> Scheduler: ...
    @property
    def engines(self) -> Sequence[EngineInfo]: ...
    def emit(self, kind: type[Event], **values: Any) -> object: ...
    def warn_once(self, message: str) -> None: ...
    def lease(self, engine: EngineInfo) -> bool: ...
    def give_back_lease(self, engine: EngineInfo) -> None: ...
    def join(self, engine: EngineInfo) -> None: ...
    def lose(self, engine: EngineInfo, reason: str) -> list[Piece]: ...


class RemoteLanes(Protocol):
    """The lanes of a cluster, for one run. ``thread`` works for all of them, and ends with the run."""

    @property
    def lanes(self) -> Sequence[LaneView]:
        """It grows when engines join."""
        ...

    @property
    def thread(self) -> threading.Thread: ...


class RemoteEngines(Protocol):
    """The engines of a cluster, for all runs of a pool."""

    def lanes_for(self, host: RunHost) -> RemoteLanes: ...
