"""The local file that a transfer fills, with the checksum of what is in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from .._media.disk_errors import naming_the_disk
from .checksums import CHUNK, Checksum, new_hash

if TYPE_CHECKING:
    from typing_extensions import Self


class LocalDisk(Exception):
    """Carries an ``error`` of the local disk past the code that takes errors for those of the storage."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def local_disk(path: Path) -> Iterator[None]:
    try:
        with naming_the_disk(path):
            yield
    except OSError as error:
        raise LocalDisk(error) from error


class PartFile:
    """Opened for writing behind what an earlier transfer has left in it. Any method may raise ``LocalDisk``."""

    def __init__(self, path: Path, algorithm: str | None) -> None:
        self._path, self._algorithm = path, algorithm
        with local_disk(path):
            self._file = path.open("ab+")
        self._begin()

    def _begin(self) -> None:
        self.size = 0
        self._hash = None if self._algorithm is None else new_hash(self._algorithm)

    def read_what_is_there(self) -> None:
        with local_disk(self._path):
            self._file.seek(0)
            while data := self._file.read(CHUNK):
                self._count(data)

    def clear(self) -> None:
        with local_disk(self._path):
            self._file.truncate(0)
        self._begin()

    def write(self, data: bytes) -> None:
        with local_disk(self._path):
            self._file.write(data)
        self._count(data)

    def sync(self) -> None:
        with local_disk(self._path):
            self._file.flush()
            os.fsync(self._file.fileno())

    def _count(self, data: bytes) -> None:
        self.size += len(data)
        if self._hash is not None:
            self._hash.update(data)

    @property
    def checksum(self) -> Checksum | None:
        if self._algorithm is None or self._hash is None:
            return None
        return Checksum(self._algorithm, self._hash.hexdigest())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with local_disk(self._path):
            self._file.close()
