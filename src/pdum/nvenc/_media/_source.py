"""A source looked through without decoding it: which frames it has, at which times, and where decoding may begin."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from .._errors import SourceUnreadable
from ._access import is_clean, is_shown
from ._av import fraction, import_av, open_container, time_base
from ._look import Look, look_at

SNIFFED = 5
"""Frames decoded to see that the packets tell the truth, and whether any is interlaced: film has it in two of five."""
SNIFFING = 2
"""Threads for it: one more frame is decoded for each."""
MOST_SNIFFED_PACKETS = 64
MOST_THREADS_OF_A_GPU = 4
"""They parse; each takes a surface of the GPU's decoder, which has 32 for these and for up to 16 reference pictures."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """A packet from which decoding may begin: it serves the frames from number ``frame`` on."""

    frame: int
    pts: int
    dts: int | None
    is_first: bool = False


@dataclass(frozen=True, kw_only=True)
class Index:
    """The video of a source: times of its frames in display order, in units of ``time_base``."""

    stream: int
    time_base: Fraction
    pts: Sequence[int]
    keys: Sequence[Key]
    straight: bool
    """Frames are known by their order alone: always decoded from the beginning."""
    look: Look
    rate: Fraction
    last_duration: int
    careful: bool = False
    """Damaged: decoded by one thread, since several would lose the frames around the damage too."""
    warnings: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        return len(self.pts)

    @property
    def duration(self) -> float:
        return float((self.pts[-1] + self.last_duration - self.pts[0]) * self.time_base)

    def key_for(self, frame: int) -> Key:
        """The last one from which the frame can be decoded."""
        place = bisect_right([key.frame for key in self.keys], frame) - 1
        return self.keys[max(place, 0)]


@dataclass
class _Packets:
    """What demuxing gave, in decoding order."""

    pts: list[int | None] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    shown: list[bool] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    damaged: bool = False
    sniffed: list[Any] = field(default_factory=list)
    """The first frames as they are decoded."""

    def may_sniff(self) -> bool:
        enough = SNIFFED if len(self.pts) <= MOST_SNIFFED_PACKETS else 1
        return len(self.sniffed) < enough


def open_source(path: Path, **more: Any) -> Any:
    """The container, or what is wrong with it in a person's words."""
    try:
        return open_container(_as_url(path), "r", **more)
    except FileNotFoundError as error:
        raise SourceUnreadable(f"{path} does not exist.") from error
    except PermissionError as error:
        raise SourceUnreadable(f"{path} may not be read: {error.strerror}.") from error
    except (OSError, ValueError) as error:
        size = path.stat().st_size if path.is_file() else None
        state = "is empty" if size == 0 else "is no file" if size is None else f"is no video that can be read: {error}"
        raise SourceUnreadable(f"{path} {state}.") from error


def _as_url(path: Path) -> str:
    """FFmpeg takes what stands before a colon for a protocol, and a leading dash it must not see."""
    return f"file:{path}"


def video_stream(container: Any, path: Path) -> Any:
    """The video that is meant: the first that is no cover picture."""
    found = [one for one in container.streams.video if not is_picture(one)]
    if not found:
        raise SourceUnreadable(f"{path} has no video.")
    if found[0].codec_context is None:
        raise SourceUnreadable(f"{path} has video of a codec that PyAV cannot decode.")
    return found[0]


def is_picture(stream: Any) -> bool:
    """A cover or thumbnail, which is no video although it counts as one."""
    return bool(stream.disposition.value & (1 << 10 | 1 << 11))


def index_source(path: Path, interrupted: Callable[[], None] = lambda: None) -> Index:
    """Looks through the source. ``interrupted`` is asked now and then, and may raise."""
    with open_source(path) as container:
        stream = video_stream(container, path)
        declared = stream.frames
        Decoding(SNIFFING).prepare(stream)
        packets = _demuxed(container, stream, interrupted)
        sniffed = packets.sniffed
        if not packets.pts:
            raise SourceUnreadable(f"{path} has a video stream without a single packet.")
        if not sniffed:
            raise SourceUnreadable(f"{path}: none of its first {MOST_SNIFFED_PACKETS} packets can be decoded.")
        facts: dict[str, Any] = {
            "stream": stream.index,
            "time_base": time_base(stream),
            "look": look_at(stream, sniffed),
            "rate": _rate(stream),
        }
    missing = declared > len(packets.pts)
    index = _from_packets(packets, facts) if _agree(packets, sniffed) else None
    if index is None or packets.damaged or missing:
        facts["careful"] = packets.damaged or missing
        index = _by_decoding(path, packets, facts, interrupted)
    if missing:
        text = f"The source is cut off: {declared} frames are announced, {index.frames} are there."
        index = replace(index, warnings=(*index.warnings, text))
    return index


def _demuxed(container: Any, stream: Any, interrupted: Callable[[], None]) -> _Packets:
    av = import_av()
    found = _Packets()
    codec = stream.codec_context.name
    extradata = bytes(stream.codec_context.extradata or b"")
    try:
        for packet in container.demux(stream):
            if found.may_sniff():
                found.sniffed += Decoding(threads=1).frames(packet)
            if not packet.size:
                continue
            if not len(found.pts) % 256:
                interrupted()
            if packet.is_keyframe and is_clean(codec, bytes(packet) if codec == "h264" else b"", extradata):
                found.keys.append(len(found.pts))
            found.pts.append(packet.pts)
            found.dts.append(packet.dts)
            found.durations.append(packet.duration or 0)
            found.shown.append(not packet.is_discard and is_shown(codec, bytes(packet) if codec == "vp8" else b""))
            found.damaged |= packet.is_corrupt
    except av.error.FFmpegError:
        found.damaged = True
        if found.may_sniff():
            found.sniffed += Decoding(threads=1).rest(stream)
    return found


class Stumbled(Exception):
    """Something cannot be decoded, and frames beside it that could be are lost: one thread of the processor has to."""


@dataclass(frozen=True, kw_only=True)
class OnGpu:
    """A GPU's decoder, whose frames stay there."""

    acceleration: Any
    context: AbstractContextManager[Any]
    """Has to be current whenever the decoder is opened or used."""


@dataclass(frozen=True)
class Decoding:
    """How a file is decoded."""

    threads: int = 0
    strict: bool = False
    """Damage is an error, and no reason to leave a frame out."""
    on_gpu: OnGpu | None = None
    """Where to decode, if not on the processor."""
    on_stumble: Callable[[Exception], object] = id
    """Told why another way is taken."""

    @contextmanager
    def opened(self, path: Path) -> Iterator[Any]:
        """The container, for the block."""
        with self._here():
            container = open_source(path, **({} if self.on_gpu is None else {"hwaccel": self.on_gpu.acceleration}))
        with container:
            yield container

    def _here(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.on_gpu is None else self.on_gpu.context

    @property
    def is_careful(self) -> bool:
        """One thread of the processor loses nothing but what is damaged; several are silent about it."""
        return self.threads == 1 and self.on_gpu is None

    def carefully(self) -> Decoding:
        return replace(self, threads=1, on_gpu=None)

    def prepare(self, stream: Any) -> None:
        context = stream.codec_context
        context.thread_type = "AUTO"
        context.thread_count = self.threads if self.on_gpu is None else MOST_THREADS_OF_A_GPU
        if self.strict:
            context.options = {"err_detect": "explode"}

    def frames(self, packet: Any) -> list[Any]:
        """Of a packet; an empty one brings what the decoder still holds.

        Raises:
            SourceUnreadable: it is strict, and something is damaged; or the decoder failed without damage.
            Stumbled: it is not, and more may be lost than what is damaged.
        """
        av = import_av()
        try:
            with self._here():
                frames: list[Any] = packet.decode()
        except EOFError:
            return []
        except av.error.FFmpegError as error:
            self._may_stumble(error)
            if not self.strict and (isinstance(error, av.error.InvalidDataError) or not packet.size):
                return []
            raise SourceUnreadable(f"The packet shown at {packet.pts} cannot be decoded: {error}") from error
        if self.strict and any(frame.is_corrupt for frame in frames):
            raise SourceUnreadable(f"The packet shown at {packet.pts} is damaged.")
        return frames

    def rest(self, stream: Any) -> list[Any]:
        """What the decoder still holds after the file broke off. Raises Stumbled."""
        av = import_av()
        try:
            with self._here():
                frames: list[Any] = stream.decode(None)
                return frames
        except EOFError:
            return []
        except av.error.FFmpegError as error:
            self._may_stumble(error)
            return []

    def _may_stumble(self, error: Exception) -> None:
        if not self.strict and not self.is_careful:
            raise Stumbled(str(error)) from error


def _agree(packets: _Packets, sniffed: Sequence[Any]) -> bool:
    """Whether the frames are those that the packets announce."""
    shown = [pts for pts, is_shown in zip(packets.pts, packets.shown, strict=True) if is_shown]
    times = [pts for pts in shown if pts is not None]
    if len(times) != len(shown) or len(set(times)) != len(times):
        return False
    return [frame.pts for frame in sniffed] == sorted(times)[: len(sniffed)]


def _from_packets(packets: _Packets, facts: dict[str, Any]) -> Index | None:
    times = sorted(pts for pts, shown in zip(packets.pts, packets.shown, strict=True) if shown and pts is not None)
    durations = dict(zip(packets.pts, packets.durations, strict=True))
    keys = _keys(packets, times)
    if not keys or keys[0].frame > 0:
        return None
    last = durations.get(times[-1]) or _usual_step(times, facts)
    return Index(pts=times, keys=keys, straight=False, last_duration=last, **facts)


def _keys(packets: _Packets, times: Sequence[int]) -> list[Key]:
    """Key frames before which nothing is decoded that is shown after them."""
    found: list[Key] = []
    latest: int | None = None
    marked = set(packets.keys)
    for place, pts in enumerate(packets.pts):
        if pts is None:
            continue
        if place in marked and (latest is None or latest < pts):
            first = bisect_left(times, pts)
            found.append(Key(frame=first, pts=pts, dts=packets.dts[place], is_first=place == 0))
        latest = pts if latest is None else max(latest, pts)
    return found


def _by_decoding(path: Path, packets: _Packets, facts: dict[str, Any], interrupted: Callable[[], None]) -> Index:
    """All of it decoded once: for sources whose packets do not tell, or tell what is not so."""
    times, durations = _decoded_times(path, Decoding(1 if facts["careful"] else 0), interrupted)
    if not facts["careful"] and len(times) < sum(packets.shown):  # threads do not tell what damage costs at the end
        carefully = _decoded_times(path, Decoding(1), interrupted)
        if len(carefully[0]) > len(times):
            facts["careful"] = True
            times, durations = carefully
    if not times:
        raise SourceUnreadable(f"{path}: not a single frame can be decoded.")
    whole = [time for time in times if time is not None]
    if len(whole) == len(times) and all(a < b for a, b in pairwise(whole)):
        known = set(whole)
        keys = [key for key in _keys(packets, whole) if key.pts in known]
        straight = packets.damaged or not keys or keys[0].frame > 0
        last = durations[-1] or _usual_step(whole, facts)
        return Index(pts=whole, keys=keys, straight=straight, last_duration=last, **facts)
    made, step = _made_up(times, durations, packets, facts)
    text = "The source has no usable times of its frames; they were made up from its frame rate."
    return Index(pts=made, keys=(), straight=True, last_duration=step, warnings=(text,), **facts)


def _decoded_times(
    path: Path, decoding: Decoding, interrupted: Callable[[], None]
) -> tuple[list[int | None], list[int]]:
    """Of each frame, and how long it is shown."""
    times: list[int | None] = []
    durations: list[int] = []
    for frame in every_frame(path, decoding, interrupted):
        times.append(frame.pts)
        durations.append(frame.duration or 0)
    return times, durations


def _made_up(
    times: Sequence[int | None], durations: Sequence[int], packets: _Packets, facts: dict[str, Any]
) -> tuple[list[int], int]:
    """Times in display order where there are none: those of decoding, or one frame's length after the other."""
    decoding = [time for time in packets.dts if time is not None]
    if len(decoding) == len(times) and len(set(decoding)) == len(decoding):
        ordered = sorted(decoding)
        return ordered, _usual_step(ordered, facts)
    step = max(1, round(1 / (facts["rate"] * facts["time_base"])))
    made, now = [], 0
    for duration in durations:
        made.append(now)
        now += duration or step
    return made, durations[-1] or step


def _usual_step(times: Sequence[int], facts: dict[str, Any]) -> int:
    if len(times) > 1:
        return max(1, times[-1] - times[-2])
    return max(1, round(1 / Fraction(facts["rate"] * facts["time_base"])))


def _rate(stream: Any) -> Fraction:
    for rate in map(fraction, (stream.average_rate, stream.guessed_rate, stream.base_rate)):
        if rate and 0 < rate <= 1000:
            return rate
    return Fraction(25)


def every_frame(
    path: Path, decoding: Decoding | None = None, interrupted: Callable[[], None] = lambda: None
) -> Iterator[Any]:
    """Decodes from the beginning to the end; unless it is strict, what is damaged is left out."""
    decoding, count = decoding or Decoding(), 0
    try:
        for frame in _decoded(path, decoding, interrupted):
            yield frame
            count += 1
    except Stumbled as error:
        decoding.on_stumble(error)
        yield from islice(_decoded(path, decoding.carefully(), interrupted), count, None)


def _decoded(path: Path, decoding: Decoding, interrupted: Callable[[], None]) -> Iterator[Any]:
    av = import_av()
    with decoding.opened(path) as container:
        stream = video_stream(container, path)
        decoding.prepare(stream)
        try:
            for number, packet in enumerate(container.demux(stream)):
                if not number % 16:
                    interrupted()
                yield from decoding.frames(packet)
        except av.error.FFmpegError:
            yield from decoding.rest(stream)
