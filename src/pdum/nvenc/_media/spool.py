"""Keeps encoded ranges on the disk until all are there. Each says whether it is whole, so that a later run can go on.

A piece is a file: a line of JSON that says what it is, then packets, then a line of JSON again, whose length and
checksum stand at the very end. A piece that is incomplete lacks that end.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from .._errors import FolderBusy, NvencError, PieceDamaged
from .disk_errors import naming_the_disk

if TYPE_CHECKING:
    from .._nvenc import Packet

MAGIC = b"pdum piece 1\n"
RECORD = struct.Struct("<qBI")  # frame's number, flags, bytes
TAIL = struct.Struct("<QII8s")  # offset of the footer, its bytes, checksum of all before the tail
END = b"whole.\r\n"
KEYFRAME = 1
MANIFEST = "manifest.json"
RECIPE = "recipe.json"
"""The encoder's configuration, for a run that finds every range done."""
OVERWRITE = "overwrite.json"
"""Notes that a file with several names is being overwritten with the result."""
LOCK = "lock"
PART = ".pdum-part"
"""Ends the hidden name of a result that does not have its own name yet."""
SUFFIX = ".piece"
LONGEST_NAME = 255


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A whole one: frames from ``first`` up to ``last``."""

    path: Path
    first: int
    last: int
    header: bytes
    """The stream's parameter sets."""
    size: int
    """Bytes of all packets together."""


class PieceWriter:
    """One range on its way to the disk; a ``PieceSink``."""

    def __init__(self, folder: Path, first: int, on_complete: Callable[[Piece], None]) -> None:
        self._path = folder / f"{first:09d}-{os.urandom(6).hex()}.part"
        self._first, self._on_complete = first, on_complete
        self._file: BinaryIO | None = self._path.open("xb")
        self._crc = self._bytes = self._packets = self._size = 0
        self._put(MAGIC + json.dumps({"first": first}).encode() + b"\n")

    def write(self, packets: Sequence[Packet]) -> None:
        for packet in packets:
            flags = KEYFRAME if packet.keyframe else 0
            self._put(RECORD.pack(packet.seq, flags, len(packet.data)))
            self._put(packet.data)
            self._packets += 1
            self._size += len(packet.data)

    def complete(self, last: int, header: bytes) -> int:
        """Raises if packets are missing: only a whole range becomes a piece."""
        if self._packets != last - self._first:
            raise NvencError(
                f"Expected {last - self._first} packets for the frames from {self._first} to {last}, got "
                f"{self._packets}."
            )
        footer = {"first": self._first, "last": last, "size": self._size, "header": header.hex()}
        start, text = self._bytes, json.dumps(footer).encode()
        self._put(text)
        file = self._require_open()
        with naming_the_disk(self._path):
            file.write(TAIL.pack(start, len(text), self._crc, END))
            file.close()
        self._file = None
        whole = self._path.with_suffix(SUFFIX)
        self._path.replace(whole)
        self._on_complete(Piece(path=whole, first=self._first, last=last, header=header, size=self._size))
        return self._size

    def discard(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            with suppress(OSError):  # what a full disk refused is no longer needed
                file.close()
        self._path.unlink(missing_ok=True)

    def _put(self, data: bytes) -> None:
        with naming_the_disk(self._path):
            self._require_open().write(data)
        self._crc = zlib.crc32(data, self._crc)
        self._bytes += len(data)

    def _require_open(self) -> BinaryIO:
        if self._file is None:
            raise NvencError("The range was completed or discarded already.")
        return self._file


def read_piece(path: Path) -> Piece | None:
    """The piece, or None if it is not whole. This reads every byte of it."""
    try:
        with path.open("rb") as file:
            footer = _footer(file)
            if footer is None or not _is_sound(file, footer):
                return None
        values = footer[2]
        return Piece(
            path=path,
            first=int(values["first"]),
            last=int(values["last"]),
            header=bytes.fromhex(values["header"]),
            size=int(values["size"]),
        )
    except (OSError, LookupError, TypeError, ValueError, OverflowError):
        return None


def _footer(file: BinaryIO) -> tuple[int, int, dict[str, Any]] | None:
    """Its end, the checksum, and its values."""
    size = file.seek(0, os.SEEK_END)
    if size < len(MAGIC) + TAIL.size:
        return None
    file.seek(size - TAIL.size)
    start, length, crc, end = TAIL.unpack(file.read(TAIL.size))
    if end != END or start + length + TAIL.size != size:
        return None
    file.seek(start)
    values = parse_json(file.read(length))
    return None if values is None else (start + length, crc, values)


def _is_sound(file: BinaryIO, footer: tuple[int, int, dict[str, Any]]) -> bool:
    file.seek(0)
    left, crc = footer[0], 0
    while left:
        data = file.read(min(left, 1 << 20))
        if not data:
            return False
        crc = zlib.crc32(data, crc)
        left -= len(data)
    return crc == footer[1]


def packets_of(piece: Piece) -> Iterator[tuple[int, bool, bytes]]:
    """The frame's number, whether it is a key frame, and its data, in decoding order."""
    with piece.path.open("rb") as file:
        if file.readline() != MAGIC or not file.readline():
            raise PieceDamaged(f"{piece.path} is damaged. Encode the file again.")
        for _ in range(piece.last - piece.first):
            head = file.read(RECORD.size)
            if len(head) < RECORD.size:
                raise PieceDamaged(f"{piece.path} ends too early. Encode the file again.")
            seq, flags, size = RECORD.unpack(head)
            yield seq, bool(flags & KEYFRAME), file.read(size)


def hidden_sibling(destination: Path, suffix: str) -> Path:
    """A hidden name next to it, short enough for a file system even if the file's own name is as long as can be."""
    name = f".{destination.name}{suffix}"
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = f".{hashlib.sha256(os.fsencode(destination.name)).hexdigest()[:32]}{suffix}"
    return destination.with_name(name)


class WorkFolder:
    """The hidden folder next to a result that holds a job's pieces, named after the result.

    A job holds a lock in it from ``open`` to ``release``, so that no other job for the same result touches its work.
    """

    def __init__(self, destination: Path) -> None:
        self.path = hidden_sibling(destination, ".pdum-work")
        self.part = hidden_sibling(destination, PART)
        self._destination = destination
        self._lock: BinaryIO | None = None

    @property
    def is_locked(self) -> bool:
        """Whether this object has the lock."""
        return self._lock is not None

    def open(self, identity: Mapping[str, Any], keep: bool) -> list[Piece]:
        """Locks the folder; returns an earlier run's pieces for the same source and settings if ``keep`` asks for them.

        Raises FolderBusy if another job has the lock.
        """
        with naming_the_disk(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self.lock()
            found: list[Piece] = []
            if keep and self._manifest() == dict(identity):
                pieces = (read_piece(path) for path in sorted(self.path.glob(f"*{SUFFIX}")))
                found = _disjoint([piece for piece in pieces if piece is not None])
            self._clear({piece.path for piece in found})
            write_atomically(self.path / MANIFEST, json.dumps(identity).encode())
        return found

    def engines_before(self) -> str:
        """The kind of the engines that have made an earlier run's pieces; empty: there are none, or nobody knows."""
        return str((self._manifest() or {}).get("engines") or "")

    def lock(self) -> None:
        while self._lock is None:
            file = (self.path / LOCK).open("ab")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                    file.close()
                    advice = "Wait for it, or give this one another destination."
                    raise FolderBusy(f"Another job is writing {self._destination}. {advice}", advice=advice) from None
                # A file system without locks: the user has to avoid two jobs for one result.
            if self._is_still_there(file):
                self._lock = file
            else:
                file.close()
                self.path.mkdir(parents=True, exist_ok=True)

    def _is_still_there(self, file: BinaryIO) -> bool:
        """The job that had the lock before may have removed the folder with it."""
        try:
            return os.path.samestat(os.fstat(file.fileno()), (self.path / LOCK).stat())
        except OSError:
            return False

    def release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def writer(self, first: int, on_complete: Callable[[Piece], None]) -> PieceWriter:
        with naming_the_disk(self.path):
            return PieceWriter(self.path, first, on_complete)

    def remove(self) -> None:
        """Removes everything that we write, and releases the lock."""
        self._clear(set())
        for name in (MANIFEST, RECIPE, OVERWRITE, LOCK):
            (self.path / name).unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()
        self.release()

    def remove_unless_busy(self) -> None:
        """Removes what an earlier run left, unless another job works there or an overwrite has to be finished."""
        if self.path.is_dir() and not (self.path / OVERWRITE).exists():
            with suppress(FolderBusy):
                self.lock()
                self.part.unlink(missing_ok=True)
                self.remove()

    def _manifest(self) -> dict[str, Any] | None:
        return load_json(self.path / MANIFEST)

    def _clear(self, kept: set[Path]) -> None:
        for path in [*self.path.glob(f"*{SUFFIX}"), *self.path.glob("*.part")]:
            if path not in kept:
                path.unlink(missing_ok=True)


def _disjoint(pieces: list[Piece]) -> list[Piece]:
    kept: list[Piece] = []
    for piece in sorted(pieces, key=lambda piece: (piece.first, -piece.last)):
        if piece.last > piece.first >= (kept[-1].last if kept else 0):
            kept.append(piece)
    return kept


def missing_ranges(pieces: Sequence[Piece], frames: int) -> list[tuple[int, int]]:
    """The frames that no piece has."""
    found, at = [], 0
    for piece in pieces:
        if piece.first > at:
            found.append((at, piece.first))
        at = max(at, piece.last)
    return [*found, (at, frames)] if at < frames else found


def write_atomically(path: Path, data: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)


def load_json(path: Path) -> dict[str, Any] | None:
    """The object in the file; None if there is none, whatever else the file holds."""
    try:
        return parse_json(path.read_bytes())
    except OSError:
        return None


def parse_json(text: bytes) -> dict[str, Any] | None:
    """The object; None for anything else. Never raises, whatever the text is."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
