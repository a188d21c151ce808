"""Whether files that appear in a folder are whole: nobody changes them any more, and nobody has them open to write."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from .journal import Identity, identity_of

OLD = 60.0
"""Seconds: a file that was last touched so long ago is taken for whole at first sight."""
WRITING = os.O_WRONLY | os.O_RDWR
PROCESSES = Path("/proc")


@dataclass(kw_only=True)
class StabilityCheck:
    """Remembers what it saw. ``seconds``: how long a file has to stay as it is."""

    seconds: float
    _seen: dict[Path, tuple[Identity, float]] = field(default_factory=dict)

    def is_stable(self, path: Path, now: float, wall_clock: float) -> bool:
        """``now`` is of a clock that only goes forward; ``wall_clock`` is seconds since 1970, as files have them."""
        identity = identity_of(path)
        if identity is None:
            self._seen.pop(path, None)
            return False
        known = self._seen.get(path)
        if known is None or known[0] != identity:
            self._seen[path] = (identity, now)
            # Unlike the time of modification, nobody can set that of the last change of anything.
            if known is not None or wall_clock - path.stat().st_ctime < max(OLD, self.seconds):
                return False
        elif now - known[1] < self.seconds:
            return False
        return not is_being_written(path)


def is_being_written(path: Path) -> bool:
    """Whether a process that this user may look at has the file open for writing; False where that cannot be told."""
    try:
        status = path.stat()
        processes = [entry for entry in PROCESSES.iterdir() if entry.name.isdigit()]
    except OSError:
        return False
    return any(_writes(process, (status.st_dev, status.st_ino)) for process in processes)


def _writes(process: Path, file: tuple[int, int]) -> bool:
    try:
        opened = os.listdir(process / "fd")
    except OSError:
        return False
    for number in opened:
        try:
            status = (process / "fd" / number).stat()
            if (status.st_dev, status.st_ino) == file and _flags(process / "fdinfo" / number) & WRITING:
                return True
        except OSError:
            continue
    return False


def _flags(info: Path) -> int:
    for line in info.read_text().splitlines():
        if line.startswith("flags:"):
            return int(line.split()[1], 8)
    return 0
