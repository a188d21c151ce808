"""The events of a pool's run, for those who ask which one it is: ``isinstance(event, events.JobFinished)``."""

from __future__ import annotations

from ._events import (
    EngineInfo,
    EngineLost,
    EngineWaiting,
    Event,
    JobCancelled,
    JobFailed,
    JobFinished,
    JobFinishing,
    JobPrepared,
    JobQueued,
    JobSkipped,
    Notice,
    PieceFinished,
    PieceRetried,
    PieceStarted,
    Progress,
    RunFinished,
    RunProgress,
    RunStarted,
    to_dict,
)

__all__ = [
    "EngineInfo",
    "EngineLost",
    "EngineWaiting",
    "Event",
    "JobCancelled",
    "JobFailed",
    "JobFinished",
    "JobFinishing",
    "JobPrepared",
    "JobQueued",
    "JobSkipped",
    "Notice",
    "PieceFinished",
    "PieceRetried",
    "PieceStarted",
    "Progress",
    "RunFinished",
    "RunProgress",
    "RunStarted",
    "to_dict",
]
