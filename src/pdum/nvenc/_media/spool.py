"""Encoded ranges on the disk until all are there: each says whether it is whole, so that a later run can go on.

A piece is a file: a line of JSON that says what it is, then packets, then a line of JSON again, whose length and
checksum stand at the very end. A piece that was torn off has no such end.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from .._errors import NvencError, PieceDamaged

if TYPE_CHECKING:
    from .._nvenc import Packet

MAGIC = b"pdum piece 1\n"
RECORD = struct.Struct("<qBI")  # frame's number, flags, bytes
TAIL = struct.Struct("<QII8s")  # where the footer begins, its bytes, checksum of all before the tail
END = b"whole.\r\n"
KEYFRAME = 1
MANIFEST = "manifest.json"
RECIPE = "recipe.json"
"""The encoder's configuration, for a run that finds every range done."""
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
    """Of the packets together."""


class PieceWriter:
    """One range on its way to the disk; a ``PieceSink``."""

    def __init__(self, folder: Path, first: int, on_complete: Any) -> None:
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
        """Raises where packets are missing: a range is whole, or it is none."""
        if self._packets != last - self._first:
            raise NvencError(
                f"{self._packets} packets came for the {last - self._first} frames from {self._first} to {last}."
            )
        footer = {"first": self._first, "last": last, "size": self._size, "header": header.hex()}
        start, text = self._bytes, json.dumps(footer).encode()
        self._put(text)
        self._put(b"")
        file = self._require_open()
        file.write(TAIL.pack(start, len(text), self._crc, END))
        file.close()
        self._file = None
        whole = self._path.with_suffix(SUFFIX)
        self._path.replace(whole)
        self._on_complete(Piece(path=whole, first=self._first, last=last, header=header, size=self._size))
        return self._size

    def discard(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._path.unlink(missing_ok=True)

    def _put(self, data: bytes) -> None:
        self._require_open().write(data)
        self._crc = zlib.crc32(data, self._crc)
        self._bytes += len(data)

    def _require_open(self) -> BinaryIO:
        if self._file is None:
            raise NvencError("The range was completed or discarded already.")
        return self._file


def read_piece(path: Path) -> Piece | None:
    """The piece, where it is whole; every byte of it is looked at."""
    try:
        with path.open("rb") as file:
            footer = _footer(file)
            if footer is None or not _is_sound(file, footer):
                return None
    except OSError:
        return None
    told = footer[2]
    return Piece(
        path=path, first=told["first"], last=told["last"], header=bytes.fromhex(told["header"]), size=told["size"]
    )


def _footer(file: BinaryIO) -> tuple[int, int, dict[str, Any]] | None:
    """Where it ends, the checksum, and what it says."""
    size = file.seek(0, os.SEEK_END)
    if size < len(MAGIC) + TAIL.size:
        return None
    file.seek(size - TAIL.size)
    start, length, crc, end = TAIL.unpack(file.read(TAIL.size))
    if end != END or start + length + TAIL.size != size:
        return None
    file.seek(start)
    try:
        told = json.loads(file.read(length))
    except ValueError:
        return None
    return start + length, crc, told


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
    """Number of the frame, whether it is a key frame, data; in decoding order."""
    with piece.path.open("rb") as file:
        if file.readline() != MAGIC or not file.readline():
            raise PieceDamaged(f"{piece.path} is no piece any more. Encode the file again.")
        for _ in range(piece.last - piece.first):
            head = file.read(RECORD.size)
            if len(head) < RECORD.size:
                raise PieceDamaged(f"{piece.path} ends too early. Encode the file again.")
            seq, flags, size = RECORD.unpack(head)
            yield seq, bool(flags & KEYFRAME), file.read(size)


def beside(destination: Path, suffix: str) -> Path:
    """A hidden name next to it that a file system can hold, however long the file's own is."""
    name = f".{destination.name}{suffix}"
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = f".{hashlib.sha256(os.fsencode(destination.name)).hexdigest()[:32]}{suffix}"
    return destination.with_name(name)


class WorkFolder:
    """Where a job's pieces lie: beside its result, hidden, named after it."""

    def __init__(self, destination: Path) -> None:
        self.path = beside(destination, ".pdum-work")

    def open(self, identity: Mapping[str, Any], keep: bool) -> list[Piece]:
        """Makes it ready; returns the pieces of an earlier run for the same source and settings, if they are wanted."""
        found: list[Piece] = []
        if keep and self._manifest() == dict(identity):
            pieces = (read_piece(path) for path in sorted(self.path.glob(f"*{SUFFIX}")))
            found = _disjoint([piece for piece in pieces if piece is not None])
        self._clear({piece.path for piece in found})
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path / MANIFEST, json.dumps(identity).encode())
        return found

    def writer(self, first: int, on_complete: Any) -> PieceWriter:
        return PieceWriter(self.path, first, on_complete)

    def remove(self) -> None:
        self._clear(set())

    def _manifest(self) -> dict[str, Any] | None:
        try:
            told = json.loads((self.path / MANIFEST).read_bytes())
        except (OSError, ValueError):
            return None
        return told if isinstance(told, dict) else None

    def _clear(self, kept: set[Path]) -> None:
        """Removes what we write, and the folder where nothing else lies in it."""
        for path in [*self.path.glob(f"*{SUFFIX}"), *self.path.glob("*.part")]:
            if path not in kept:
                path.unlink(missing_ok=True)
        if not kept:
            for name in (MANIFEST, RECIPE):
                (self.path / name).unlink(missing_ok=True)
            with suppress(OSError):
                self.path.rmdir()


def _disjoint(pieces: list[Piece]) -> list[Piece]:
    kept: list[Piece] = []
    for piece in sorted(pieces, key=lambda piece: (piece.first, -piece.last)):
        if piece.last > piece.first >= (kept[-1].last if kept else 0):
            kept.append(piece)
    return kept


def missing_ranges(pieces: Sequence[Piece], frames: int) -> list[tuple[int, int]]:
    """What no piece has."""
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
