"""The packets of an MP4 or MOV as its tables list them. The packets themselves need not be read.

Reading a large file only for its index takes seconds from the memory, and minutes from a network drive. FFmpeg's
demuxer has the decoding times, sizes and places of all packets when it has opened the file. What it does not show are
the offsets between decoding times and display times (``ctts``), which are read here.

Tables can be wrong, and edit lists are complicated. So the first and the last packets are read and compared with the
tables. If anything differs, the caller reads the whole file.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import accumulate, chain, islice, pairwise, repeat
from pathlib import Path
from typing import Any, NamedTuple

from .._encoders.bitstreams import SHOWING_KEYS, has_idr, is_clean, shows_key
from .._errors import SourceUnreadable
from .._mp4.movie_reader import boxes_of, child, children
from .av import import_av
from .decoder import open_source
from .packet_list import PacketList

COMPARED = 64
"""Packets that are read at each end."""
LARGEST_MOOV = 1 << 28
BEGINNING = 4096
"""Bytes of a key frame that nearly always show what it is."""


class _Entry(NamedTuple):
    """A packet, as the demuxer's own index has it."""

    dts: int
    place: int
    size: int
    is_key: bool
    is_hidden: bool


class _Differs(Exception):
    """The tables do not say what the packets are."""


def listed_packets(
    path: Path, container: Any, stream: Any, interrupted: Callable[[], None] = lambda: None, compared: int = COMPARED
) -> PacketList | None:
    """The packets of the stream, without reading from ``container``; None if only reading the file shows them."""
    entries = stream.index_entries
    if "mp4" not in container.format.name.split(",") or len(entries) < 4 * compared:
        return None
    with suppress(_Differs, OSError, SourceUnreadable, import_av().error.FFmpegError):
        listed = [_Entry(e.timestamp, e.pos, e.size, e.is_keyframe, e.is_discard) for e in entries]
        if max(entry.place + entry.size for entry in listed) > path.stat().st_size:
            return None  # the file is cut off
        if not all(entry.size for entry in listed):
            return None  # empty packets, which lie where the next ones do
        interrupted()
        offsets = _display_offsets(path, stream.id, [entry.place for entry in listed])
        read = _Comparison(path, stream.index, listed, offsets, compared)
        return PacketList(
            pts=[entry.dts + offset + read.shift for entry, offset in zip(listed, offsets, strict=True)],
            dts=[entry.dts for entry in listed],
            durations=[*_steps(listed), read.last_duration],
            shown=[not entry.is_hidden for entry in listed],
            keys=_clean_keys(path, stream.codec_context, listed, interrupted),
        )
    return None


class _Comparison:
    """Reads packets at both ends. Raises _Differs if one is not what the tables say."""

    def __init__(
        self, path: Path, stream: int, listed: Sequence[_Entry], offsets: Sequence[int], compared: int
    ) -> None:
        self._listed, self._offsets = listed, offsets
        self._shifts: set[int] = set()
        with open_source(path) as container:
            video = container.streams[stream]
            self._compare(0, [_packet_facts(packet) for packet in islice(container.demux(video), compared)])
            container.seek(listed[-compared].dts, stream=video, any_frame=True)
            tail = [_packet_facts(packet) for packet in container.demux(video) if packet.size]
        self._compare(len(listed) - len(tail), tail)
        if len(self._shifts) != 1:
            raise _Differs
        (self.shift,) = self._shifts
        """What is added to decoding time and offset: edit lists and negative offsets move all display times."""
        self.last_duration: int = tail[-1][2]

    def _compare(self, first: int, packets: Sequence[tuple[_Entry, int, int]]) -> None:
        if first < 0 or not packets:
            raise _Differs
        steps = [*_steps(self._listed[first : first + len(packets) + 1]), None]
        for number, (entry, pts, duration) in enumerate(packets):
            if entry != self._listed[first + number] or steps[number] not in (duration, None):
                raise _Differs
            self._shifts.add(pts - entry.dts - self._offsets[first + number])


def _packet_facts(packet: Any) -> tuple[_Entry, int, int]:
    if packet.pts is None or packet.dts is None or packet.is_corrupt:
        raise _Differs
    entry = _Entry(packet.dts, packet.pos, packet.size, packet.is_keyframe, packet.is_discard)
    return entry, packet.pts, packet.duration or 0


def _steps(listed: Sequence[_Entry]) -> list[int]:
    """How long after each packet the next one is decoded. Some edit lists go back in time: then files are read."""
    steps = [after.dts - before.dts for before, after in pairwise(listed)]
    if min(steps, default=0) < 0:
        raise _Differs
    return steps


def _clean_keys(path: Path, context: Any, listed: Sequence[_Entry], interrupted: Callable[[], None]) -> list[int]:
    marked = [number for number, entry in enumerate(listed) if entry.is_key]
    if context.name not in SHOWING_KEYS:
        return marked
    found, extradata = [], bytes(context.extradata or b"")
    with path.open("rb", buffering=0) as file:
        for count, number in enumerate(marked):
            if not count % 256:
                interrupted()
            if _is_clean_at(file.fileno(), listed[number], context.name, extradata):
                found.append(number)
    return found


def _is_clean_at(file: int, entry: _Entry, codec: str, extradata: bytes) -> bool:
    beginning = os.pread(file, min(entry.size, BEGINNING), entry.place)
    is_key = has_idr(beginning, extradata) or None if codec == "h264" else shows_key(codec, beginning, extradata)
    return is_clean(codec, os.pread(file, entry.size, entry.place), extradata) if is_key is None else is_key


def _display_offsets(path: Path, track: int, places: Sequence[int]) -> list[int]:
    """How much later than decoded the packets at these places are shown, before edit lists move all of them."""
    try:
        tables = _tables_of(path, track)
        if int.from_bytes(child(tables, "stsd")[4:8], "big") != 1:
            raise _Differs  # which packets have which headers is told by reading them
        sizes = _sizes(child(tables, "stsz"), path.stat().st_size)
        by_place = dict(zip(_places(tables, sizes), _offsets(tables, len(sizes)), strict=True))
        return [by_place[place] for place in places]
    except (ValueError, KeyError, struct.error) as error:  # a table is shorter than it says, or makes no sense
        raise _Differs from error


def _tables_of(path: Path, track: int) -> bytes:
    with path.open("rb") as file:
        moov = next((box for box in boxes_of(file, path.stat().st_size) if box.kind == "moov"), None)
        if moov is None or moov.size > LARGEST_MOOV:
            raise _Differs
        file.seek(moov.place + moov.head)
        body = file.read(moov.size - moov.head)
    for kind, trak in children(body):
        if kind == "trak" and _number_of(child(trak, "tkhd")) == track:
            return child(trak, "mdia", "minf", "stbl")
    raise _Differs


def _number_of(tkhd: bytes) -> int:
    return int.from_bytes(tkhd[20:24] if tkhd[:1] == b"\1" else tkhd[12:16], "big")


def _offsets(tables: bytes, samples: int) -> list[int]:
    table = child(tables, "ctts")
    if not table:
        return [0] * samples
    rows = _numbers(table, "ii", 8)
    return _repeated(rows[1::2], rows[::2], samples)


def _places(tables: bytes, sizes: Sequence[int]) -> Iterator[int]:
    """Where each sample lies in the file: behind the samples before it in its chunk."""
    long = child(tables, "co64")
    chunks = _numbers(long, "Q", 8) if long else _numbers(child(tables, "stco"), "I", 8)
    runs = _numbers(child(tables, "stsc"), "III", 8)
    firsts = [*runs[::3], len(chunks) + 1]
    samples = _repeated(runs[1::3], [after - before for before, after in pairwise(firsts)], len(chunks))
    if sum(samples) != len(sizes):
        raise _Differs
    coming = iter(sizes)
    for place, count in zip(chunks, samples, strict=True):
        yield from accumulate(islice(coming, count - 1), initial=place)
        next(coming, None)  # the size of the last one is not needed


def _sizes(stsz: bytes, most: int) -> Sequence[int]:
    same, count = struct.unpack(">II", stsz[4:12])
    if same * count > most:
        raise _Differs  # a broken number of samples could ask for all memory
    return [same] * count if same else _numbers(stsz, "I", 12)


def _numbers(table: bytes, row: str, begin: int) -> tuple[int, ...]:
    """The rows of a table, one after the other. Their number stands before the first."""
    count = int.from_bytes(table[begin - 4 : begin], "big")
    form = f">{count * len(row)}{row[0]}"
    return struct.unpack(form, table[begin : begin + struct.calcsize(form)])


def _repeated(values: Sequence[int], counts: Sequence[int], total: int) -> list[int]:
    """Each value as often as its count says. The counts are checked first: a broken file may ask for all memory."""
    if min(counts, default=0) < 0 or sum(counts) != total:
        raise _Differs
    return list(chain.from_iterable(map(repeat, values, counts)))
