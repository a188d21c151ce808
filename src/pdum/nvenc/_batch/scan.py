"""Finds the videos that a user has named: single files, and all videos in a folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from .._text import error_text, visible
from .scan_progress import ignore_progress

VIDEO_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("3g2", "3gp", "asf", "avi", "divx", "dv", "f4v", "flv", "m2ts", "m2v", "m4v", "mkv", "mov", "mp4", "mpeg"),
        *("mpg", "mts", "mxf", "ogm", "ogv", "rm", "rmvb", "ts", "vob", "webm", "wmv", "y4m"),
    )
)
"""Only files with these suffixes are taken from folders. A file that the user names may have any suffix."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """``path`` is absolute. ``root`` is the given folder, or that of a given file; results keep the path below it."""

    path: Path
    root: Path
    size: int
    mtime_ns: int
    inode: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A file that cannot become a job, and why, in a sentence."""

    source: Path
    reason: str


@dataclass(kw_only=True)
class Found:
    sources: list[Source] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    ignored: int = 0
    """Files in folders that do not have the suffix of a video, or that the patterns exclude."""


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What to look at.

    ``leave_out`` says whether a folder holds results instead of sources. ``progress`` gets the number of videos so far.
    """

    recursive: bool = False
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    leave_out: Callable[[Path], bool] = lambda _folder: False
    progress: Callable[[int], object] = ignore_progress

    def run(self, paths: Sequence[Path]) -> Found:
        """Returns each file once, sorted within each path. Files that cannot be read are reported in ``troubles``."""
        found = Found()
        seen: set[Path] = set()
        for given in paths:
            path = Path(os.path.abspath(given))
            for source in self._of(path, found):
                if source.path not in seen:
                    seen.add(source.path)
                    found.sources.append(source)
        return found

    def _of(self, path: Path, found: Found) -> Iterator[Source]:
        try:
            status = path.stat()
        except (OSError, ValueError) as error:
            found.troubles.append(Trouble(source=path, reason=_why(error, path)))
            return
        if stat.S_ISDIR(status.st_mode):
            yield from self._in_folder(path, path, found, set())
        else:
            yield from self._file(path, path.parent, status, found)

    def _file(self, path: Path, root: Path, status: os.stat_result, found: Found) -> Iterator[Source]:
        if stat.S_ISREG(status.st_mode):
            yield source_of(path, root, status)
        else:
            found.troubles.append(Trouble(source=path, reason="Not a regular file."))

    def _in_folder(self, folder: Path, root: Path, found: Found, above: set[tuple[int, int]]) -> Iterator[Source]:
        """``above`` holds all folders from the root to this one. A link back to one of them is a loop."""
        try:
            status = folder.stat()
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries)
        except OSError as error:
            found.troubles.append(Trouble(source=folder, reason=_why(error, folder)))
            return
        here = (status.st_dev, status.st_ino)
        if here in above:
            return
        for name in names:
            if not name.startswith("."):
                yield from self._entry(folder / name, root, found, above | {here})
                self.progress(len(found.sources))

    def _entry(self, path: Path, root: Path, found: Found, above: set[tuple[int, int]]) -> Iterator[Source]:
        is_video = is_video_name(path.name)
        try:
            status = path.stat()
        except OSError as error:
            if is_video:
                found.troubles.append(Trouble(source=path, reason=_why(error, path)))
            return
        if stat.S_ISDIR(status.st_mode):
            if self.goes_into(path, root) and not self.leave_out(path):
                yield from self._in_folder(path, root, found, above)
        elif is_video and self.is_meant(path, root):
            yield from self._file(path, root, status, found)
        else:
            found.ignored += 1

    def goes_into(self, folder: Path, root: Path) -> bool:
        """Whether the settings include this folder below ``root``."""
        return self.recursive and not self._matches(self.exclude, folder, root)

    def is_meant(self, path: Path, root: Path) -> bool:
        """Whether the patterns let this file through."""
        included = not self.include or self._matches(self.include, path, root)
        return included and not self._matches(self.exclude, path, root)

    @staticmethod
    def _matches(patterns: Sequence[str], path: Path, root: Path) -> bool:
        """A pattern is compared with the name, or with the path below the given folder if it has a slash."""
        if not patterns:
            return False
        below = path.relative_to(root).as_posix()
        return any(fnmatch(below if "/" in pattern else path.name, pattern) for pattern in patterns)


def is_video_name(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES


def source_of(path: Path, root: Path, status: os.stat_result) -> Source:
    inode = (status.st_dev, status.st_ino)
    return Source(path=path, root=root, size=status.st_size, mtime_ns=status.st_mtime_ns, inode=inode)


def _why(error: Exception, path: Path) -> str:
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        return f"A link to {visible(os.readlink(path))}, which does not exist."
    if isinstance(error, FileNotFoundError):
        return "The file does not exist."
    if isinstance(error, PermissionError):
        return "No permission to read it."
    return f"Cannot be read: {error_text(error)}."
