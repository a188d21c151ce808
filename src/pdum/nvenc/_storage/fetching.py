"""Copies a source from its storage to the local disk. A broken transfer goes on where it stopped, if that can be."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .._errors import SourceUnreadable, StorageFailed
from .address import Address
from .file_systems import telling
from .part_file import LocalDisk, PartFile
from .remote_file import Interrupted, RemoteFile, StoredFile, connected, look_at
from .settings import StorageSettings

PART, RECORD = ".part", ".json"
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0
"""Seconds before a further attempt; each pause is twice as long as the one before."""
LONGEST_SLEEP = 0.05
"""Seconds within which an interruption is noticed."""
MOST_RESTARTS = 2
"""How often a transfer may begin again because the file changed or arrived damaged."""


@dataclass(frozen=True, kw_only=True)
class _Record:
    """Which file of the storage a copy is, and the copy's identity once it is complete."""

    size: int | None
    mark: str
    copy: tuple[int, int] | None = None

    @classmethod
    def read(cls, path: Path) -> _Record | None:
        try:
            values = json.loads(path.read_bytes())
            copy = values["copy"]
            return cls(size=values["size"], mark=values["mark"], copy=None if copy is None else (copy[0], copy[1]))
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def write(self, path: Path) -> None:
        path.write_text(json.dumps({"size": self.size, "mark": self.mark, "copy": self.copy}))

    def is_of(self, file: StoredFile) -> bool:
        """Whether this is certainly the same file."""
        return bool(file.mark) and (self.size, self.mark) == (file.size, file.mark)


class Fetch:
    """One transfer to ``copy``, which appears when it is complete and has been checked.

    Args:
        address: the file.
        copy: its name on the local disk.
        settings: of all transfers.
        interrupted: is called several times a second, and raises to end the transfer.
        mtime_ns: the time that the copy gets; None: that of its end.
    """

    def __init__(
        self,
        address: Address,
        copy: Path,
        settings: StorageSettings,
        interrupted: Interrupted,
        mtime_ns: int | None = None,
    ) -> None:
        self._address, self._copy, self._settings, self._interrupted = address, copy, settings, interrupted
        self._mtime_ns = mtime_ns
        self._part = copy.with_name(copy.name + PART)
        self._record = copy.with_name(copy.name + RECORD)
        self._has_moved = False
        """Whether the latest attempt brought any bytes."""

    def look(self) -> StoredFile:
        return look_at(self._address, self._settings)

    def is_done(self, file: StoredFile) -> bool:
        """Whether an earlier transfer has made the copy of this very file."""
        record = _Record.read(self._record)
        is_complete = record is not None and record.copy is not None and record.copy == _identity(self._copy)
        return is_complete and record is not None and record.is_of(file)

    def run(self, file: StoredFile) -> None:
        """``file`` is what ``look`` has told. Raises SourceUnreadable, StorageFailed, or OSError of the local disk."""
        if self.is_done(file):
            return
        for restart in range(MOST_RESTARTS + 1):
            try:
                wrong = self._transfer(file)
            except LocalDisk as local:
                raise local.error from None
            if wrong is None:
                self._complete(file)
                return
            self._forget()
            if restart == MOST_RESTARTS:
                raise SourceUnreadable(f"{self._address.shown} arrived damaged: {wrong} Copy it to the storage again.")
            file = self.look()

    def _forget(self) -> None:
        for path in (self._part, self._copy, self._record):
            path.unlink(missing_ok=True)

    def _transfer(self, file: StoredFile) -> str | None:
        """Says what is wrong with what has come. A connection that breaks is made again, until it brings nothing
        several times."""
        record = _Record.read(self._record)
        if record is None or not record.is_of(file):
            self._forget()
        _Record(size=file.size, mark=file.mark).write(self._record)
        failures = 0
        while True:
            self._has_moved = False
            try:
                with telling(self._address, self._settings, "read"):
                    return self._attempt(file)
            except StorageFailed:
                failures = 0 if self._has_moved else failures + 1
                if failures >= self._settings.attempts:
                    raise
            self._pause(failures)
            self._require_same(file)

    def _require_same(self, file: StoredFile) -> None:
        """Before a transfer goes on. If the storage does not answer, the next attempt finds out."""
        with suppress(StorageFailed):
            now = self.look()
            if (now.size, now.mark) != (file.size, file.mark):
                raise SourceUnreadable(f"{self._address.shown} was changed while it was copied. Start the job again.")

    def _pause(self, failures: int) -> None:
        end = time.monotonic() + min(FIRST_PAUSE * 2**failures, LONGEST_PAUSE)
        while (left := end - time.monotonic()) > 0:
            self._interrupted()
            time.sleep(min(left, LONGEST_SLEEP))

    def _attempt(self, file: StoredFile) -> str | None:
        algorithm = None if file.checksum is None else file.checksum.algorithm
        with PartFile(self._part, algorithm) as part:
            part.read_what_is_there()
            if file.size is None or part.size < file.size:
                with connected(self._address, self._settings) as remote:
                    for data in _chunks(remote, file, part):
                        part.write(data)
                        self._has_moved = True
                        self._interrupted()
            part.sync()
            if file.size is not None and part.size < file.size:
                raise StorageFailed(
                    f"{self._address.shown} could not be read: it ended after {part.size} of {file.size} bytes."
                )
            return _difference(file, part)

    def _complete(self, file: StoredFile) -> None:
        if self._mtime_ns is not None:
            os.utime(self._part, ns=(self._mtime_ns, self._mtime_ns))
        self._part.replace(self._copy)
        _Record(size=file.size, mark=file.mark, copy=_identity(self._copy)).write(self._record)


def _chunks(remote: RemoteFile, file: StoredFile, part: PartFile) -> Iterator[bytes]:
    """The rest of the file; all of it if the storage can only read from the beginning."""
    chunks = remote.chunks(part.size, file.size)
    try:
        first = next(chunks, b"")
    except ValueError:
        part.clear()
        chunks = remote.chunks(0, file.size)
        first = next(chunks, b"")
    yield first
    yield from chunks


def _difference(file: StoredFile, part: PartFile) -> str | None:
    """What is wrong with what has come; None if nothing is."""
    if file.size is not None and part.size != file.size:
        return f"it has {part.size} bytes instead of {file.size}."
    if file.checksum is not None and part.checksum != file.checksum:
        return f"its checksum is {part.checksum} instead of {file.checksum}."
    return None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns
