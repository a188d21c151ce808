"""Gives a result its name at a storage. Nothing half-written ever has that name, and nothing stays after a failure.

A file system gets the result under another name first, and renames it. An object store shows an object when all of it
has come, and checks what comes.
"""

from __future__ import annotations

import hashlib
import platform
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from .._errors import InvalidConfig, NvencError, StorageFailed, UnsupportedFeature
from .address import WEB, Address
from .checksums import CHUNK, checksum_of, new_hash
from .file_systems import telling
from .remote_file import Interrupted, RemoteFile, StoredFile, connected
from .settings import StorageSettings

OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs")
FILE_SYSTEMS = ("sftp", "ssh", "memory")
PART_OF_UPLOAD = 16 << 20
"""Bytes. S3 takes 10,000 parts, so that larger files get larger parts."""
MOST_PARTS = 9_000


def require_publishable(address: Address) -> None:
    """Raises if results cannot go there, before anything is encoded."""
    if address.protocol in WEB:
        raise UnsupportedFeature(
            f"{address.shown}: Results cannot be written to a web server. Use s3://, sftp:// or a local path."
        )
    if address.protocol not in (*OBJECT_STORES, *FILE_SYSTEMS):
        raise UnsupportedFeature(
            f"{address.shown}: Results cannot be written to {address.protocol}://, because a file there could be seen "
            f"before it is complete. Use {', '.join(f'{one}://' for one in (*OBJECT_STORES, *FILE_SYSTEMS))} or a "
            "local path."
        )
    if address.names_a_folder or not address.name:
        raise InvalidConfig(f"{address.shown} is a folder. Name a file instead.")


def look_for_result(address: Address, settings: StorageSettings) -> StoredFile | None:
    """What has the name now. Raises if a result cannot go there, as far as can be said before."""
    require_publishable(address)
    with telling(address, settings, "written"), connected(address, settings) as remote:
        remote.require_bucket()
        return remote.file_or_none()


class Publish:
    """One transfer of the local file ``result``.

    Args:
        result: the verified file.
        address: its name at the storage.
        settings: of all transfers.
        seen: what had this name when the job began. Anything else there now is not replaced.
        interrupted: is called several times a second, and raises to end the transfer.
        begin: is called just before the result gets its name, and raises to prevent that.
    """

    def __init__(
        self,
        result: Path,
        address: Address,
        settings: StorageSettings,
        *,
        seen: StoredFile | None,
        interrupted: Interrupted,
        begin: Callable[[], object],
    ) -> None:
        self._result, self._address, self._settings, self._seen = result, address, settings, seen
        self._interrupted, self._begin = interrupted, begin
        self._size = result.stat().st_size

    def run(self) -> None:
        """Raises StorageFailed if the result could not be published."""
        with telling(self._address, self._settings, "written"), connected(self._address, self._settings) as remote:
            if self._address.protocol in OBJECT_STORES:
                self._put(remote)
            else:
                self._write_and_rename(remote)

    def _write_and_rename(self, remote: RemoteFile) -> None:
        make_folder(remote)
        part = remote.sibling(part_name(self._address.name))
        try:
            part.write(self._local_chunks())
            self._verify(part)
            self._require_same(remote)
            self._begin()
            rename(part, remote)
        except BaseException:
            with suppress(Exception):  # the connection may be gone
                part.remove()
            raise

    def _put(self, remote: RemoteFile) -> None:
        self._require_same(remote)
        more = self._for_s3() if self._address.protocol in ("s3", "s3a") else {}
        callback = self._callback()
        if self._size < 2 * PART_OF_UPLOAD:
            self._begin()
        remote.system.put_file(str(self._result), remote.path, callback=callback, **more)
        self._verify(remote)

    def _for_s3(self) -> dict[str, Any]:
        """Makes the server refuse what does not arrive as it was sent."""
        part = max(PART_OF_UPLOAD, -(-self._size // MOST_PARTS))
        if self._size >= 2 * part:
            return {"chunksize": part}
        digest = bytes.fromhex(checksum_of(self._result, "md5", self._interrupted).digest)
        return {"chunksize": part, "ContentMD5": b64encode(digest).decode()}

    def _callback(self) -> Any:
        """Ends an upload of several parts, until the last of them has been sent."""
        publish, base = self, import_module("fsspec.callbacks").Callback

        class OfParts(base):  # type: ignore[misc, valid-type]
            def relative_update(self, inc: int = 1) -> None:
                super().relative_update(inc)
                publish._sent(self.value)

        return OfParts()

    def _sent(self, count: int) -> None:
        if self._size >= 2 * PART_OF_UPLOAD:
            self._interrupted()
            if count >= self._size:
                self._begin()

    def _local_chunks(self) -> Iterator[bytes]:
        with self._result.open("rb") as file:
            while data := file.read(CHUNK):
                self._interrupted()
                yield data

    def _verify(self, remote: RemoteFile) -> None:
        """Compares the server's checksum; reads the file back if the server has none."""
        file = remote.file()
        wrong = None
        if file.size != self._size:
            wrong = f"it has {file.size} bytes there instead of {self._size}."
        elif not self._is_confirmed(remote, file):
            wrong = "it has other bytes there than it was sent with."
        if wrong is not None:
            with suppress(Exception):
                remote.remove()
            raise StorageFailed(f"{self._address.shown} could not be written: {wrong} It was removed.")

    def _is_confirmed(self, remote: RemoteFile, file: StoredFile) -> bool:
        told = file.checksum
        if told is not None and checksum_of(self._result, told.algorithm, self._interrupted) == told:
            return True
        back = new_hash("sha256")
        for data in remote.chunks(0, file.size):
            back.update(data)
        return bool(back.hexdigest() == checksum_of(self._result, "sha256").digest)

    def _require_same(self, remote: RemoteFile) -> None:
        if remote.file_or_none() != self._seen:
            raise NvencError(
                f"Another program wrote, changed or removed {self._address.shown} meanwhile. Nothing was replaced. "
                "Move that file away if you need it, and encode the source again."
            )


def part_name(name: str) -> str:
    """A hidden name, the same each time on this machine, so that what a killed process left is written over."""
    mark = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
    return f".{name[:200]}.{mark}.pdum-part"


def make_folder(remote: RemoteFile) -> None:
    folder = remote.path.rpartition("/")[0]
    if folder:
        remote.system.makedirs(folder, exist_ok=True)


def rename(part: RemoteFile, remote: RemoteFile) -> None:
    """Replaces what has the name, in one step."""
    if remote.address.protocol in ("sftp", "ssh"):
        _rename_by_sftp(part, remote)
    else:
        remote.system.mv(part.path, remote.path)


def _rename_by_sftp(part: RemoteFile, remote: RemoteFile) -> None:
    """Old servers cannot replace a file. They get a plain rename, which fails if there is one."""
    sftp = remote.system.ftp
    try:
        sftp.posix_rename(part.path, remote.path)
    except OSError:
        if remote.file_or_none() is not None:
            raise StorageFailed(
                f"{remote.address.shown} exists, and this server cannot replace a file in one step. Remove it first."
            ) from None
        sftp.rename(part.path, remote.path)
