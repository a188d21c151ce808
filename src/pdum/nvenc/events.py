"""The events of a run: one stream of typed events that every front end reads.

Jobs and engines are named by their numbers in the run, frames by their place in the job's video from 0. Ranges of
frames are half open: ``first`` is in, ``last`` is not. ``at`` is seconds since the run began, sizes are bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

__all__ = [
    "EngineInfo",
    "EngineLost",
    "EngineWaiting",
    "EnginesChanged",
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
    "QualityTried",
    "RunFinished",
    "RunPaused",
    "RunProgress",
    "RunStarted",
    "to_dict",
]


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """One lane of a run: a hardware encoder, or a share of the processor."""

    index: int
    kind: str
    """``"nvenc"`` or ``"software"``."""
    gpu_id: int | None = None
    gpu_name: str | None = None
    number: int = 0
    """Which of its GPU's encoders, from 0. The driver places sessions; the number only distinguishes lanes."""

    @property
    def label(self) -> str:
        """As people call it: ``"GPU 0 · NVENC 1"``, ``"CPU 0"``."""
        return f"CPU {self.number}" if self.gpu_id is None else f"GPU {self.gpu_id} · NVENC {self.number}"


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened; the kinds below say what."""

    at: float


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event):
    """The first of all."""

    engines: tuple[EngineInfo, ...]
    jobs: int
    started: float
    """Seconds since 1970, for people; ``at`` is what durations are made of."""


@dataclass(frozen=True, kw_only=True)
class Notice(Event):
    """Something that the user should know once, such as that no hardware is used."""

    message: str
    level: str = "info"
    """``"info"`` or ``"warning"``."""


@dataclass(frozen=True, kw_only=True)
class EnginesChanged(Event):
    """The engines that take work from now on. The others finish what they have begun."""

    engines: tuple[EngineInfo, ...]


@dataclass(frozen=True, kw_only=True)
class RunPaused(Event):
    """Or, with ``paused=False``, resumed."""

    paused: bool


@dataclass(frozen=True, kw_only=True)
class JobQueued(Event):
    """Comes again for a job that is retried."""

    job: int
    source: str
    destination: str
    source_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class JobPrepared(Event):
    """The source has been looked through; ``frames_done`` are from an earlier, interrupted run."""

    job: int
    frames: int
    frames_done: int = 0
    width: int = 0
    height: int = 0
    fps: float = 0.0
    duration: float = 0.0
    goal: str = ""
    """What samples are encoded for before all frames are, such as ``"xpsnr 40 dB"``; empty if no quality value is
    searched for."""


@dataclass(frozen=True, kw_only=True)
class QualityTried(Event):
    """A search for a quality value has tried one, with samples of the video or with all of it (``is_whole``)."""

    job: int
    quality: float
    """Of the scale for all codecs; ``cq`` itself if the user has set the encoder's own number."""
    cq: float
    """The encoder's own number for this quality."""
    size: int
    """Of the result: predicted from the samples, or what it was."""
    metric: str = ""
    score: float | None = None
    """None if the search is for a size alone."""
    seconds: float | None = None
    """How long the rest of the job will take, as far as can be said."""
    is_chosen: bool = False
    """The search is over, and all frames are encoded with this value."""
    is_whole: bool = False


@dataclass(frozen=True, kw_only=True)
class PieceStarted(Event):
    """An engine begins a range of a job's frames. ``last`` falls when another engine takes a part of it over."""

    job: int
    engine: int
    piece: int
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class Progress(Event):
    """A few times a second for each engine at work."""

    job: int
    engine: int
    piece: int
    first: int
    last: int
    frames: int
    """Encoded of this piece."""
    fps: float
    job_frames: int
    """Encoded of the whole job, by all engines. The samples of a search count too."""
    job_total: int
    speed: float
    """Of the job: seconds of video a second."""
    eta: float | None
    """Seconds until the job is done."""


@dataclass(frozen=True, kw_only=True)
class RunProgress(Event):
    """A few times a second, of the whole run."""

    frames: int
    total: int
    """Of the jobs that have been looked through; those that have not are estimated."""
    fps: float
    eta: float | None
    jobs_done: int
    jobs: int


@dataclass(frozen=True, kw_only=True)
class PieceFinished(Event):
    """A range is encoded, and its packets are kept."""

    job: int
    engine: int
    piece: int
    first: int
    last: int
    size: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class PieceRetried(Event):
    """An engine could not finish a range; another engine does it again."""

    job: int
    engine: int
    piece: int
    first: int
    last: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class EngineWaiting(Event):
    """Another process has the session that this engine needs."""

    engine: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class EngineLost(Event):
    """The engine failed or hangs, and is not used any more. The others do its work again."""

    engine: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class JobFinishing(Event):
    """All frames are encoded; the file is being joined and verified."""

    job: int


@dataclass(frozen=True, kw_only=True)
class JobFinished(Event):
    """The result is verified and has its name."""

    job: int
    destination: str
    frames: int
    source_bytes: int
    size: int
    seconds: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class JobSkipped(Event):
    """The job did not fail, but there is no new file; ``reason`` says why."""

    job: int
    reason: str
    source_bytes: int = 0
    size: int | None = None
    """Size of the result that was thrown away because it was too big."""


@dataclass(frozen=True, kw_only=True)
class JobFailed(Event):
    """The job failed; the others go on."""

    job: int
    error: str
    """The error's class."""
    message: str


@dataclass(frozen=True, kw_only=True)
class JobCancelled(Event):
    """The job was cancelled. If the caller asked for it, its work is kept for a later run."""

    job: int


@dataclass(frozen=True, kw_only=True)
class RunFinished(Event):
    """The last event: how many jobs ended in which way."""

    finished: int
    failed: int
    skipped: int
    cancelled: int
    frames: int
    seconds: float
    source_bytes: int = 0
    size: int = 0


def to_dict(event: Event) -> dict[str, Any]:
    """Plain values alone, as JSON holds them, with the event's kind as ``"event": "job_finished"``."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()
    return {"event": name, **{field.name: _plain(getattr(event, field.name)) for field in fields(event)}}


def _plain(value: Any) -> Any:
    if isinstance(value, EngineInfo):
        return {field.name: getattr(value, field.name) for field in fields(value)} | {"label": value.label}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value
