"""One fragment of a file: the boxes moof and mdat."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from typing import NamedTuple

from .boxes import big_endian, box, full_box, mdat_head
from .sample_table import Run
from .track_input import TrackInput

KEY, OTHER = 0x02000000, 0x01010000
"""Flags of a sample: it needs no other one; it needs another one and is no key frame."""
BASE_IS_MOOF, DEFAULT_DURATION, DEFAULT_SIZE, DEFAULT_FLAGS = 0x020000, 0x08, 0x10, 0x20
DATA_OFFSET, FIRST_FLAGS, DURATIONS, SIZES, FLAGS, OFFSETS = 0x1, 0x4, 0x100, 0x200, 0x400, 0x800


class Part(NamedTuple):
    """The samples of one track in a fragment."""

    track: int
    """Its place in the list of tracks."""
    run: Run
    data: list[bytes]

    @property
    def size(self) -> int:
        return sum(map(len, self.data))


class Fragment(NamedTuple):
    parts: list[Part]
    head: bytes
    """Everything before the media data."""

    @property
    def size(self) -> int:
        """Bytes of the media data."""
        return sum(part.size for part in self.parts)

    def pieces(self) -> list[bytes]:
        return [self.head, *(data for part in self.parts for data in part.data)]


def take_fragment(tracks: Sequence[TrackInput], number: int) -> Fragment | None:
    """All samples that are ready. None if there are none."""
    parts = []
    for place, track in enumerate(tracks):
        taken = track.take_run()
        if taken is not None:
            parts.append(Part(place, *taken))
    if not parts:
        return None
    described = [_track_fragment(tracks[part.track].number, _listed(part)) for part in parts]
    head = full_box("mfhd", 0, 0, struct.pack(">I", number))
    body = sum(len(before) + len(after) for before, after in described)
    place = 8 + len(head) + body + 4 * len(parts) + 8  # the mdat's contents, counted from the beginning of the moof
    boxes = []
    for part, (before, after) in zip(parts, described, strict=True):
        boxes.append(before + struct.pack(">i", place) + after)
        place += part.size
    return Fragment(parts, box("moof", head, *boxes) + mdat_head(sum(part.size for part in parts)))


def _listed(part: Part) -> Run:
    """The samples as the fragment lists them. PCM by the packet: players keep an entry for each in memory."""
    run, size = part.run, part.run.sizes[0]
    if len(run.sizes) == run.samples:
        return run
    sizes = array("I", map(len, part.data))
    return run._replace(sizes=sizes, durations=array("I", (one // size for one in sizes)), samples=len(sizes))


def _track_fragment(number: int, run: Run) -> tuple[bytes, bytes]:
    """The traf in two halves. The place of the data comes between them: it depends on how long all halves are."""
    defaults, columns = struct.pack(">I", number), []
    header_flags, run_flags, first = BASE_IS_MOOF | DEFAULT_FLAGS, DATA_OFFSET, b""
    if len(set(run.durations)) == 1:
        header_flags |= DEFAULT_DURATION
        defaults += struct.pack(">I", run.durations[0])
    else:
        run_flags |= DURATIONS
        columns.append(run.durations)
    if len(run.sizes) < run.samples:
        header_flags |= DEFAULT_SIZE
        defaults += struct.pack(">I", run.sizes[0])
    else:
        run_flags |= SIZES
        columns.append(run.sizes)
    default, first_flags, listed = _flags(run)
    defaults += struct.pack(">I", default)
    if first_flags is not None:
        run_flags |= FIRST_FLAGS
        first = struct.pack(">I", first_flags)
    if listed is not None:
        run_flags |= FLAGS
        columns.append(listed)
    if run.offsets:
        run_flags |= OFFSETS
        columns.append(array("I", (offset & 0xFFFFFFFF for offset in run.offsets)))
    boxes = full_box("tfhd", 0, header_flags, defaults) + full_box("tfdt", 1, 0, struct.pack(">Q", run.decode))
    rows = first + _interleaved(columns)
    size = 12 + 4 + 4 + len(rows)
    head = struct.pack(">I4sII", size, b"trun", 1 << 24 | run_flags, run.samples)
    return struct.pack(">I4s", 8 + len(boxes) + size, b"traf") + boxes + head, rows


def _flags(run: Run) -> tuple[int, int | None, array[int] | None]:
    """The flags of most samples, those of the first if they differ, and those of each if even that is not enough."""
    if run.keys is None:
        return KEY, None, None
    if not run.keys:
        return OTHER, None, None
    if list(run.keys) == [0]:
        return OTHER, KEY, None
    keys = set(run.keys)
    return OTHER, None, array("I", (KEY if place in keys else OTHER for place in range(run.samples)))


def _interleaved(columns: Sequence[array[int]]) -> bytes:
    """The numbers, row after row."""
    if not columns:
        return b""
    rows = array("I", bytes(4 * len(columns) * len(columns[0])))
    for place, column in enumerate(columns):
        rows[place :: len(columns)] = array("I", column)
    return big_endian(rows)
