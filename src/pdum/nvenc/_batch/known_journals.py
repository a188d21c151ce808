"""Journals as they were last read, for those who only look at them."""

from __future__ import annotations

from pathlib import Path

from .journal import NAME, Journal

Stamp = tuple[int, int, int, int] | None
"""Of the journal's file: device, inode, size and time of change. None: there is no such file."""


class KnownJournals:
    """Reads each journal once, and again after ``refresh`` if its file has changed since."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[Stamp, Journal]] = {}

    def of(self, folder: Path) -> Journal:
        if folder not in self._known:
            self._known[folder] = _stamp(folder), Journal.read(folder)  # in this order: a later change is noticed
        return self._known[folder][1]

    def refresh(self) -> None:
        """Forgets those that have changed."""
        for folder, (stamp, _) in list(self._known.items()):
            if _stamp(folder) != stamp:
                del self._known[folder]


def _stamp(folder: Path) -> Stamp:
    try:
        status = (folder / NAME).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
