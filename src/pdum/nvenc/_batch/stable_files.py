"""Whether files that appear in a folder are stable: no program changes them any more or has them open for writing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from pathlib import Path

OLD = 60.0
"""Seconds: a file that was last touched so long ago counts as stable at first sight."""
WRITING = os.O_WRONLY | os.O_RDWR
PROCESSES = Path("/proc")
Inode = tuple[int, int]


@dataclass(frozen=True)
class _Sight:
    """A file at the time when it was first seen like this."""

    size: int
    mtime_ns: int
    since: float


@dataclass(kw_only=True)
class StabilityCheck:
    """Remembers what it has seen. ``seconds`` is how long a file has to stay as it is."""

    seconds: float
    _seen: dict[Path, _Sight] = field(default_factory=dict)

    def stable(self, paths: Iterable[Path], now: float, wall_clock: float) -> list[Path]:
        """Those that are stable, in their order. They are forgotten then, as are those that are gone.

        ``now`` is of a clock that only goes forward; ``wall_clock`` is seconds since 1970, as file systems have them.
        """
        quiet: dict[Path, Inode] = {}
        for path in paths:
            try:
                status = path.stat()
            except OSError:
                self._seen.pop(path, None)
                continue
            if self._is_quiet(path, status, now, wall_clock):
                quiet[path] = (status.st_dev, status.st_ino)
        written = written_files(set(quiet.values()))
        found = [path for path, inode in quiet.items() if inode not in written]
        for path in found:
            self._seen.pop(path, None)
        return found

    def _is_quiet(self, path: Path, status: os.stat_result, now: float, wall_clock: float) -> bool:
        known = self._seen.get(path)
        if known is not None and (known.size, known.mtime_ns) == (status.st_size, status.st_mtime_ns):
            return now - known.since >= self.seconds
        self._seen[path] = _Sight(status.st_size, status.st_mtime_ns, now)
        # Unlike the time of modification, programs cannot set the time of the last change.
        return known is None and wall_clock - status.st_ctime >= max(OLD, self.seconds)


def written_files(files: Set[Inode]) -> set[Inode]:
    """Those of the files that a process has open for writing, as far as this user may look at processes."""
    if not files:
        return set()
    try:
        processes = [entry for entry in PROCESSES.iterdir() if entry.name.isdigit()]
    except OSError:
        return set()
    return {inode for process in processes for inode in _written_by(process, files)}


def _written_by(process: Path, files: Set[Inode]) -> Iterable[Inode]:
    try:
        opened = os.listdir(process / "fd")
    except OSError:
        return
    for number in opened:
        try:
            status = (process / "fd" / number).stat()
            inode = (status.st_dev, status.st_ino)
            if stat.S_ISREG(status.st_mode) and inode in files and _flags(process / "fdinfo" / number) & WRITING:
                yield inode
        except OSError:
            continue


def _flags(info: Path) -> int:
    for line in info.read_text().splitlines():
        if line.startswith("flags:"):
            return int(line.split()[1], 8)
    return 0
