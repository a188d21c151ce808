"""The file of a journal as a run holds it: locked, and appended to line by line.

The file is its own lock. When a shorter file takes its place, that one is locked before it gets the name; a run that
has opened the old file sees that the name has gone on, and opens the new one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .._errors import FolderBusy
from .journal_entry import NAME

NEW = NAME + ".new"
"""A shorter journal while it is written. What a killed run leaves of it is removed by the next compaction."""
ATTEMPTS = 100
"""A file system whose files seem to change all the time gets a journal that is never replaced."""
FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(kw_only=True)
class JournalFile:
    """Made by ``open``; belongs to one run until ``close``."""

    folder: Path
    is_locked: bool
    """False on a file system without locks."""
    _descriptor: int | None

    @classmethod
    def open(cls, folder: Path) -> JournalFile:
        """Makes the folder and the file if they are missing. Raises FolderBusy while another run holds the file."""
        folder.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, ATTEMPTS + 1):
            descriptor = os.open(folder / NAME, FLAGS, 0o644)
            try:
                is_locked = _lock(descriptor, folder)
                is_current = _is_at(descriptor, folder / NAME)
                if is_current or attempt == ATTEMPTS:
                    return cls(folder=folder, is_locked=is_locked and is_current, _descriptor=descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
        raise AssertionError("the last attempt returns")

    @property
    def size(self) -> int:
        return os.fstat(self._open_descriptor).st_size

    def append(self, line: bytes) -> None:
        """The line is on the disk when this returns, or nothing of it is."""
        size = self.size
        try:
            _write_all(self._open_descriptor, line)
            os.fsync(self._open_descriptor)
        except OSError:
            os.ftruncate(self._open_descriptor, size)  # a full disk takes a part of a line, which spoils the next one
            raise

    def reader(self) -> BinaryIO:
        """The file from its beginning, to be read and closed."""
        reader = open(self._open_descriptor, "rb", closefd=False)  # noqa: SIM115
        reader.seek(0)
        return reader

    def replace(self, text: bytes) -> None:
        """Puts a file with this text in the place of this one. If that raises an OSError, this one stays."""
        descriptor = self._write_new(text)
        os.close(self._open_descriptor)
        self._descriptor = descriptor
        with suppress(OSError):  # the new file is in use already
            _sync_folder(self.folder)

    def _write_new(self, text: bytes) -> int:
        """The file is complete, on the disk and locked before it gets the journal's name."""
        status, new = os.fstat(self._open_descriptor), self.folder / NEW
        with suppress(FileNotFoundError):
            os.unlink(new)
        descriptor = os.open(new, FLAGS | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.fchown(descriptor, status.st_uid, status.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
            _write_all(descriptor, text)
            os.fsync(descriptor)
            os.replace(new, self.folder / NAME)
        except BaseException:
            os.close(descriptor)
            with suppress(OSError):
                os.unlink(new)
            raise
        return descriptor

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @property
    def _open_descriptor(self) -> int:
        if self._descriptor is None:
            raise RuntimeError("this journal is closed")
        return self._descriptor


def _lock(descriptor: int, folder: Path) -> bool:
    """Returns False on a file system without locks: two runs on it are the user's to avoid."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        advice = "Wait for it to finish, or choose another folder with -o."
        message = f"Another run of pdum-nvenc is using {folder}. {advice}"
        raise FolderBusy(message, advice=advice) from None
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file still has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _sync_folder(folder: Path) -> None:
    """Without it, a power failure could bring the old file back, and lose what was appended to the new one."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
