"""Reads the boxes of a file that consists of fragments: as much as repairing one needs."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from .._errors import SourceUnreadable
from .track_header import TrackHeader
from .track_input import ROLLS

CODECS = {
    "avc1": "h264",
    "avc3": "h264",
    "hvc1": "hevc",
    "hev1": "hevc",
    "av01": "av1",
    "mp4a": "aac",
    "Opus": "opus",
    "sowt": "pcm",
}
LARGEST_INDEX = 1 << 30


class Box(NamedTuple):
    kind: str
    place: int
    """The place of its first byte."""
    head: int
    """Bytes before its contents."""
    size: int
    """The size with its head. The file may end earlier."""

    @property
    def end(self) -> int:
        return self.place + self.size


class Defaults(NamedTuple):
    """The values for the samples of a track, if a fragment has no others."""

    duration: int
    size: int
    flags: int


class FoundMovie(NamedTuple):
    headers: list[TrackHeader]
    defaults: dict[int, Defaults]
    """The defaults, by the number of the track."""


def boxes_of(file: BinaryIO, size: int) -> Iterator[Box]:
    """The boxes of a file up to its end, or up to where there is no box."""
    place = 0
    while place + 8 <= size:
        file.seek(place)
        head = file.read(16)
        length, kind = struct.unpack(">I4s", head[:8])
        found = 8
        if length == 1 and len(head) == 16:
            length, found = struct.unpack(">Q", head[8:])[0], 16
        if length < found or (not kind.isalnum() and kind.strip() == b""):
            return
        yield Box(kind.decode("latin-1"), place, found, length)
        place += length


def children(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Kinds and contents of the boxes inside another."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if not 8 <= size <= len(data) - at:
            raise ValueError(f"a box of {size} bytes where {len(data) - at} are left")
        yield data[at + 4 : at + 8].decode("latin-1"), data[at + 8 : at + size]
        at += size


def child(data: bytes, *path: str) -> bytes:
    """The contents of the first box at that path. Empty if there is none."""
    for kind in path:
        data = next((body for found, body in children(data) if found == kind), b"")
    return data


def read_movie(moov: bytes) -> FoundMovie | None:
    """None if the samples are in the moov itself.

    Raises:
        SourceUnreadable: it is damaged, or has tracks that are neither video nor sound.
    """
    try:
        extends = child(moov, "mvex")
        if not extends:
            return None
        headers = [_read_track(body) for kind, body in children(moov) if kind == "trak"]
        rows = [struct.unpack(">4x5I", body[:24]) for kind, body in children(extends) if kind == "trex"]
    except (ValueError, struct.error, IndexError) as error:
        raise SourceUnreadable(f"The description of the tracks is damaged: {error}.") from error
    if not headers:
        raise SourceUnreadable("The file describes no tracks.")
    return FoundMovie(headers, {number: Defaults(*rest) for number, _, *rest in rows})


def _read_track(trak: bytes) -> TrackHeader:
    head, media = child(trak, "tkhd"), child(trak, "mdia")
    times, handler, entry = child(media, "mdhd"), child(media, "hdlr")[8:12], child(media, "minf", "stbl", "stsd")
    if handler not in (b"vide", b"soun"):
        raise SourceUnreadable(f"A track of the kind {handler!r} is neither video nor sound.")
    (number,) = struct.unpack(">I", head[20:24] if head[0] else head[12:16])
    timescale, language = struct.unpack(">I8xH" if times[0] else ">I4xH", (times[20:34] if times[0] else times[12:22]))
    if timescale == 0:
        raise ValueError("a time scale of 0")
    kind = entry[12:16].decode("latin-1")
    codec = CODECS.get(kind, "")
    is_pcm = codec == "pcm"
    return TrackHeader(
        number=number,
        is_video=handler == b"vide",
        timescale=timescale,
        sample_entry=struct.pack(">I4s", 8 + len(entry), b"stsd") + entry,
        display_size=struct.unpack(">II", head[-8:]),
        language="".join(chr((language >> shift & 0x1F) + 0x60) for shift in (10, 5, 0)),
        skipped=_skipped(child(trak, "edts", "elst")),
        roll=ROLLS.get(codec, 0),
        fixed_size=2 * int.from_bytes(entry[32:34], "big") if is_pcm else 0,
        codec=codec,
    )


def _skipped(edits: bytes) -> int:
    """What an edit list removes from the beginning. Other edits are not read."""
    if len(edits) < 20:
        return 0
    time = struct.unpack(">q", edits[16:24])[0] if edits[0] else struct.unpack(">i", edits[12:16])[0]
    return max(0, int(time))
