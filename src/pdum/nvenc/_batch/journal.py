"""The journal next to the results: one line of JSON for each thing that happened to a file, so that a run can go on.

A line is appended and synced at once. The line that a killed run was writing is ignored. When most lines are outdated,
the next run writes the others to a new file, which takes the place of the journal. The journal is also the lock: two
runs cannot work on one folder.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

from .._text import visible
from . import compaction
from .journal_entry import NAME, VERSION, Entry, Header, Unknown, parse_line, record_of
from .journal_file import JournalFile


def is_there(folder: Path) -> bool:
    """Whether results of an earlier run lie in the folder."""
    return os.path.lexists(folder / NAME)


UNSEEN = ()
"""The stamp of a file that has not been looked at, or that this process writes to."""


@dataclass(frozen=True, kw_only=True)
class _Position:
    """How far a journal has been read: up to the end of a line, in this file."""

    file: tuple[int, int] = (0, 0)
    offset: int = 0
    last_line: bytes = b""
    """The file is looked at again: one that was cut and written to is another file."""


@dataclass(kw_only=True)
class Journal:
    """The journal of one folder. ``read`` only looks at it; ``open`` takes the folder for this process.

    A journal that has been read knows how far: ``refresh`` and ``acquire`` read only what has come since.
    """

    folder: Path
    entries: dict[str, Entry] = field(default_factory=dict)
    """By the source, which is named relative to the folder."""
    kind: str | None = None
    """``"outputs"`` or ``"in place"``: whether other files than results lie in the folder."""
    torn: bool = False
    """Whether the last line has no end."""
    notices: dict[str, None] = field(default_factory=dict)
    """What is strange about the journal, as sentences to show."""
    _makers: dict[str, str] = field(default_factory=dict)
    """The source of each result."""
    _ways: dict[str, str] = field(default_factory=dict)
    """The path from the folder to the folder of the sources."""
    _lines: int = 0
    _outdated: int = 0
    """Lines that a later line replaces, or that cannot be read."""
    _may_be_compacted: bool = True
    _position: _Position = field(default_factory=_Position)
    _stamp: tuple[int, ...] | None = UNSEEN
    """The file's stamp when it was last looked at."""
    _file: JournalFile | None = None
    _writing: Lock = field(default_factory=Lock)

    @classmethod
    def read(cls, folder: Path) -> Journal:
        journal = cls(folder=folder)
        journal.refresh()
        return journal

    @classmethod
    def open(cls, folder: Path, kind: str) -> Journal:
        """Makes the folder if it is missing. Raises FolderBusy while another run holds it."""
        journal = cls(folder=folder)
        journal.acquire(kind)
        return journal

    def acquire(self, kind: str) -> None:
        """Takes the folder for this process until ``close``. Raises FolderBusy while another run holds it."""
        self._stamp = UNSEEN
        self._file = JournalFile.open(self.folder)
        try:
            self._catch_up_with(self._file)
            if self.kind is None:
                self._append({"journal": VERSION, "kind": kind}, Header(version=VERSION, kind=kind))
        except BaseException:
            self.close()
            raise

    def _catch_up_with(self, file: JournalFile) -> None:
        with file.reader() as reader:
            self._catch_up(reader)
        if self.torn:
            file.append(b"\n")  # else the next line would become a part of the torn one
        is_due = compaction.is_due(self._lines, self._outdated) and self._may_be_compacted
        if is_due and file.is_locked:  # without a lock, another run may write at the same time
            with suppress(OSError), file.reader() as reader:
                file.replace(compaction.compacted(reader.read()))
        if self.torn or is_due:
            with file.reader() as reader:
                self._catch_up(reader)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    # ---- reading -----------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Reads what has been written since the last time, or all of it if another file has the name now."""
        stamp = _stamp(self.folder)
        if stamp == self._stamp:
            return
        try:
            with (self.folder / NAME).open("rb") as file:
                self._catch_up(file)
        except OSError:
            self._forget()  # opening it for writing says what is wrong
        self._stamp = stamp  # from before the file was read, so that a later change is noticed

    def _catch_up(self, file: BinaryIO) -> None:
        status = os.fstat(file.fileno())
        if not self._goes_on(file, status):
            self._forget()
            self._position = _Position(file=(status.st_dev, status.st_ino))
            self._check_owner(status.st_uid)
        file.seek(self._position.offset)
        self.take(file.read())

    def _goes_on(self, file: BinaryIO, status: os.stat_result) -> bool:
        known = self._position
        if (status.st_dev, status.st_ino) != known.file or status.st_size < known.offset:
            return False
        file.seek(known.offset - len(known.last_line))
        return file.read(len(known.last_line)) == known.last_line

    def _forget(self) -> None:
        self.entries, self._makers, self.notices = {}, {}, {}
        self.kind, self.torn, self._may_be_compacted = None, False, True
        self._lines = self._outdated = 0
        self._position = _Position()

    def _check_owner(self, owner: int) -> None:
        if owner != os.geteuid():
            text = (
                f"The journal in {visible(str(self.folder))} belongs to another user (number {owner}). It tells which "
                "files are done already. Remove it if you do not trust that user."
            )
            self.notices[text] = None

    def take(self, text: bytes) -> None:
        """Takes in the text that follows what has been read. A line without an end is read again the next time."""
        *lines, rest = text.split(b"\n")
        for line in lines:
            self._take_line(parse_line(line))
        if lines:
            self._go_on_to(sum(map(len, lines)) + len(lines), lines[-1] + b"\n")
        self.torn = bool(rest)
        if rest:
            self._apply(parse_line(rest))

    def _go_on_to(self, read: int, last_line: bytes) -> None:
        known = self._position
        self._position = _Position(file=known.file, offset=known.offset + read, last_line=last_line)

    def _take_line(self, record: Header | Entry | Unknown | None) -> None:
        is_another_header = isinstance(record, Header) and self.kind is not None
        is_later_entry = isinstance(record, Entry) and record.source in self.entries
        self._lines += 1
        self._outdated += record is None or is_another_header or is_later_entry
        self._apply(record)

    def _apply(self, record: Header | Entry | Unknown | None) -> None:
        if isinstance(record, Header):
            self.kind = record.kind
            self._may_be_compacted = self._may_be_compacted and compaction.is_understood(record)
        elif isinstance(record, Entry):
            self._keep(record)
        elif record is not None and record.outside is not None:
            text = (
                f"The journal in {visible(str(self.folder))} names the result {visible(record.outside)!r}, which is "
                "not below that folder. This line is ignored."
            )
            self.notices[text] = None

    def _keep(self, entry: Entry) -> None:
        last = self.entries.get(entry.source)
        self.entries[entry.source] = entry
        if last is None or last.output != entry.output:
            if last is not None and self._makers.get(os.path.normpath(last.output)) == entry.source:
                del self._makers[os.path.normpath(last.output)]
            self._makers.setdefault(os.path.normpath(entry.output), entry.source)

    def key(self, source: Path) -> str:
        """Relative, so that a folder may be moved or mounted elsewhere with its results."""
        parent, name = os.path.split(source)
        relative = self._ways.get(parent)
        if relative is None:
            relative = self._ways[parent] = os.path.relpath(parent or ".", self.folder)
        return name if relative == "." else f"{relative}{os.sep}{name}"

    def entry(self, source: Path) -> Entry | None:
        return self.entries.get(self.key(source))

    def maker_of(self, output: str) -> str | None:
        """The source whose result this is. Both are named relative to the folder."""
        return self._makers.get(output)

    # ---- writing -----------------------------------------------------------------------------------------------------

    def record(self, entry: Entry) -> None:
        """The entry is on the disk when this returns."""
        with self._writing:
            self._append({"at": round(time.time(), 3), **record_of(entry)}, entry)

    def _append(self, record: dict[str, Any], meaning: Header | Entry) -> None:
        if self._file is None:
            raise RuntimeError("this journal was opened for reading")
        line = json.dumps(record).encode() + b"\n"
        is_alone = self._file.size == self._position.offset
        self._file.append(line)
        self._take_line(meaning)
        if is_alone:  # on a file system without locks, another run may have written lines that are still to be read
            self._go_on_to(len(line), line)


def _stamp(folder: Path) -> tuple[int, ...] | None:
    """Differs after any change of the journal's file. None: there is no such file."""
    try:
        status = (folder / NAME).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
