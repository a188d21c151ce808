"""The journal beside the results: one line of JSON for each thing that happened to a file, so that a run can go on.

A line is appended and synced at once, and never changed. What a killed run left half written is the last line alone,
and is read as if it were not there. The journal itself is the lock: two runs cannot work on one folder.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from math import isfinite
from pathlib import Path
from threading import Lock
from typing import Any

from .._errors import FolderBusy
from .._text import visible

NAME = ".pdum-nvenc.jsonl"
VERSION = 1
DONE, BIGGER, FAILED, BEGUN = "done", "bigger", "failed", "begun"
Identity = tuple[int, int]
"""Size and time of change in nanoseconds."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """The last that is known of one source."""

    source: str
    output: str
    result: str
    settings: str
    identity: Identity
    before: Identity | None = None
    """An older result of ours that had the result's name when the job began. Nobody misses it if it is replaced."""
    made: Identity | None = None
    """The result. It is known just before it gets its name."""
    size: int | None = None
    quality: float | None = None
    """What a search for a target found."""
    error: str | None = None


def digest(settings: Mapping[str, Any]) -> str:
    """Stands for settings: equal for equal ones, whatever their order."""
    return sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:16]


def identity_of(path: Path) -> Identity | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def is_there(folder: Path) -> bool:
    """Whether results of an earlier run lie in the folder."""
    return os.path.lexists(folder / NAME)


@dataclass(kw_only=True)
class Journal:
    """Of one folder. ``read`` looks only; ``open`` takes the folder for this process."""

    folder: Path
    entries: dict[str, Entry] = field(default_factory=dict)
    kind: str | None = None
    """``"outputs"`` or ``"in place"``: whether other files than results lie in the folder."""
    torn: bool = False
    notices: list[str] = field(default_factory=list)
    """What is strange about the journal, for people."""
    _file: int | None = None
    _writing: Lock = field(default_factory=Lock)

    @classmethod
    def read(cls, folder: Path) -> Journal:
        journal = cls(folder=folder)
        try:
            with (folder / NAME).open("rb") as file:
                owner = os.fstat(file.fileno()).st_uid
                text = file.read()
        except OSError:
            return journal  # whoever opens it to write is told why that cannot be
        if owner != os.geteuid():
            journal.notices.append(
                f"The journal in {visible(str(folder))} belongs to another user (number {owner}). It tells which files "
                "are done already. Remove it if you do not trust that user."
            )
        journal._take(text)
        return journal

    @classmethod
    def open(cls, folder: Path, kind: str) -> Journal:
        """Makes the folder where it is missing. Raises FolderBusy while another run holds it."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / NAME
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            _lock(file, folder)
            journal = cls(folder=folder, _file=file)
            with open(file, "rb", closefd=False) as reader:
                journal._take(reader.read())
            if journal.torn:
                os.write(file, b"\n")  # else the next line would become a part of the torn one
            if journal.kind is None:
                journal.kind = kind
                journal._append({"journal": VERSION, "kind": kind})
        except BaseException:
            os.close(file)
            raise
        return journal

    def _take(self, text: bytes) -> None:
        self.torn = bool(text) and not text.endswith(b"\n")
        for line in text.split(b"\n"):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):  # the latter for thousands of brackets
                continue
            if isinstance(record, dict):
                self._apply(record)

    def _apply(self, record: dict[str, Any]) -> None:
        if "journal" in record:
            self.kind = str(record.get("kind"))
            return
        try:
            entry = _entry(record)
        except (LookupError, TypeError, ValueError, OverflowError):  # the last for 1e400, which is read as infinity
            return
        if _is_inside(entry.output):
            self.entries[entry.source] = entry
        else:
            self.notices.append(
                f"The journal in {visible(str(self.folder))} names the result {visible(entry.output)!r}, which is "
                "no file below that folder. This line of it is ignored."
            )

    def key(self, source: Path) -> str:
        """Relative, so that a folder may be moved or mounted elsewhere with its results."""
        return os.path.relpath(source, self.folder)

    def entry(self, source: Path) -> Entry | None:
        return self.entries.get(self.key(source))

    def record(self, entry: Entry) -> None:
        """On disk when this returns."""
        with self._writing:
            self.entries[entry.source] = entry
            self._append({"at": round(time.time(), 3), **_record(entry)})

    def _append(self, record: dict[str, Any]) -> None:
        if self._file is None:
            raise RuntimeError("this journal was opened for reading")
        size = os.fstat(self._file).st_size
        try:
            _write_all(self._file, json.dumps(record).encode() + b"\n")
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, size)  # a full disk takes a part of a line, which would spoil the next one
            raise

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _is_inside(output: str) -> bool:
    """Whether the name of a result, as a journal has it, means a file in the journal's folder or below it."""
    path = os.path.normpath(output)
    return not ("\0" in output or os.path.isabs(path) or path in (".", "..", NAME) or path.startswith("../"))


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _lock(file: int, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            return  # a file system without locks; two runs on it are the user's to avoid
        advice = "Wait for it, or give another output folder with -o."
        message = f"Another run of pdum-nvenc works on {folder}. {advice}"
        raise FolderBusy(message, advice=advice) from None


def _entry(record: dict[str, Any]) -> Entry:
    def pair(name: str) -> Identity | None:
        value = record.get(name)
        return None if value is None else (int(value[0]), int(value[1]))

    identity = pair("identity")
    if identity is None:
        raise ValueError("no identity")
    return Entry(
        source=str(record["source"]),
        output=str(record["output"]),
        result=str(record["result"]),
        settings=str(record["settings"]),
        identity=identity,
        before=pair("before"),
        made=pair("made"),
        size=_whole_number(record.get("size")),
        quality=_number(record.get("quality")),
        error=None if record.get("error") is None else str(record["error"]),
    )


def _whole_number(value: Any) -> int | None:
    return None if value is None else int(value)


def _number(value: Any) -> float | None:
    if value is not None and not isfinite(value):
        raise ValueError("no finite number")
    return None if value is None else value + 0


def _record(entry: Entry) -> dict[str, Any]:
    return {name: value for name, value in vars(entry).items() if value is not None}
