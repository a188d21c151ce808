"""Finds the quality value of each file that reaches a target: all engines encode samples of all files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from .._errors import TargetOutOfReach
from .._media.sample import decoded
from .._tasks import Plan, Result
from ..events import EngineInfo
from .quality import compare
from .search import Search, Target
from .wrapped_task import WrappedTask

if TYPE_CHECKING:
    from .._config.config import EncoderConfig
    from .._nvenc import Packet
    from .._tasks import PieceSink, Task

SAMPLES = 4
SECONDS = 1.5
LEAST_FRAMES = 24
WORST = {"h264": 51, "hevc": 51, "av1": 63}


ORIGINALS = EngineInfo(index=-1, kind="software")
"""The reader of the originals: it takes pictures on the host, as the software codecs do."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """The result of a search. ``size`` is a prediction for the video alone."""

    quality: int
    score: float
    size: int


def sample_ranges(frames: int, fps: float) -> list[tuple[int, int]]:
    """Short parts, spread over the video. A video that is not much longer than its parts is taken as a whole."""
    length = max(LEAST_FRAMES, round(fps * SECONDS))
    if frames <= 2 * SAMPLES * length:
        return [(0, frames)]
    apart = frames / SAMPLES
    starts = [int(apart * (number + 0.5)) - length // 2 for number in range(SAMPLES)]
    return [(start, start + length) for start in starts]


@dataclass(kw_only=True)
class _Part:
    """One sample as it comes from an engine."""

    first: int
    packets: list[bytes] = field(default_factory=list)
    header: bytes = b""
    last: int = 0


class _PartSink:
    def __init__(self, part: _Part) -> None:
        self._part = part

    def write(self, packets: Sequence[Packet]) -> None:
        self._part.packets += [packet.data for packet in packets]

    def complete(self, last: int, header: bytes) -> int:
        self._part.last, self._part.header = last, header
        return sum(map(len, self._part.packets))

    def discard(self) -> None:
        self._part.packets.clear()


class SampleTask(WrappedTask):
    """Encodes samples of a file with one quality value, and compares them with the source."""

    def __init__(self, file: Task, quality: int, target: Target, known: Plan | None = None) -> None:
        super().__init__(file)
        self.quality = quality
        self._target = target
        self.plan = known
        self.codec = ""
        self.score = 0.0
        self.size = 0
        self.frames_sampled = 0
        self._parts: dict[int, _Part] = {}

    @property
    def destination(self) -> str:
        return f"samples at quality {self.quality}"

    def prepare(self, lanes: int) -> Plan:
        if self.plan is None:
            self.plan = self._file.prepare(lanes)
        ranges = sample_ranges(self.plan.frames, self.plan.fps)
        self.frames_sampled = sum(last - first for first, last in ranges)
        return replace(self.plan, ranges=ranges, whole_ranges=True)

    def config(self, engine: EngineInfo) -> EncoderConfig:
        config = self._file.config(engine)
        self.codec = config.codec
        return config.replaced(cq=self.quality)

    def sink(self, first: int) -> PieceSink:
        part = self._part(first)
        part.packets.clear()
        return _PartSink(part)

    def _part(self, first: int) -> _Part:
        return self._parts.setdefault(first, _Part(first=first))

    def finish(self) -> Result:
        try:
            return self._compare()
        finally:
            self.abandon(keep=False)

    def _compare(self) -> Result:
        parts = [part for part in self._parts.values() if part.packets]
        scores = [(self._score(part), part.last - part.first) for part in parts]
        frames = sum(count for _, count in scores)
        self.score = sum(score * count for score, count in scores) / frames
        self.size = sum(len(data) for part in parts for data in part.packets)
        self.frames_sampled = frames
        return Result(destination="", frames=frames, size=self.size)

    def _score(self, part: _Part) -> float:
        source = self._file.frames(part.first, ORIGINALS)
        try:
            originals = islice(source, part.last - part.first)
            packets = [part.header + part.packets[0], *part.packets[1:]]
            return compare(self._target.metric, originals, decoded(self.codec, packets))
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()

    def abandon(self, keep: bool) -> None:  # noqa: ARG002
        """Also closes the file: a search has many rounds, and holds no file open between them."""
        self._parts.clear()
        self._file.abandon(False)


Outcome = Found | Exception
AT_ONCE = 32
"""Files that are searched at once: enough to keep many engines busy. Each keeps its index in memory, which is megabytes
for a long film."""
Runner = Callable[[Sequence["Task"]], Sequence["Result | BaseException"]]
"""Has a pool do tasks, and returns the outcome of each in their order."""


def find_all(files: Iterable[Task], target: Target, start: float, run: Runner) -> list[Outcome]:
    """Searches in rounds: one value of each file that is searched at the time. A file that fails stops no other.

    A file is asked for when its search begins, and forgotten when it ends.
    """
    coming = enumerate(_Sought(file=file, target=target, start=round(start)) for file in files)
    outcomes: dict[int, Outcome] = {}
    sought = dict(islice(coming, AT_ONCE))
    while sought:
        tasks = {number: task for number, one in sought.items() if (task := one.next_task()) is not None}
        for (number, task), result in zip(tasks.items(), run(list(tasks.values())), strict=True):
            sought[number].take(task, result)
        del tasks
        for number in [number for number, one in sought.items() if one.is_over]:
            outcomes[number] = sought.pop(number).outcome()
        sought.update(islice(coming, AT_ONCE - len(sought)))
    return [outcomes[number] for number in range(len(outcomes))]


@dataclass(kw_only=True)
class _Sought:
    """One file's search."""

    file: Task
    target: Target
    start: int
    plan: Plan | None = None
    search: Search | None = None
    sizes: dict[int, float] = field(default_factory=dict)
    """Bytes of a frame, by quality value."""
    error: Exception | None = None

    @property
    def next_value(self) -> int | None:
        return self.start if self.search is None else self.search.next_value

    @property
    def is_over(self) -> bool:
        return self.error is not None or self.next_value is None

    def next_task(self) -> SampleTask | None:
        value = self.next_value
        return None if self.is_over or value is None else SampleTask(self.file, value, self.target, self.plan)

    def take(self, task: SampleTask, result: Result | BaseException) -> None:
        if not isinstance(result, Result):
            self.error = result if isinstance(result, Exception) else InterruptedError("interrupted")
            return
        self.plan = task.plan
        if self.search is None:
            self.search = Search(target=self.target, best=1, worst=WORST[task.codec], start=self.start)
        self.search.add_score(task.quality, task.score)
        self.sizes[task.quality] = task.size / task.frames_sampled

    def outcome(self) -> Outcome:
        if self.error is not None or self.search is None or self.plan is None:
            return self.error or InterruptedError("interrupted")
        value = self.search.reached
        if value is None:
            best = max(self.search.tried.values())
            return TargetOutOfReach(
                f"{self.target} cannot be reached: the best quality value gives {best:.4g}. "
                "Lower the target, choose another codec (-c), or use --lossless."
            )
        return Found(quality=value, score=self.search.tried[value], size=round(self.sizes[value] * self.plan.frames))
