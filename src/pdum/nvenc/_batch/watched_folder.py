"""Notices new and changed videos in a folder, at a cost that depends on how much has changed.

A look checks when each folder's list of names last changed. It reads the lists that have changed, and checks only files
with new names. A file that is overwritten in place changes no list, so there are full looks, which check all files.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .scan import Scan, Source, is_video_name, source_of
from .scan_progress import ignore_progress

SURE_AFTER = 2_500_000_000
"""Nanoseconds after which another change surely gets another time. Some file systems count in steps of 2 seconds."""


@dataclass(kw_only=True)
class _Listing:
    """A folder as it was when its names were last read."""

    stamp: tuple[int, int, int]
    is_sure: bool
    """Whether any later change of the names shows in the folder's time."""
    files: dict[str, int] = field(default_factory=dict)
    """The videos, with the inode of each name: of the link, if it is one."""
    folders: list[str] = field(default_factory=list)


class WatchedFolder:
    """The videos below ``root``, and which of them are new."""

    def __init__(self, root: Path, scan: Scan) -> None:
        self._root = Path(os.path.abspath(root))
        self._scan = scan
        self._listings: dict[Path, _Listing] = {}
        self.files_asked = 0
        """How often the size and time of a file were read."""

    def everything(self, progress: Callable[[int], object] = ignore_progress) -> list[Source]:
        """All videos, after a full look. ``progress`` gets the number of videos so far."""
        return self._sources(_Look(is_full=True, progress=progress))

    def changes(self) -> list[Source]:
        """The videos that are new since the last look, or have been replaced."""
        return self._sources(_Look(is_full=False))

    def _sources(self, look: _Look) -> list[Source]:
        self._look(self._root, frozenset(), look)
        self._listings = look.listings
        return look.found

    def source(self, path: Path) -> Source | None:
        """The file as it is now; None if it is gone."""
        try:
            return source_of(path, self._root, path.stat())
        except OSError:
            return None

    def _look(self, folder: Path, above: frozenset[tuple[int, int]], look: _Look) -> None:
        """``above`` holds the folders from the root to this one. A link back to one of them is a loop."""
        try:
            status = folder.stat()
        except OSError:
            return
        here = (status.st_dev, status.st_ino)
        if here in above:
            return
        known, stamp = self._listings.get(folder), (*here, status.st_mtime_ns)
        if known is None or known.stamp != stamp or not known.is_sure or look.is_full:
            sure = time.time_ns() - status.st_mtime_ns > SURE_AFTER
            known = self._read(folder, _Listing(stamp=stamp, is_sure=sure), look)
        look.listings[folder] = known
        for name in known.folders:
            self._look(folder / name, above | {here}, look)

    def _read(self, folder: Path, listing: _Listing, look: _Look) -> _Listing:
        if folder != self._root and self._scan.leave_out(folder):
            return listing
        before = self._listings.get(folder)
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            return listing
        for entry in entries:
            if not entry.name.startswith("."):
                self._take(entry, folder, listing, {} if before is None else before.files, look)
                look.progress(len(look.found))
        return listing

    def _take(
        self, entry: os.DirEntry[str], folder: Path, listing: _Listing, before: dict[str, int], look: _Look
    ) -> None:
        if before.get(entry.name) == entry.inode() and not look.is_full:
            listing.files[entry.name] = entry.inode()
            return
        path = folder / entry.name
        try:
            is_folder = entry.is_dir()
            if is_folder or not is_video_name(entry.name) or not self._scan.is_meant(path, self._root):
                if is_folder and self._scan.goes_into(path, self._root):
                    listing.folders.append(entry.name)
                return
            self.files_asked += 1
            status = entry.stat()
        except OSError:
            return
        if stat.S_ISREG(status.st_mode):
            listing.files[entry.name] = entry.inode()
            look.found.append(source_of(path, self._root, status))


@dataclass(kw_only=True)
class _Look:
    """One look, and what it has found so far."""

    is_full: bool
    progress: Callable[[int], object] = ignore_progress
    listings: dict[Path, _Listing] = field(default_factory=dict)
    found: list[Source] = field(default_factory=list)
