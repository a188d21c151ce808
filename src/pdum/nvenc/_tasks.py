"""What a pool works on: tasks, which are videos whose frames several engines can encode in ranges at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from ._config.config import EncoderConfig
    from ._nvenc import Packet
    from ._results import Result
    from .events import EngineInfo


class VideoEncoder(Protocol):
    """What every engine can do, with and without hardware: ``NvencEncoder`` and ``SoftwareEncoder``."""

    @property
    def unmapped(self) -> tuple[str, ...]:
        """Settings that the codec has no equivalent for. They were left out."""
        ...

    def submit(self, frame: Any, seq: int, force_idr: bool = False) -> list[Packet]: ...
    def flush_pipeline(self) -> list[Packet]: ...

    def flush_lazily(self) -> Iterator[Packet]:
        """The same packets, each as soon as it is ready."""
        ...

    def sequence_header(self) -> bytes: ...
    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Which part of a task's work a plan is, for a task that has several plans one after the other.

    ``work`` is how many frames are encoded for all of them, as far as can be said, and is the same in each. The plan is
    the part from ``begins_at`` to ``ends_at`` of it, from 0 to 1. With a ``goal``, only samples are encoded, to find
    the quality value that reaches it.
    """

    work: int
    begins_at: float = 0.0
    ends_at: float = 1.0
    goal: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done for a task. It is known when the source has been examined.

    ``ranges`` are still to be encoded, in order and disjoint; an earlier run has done the others.
    ``whole_ranges``: the pool may not divide them, because the caller asked for so many.
    """

    frames: int
    ranges: Sequence[tuple[int, int]]
    whole_ranges: bool = False
    width: int = 0
    height: int = 0
    fps: float = 0.0
    duration: float = 0.0
    shortest_range: int = 1
    """In frames. Dividing into shorter ranges costs more than it saves, even if an engine has nothing to do."""
    good_range: int = 0
    """In frames. The ranges that engines begin with are no shorter; 0: as ``shortest_range``."""
    phase: Phase | None = None
    """None: the plan is all of the task's work."""

    @property
    def is_for_samples(self) -> bool:
        return self.phase is not None and bool(self.phase.goal)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A quality value that a task has tried, with samples of its video or with all of it (``is_whole``)."""

    quality: float
    cq: float
    """The encoder's own number for this quality."""
    size: int
    """The size of the result: predicted or real."""
    metric: str = ""
    score: float | None = None
    seconds: float | None = None
    """How long the rest of the task will take, as far as can be said."""
    is_chosen: bool = False
    is_whole: bool = False


@dataclass(frozen=True, kw_only=True)
class NextPlan:
    """What ``finish`` returns instead of a result if there is more to encode."""

    plan: Plan
    trials: tuple[Trial, ...]
    """The values that were tried, which are reported before."""


class NotYet(Exception):
    """A task's ``prepare`` raises it to be called again once another job has ended, such as for want of disk space.

    ``error`` is what the job fails with if no other job is at work.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@runtime_checkable
class SharedFrames(Protocol):
    """What ``frames`` of a task may return if several decoders can work for one engine. The pool changes their number
    while it takes the frames: it adds one if the engine waits, and takes one away that is not needed.

    One thread calls the methods and takes the frames.
    """

    @property
    def decoders(self) -> int:
        """How many decode now."""
        ...

    @property
    def decoders_on_processor(self) -> int:
        """How many of them help on the processor, because the GPU has no other free."""
        ...

    @property
    def idle_seconds(self) -> float:
        """How long those who decode ahead have waited for room, all of them together."""
        ...

    @property
    def frames_decoded(self) -> int:
        """How many frames have been decoded, also those that nobody has taken yet."""
        ...

    @property
    def frames_a_round(self) -> int:
        """How many frames the decoders make until it is the first one's turn again."""
        ...

    @property
    def is_all_begun(self) -> bool:
        """Whether nothing is left that another decoder could begin. Those who are done leave then."""
        ...

    def fair_share(self, engines: int) -> int:
        """How many of the GPU's decoders there are for each of its engines, if these are so many. At least 1."""
        ...

    def use_decoders(self, wanted: int) -> None:
        """Lets so many decode, or as many as there can be."""
        ...

    def end_at(self, last: int) -> None:
        """Frames from this one on are not wanted, as far as is known."""
        ...


@dataclass(frozen=True, kw_only=True)
class Portable:
    """What another process needs to encode ranges of a task. It can be pickled.

    ``make`` returns a task there, of which only the methods of ``PortableTask`` are used. Its ``encoder_config`` is set
    before. ``key`` names what ``make`` returns: a process keeps that for further ranges.
    """

    key: str
    make: Callable[[], PortableTask]


@dataclass(frozen=True, kw_only=True)
class Remarks:
    """What was seen while a source was decoded."""

    repeated: Collection[int] = ()
    """Frames that replace undecodable ones."""
    warnings: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class EncodedRange:
    """A complete range that another process has encoded.

    ``kept`` is what its sink returned as ``kept()``. Without such a sink, ``packets`` are all of its packets.
    ``remarks`` is what the process has to say of the source.
    """

    first: int
    last: int
    header: bytes
    size: int
    packets: tuple[Packet, ...] = ()
    kept: Any = None
    remarks: Remarks = Remarks()


class PortableTask(Protocol):
    """The part of a task that other processes work with."""

    encoder_config: EncoderConfig

    @property
    def needs_encoder(self) -> bool: ...
    def config(self, engine: EngineInfo) -> EncoderConfig:
        """``encoder_config``, for frames as they come on this machine."""
        ...

    def frames(self, first: int, engine: EngineInfo) -> Iterator[Any]: ...
    def frames_with(self, first: int, engine: EngineInfo, encoder: Any) -> Iterator[Any]: ...
    def sink(self, first: int) -> PieceSink | None:
        """None: the packets go back to the process that has the task itself."""
        ...

    def new_remarks(self) -> Remarks:
        """What was not told before."""
        ...

    def close(self) -> None:
        """Lets go of the source. No range of it is encoded any more."""
        ...


class Task(Protocol):
    """A video to be encoded. Derive yours from ``BaseTask``, which has everything that a task may leave out.

    The pool calls one method at a time, except ``frames``, ``config`` and ``interrupt``. If a method raises, this task
    fails and the others go on. The pool ends every task that it has prepared, even if ``prepare`` raised: by a
    ``finish`` that goes well, or by ``abandon``.
    """

    @property
    def source(self) -> str:
        """The name for messages, which begin with it."""
        ...

    @property
    def destination(self) -> str: ...
    @property
    def source_bytes(self) -> int: ...

    @property
    def estimated_work(self) -> float:
        """A number that is known without opening anything. The task with the largest goes first. Any unit will do."""
        ...

    @property
    def needs_encoder(self) -> bool:
        """Whether ``frames_with`` is called instead of ``frames``."""
        ...

    @property
    def is_committing(self) -> bool:
        """Whether ``finish`` cannot be cancelled any more. The pool then waits for it and reports how it ended."""
        ...

    def prepare(self, lanes: int) -> Plan:
        """Examines the source. ``lanes``: the number of engines. May raise ``NotYet``."""
        ...

    def config(self, engine: EngineInfo) -> EncoderConfig:
        """The configuration of the engine's encoder."""
        ...

    def frames(self, first: int, engine: EngineInfo) -> Iterator[Any]:
        """The frames from ``first`` on, as the encoder takes them. The pool closes it when it has enough.

        If it also has the members of ``SharedFrames``, the pool decides how many decoders make them.
        """
        ...

    def frames_with(self, first: int, engine: EngineInfo, encoder: Any) -> Iterator[Any]:
        """The same, in the engine's own thread with its encoder: for surfaces, and for frames that cost little."""
        ...

    def sink(self, first: int) -> PieceSink:
        """Takes the packets of a range as they come out."""
        ...

    def finish(self) -> Result | NextPlan:
        """Joins the encoded ranges, verifies the result and gives it its name. Or says what is encoded next,
        as often as it likes."""
        ...

    def abandon(self, keep: bool) -> None:
        """The task failed or was cancelled. ``keep``: a later run may use what is done."""
        ...

    def interrupt(self) -> None:
        """The task was cancelled, in any thread: ``prepare``, ``frames`` and ``finish`` should raise soon."""
        ...


class BaseTask:
    """Defaults for a ``Task``. You write the rest: ``source``, ``prepare``, ``config``, ``frames``, ``sink`` and
    ``finish``."""

    if TYPE_CHECKING:  # a property or an attribute may take the place of each

        @property
        def destination(self) -> str: ...
        @property
        def source_bytes(self) -> int: ...
        @property
        def estimated_work(self) -> float: ...
        @property
        def needs_encoder(self) -> bool: ...
        @property
        def is_committing(self) -> bool: ...
    else:
        destination = ""
        source_bytes = 0
        estimated_work = 0.0
        needs_encoder = False
        is_committing = False

    def frames_with(self, first: int, engine: EngineInfo, encoder: Any) -> Iterator[Any]:
        raise NotImplementedError("A task with needs_encoder has to have frames_with().")

    def portable(self) -> Portable | None:
        """What other machines need to encode ranges of this task, for a pool with a ``cluster``. None: only this
        process can encode it."""
        return None

    def adopt(self, encoded: EncodedRange) -> None:
        """Keeps a range that another machine's sink has kept; see ``EncodedRange.kept``."""
        raise NotImplementedError("A task whose ranges are kept by another machine has to have adopt().")

    def engines_before(self) -> str:
        """The kind of the engines of an earlier run, which have to go on with the task; empty: any engines may."""
        return ""

    def expect_engines(self, engines: Sequence[EngineInfo]) -> None:
        """Called before ``prepare`` with the engines that may encode the task, so that it can prepare for them."""

    def use_engines(self, kind: str) -> None:
        """Called before ``prepare`` by a pool with hardware and software: this kind of engines encodes the task."""

    def take_remarks(self, remarks: Remarks) -> None:
        """Does nothing: the task has no warnings."""

    def abandon(self, keep: bool) -> None:
        """Does nothing: this task leaves nothing to clear up."""

    def interrupt(self) -> None:
        """Does nothing: the task goes on until it ends by itself."""


class PieceSink(Protocol):
    """Takes the packets of one range. None of them counts before ``complete``."""

    def write(self, packets: Sequence[Packet]) -> None: ...

    def complete(self, last: int, header: bytes) -> int:
        """Keeps the packets of the range, which ended before ``last``. Returns their size in bytes."""
        ...

    def discard(self) -> None:
        """Drops the packets: the range is encoded again elsewhere, or not at all."""
        ...
