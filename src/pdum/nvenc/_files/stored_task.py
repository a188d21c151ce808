"""The task of a job whose source or result is at a storage: a file's task, between copying and publishing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .._errors import InvalidConfig, NvencError
from .._results import Result
from .._storage.fetching import Fetch
from .._storage.publishing import Publish, look_for_result
from .._storage.remote_file import StoredFile
from .._storage.spool_folder import JobSpool, remove_forgotten
from .._tasks import NextPlan, NotYet, Plan, Portable
from .commit import Commit
from .portable_stored import PortableStored
from .searching_task import SearchingTask
from .task import FileTask
from .wrapped_task import WrappedTask

if TYPE_CHECKING:
    from .job import FileJob
    from .stored_job import StoredJob


def file_task(job: FileJob, kind: str | None, refusal: InvalidConfig | None = None) -> FileTask:
    """The task that the job's settings need."""
    return (SearchingTask if job.settings.needs_search else FileTask)(job, kind, refusal)


class StoredTask(WrappedTask):
    """Copies the source to the spool, encodes it there, and publishes the result.

    The arguments are those of ``FileTask``.
    """

    def __init__(self, job: StoredJob, kind: str | None = None, refusal: InvalidConfig | None = None) -> None:
        self.job = job
        self._refusal = refusal
        self._from, self._to = job.source_address, job.destination_address
        self._spool = JobSpool(job.storage, str(job.source), str(job.destination))
        self._commit = Commit()
        self._seen: StoredFile | None = None
        self._source_seen: StoredFile | None = None
        source = Path(job.source) if self._from is None else self._spool.source(self._from.name)
        result = Path(job.destination) if self._to is None else self._spool.result(self._to.name)
        self._local = job.local(source, result)
        self._inner = file_task(self._local, kind)
        super().__init__(self._inner)

    @property
    def source(self) -> str:
        return str(self._from or self.job.source)

    @property
    def destination(self) -> str:
        return str(self._to or self.job.destination)

    @property
    def source_bytes(self) -> int:
        return self.job.source_bytes or super().source_bytes

    @property
    def estimated_work(self) -> float:
        return float(self.source_bytes)

    @property
    def is_committing(self) -> bool:
        return self._commit.has_begun if self._to is not None else super().is_committing

    def prepare(self, lanes: int) -> Plan:
        self._commit = Commit()
        if self._refusal is not None:
            raise self._refusal
        with self._names():
            if self._to is not None:
                self._seen = look_for_result(self._to, self.job.storage)
            remove_forgotten(self.job.storage)
            self._spool.open()
            self._fetch()
            return super().prepare(lanes)

    def _fetch(self) -> None:
        """Copies the source, if the disk has room for it and its result."""
        size, copies = self._local.source.stat().st_size if self._from is None else 0, 1
        fetch = file = None
        if self._from is not None:
            fetch = Fetch(self._from, self._local.source, self.job.storage, self._commit.require_not_cancelled)
            file = fetch.look()
            self._source_seen = file
            size, copies = file.size or 0, 1 if self._to is None else 2
        try:
            self._spool.claim(size * copies)
        except NotYet:
            self._spool.release()
            raise
        if fetch is not None and file is not None:
            fetch.run(file)

    def portable(self) -> Portable:
        """Other machines copy the source for themselves, and send the packets back. A local source they read by its
        path."""
        found = self._inner.portable()
        file = replace(self._inner.portable_file(), keeps_pieces=False)
        if self._from is None or self._source_seen is None:
            return replace(found, make=file.task)
        work = PortableStored(file=file, address=self._from, seen=self._source_seen, storage=self.job.storage)
        return replace(found, make=work.task)

    def finish(self) -> Result | NextPlan:
        with self._names():
            result = self._file.finish()
            if isinstance(result, NextPlan):
                return result
            if self._to is not None and result.skipped is None:
                self._publish()
        self._spool.remove()
        return replace(result, destination=self.destination)

    def _publish(self) -> None:
        assert self._to is not None
        Publish(
            self._local.destination,
            self._to,
            self.job.storage,
            seen=self._seen,
            interrupted=self._commit.require_not_cancelled,
            begin=self._commit.begin,
        ).run()

    def abandon(self, keep: bool) -> None:
        self._file.abandon(keep)
        if keep and self.job.keep_work:
            self._spool.release()
        else:
            self._spool.remove()

    def interrupt(self) -> None:
        self._commit.cancel()
        self._file.interrupt()

    @contextmanager
    def _names(self) -> Iterator[None]:
        """Makes errors name the places that the user knows, and not the copies."""
        try:
            yield
        except NvencError as error:
            text = str(error)
            for local, shown in ((self._local.source, self.source), (self._local.destination, self.destination)):
                text = text.replace(str(local), shown)
            error.args = (text, *error.args[1:])
            raise
