"""Reads a source without decoding it: which frames it has, at which times, and where decoding can begin."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from .._errors import SourceUnreadable
from .._profiling import profiled
from .av import fraction, import_av, time_base
from .background import BackgroundCall
from .decoder import FEW_THREADS, Decoding, Start, every_frame, open_source, video_stream
from .look import Look, look_at
from .movie_tables import listed_packets
from .packet_list import PacketList, demuxed_packets
from .riff import is_whole_riff


@dataclass(frozen=True, kw_only=True)
class Key:
    """A packet at which decoding can begin. It gives the frames from number ``frame`` on."""

    frame: int
    pts: int
    dts: int | None
    is_first: bool = False


@dataclass(frozen=True, kw_only=True)
class Index:
    """The frames of a source's video in display order. Their times are in units of ``time_base``."""

    stream: int
    time_base: Fraction
    pts: Sequence[int]
    keys: Sequence[Key]
    straight: bool
    """Frames are known only by their order, so decoding always begins with the file."""
    look: Look
    rate: Fraction
    last_duration: int
    careful: bool = False
    """The source is damaged. One thread decodes it, since several would lose the frames around the damage too."""
    changes_headers: bool = False
    """Other headers hold from some packet on. A container that stays open does not repeat them."""
    alpha: bool = False
    """Alpha is decoded too where that needs another decoder."""
    warnings: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        return len(self.pts)

    @property
    def duration(self) -> float:
        return float((self.pts[-1] + self.last_duration - self.pts[0]) * self.time_base)

    def key_for(self, frame: int, back: int = 0) -> Key:
        """The last key frame from which the frame can be decoded, or one that lies ``back`` key frames before that."""
        return self.keys[max(self._keys_to(frame) - 1 - back, 0)]

    def count_to(self, pts: int) -> int:
        """How many frames are shown up to this time, with the one at it."""
        return bisect_right(self.pts, pts)

    def key_after(self, frame: int) -> Key | None:
        """The first key frame behind the frame."""
        place = self._keys_to(frame)
        return self.keys[place] if place < len(self.keys) else None

    def _keys_to(self, frame: int) -> int:
        return bisect_right(self.keys, frame, key=lambda key: key.frame)


def index_source(path: Path, interrupted: Callable[[], None] = lambda: None) -> Index:
    """Reads the source. Calls ``interrupted`` now and then, which may raise."""
    index, start = look_through(path, FEW_THREADS, interrupted)
    start.close()
    return index


def look_through(path: Path, threads: int, interrupted: Callable[[], None], alpha: bool = False) -> tuple[Index, Start]:
    """The index, and a decoder with so many threads that has decoded the first frames. ``alpha``: with theirs."""
    looking = BackgroundCall(lambda: Start.looked_at(path, threads, interrupted, alpha=alpha))
    try:
        with open_source(path) as container:
            stream = video_stream(container, path)
            declared = stream.frames
            facts: dict[str, Any] = {"stream": stream.index, "time_base": time_base(stream), "rate": _rate(stream)}
            packets = listed_packets(path, container, stream, interrupted)
            if packets is None:
                packets = demuxed_packets(container, stream, interrupted)
                declared = _declared(path, container, stream)
        if not packets.pts:
            raise SourceUnreadable(f"{path}: The video stream is empty.")
        start = looking.answer()
        if not start.frames:
            raise SourceUnreadable(f"{path}: No frame of this video can be decoded.")
        facts["look"], facts["alpha"] = look_at(start.stream, start.frames), start.decoding.alpha
        return _index(path, packets, declared, facts, start.frames, interrupted), start
    except BaseException:
        looking.undo(Start.close)
        raise


@profiled("pdum.index")
def _index(
    path: Path,
    packets: PacketList,
    declared: int,
    facts: dict[str, Any],
    first: Sequence[Any],
    interrupted: Callable[[], None],
) -> Index:
    facts["changes_headers"] = packets.changes_headers
    missing = declared > len(packets.pts) and declared > _packets_with_hidden(path, facts["stream"], interrupted)
    index = _from_packets(packets, facts) if _agree(packets, first) else None
    if index is None or packets.damaged or missing:
        facts["careful"] = packets.damaged or missing
        index = _by_decoding(path, packets, facts, interrupted)
    if missing:
        text = f"The source is cut off: {declared} frames are announced, {index.frames} are there."
        index = replace(index, warnings=(*index.warnings, text))
    return index


def _declared(path: Path, container: Any, stream: Any) -> int:
    """How many frames the container says that there are; 0 if it cannot be cut off.

    Files may have empty packets, which repeat the picture before. MP4's do not count here. AVI counts them, but its
    demuxer hides them, so its size tells instead whether it is cut off.
    """
    if "avi" in container.format.name.split(",") and is_whole_riff(path):
        return 0
    empty = sum(not entry.size for entry in stream.index_entries)
    return int(stream.frames - empty)


def _packets_with_hidden(path: Path, stream: int, interrupted: Callable[[], None]) -> int:
    """The number of packets, including those that an edit list hides: a trimmed file announces these too."""
    count = 0
    with suppress(import_av().error.FFmpegError), open_source(path, options={"ignore_editlist": "1"}) as container:
        for packet in container.demux(container.streams[stream]):
            count += packet.size > 0
            if not count % 256:
                interrupted()
    return count


def _agree(packets: PacketList, first: Sequence[Any]) -> bool:
    """Whether decoding gives the frames that the packets announce."""
    shown = [pts for pts, is_shown in zip(packets.pts, packets.shown, strict=True) if is_shown]
    times = [pts for pts in shown if pts is not None]
    if len(times) != len(shown) or len(set(times)) != len(times):
        return False
    return [frame.pts for frame in first] == sorted(times)[: len(first)]


def _from_packets(packets: PacketList, facts: dict[str, Any]) -> Index | None:
    times = sorted(pts for pts, shown in zip(packets.pts, packets.shown, strict=True) if shown and pts is not None)
    durations = dict(zip(packets.pts, packets.durations, strict=True))
    keys = _keys(packets, times)
    if not keys or keys[0].frame > 0:
        return None
    last = durations.get(times[-1]) or _usual_step(times, facts)
    return Index(pts=times, keys=keys, straight=False, last_duration=last, **facts)


def _keys(packets: PacketList, times: Sequence[int]) -> list[Key]:
    """Key frames for which no packet before them is shown after them."""
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


def _by_decoding(path: Path, packets: PacketList, facts: dict[str, Any], interrupted: Callable[[], None]) -> Index:
    """Decodes the whole source once, if its packets have no times or wrong ones."""
    times, durations = _decoded_times(path, Decoding(1 if facts["careful"] else 0), interrupted)
    if not facts["careful"] and len(times) < sum(
        packets.shown
    ):  # several threads lose frames at a damaged end without an error
        carefully = _decoded_times(path, Decoding(1), interrupted)
        if len(carefully[0]) > len(times):
            facts["careful"] = True
            times, durations = carefully
    if not times:
        raise SourceUnreadable(f"{path}: No frame of this video can be decoded.")
    whole = [time for time in times if time is not None]
    if len(whole) == len(times) and all(a < b for a, b in pairwise(whole)):
        known = set(whole)
        keys = [key for key in _keys(packets, whole) if key.pts in known]
        straight = packets.damaged or not keys or keys[0].frame > 0
        last = durations[-1] or _usual_step(whole, facts)
        return Index(pts=whole, keys=keys, straight=straight, last_duration=last, **facts)
    made, step = _made_up(times, durations, packets, facts)
    text = "The source has no usable frame times; they were computed from its frame rate."
    return Index(pts=made, keys=(), straight=True, last_duration=step, warnings=(text,), **facts)


def _decoded_times(
    path: Path, decoding: Decoding, interrupted: Callable[[], None]
) -> tuple[list[int | None], list[int]]:
    """The time of each frame, and how long it is shown."""
    times: list[int | None] = []
    durations: list[int] = []
    for frame in every_frame(path, decoding, interrupted):
        times.append(frame.pts)
        durations.append(frame.duration or 0)
    return times, durations


def _made_up(
    times: Sequence[int | None], durations: Sequence[int], packets: PacketList, facts: dict[str, Any]
) -> tuple[list[int], int]:
    """Times in display order for a source without any: its decode times, or multiples of a frame's length."""
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
