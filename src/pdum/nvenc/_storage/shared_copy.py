"""One copy of a source for all processes of a machine, which goes when the last of them lets go of it."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import time
from pathlib import Path
from typing import BinaryIO

from .._errors import SourceUnreadable
from .._media.disk_errors import naming_the_disk
from .address import Address
from .fetching import Fetch
from .remote_file import Interrupted, StoredFile
from .settings import StorageSettings
from .spool_folder import LOCK, SHARED, remove_forgotten, short_name

PAUSE = 0.1
"""Seconds between two looks at a copy that another process makes."""


class SharedCopy:
    """A process that copies has the folder's lock alone; those that use the copy share it.

    Args:
        address: the source.
        file: what the storage has told of it where the job was given. Any other content is refused.
        mtime_ns: the time that the copy gets.
        settings: of all transfers.
    """

    def __init__(self, address: Address, file: StoredFile, mtime_ns: int, settings: StorageSettings) -> None:
        self._address, self._file, self._mtime_ns, self._settings = address, file, mtime_ns, settings
        told = f"{address.text}\n{file.size}\n{file.mark}\n{mtime_ns}"
        self._folder = settings.folder / f"{SHARED}{hashlib.sha256(os.fsencode(told)).hexdigest()[:20]}"
        self.path = self._folder / "source" / short_name(address.name)
        self._lock: BinaryIO | None = None

    def take(self, interrupted: Interrupted = lambda: None) -> Path:
        """The whole copy, which stays until ``release``."""
        remove_forgotten(self._settings)
        while True:
            interrupted()
            with naming_the_disk(self._folder):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._lock = (self._folder / LOCK).open("ab")
                os.utime(self._folder)
            if self._is_locked(fcntl.LOCK_EX):
                self._fetch(interrupted)
            if self._is_locked(fcntl.LOCK_SH) and self._transfer(interrupted).is_done(self._file):
                return self.path
            self._unlock()
            time.sleep(PAUSE)

    def release(self) -> None:
        """Removes the copy if no other process uses it."""
        if self._lock is not None:
            if self._is_locked(fcntl.LOCK_EX):
                shutil.rmtree(self._folder, ignore_errors=True)
            self._unlock()

    def _is_locked(self, kind: int) -> bool:
        """Whether the folder is still there and this process has that lock of it now."""
        assert self._lock is not None
        try:
            fcntl.flock(self._lock, kind | fcntl.LOCK_NB)
            return os.path.samestat(os.fstat(self._lock.fileno()), (self._folder / LOCK).stat())
        except OSError:
            return False

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _transfer(self, interrupted: Interrupted) -> Fetch:
        return Fetch(self._address, self.path, self._settings, interrupted, self._mtime_ns)

    def _fetch(self, interrupted: Interrupted) -> None:
        transfer = self._transfer(interrupted)
        if transfer.is_done(self._file):
            return
        now = transfer.look()
        if (now.size, now.mark) != (self._file.size, self._file.mark):
            self._unlock_and_forget()
            raise SourceUnreadable(f"{self._address.shown} has changed since the job was given. Start it again.")
        try:
            self._require_room(now.size or 0)
            transfer.run(now)
        except BaseException:
            self._unlock()
            raise

    def _unlock_and_forget(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._unlock()

    def _require_room(self, size: int) -> None:
        if shutil.disk_usage(self._folder).free - int(self._settings.reserve) < size:
            text = f"{os.strerror(errno.ENOSPC)}: {self._folder} has no room for {self._address.shown}."
            raise OSError(errno.ENOSPC, text)
