"""What a pool works on: tasks, which are videos whose frames can be encoded in ranges by several engines at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ._config.config import EncoderConfig
    from ._nvenc import Packet
    from .events import EngineInfo


class VideoEncoder(Protocol):
    """What an engine does, with and without hardware: ``NvencEncoder`` and ``SoftwareEncoder``.

    Where it has an iterator ``flush_lazily()`` too, that is used instead of ``flush_pipeline``.
    """

    def submit(self, frame: Any, seq: int, force_idr: bool = False) -> list[Packet]: ...
    def flush_pipeline(self) -> list[Packet]: ...
    def sequence_header(self) -> bytes: ...
    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done for a task, known once its source has been looked through.

    ``ranges`` are those that are still to be encoded, in order and disjoint; others were done in an earlier run.
    ``whole_ranges``: they are to be kept as they are, for the caller asked for so many; else the pool may divide them.
    """

    frames: int
    ranges: Sequence[tuple[int, int]]
    whole_ranges: bool = False
    width: int = 0
    height: int = 0
    fps: float = 0.0
    duration: float = 0.0
    shortest_range: int = 1
    """In frames: dividing a range into less costs more than it saves, even for an engine that has nothing to do."""
    good_range: int = 0
    """Ranges are no shorter to begin with, while all engines are busy; 0: as ``shortest_range``."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of a task that went well. ``skipped`` is why there is no file all the same."""

    destination: str
    frames: int
    size: int
    source_bytes: int = 0
    warnings: tuple[str, ...] = ()
    skipped: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """What became of a run's tasks, in their order: a ``Result``, or the error that ended it."""

    results: tuple[Result | Exception, ...]
    frames: int
    seconds: float
    lost_engines: dict[int, str]

    @property
    def errors(self) -> list[Exception]:
        return [one for one in self.results if isinstance(one, Exception)]

    def require_success(self) -> list[Result]:
        """All results; raises the first error where there is one."""
        for error in self.errors:
            raise error
        return [one for one in self.results if isinstance(one, Result)]


class Task(Protocol):
    """A video to be encoded. The pool calls each method from one thread at a time, but for ``frames`` and ``config``.

    What any of them raises fails this task alone. After ``prepare``, also where it raised, the pool always ends with a
    ``finish`` that goes well or with ``abandon``.

    Two methods are optional. ``interrupt()`` is called from any thread when the task is called off: ``prepare``,
    ``frames`` and ``finish`` should then raise soon. ``frames_with(first, engine, encoder)`` is used instead of
    ``frames`` where it is there, in the engine's own thread with its encoder: for surfaces, and for frames that cost
    little to make.
    """

    @property
    def source(self) -> str: ...
    @property
    def destination(self) -> str: ...
    @property
    def source_bytes(self) -> int: ...

    @property
    def estimated_work(self) -> float:
        """Known without opening anything, to sort by: the longest goes first. Any unit, the same for all tasks."""
        ...

    def prepare(self, lanes: int) -> Plan:
        """Looks through the source. ``lanes``: how many engines there are."""
        ...

    def config(self, engine: EngineInfo) -> EncoderConfig:
        """What the engine's encoder is to be."""
        ...

    def frames(self, first: int, engine: EngineInfo) -> Iterator[Any]:
        """The frames from ``first`` on, as the encoder takes them; closed by the pool when it has enough."""
        ...

    def sink(self, first: int) -> PieceSink:
        """Takes the packets of a range as they come out."""
        ...

    def finish(self) -> Result:
        """All ranges are encoded: joins them, verifies the result and gives it its name."""
        ...

    def abandon(self, keep: bool) -> None:
        """The task failed or was cancelled; ``keep``: what is done may be used by a later run."""
        ...


class PieceSink(Protocol):
    """Where one range's packets go. Nothing of it counts before ``complete``."""

    def write(self, packets: Sequence[Packet]) -> None: ...

    def complete(self, last: int, header: bytes) -> int:
        """The range ended before ``last``. Returns its size in bytes."""
        ...

    def discard(self) -> None:
        """The range is done again elsewhere, or not at all."""
        ...
