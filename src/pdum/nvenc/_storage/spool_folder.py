"""The local folder for copies of sources, and for results until they are published."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from .._errors import FolderBusy
from .._media.disk_errors import naming_the_disk
from .._tasks import NotYet
from .._text import size as shown_size
from .settings import StorageSettings

LOCK = "lock"
LONGEST_NAME = 150
"""Bytes of a copy's name. Work folders and part files add to it."""
KEPT_SECONDS = 7 * 86_400
"""How long the work of an ended job is kept for a later run."""
KEPT_SECONDS_OF_WORKERS = 600
"""How long a copy is kept that no worker has open."""
SHARED = "shared-"
"""The beginning of the names of folders with copies of workers."""

_claims: dict[Path, tuple[Path, int]] = {}
"""The jobs of this process that hold a part of a disk: by their folder, the spool and the bytes."""
_claims_lock = Lock()


class JobSpool:
    """The folder of one job, named after its source and its destination. A job holds a lock in it."""

    def __init__(self, settings: StorageSettings, source: str, destination: str) -> None:
        self._settings = settings
        mark = hashlib.sha256(f"{source}\n{destination}".encode("utf-8", "surrogateescape")).hexdigest()[:20]
        self.path = settings.folder / mark
        self._lock: BinaryIO | None = None

    def source(self, name: str) -> Path:
        """The copy of a source of this name."""
        return self.path / "source" / short_name(name)

    def result(self, name: str) -> Path:
        """The result of this name, until it is published."""
        return self.path / "result" / short_name(name)

    def open(self) -> None:
        """Makes the folder and locks it. Raises FolderBusy if another job works on the same source and result."""
        with naming_the_disk(self.path):
            for folder in ("source", "result"):
                (self.path / folder).mkdir(parents=True, exist_ok=True)
            self._lock = self._lock or _locked(self.path)
            if self._lock is None:
                raise FolderBusy(f"Another job works in {self.path}. Wait for it.")
            os.utime(self.path)

    def claim(self, size: int) -> None:
        """Makes sure that the disk has room for so many bytes of this job.

        Raises:
            NotYet: it will have when another job of this process has ended.
            OSError: it has not.
        """
        spool = self._settings.folder
        with _claims_lock:
            others = {path: held for path, (one, held) in _claims.items() if one == spool and path != self.path}
            room = self._room(sum(others.values()), [*others, self.path])
            if size <= room:
                _claims[self.path] = spool, size
                return
        full = OSError(
            errno.ENOSPC,
            f"{os.strerror(errno.ENOSPC)}: a source and its result need {shown_size(size)} in {spool}, and "
            f"{shown_size(max(room, 0))} may be used there. Free some space, or choose another folder for copies.",
        )
        raise NotYet(full) if others else full

    def _room(self, claimed: int, folders: list[Path]) -> int:
        """What the disk has and nobody claims. What lies there already is part of a claim."""
        settings = self._settings
        used = sum(_bytes_in(folder) for folder in folders)
        free = shutil.disk_usage(self.path).free + used - int(settings.reserve) - claimed
        return min(free, int(settings.spool_limit) - claimed) if settings.spool_limit else free

    def release(self) -> None:
        """Gives the lock and the claim back. The files stay for a later run."""
        with _claims_lock:
            _claims.pop(self.path, None)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def remove(self) -> None:
        """Removes everything of the job."""
        if self._lock is not None:
            shutil.rmtree(self.path, ignore_errors=True)
            with suppress(OSError):
                self._settings.folder.rmdir()  # fails if there are other jobs
        self.release()


def remove_forgotten(settings: StorageSettings) -> None:
    """Removes the work that ended jobs have kept, once it is so old that nobody goes on with it; and the copies of
    workers that were killed."""
    with suppress(OSError):
        for folder in settings.folder.iterdir():
            kept = KEPT_SECONDS_OF_WORKERS if folder.name.startswith(SHARED) else KEPT_SECONDS
            is_old = folder.is_dir() and folder.stat().st_mtime < time.time() - kept
            if is_old and (folder / LOCK).exists():
                _remove_unless_busy(folder)


def _remove_unless_busy(folder: Path) -> None:
    lock = _locked(folder)
    if lock is not None:
        with lock:
            shutil.rmtree(folder, ignore_errors=True)


def _locked(folder: Path) -> BinaryIO | None:
    """The folder's lock; None if another job has it, or is just removing the folder."""
    path = folder / LOCK
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    except OSError:
        pass
    file.close()
    return None


def short_name(name: str) -> str:
    """A name of a copy that a file system takes, with the suffix of this one."""
    stem, suffix = os.path.splitext(name.replace("\0", "_") or "file")
    while len(os.fsencode(stem)) > LONGEST_NAME:
        stem = stem[:-1]
    return f"{stem}{suffix}"


def _bytes_in(folder: Path) -> int:
    found = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                found += os.stat(os.path.join(path, name)).st_size
    return found
