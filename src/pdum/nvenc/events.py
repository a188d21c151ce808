"""The events of a run: one stream of typed events that every front end reads.

Jobs and engines are named by their numbers in the run, frames by their place in the job's video from 0. Ranges of
frames are half open: ``first`` is in, ``last`` is not. ``at`` is seconds since the run began, sizes are bytes.

``docs/events.md`` describes the events as JSON, and ``events.schema.json`` beside this module is their JSON Schema. Run
``python docs/make_event_schema.py`` after each change here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._event_values import SCHEMA, kind_of, values_of

__all__ = [
    "SCHEMA",
    "CommandEnded",
    "CommandStarted",
    "DecodersChanged",
    "EngineInfo",
    "EngineJoined",
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
    "Scanning",
    "kind_of",
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
    """The number of the lane on its GPU, from 0. The driver decides which encoder works for which lane."""
    node: str = ""
    """The machine of a cluster that the engine is in; empty for this machine."""

    @property
    def label(self) -> str:
        """The name to show: ``"GPU 0 · NVENC 1"``, ``"CPU 0"``, ``"node1 · GPU 0 · NVENC 1"``."""
        own = f"CPU {self.number}" if self.gpu_id is None else f"GPU {self.gpu_id} · NVENC {self.number}"
        return f"{self.node} · {own}" if self.node else own


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened. Each class below is one kind of event."""

    at: float
    """Seconds since the run began; 0 for what is not part of a run."""


@dataclass(frozen=True, kw_only=True)
class Scanning(Event):
    """How far the search for videos is, before a run. It comes once a second if the search takes longer than that."""

    found: int
    """How many videos there are so far."""
    checked: int
    """How many of them have been compared with earlier results. They are compared when all are found."""


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event):
    """The first event of a run."""

    engines: tuple[EngineInfo, ...]
    jobs: int
    """How many jobs there are."""
    started: float
    """Seconds since 1970, by the system's clock. Take durations from ``at``, whose clock nobody sets."""


@dataclass(frozen=True, kw_only=True)
class Notice(Event):
    """A message for the user, such as that no hardware is used."""

    message: str
    level: str = "info"
    """``"info"`` or ``"warning"``."""


@dataclass(frozen=True, kw_only=True)
class EnginesChanged(Event):
    """These engines take work from now on. The others finish what they are working on."""

    engines: tuple[EngineInfo, ...]


@dataclass(frozen=True, kw_only=True)
class RunPaused(Event):
    """The run was paused or resumed."""

    paused: bool
    """Whether it is paused now."""


@dataclass(frozen=True, kw_only=True)
class JobQueued(Event):
    """A job was added to the run. A job that is retried is added again."""

    job: int
    """The number of the job, from 0."""
    source: str
    """The path of the source."""
    destination: str
    """The path of the result."""
    source_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class JobPrepared(Event):
    """The source has been read once, so that its frames are known."""

    job: int
    frames: int
    frames_done: int = 0
    """Frames that an earlier, interrupted run has encoded already."""
    width: int = 0
    height: int = 0
    fps: float = 0.0
    """Frames a second of the video."""
    duration: float = 0.0
    """The duration of the video, in seconds."""
    goal: str = ""
    """What samples are encoded for before all frames are, such as ``"xpsnr 40 dB"``; empty if no quality value is
    searched for."""
    engine_kind: str = ""
    """The kind of the engines that encode it, ``"nvenc"`` or ``"software"``, if both kinds work for the run."""


@dataclass(frozen=True, kw_only=True)
class QualityTried(Event):
    """A search for a quality value has tried one, with samples of the video or with all of it (``is_whole``)."""

    job: int
    quality: float
    """The value on the scale for all codecs; ``cq`` itself if the user has set the encoder's own number."""
    cq: float
    """The encoder's own number for this quality."""
    size: int
    """The size of the result: predicted from the samples, or real."""
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
    """An engine begins a range of a job's frames."""

    job: int
    engine: int
    """The ``index`` of the engine."""
    piece: int
    """The number of the range in the job, from 0."""
    first: int
    last: int
    """Later events have a smaller number if another engine takes over a part of the range."""


@dataclass(frozen=True, kw_only=True)
class Progress(Event):
    """How far an engine is. It comes a few times a second for each engine that works."""

    job: int
    engine: int
    piece: int
    first: int
    last: int
    frames: int
    """How many frames of this range are encoded."""
    fps: float
    """Frames that the engine encodes in a second."""
    job_frames: int
    """How many frames of the job are encoded, by all engines. The samples of a search count too."""
    job_total: int
    """How many frames the job has."""
    speed: float
    """The speed of the job: seconds of video that are encoded in a second."""
    eta: float | None
    """Seconds until the job is done; null while nobody knows."""
    decoders: int = 0
    """How many decoders work for the engine; 0 if its frames need none, or if nobody chooses how many."""
    decoders_on_processor: int = 0
    """How many of them are the processor's, beside the GPU's."""
    engine_waited: float = 0.0
    """For which share of the time since the last event the engine waited for frames, from 0 to 1."""
    frames_waited: float = 0.0
    """For which share of it frames that were ready waited for the engine."""


@dataclass(frozen=True, kw_only=True)
class DecodersChanged(Event):
    """An engine has another number of decoders. It begins with its share of the GPU's, gets further ones while it waits
    for frames, and loses those that it does not need."""

    engine: int
    decoders: int
    """How many decoders work for the engine now; 0 if its frames need none."""
    on_processor: int
    """How many of them are the processor's, because the GPU has no other that is free."""
    waited: float
    """For which share of the time before the engine waited for frames, from 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class RunProgress(Event):
    """How far the whole run is. It comes a few times a second."""

    frames: int
    """How many frames are encoded."""
    total: int
    """How many frames the jobs have. Those of sources that have not been read yet are estimated."""
    fps: float
    """Frames that all engines together encode in a second."""
    eta: float | None
    """Seconds until the run is done; null while nobody knows."""
    jobs_done: int
    jobs: int


@dataclass(frozen=True, kw_only=True)
class PieceFinished(Event):
    """A range of frames is encoded, and its packets are kept."""

    job: int
    engine: int
    piece: int
    first: int
    last: int
    size: int
    """Size of the packets, in bytes."""
    seconds: float
    """How long the engine took."""


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
    """An engine waits, because other programs have all encode sessions."""

    engine: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class EngineJoined(Event):
    """An engine of a cluster takes work from now on. It is new, or it was lost before and is back."""

    engine: EngineInfo


@dataclass(frozen=True, kw_only=True)
class EngineLost(Event):
    """An engine failed or hangs, and is not used any more. Other engines do its work again."""

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
    """Size of the result, in bytes."""
    seconds: float
    """How long the job took."""
    warnings: tuple[str, ...] = ()
    """What the source has and the result does not have."""


@dataclass(frozen=True, kw_only=True)
class JobSkipped(Event):
    """The job did not fail, but there is no new file."""

    job: int
    reason: str
    """Why there is none."""
    source_bytes: int = 0
    size: int | None = None
    """Size of the result that was dropped because it was too big; null if there was none."""


@dataclass(frozen=True, kw_only=True)
class JobFailed(Event):
    """The job failed. The others go on."""

    job: int
    error: str
    """The class of the error, such as ``SourceUnreadable``."""
    message: str


@dataclass(frozen=True, kw_only=True)
class JobCancelled(Event):
    """The job was cancelled. If the caller asked for it, its work is kept for a later run."""

    job: int


@dataclass(frozen=True, kw_only=True)
class RunFinished(Event):
    """The last event of a run: how many jobs ended in which way."""

    finished: int
    failed: int
    skipped: int
    cancelled: int
    frames: int
    """How many frames were encoded."""
    seconds: float
    """How long the run took."""
    source_bytes: int = 0
    """Size of all sources whose results are kept."""
    size: int = 0
    """Size of all results that are kept."""


@dataclass(frozen=True, kw_only=True)
class CommandStarted(Event):
    """The first line that a command writes to its log (``--log``)."""

    version: str
    """The version of pdum-nvenc."""
    arguments: tuple[str, ...]
    """The command line, without the name of the program."""
    process: int
    """The number of the process."""


@dataclass(frozen=True, kw_only=True)
class CommandEnded(Event):
    """The last line that a command writes to its log. A command that was killed by SIGKILL writes none."""

    code: int
    """The exit code."""
    message: str = ""
    """Why the command could not do its work, if it could not."""


def to_dict(event: Event) -> dict[str, Any]:
    """Plain values alone, as JSON holds them, with the event's kind as ``"event": "job_finished"``."""
    return values_of(event)
