"""The task of a file at a storage as other machines have it: each copies the source for itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from .._storage.address import Address
from .._storage.remote_file import StoredFile
from .._storage.settings import StorageSettings
from .._storage.shared_copy import SharedCopy
from .._tasks import Remarks
from .portable_file import FileElsewhere, PortableFile

if TYPE_CHECKING:
    from .._config.config import EncoderConfig
    from .._tasks import PieceSink
    from ..events import EngineInfo


@dataclass(frozen=True, kw_only=True)
class PortableStored:
    """What another machine needs of the task. Its packets go back, so it needs no folder that both see."""

    file: PortableFile
    address: Address
    seen: StoredFile
    storage: StorageSettings

    def task(self) -> StoredElsewhere:
        return StoredElsewhere(self)


class StoredElsewhere:
    """A ``PortableTask``. It copies the source when it is first needed, while the pool hears from its worker.

    A worker does one order at a time, so a process keeps the copy of its latest source alone.
    """

    needs_encoder = False
    _latest: StoredElsewhere | None = None

    def __init__(self, work: PortableStored) -> None:
        self.encoder_config: EncoderConfig
        self._work, self._lock = work, Lock()
        assert work.file.seen is not None, "the source has been copied where the job was given"
        self._copy = SharedCopy(work.address, work.seen, work.file.seen.mtime_ns, work.storage)
        self._task: FileElsewhere | None = None

    def _ready(self) -> FileElsewhere:
        latest, StoredElsewhere._latest = StoredElsewhere._latest, self
        if latest is not None and latest is not self:
            latest.close()
        with self._lock:
            if self._task is None:
                job = replace(self._work.file.job, source=self._copy.take())
                self._task = FileElsewhere(replace(self._work.file, job=job, keeps_pieces=False))
            self._task.encoder_config = self.encoder_config
            return self._task

    def config(self, engine: EngineInfo) -> EncoderConfig:
        return self._ready().config(engine)

    def frames(self, first: int, engine: EngineInfo) -> Iterator[Any]:
        return self._ready().frames(first, engine)

    def frames_with(self, first: int, engine: EngineInfo, encoder: Any) -> Iterator[Any]:
        raise NotImplementedError

    def sink(self, first: int) -> PieceSink | None:  # noqa: ARG002
        """None: the packets go back."""
        return None

    def new_remarks(self) -> Remarks:
        return Remarks() if self._task is None else self._task.new_remarks()

    def close(self) -> None:
        with self._lock:
            if self._task is not None:
                self._task.close()
                self._task = None
            self._copy.release()
