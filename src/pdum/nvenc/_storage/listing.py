"""The files below a folder of a storage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .address import Address
from .file_systems import telling
from .remote_file import RemoteFile, connected
from .settings import StorageSettings


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A file of a folder. ``below`` is its path below the folder that was listed."""

    address: Address
    below: str
    size: int | None


def list_files(folder: Address, settings: StorageSettings, *, recursive: bool) -> list[Listed] | None:
    """All files, sorted by their paths; None if the address is that of a file. Raises SourceUnreadable if there is
    nothing at the address. Hidden files and folders are left out."""
    with telling(folder, settings, "listed"), connected(folder, settings) as remote:
        if _is_file(remote):
            return None
        return sorted(_below(remote, recursive), key=lambda one: one.below)


def _is_file(remote: RemoteFile) -> bool:
    return not remote.address.names_a_folder and remote.info().get("type") == "file"


def _below(remote: RemoteFile, recursive: bool) -> Iterator[Listed]:
    remote.system.invalidate_cache()
    found: dict[str, Mapping[str, Any]] = (
        remote.system.find(remote.path, detail=True)
        if recursive
        else {one["name"]: one for one in remote.system.ls(remote.path, detail=True)}
    )
    root = remote.path.rstrip("/") + "/"
    for path, info in found.items():
        below = path.removeprefix(root)
        if info.get("type") == "file" and below and path.startswith(root) and not _is_hidden(below):
            yield Listed(address=remote.address.exactly(below), below=below, size=info.get("size"))


def _is_hidden(below: str) -> bool:
    return any(part.startswith(".") for part in below.split("/"))
