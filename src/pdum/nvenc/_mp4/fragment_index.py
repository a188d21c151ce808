"""The table at the end of a fragmented file that says where its key frames are: the box mfra."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence

from .boxes import box, full_box
from .fragment import Fragment
from .track_header import TrackHeader

ROW = struct.Struct(">QQBBB")
"""Time, place of the moof, and which traf, trun and sample in it."""


class FragmentIndex:
    """24 bytes for each fragment that begins with a key frame."""

    def __init__(self, headers: Sequence[TrackHeader]) -> None:
        self._headers = headers
        self._entries = {place: array("Q") for place, header in enumerate(headers) if header.is_video}

    def add(self, fragment: Fragment, place: int) -> None:
        for number, (track, run, _) in enumerate(fragment.parts, 1):
            if track in self._entries and (run.keys is None or 0 in run.keys):
                offset = run.offsets[0] if run.offsets else 0
                self._entries[track].extend((run.decode + offset, place, number))

    def mfra(self) -> bytes:
        tables = [self._table(track, entries) for track, entries in self._entries.items() if entries]
        if not tables:
            return b""
        size = 8 + sum(map(len, tables)) + 16
        return box("mfra", *tables, full_box("mfro", 0, 0, struct.pack(">I", size)))

    def _table(self, track: int, entries: array[int]) -> bytes:
        rows = b"".join(ROW.pack(*entries[at : at + 3], 1, 1) for at in range(0, len(entries), 3))
        head = struct.pack(">III", self._headers[track].number, 0, len(entries) // 3)
        return full_box("tfra", 1, 0, head, rows)
