"""One file at a storage: what it is, its bytes, and how it gets new ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from .address import Address
from .checksums import CHUNK, Checksum, told_checksum
from .file_systems import file_system, telling
from .settings import StorageSettings


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """What a storage tells of a file. Two that are equal are of the same content, as far as it tells."""

    size: int | None
    """None: a web server that does not tell the size."""
    mark: str
    """The ETag, or the time of the last change; empty if the storage tells neither."""
    checksum: Checksum | None = None


class RemoteFile:
    """A file at a storage, which may not be there yet, or a folder to be listed. Errors are those of the storage: see
    ``telling``."""

    def __init__(self, address: Address, system: Any, path: str) -> None:
        self.address, self.system, self.path = address, system, path

    def info(self) -> Mapping[str, Any]:
        """What fsspec tells, asked anew. Raises FileNotFoundError."""
        self.system.invalidate_cache()
        found: dict[str, Any] = dict(self.system.info(self.path))
        if found.get("type") == "file" and self.address.protocol in ("s3", "s3a"):
            bucket, key, _ = self.system.split_path(self.path)
            found |= self.system.call_s3("head_object", Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        return found

    def file(self) -> StoredFile:
        """Raises FileNotFoundError if there is no such file, IsADirectoryError for a folder."""
        found = self.info()
        if found.get("type") == "directory":
            raise IsADirectoryError(f"{self.address.shown} is a folder, and not a file.")
        return stored_file(found, self.address.protocol)

    def file_or_none(self) -> StoredFile | None:
        try:
            return self.file()
        except FileNotFoundError:
            return None

    def require_bucket(self) -> None:
        """Raises FileNotFoundError if S3 has no such bucket. Not everyone who may write to it may ask."""
        if self.address.protocol in ("s3", "s3a"):
            with suppress(PermissionError):
                self.system.call_s3("head_bucket", Bucket=self.system.split_path(self.path)[0])

    def chunks(self, start: int, size: int | None) -> Iterator[bytes]:
        """The bytes from ``start`` on. Raises ValueError if the storage can only read from the beginning."""
        with closing(self.system.open(self.path, "rb", block_size=CHUNK, cache_type="none")) as file:
            if start:
                file.seek(start)
            if size is not None and hasattr(file, "prefetch"):  # of SFTP, which else waits for each 32 KB
                file.prefetch(size)
            while data := file.read(CHUNK):
                yield data

    def remove(self) -> None:
        with suppress(FileNotFoundError):
            self.system.rm_file(self.path)

    def write(self, chunks: Iterator[bytes]) -> None:
        """Writes the file at once, under its own name."""
        with closing(self.system.open(self.path, "wb")) as file:
            if hasattr(file, "set_pipelined"):  # of SFTP
                file.set_pipelined(True)
            for data in chunks:
                file.write(data)

    def sibling(self, name: str) -> RemoteFile:
        """Another file in the same folder."""
        folder, slash, _ = self.path.rpartition("/")
        return RemoteFile(self.address.parent.child(name), self.system, f"{folder}{slash}{name}")


def stored_file(info: Mapping[str, Any], protocol: str) -> StoredFile:
    stamps = ("ETag", "etag", "generation", "LastModified", "Last-Modified", "last_modified", "mtime", "created")
    mark = next((str(info[name]) for name in stamps if info.get(name)), "")
    return StoredFile(size=info.get("size"), mark=mark, checksum=told_checksum(info, protocol))


@contextmanager
def connected(address: Address, settings: StorageSettings) -> Iterator[RemoteFile]:
    """The file, as long as the connection is open. It raises what the storage raises."""
    with file_system(address, settings) as (system, path):
        yield RemoteFile(address, system, path)


def look_at(address: Address, settings: StorageSettings) -> StoredFile:
    """What the storage tells of the file. Raises SourceUnreadable if there is none."""
    with telling(address, settings, "read"), connected(address, settings) as remote:
        return remote.file()


def look_for(address: Address, settings: StorageSettings) -> StoredFile | None:
    """Likewise; None if there is none."""
    with telling(address, settings, "read"), connected(address, settings) as remote:
        return remote.file_or_none()


Interrupted = Callable[[], object]
"""Is called several times a second, and may raise."""
