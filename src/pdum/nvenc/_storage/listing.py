"""The files below a folder of a storage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .address import Address
from .file_systems import telling
from .place import Place, connected
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
    with telling(folder, settings, "listed"), connected(folder, settings) as place:
        if _is_file(place):
            return None
        return sorted(_below(place, recursive), key=lambda one: one.below)


def _is_file(place: Place) -> bool:
    return not place.address.names_a_folder and place.info().get("type") == "file"


def _below(place: Place, recursive: bool) -> Iterator[Listed]:
    place.system.invalidate_cache()
    found: dict[str, Mapping[str, Any]] = (
        place.system.find(place.path, detail=True)
        if recursive
        else {one["name"]: one for one in place.system.ls(place.path, detail=True)}
    )
    root = place.path.rstrip("/") + "/"
    for path, info in found.items():
        below = path.removeprefix(root)
        if info.get("type") == "file" and below and path.startswith(root) and not _is_hidden(below):
            yield Listed(address=place.address.child(below), below=below, size=info.get("size"))


def _is_hidden(below: str) -> bool:
    return any(part.startswith(".") for part in below.split("/"))
