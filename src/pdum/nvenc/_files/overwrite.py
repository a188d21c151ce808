"""Writes a result into a source that has several names (hard links). A rename would separate them.

Overwriting can stop half-way: the process is killed, or the disk is full. Then only the part file has the
whole result. A note in the work folder says so, and the next run for the same file finishes what was begun.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from .._errors import NvencError
from .._media.spool import OVERWRITE, WorkFolder, load_json, write_atomically
from .._results import Result

COPIED_AT_ONCE = 1 << 20
HEAD = 4096
"""How many bytes at the beginning of a file identify it."""


@dataclass(frozen=True, kw_only=True)
class Overwrite:
    """One overwrite: the file, the part file with its new content, and the ``result`` that the job reports."""

    target: Path
    part: Path
    result: Result
    inode: int = 0
    device: int = 0
    head: str = ""
    """The source's first bytes, in hexadecimal digits."""

    def save(self) -> None:
        """Writes the note that ``unfinished`` reads."""
        stat = self.target.stat()
        noted = replace(self, inode=stat.st_ino, device=stat.st_dev, head=_head(self.target).hex())
        values = {**asdict(noted), "target": str(self.target), "part": str(self.part)}
        path = WorkFolder(self.target).path / OVERWRITE
        write_atomically(path, json.dumps(values).encode())
        sync(path)
        sync_folder(path.parent)

    def run(self) -> None:
        """Raises NvencError if the file could be overwritten only in part; ``run`` can be called again then."""
        stat = self.part.stat()  # it has the times of the source
        try:
            with self.part.open("rb") as source, self.target.open("rb+") as file:
                shutil.copyfileobj(source, file, COPIED_AT_ONCE)
                file.truncate()
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise NvencError(
                f"{self.target} is only partly overwritten: {error.strerror or error}. The whole result is in "
                f"{self.part}; keep that file. Fix the cause and run the same job again, which completes it."
            ) from error
        os.utime(self.target, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        (WorkFolder(self.target).path / OVERWRITE).unlink(missing_ok=True)
        self.part.unlink()

    @property
    def has_begun(self) -> bool:
        """Whether the file begins like the part file and continues like the source."""
        try:
            stat, now, new = self.target.stat(), _head(self.target), _head(self.part)
        except OSError:
            return False
        old = bytes.fromhex(self.head)
        if (stat.st_ino, stat.st_dev) != (self.inode, self.device) or now == old != new:
            return False
        same = next((at for at, (a, b) in enumerate(zip(now, new, strict=False)) if a != b), min(len(now), len(new)))
        return same > 0 and now[same:] == old[same : len(now)]


def unfinished(target: Path) -> Overwrite | None:
    """The overwrite of this file that an earlier run began and did not finish."""
    values = load_json(WorkFolder(target).path / OVERWRITE)
    if values is None:
        return None
    try:
        result = Result(**{**values["result"], "warnings": tuple(values["result"]["warnings"])})
        found = Overwrite(
            target=target,
            part=WorkFolder(target).part,
            result=result,
            inode=int(values["inode"]),
            device=int(values["device"]),
            head=str(values["head"]),
        )
        return found if found.has_begun else None
    except (LookupError, TypeError, ValueError, OverflowError):
        return None


def sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)
