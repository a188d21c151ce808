"""A file that grows by fragments, so that a crash loses next to nothing, and gets its index in front at the end."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from .boxes import free_box, long_mdat_head
from .movie import file_type, fragmented_movie
from .movie_index import MovieIndex
from .track_header import TrackHeader

ROOM = 4 << 20
"""Bytes that are left free for the index at the beginning. They are a hole: they take no space on the disk."""
LEAST_WITH_ROOM = 64
"""The room stays only if the media data is so many times as large."""
LEAST_REST = 16 + 16
"""Bytes between the index and the media data for the heads of two boxes."""
COPIED = 1 << 20
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_all(file: BinaryIO, data: bytes) -> None:
    """Writes to files that may take a part at a time. An object that does not say how much it took has taken all."""
    view = memoryview(data)
    while view:
        taken = file.write(view)
        if taken is None and isinstance(file, io.RawIOBase):
            raise BlockingIOError(errno.EAGAIN, "Expected a blocking file, got a non-blocking one")
        view = view[len(view) if taken is None else taken :]


class Recording:
    """The file of a path. At any time it is a fragmented MP4 that players read."""

    def __init__(self, path: Path, file: BinaryIO, headers: Sequence[TrackHeader], room: int = ROOM) -> None:
        self._path, self._file = path, file
        self._least_with_room = LEAST_WITH_ROOM * room
        self.index = MovieIndex(headers)
        front = file_type(headers, fragmented=True) + fragmented_movie(headers)
        self._media_start = self._end = len(front) + room
        front += free_box(room)
        self._room_start = len(front)
        write_all(file, front)
        file.truncate(self._media_start)
        file.seek(self._media_start)

    def append(self, pieces: Sequence[bytes]) -> int:
        """Adds a fragment as a whole or not at all. Returns its place."""
        place, data = self._end, b"".join(pieces)
        try:
            write_all(self._file, data)
        except BaseException:
            self._forget_after(place)
            raise
        self._end += len(data)
        return place

    def _forget_after(self, place: int) -> None:
        with suppress(OSError):
            self._file.truncate(place)
            self._file.seek(place)

    def complete(self) -> None:
        """Puts the index in front: into the room that was left, or by writing the file again beside itself.

        If the disk is too full for either, the index comes behind the media data.
        """
        moov = self.index.moov()
        is_large = self.index.media_size >= self._least_with_room
        if is_large and self._room_start + len(moov) + LEAST_REST <= self._media_start:
            self._seal(moov, self._room_start)
            return
        try:
            self._rewrite()
        except OSError as error:
            if error.errno not in FULL:
                raise
            self._seal(moov, self._end)

    def _seal(self, moov: bytes, place: int) -> None:
        """Turns the fragments into one piece of media data by writing around them.

        Until the last write, which is a few bytes long, the file is a fragmented one as before.
        """
        mdat = self._media_start - 16
        in_front = place < mdat
        rest = mdat - place - len(moov)
        after = free_box(rest) if in_front else b""
        try:
            self._put(moov + after, place)
        except OSError:
            self._forget_after(self._end)
            raise
        self._put(long_mdat_head(self._end - self._media_start), mdat)
        os.fsync(self._file.fileno())
        front = file_type(self.index.headers, fragmented=False)
        self._put(front + free_box((place if in_front else mdat) - len(front)), 0)

    def _put(self, data: bytes, place: int) -> None:
        self._file.seek(place)
        write_all(self._file, data)

    def _rewrite(self) -> None:
        beside = self._path.with_name(f".pdum-{os.urandom(6).hex()}.part")
        try:
            with beside.open("xb", buffering=0) as file:
                write_complete(self.index, self._file, file)
            beside.replace(self._path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise


def write_complete(index: MovieIndex, source: BinaryIO, file: BinaryIO) -> None:
    """Writes a file with its index in front. The media data comes from the regions of the source."""
    write_all(file, index.head())
    for place, size in index.regions():
        source.seek(place)
        copy_bytes(source, file, size)


def copy_bytes(source: BinaryIO, file: BinaryIO, size: int) -> None:
    while size:
        data = source.read(min(size, COPIED))
        if not data:
            raise OSError(errno.EIO, "Expected more data in a file that was just written, got its end")
        write_all(file, data)
        size -= len(data)
