"""The index of a file: the boxes ftyp and moov."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from math import lcm
from typing import NamedTuple

from .boxes import IDENTITY, LARGEST_32, box, full_box
from .sample_table import empty_tables
from .track_header import TrackHeader

FINEST_SCALE = 1_000_000
ENABLED = 7
SELF_CONTAINED = 1
BRANDS = {"h264": b"avc1", "av1": b"av01"}


class Edit(NamedTuple):
    """A part of a track's timeline. ``start`` is a time of the media, or -1 for a part that shows nothing."""

    duration: int
    """In the movie's time scale."""
    start: int


class Timeline(NamedTuple):
    """The duration of a track, and when its parts are shown."""

    media: int = 0
    """In the track's time scale."""
    shown: int = 0
    """In the movie's time scale."""
    edits: Sequence[Edit] = ()


def file_type(headers: Sequence[TrackHeader], *, fragmented: bool) -> bytes:
    brands = [b"iso6", b"mp41"] if fragmented else [b"isom", b"iso2", b"mp41"]
    if fragmented and len(headers) == 1:
        brands.append(b"cmfc")
    brands += [BRANDS[header.codec] for header in headers if header.codec in BRANDS]
    return box("ftyp", brands[0], struct.pack(">I", 0x200), *dict.fromkeys(brands))


def movie_scale(headers: Sequence[TrackHeader]) -> int:
    """A time scale in which the tracks' times are whole, unless it would be a very fine one."""
    scales = [header.timescale for header in headers]
    return min(lcm(*scales), max(FINEST_SCALE, *scales))


def movie(headers: Sequence[TrackHeader], timelines: Sequence[Timeline], tables: Sequence[list[bytes]]) -> bytes:
    """The moov of a complete file: for each track its header, its timeline, and the boxes of its index."""
    scale = movie_scale(headers)
    duration = max(timeline.shown for timeline in timelines)
    tracks = [_track(*one) for one in zip(headers, timelines, tables, strict=True)]
    return box("moov", _movie_header(scale, duration, len(headers)), *tracks)


def fragmented_movie(headers: Sequence[TrackHeader]) -> bytes:
    """The moov of a file whose samples are described in its fragments."""
    tracks = [_track(header, _unending(header), empty_tables()) for header in headers]
    extends = [full_box("trex", 0, 0, struct.pack(">5I", header.number, 1, 0, 0, 0)) for header in headers]
    return box("moov", _movie_header(movie_scale(headers), 0, len(headers)), *tracks, box("mvex", *extends))


def _unending(header: TrackHeader) -> Timeline:
    return Timeline(edits=[Edit(0, header.skipped)] if header.skipped else [])


def _movie_header(scale: int, duration: int, tracks: int) -> bytes:
    version, times = _times(duration, struct.pack(">I", scale))
    volume = struct.pack(">IH10x", 1 << 16, 1 << 8)
    return full_box("mvhd", version, 0, times, volume, IDENTITY, bytes(24), struct.pack(">I", tracks + 1))


def _times(duration: int, between: bytes) -> tuple[int, bytes]:
    """The version of a box, its unknown times of creation and change, and its duration."""
    if duration > LARGEST_32:
        return 1, bytes(16) + between + struct.pack(">Q", duration)
    return 0, bytes(8) + between + struct.pack(">I", duration)


def _track(header: TrackHeader, timeline: Timeline, tables: list[bytes]) -> bytes:
    version, times = _times(timeline.shown, struct.pack(">I4x", header.number))
    place = struct.pack(">8xHHHH", 0, 0 if header.is_video else 1, 0 if header.is_video else 1 << 8, 0)
    head = full_box("tkhd", version, ENABLED, times, place, IDENTITY, struct.pack(">II", *header.display_size))
    return box("trak", head, _edit_list(timeline.edits), _media(header, timeline, tables))


def _edit_list(edits: Sequence[Edit]) -> bytes:
    if not edits:
        return b""
    version = int(any(edit.duration > LARGEST_32 or edit.start >= 1 << 31 for edit in edits))
    code = ">QqI" if version else ">IiI"
    listed = [struct.pack(code, edit.duration, edit.start, 1 << 16) for edit in edits]
    return box("edts", full_box("elst", version, 0, struct.pack(">I", len(edits)), *listed))


def _media(header: TrackHeader, timeline: Timeline, tables: list[bytes]) -> bytes:
    version, times = _times(timeline.media, struct.pack(">I", header.timescale))
    language = sum(ord(letter) - 0x60 << 5 * place for place, letter in enumerate(reversed(header.language)))
    handler, name = (b"vide", b"Video\0") if header.is_video else (b"soun", b"Sound\0")
    return box(
        "mdia",
        full_box("mdhd", version, 0, times, struct.pack(">HH", language, 0)),
        full_box("hdlr", 0, 0, bytes(4), handler, bytes(12), name),
        _media_information(header, tables),
    )


def _media_information(header: TrackHeader, tables: list[bytes]) -> bytes:
    kind = full_box("vmhd", 0, 1, bytes(8)) if header.is_video else full_box("smhd", 0, 0, bytes(4))
    itself = full_box("dref", 0, 0, struct.pack(">I", 1), full_box("url ", 0, SELF_CONTAINED))
    return box("minf", kind, box("dinf", itself), box("stbl", header.sample_entry, *tables))
