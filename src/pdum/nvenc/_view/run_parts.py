"""The parts of a run's state: jobs, engines, sums and lines of the log."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath

from ..events import EngineInfo, QualityTried

ENDED = frozenset({"finished", "skipped", "failed", "cancelled"})
WAITING = frozenset({"queued", "prepared"})
AT_WORK = frozenset({"running", "finishing"})
GAP = 0.05
"""An engine that has nothing to do between two pieces for more seconds than these has a gap."""


@dataclass
class Job:
    """``state``: queued, prepared, running, finishing, and then finished, skipped, failed or cancelled."""

    number: int
    source: str
    destination: str = ""
    source_bytes: int = 0
    state: str = "queued"
    frames: int = 0
    """Frames to encode, including the samples of a search."""
    frames_done: int = 0
    video_frames: int = 0
    width: int = 0
    height: int = 0
    duration: float = 0.0
    fps: float = 0.0
    """Frames a second, of all engines together."""
    speed: float = 0.0
    eta: float | None = None
    size: int | None = None
    """The size of the result, even if it was dropped for being too big."""
    seconds: float = 0.0
    reason: str = ""
    """Why it was skipped or failed."""
    error: str = ""
    warnings: tuple[str, ...] = ()
    attempts: int = 0
    began: float | None = None
    ended: float | None = None
    goal: str = ""
    """What samples are encoded for; empty once a quality value is chosen, or if none is searched for."""
    tried: tuple[QualityTried, ...] = ()
    """The quality values that a search has tried."""
    rates: dict[int, float] = field(default_factory=dict)
    """The frames a second of each engine that works on it."""

    @cached_property
    def name(self) -> str:
        return PurePath(self.source).name or self.source

    @cached_property
    def folder(self) -> str:
        return str(PurePath(self.source).parent)

    @property
    def searches(self) -> bool:
        return bool(self.goal) and not self.is_over

    @property
    def quality(self) -> float | None:
        """The value that a search has chosen."""
        return next((one.quality for one in reversed(self.tried) if one.is_chosen), None)

    @property
    def why(self) -> str:
        """The reason, without the source's name at its beginning, since the name is shown next to it."""
        if self._is_dropped:
            return f"kept the original: the result would be {_compared(self.ratio)}"
        return self.reason.removeprefix(self.source).lstrip(": ") if self.reason != self.source else self.reason

    @property
    def why_in_short(self) -> str:
        """The reason for a line that has little room."""
        return f"would be {_compared(self.ratio)}" if self._is_dropped else self.why

    @property
    def _is_dropped(self) -> bool:
        """Whether there was a result, which was not small enough."""
        return self.state == "skipped" and self.reason == "bigger"

    @property
    def is_over(self) -> bool:
        return self.state in ENDED

    @property
    def fraction(self) -> float:
        if self.state in {"finished", "finishing"}:
            return 1.0
        return min(1.0, self.frames_done / self.frames) if self.frames else 0.0

    @property
    def ratio(self) -> float | None:
        """The result's size divided by the source's; None if either is not known."""
        return self.size / self.source_bytes if self.size is not None and self.source_bytes > 0 else None

    @property
    def saved(self) -> int:
        """Bytes that the job freed on the disk. A result that was dropped saves nothing."""
        return self.source_bytes - (self.size or 0) if self.state == "finished" and self.source_bytes > 0 else 0


def _compared(ratio: float | None) -> str:
    """``"12 % larger"``, ``"3.1 times as large"``, ``"only 4 % smaller"``."""
    if ratio is None:
        return "no smaller"
    percent = 100 * abs(ratio - 1)
    amount = f"{percent:.0f} %" if percent >= 0.95 else f"{percent:.1f} %" if percent >= 0.05 else "0.1 %"
    if ratio >= 2:
        return f"{ratio:.0f} times as large" if ratio >= 9.95 else f"{ratio:.1f} times as large"
    return "just as large" if ratio == 1 else f"{amount} larger" if ratio > 1 else f"only {amount} smaller"


@dataclass
class Span:
    """One piece on one engine. ``end`` is None while it lasts."""

    job: int
    begin: float
    end: float | None = None
    frames: int = 0
    retried: bool = False


WAITS = 0.1
"""The share of the time from which on waiting is shown."""


@dataclass
class Engine:
    """``state``: idle, working, waiting (another process has its session), lost, or off (switched off)."""

    info: EngineInfo
    state: str = "idle"
    job: int | None = None
    piece: int = 0
    first: int = 0
    last: int = 0
    frames: int = 0
    fps: float = 0.0
    reason: str = ""
    frames_total: int = 0
    decoders: int = 0
    """How many decoders work for it; 0 if its frames need none."""
    decoders_on_processor: int = 0
    waited: float = 0.0
    """For which share of the time it waited for frames."""
    spans: list[Span] = field(default_factory=list)

    @property
    def fraction(self) -> float:
        """How much of its current piece is done."""
        return min(1.0, self.frames / (self.last - self.first)) if self.last > self.first else 0.0

    def supply_texts(self) -> list[str]:
        """Its decoders, if it has several, and how much it waits for frames, if that is worth a word. In fewer and
        fewer words."""
        several, waits = self.decoders > 1, self.waited >= WAITS
        on_cpu = f" ({self.decoders_on_processor} on CPU)" if self.decoders_on_processor else ""
        all_words = [f"{self.decoders} decoders{on_cpu}"] * several + [f"waits for frames {self.waited:.0%}"] * waits
        short = [f"{self.decoders} dec"] * several + [f"waits {self.waited:.0%}"] * waits
        texts = [", ".join(all_words), ", ".join(short), *short[-1:]]
        return list(dict.fromkeys(filter(None, texts)))

    def has(self, decoders: int, on_processor: int, waited: float) -> None:
        self.decoders, self.decoders_on_processor, self.waited = decoders, on_processor, waited

    def busy(self, now: float) -> float:
        """How many seconds it has worked."""
        return sum((now if span.end is None else span.end) - span.begin for span in self.spans)

    def gaps(self, threshold: float = GAP) -> list[tuple[float, float]]:
        """The times when it had nothing to do between two of its pieces."""
        pairs = zip(self.spans, self.spans[1:], strict=False)
        return [
            (before.end, after.begin)
            for before, after in pairs
            if before.end is not None and after.begin - before.end > threshold
        ]


@dataclass
class Sums:
    """The sums of a folder's jobs, or of all. Sizes are those of finished jobs whose source size is known."""

    jobs: int = 0
    finished: int = 0
    skipped: int = 0
    failed: int = 0
    cancelled: int = 0
    source_bytes: int = 0
    size: int = 0

    def add(self, job: Job, count: int = 1) -> None:
        self.jobs += count
        if job.is_over:
            setattr(self, job.state, getattr(self, job.state) + count)
        if job.state == "finished" and job.source_bytes > 0:
            self.source_bytes += count * job.source_bytes
            self.size += count * (job.size or 0)

    def remove(self, job: Job) -> None:
        """Subtracts the job again. Call this before the job changes."""
        self.add(job, -1)

    @property
    def ended(self) -> int:
        return self.finished + self.skipped + self.failed + self.cancelled

    @property
    def saved(self) -> int:
        return self.source_bytes - self.size

    @property
    def ratio(self) -> float | None:
        return self.size / self.source_bytes if self.source_bytes > 0 else None


@dataclass(frozen=True)
class LogLine:
    """``level``: info, good, warning or error. ``job`` is set on the line that says how a job ended."""

    at: float
    level: str
    text: str
    job: int | None = None
    name: str = ""
    """The name of a file, if the text begins with one."""
