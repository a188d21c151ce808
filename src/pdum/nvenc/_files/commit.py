"""The last step of a job: the only place that gives a result its name, or puts it in the place of its source.

A commit can be cancelled until it begins. From then on it runs to its end, so that what a caller is told about a job is
also what lies on the disk. Before anything changes under a user's name, the result is synced, the journal learns what
will lie there, and the source is looked at once more.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from .._errors import Cancelled, NvencError, SourceUnreadable
from .overwrite import Overwrite, sync, sync_folder

WAITING, BEGUN, OVERWRITING = "waiting", "begun", "overwriting"


@dataclass(frozen=True)
class FileIdentity:
    """Tells whether a file is still the one that was seen before."""

    size: int
    mtime_ns: int
    inode: int
    device: int

    @classmethod
    def of(cls, path: Path) -> FileIdentity | None:
        """The identity of the file; None if there is no such file."""
        try:
            stat = path.stat()
        except FileNotFoundError:
            return None
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_dev)


@dataclass(frozen=True, kw_only=True)
class CommitRequest:
    """What a commit needs to know.

    Args:
        part: the verified result under its temporary name.
        destination: the name that the result gets.
        source, source_seen: the source, and its identity when the job began.
        destination_seen: the identity of the file with the result's name when the job began.
        overwrite: set for a job in place: how the result is written into a source that has several names.
        announce: is told the size and the modification time of the result before its name changes.
    """

    part: Path
    destination: Path
    source: Path
    source_seen: FileIdentity
    destination_seen: FileIdentity | None
    overwrite: Overwrite | None = None
    announce: Callable[[tuple[int, int]], None] | None = None


class Commit:
    """The state of one job's last step. Any thread may call ``cancel``."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._state = WAITING
        self._is_cancelled = False

    @property
    def has_begun(self) -> bool:
        """Whether it is too late to cancel the job."""
        return self._state != WAITING

    @property
    def needs_part(self) -> bool:
        """Whether the source may be overwritten in part, so that only the part file has the whole result."""
        return self._state == OVERWRITING

    def cancel(self) -> None:
        """Has no effect once the commit has begun."""
        with self._lock:
            self._is_cancelled = self._state == WAITING

    def require_not_cancelled(self) -> None:
        if self._is_cancelled:
            raise Cancelled("The job was cancelled.")

    def run(self, request: CommitRequest) -> None:
        """Puts the result in its place. Raises Cancelled if the job was cancelled before."""
        self.begin()
        sync(request.part)
        if request.overwrite is None:
            self._rename(request)
        else:
            self._replace_source(request, request.overwrite)

    def begin(self) -> None:
        with self._lock:
            self.require_not_cancelled()
            self._state = BEGUN

    def _rename(self, request: CommitRequest) -> None:
        _announce(request)
        require_same_source(request.source, request.source_seen)
        _require_same_destination(request)
        request.part.replace(request.destination)
        sync_folder(request.destination.parent)

    def _replace_source(self, request: CommitRequest, overwrite: Overwrite) -> None:
        """The result takes the owner, the permissions and the times of its source."""
        stat = request.source.stat()
        with suppress(PermissionError):  # only root can give files away
            os.chown(request.part, stat.st_uid, stat.st_gid)
        shutil.copystat(request.source, request.part)
        _announce(request)
        if stat.st_nlink > 1:
            overwrite.save()
            require_same_source(request.source, request.source_seen)
            self._state = OVERWRITING
            overwrite.run()
            self._state = BEGUN
        else:
            require_same_source(request.source, request.source_seen)
            request.part.replace(request.destination)
            sync_folder(request.destination.parent)


def require_same_source(source: Path, seen: FileIdentity) -> None:
    if FileIdentity.of(source) != seen:
        raise SourceUnreadable(f"{source} was changed while it was encoded. Encode it again.")


def _announce(request: CommitRequest) -> None:
    if request.announce is not None:
        stat = request.part.stat()
        request.announce((stat.st_size, stat.st_mtime_ns))


def _require_same_destination(request: CommitRequest) -> None:
    if FileIdentity.of(request.destination) != request.destination_seen:
        raise NvencError(
            f"Another program wrote, changed or removed {request.destination} while {request.source} was encoded. "
            "Nothing was replaced. Move that file away if you need it, and encode the source again."
        )
