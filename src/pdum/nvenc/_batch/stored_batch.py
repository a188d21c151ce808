"""A batch whose sources or results are at a storage: which files there are, and what each becomes.

It has no journal. A result appears at a storage only when it is whole, so a result that is there is done.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from .._errors import InvalidConfig, NvencError, SourceUnreadable, UnsupportedFeature
from .._storage.address import Address, is_address, local_path
from .._storage.listing import list_files
from .._storage.publishing import look_for_result, require_publishable
from .._storage.remote_file import look_at
from .._storage.settings import StorageSettings
from .._text import error_text
from .decisions import ENCODE, EXISTS
from .destinations import is_beside, short_name, with_container
from .scan import Scan, is_video_name
from .settings import BatchSettings


@dataclass(frozen=True, kw_only=True)
class StoredSource:
    """A video. ``below`` is its path below ``root``, the folder that the user named; results keep it."""

    place: Path | Address
    root: Path | Address
    below: str
    size: int


@dataclass(frozen=True, kw_only=True)
class StoredDecision:
    """What happens to one source."""

    source: StoredSource
    destination: Path | Address
    action: str
    why: str = ""


@dataclass(kw_only=True)
class StoredBatch:
    settings: BatchSettings
    storage: StorageSettings
    decisions: list[StoredDecision] = field(default_factory=list)
    troubles: list[tuple[str, str]] = field(default_factory=list)
    """Sources that cannot be encoded, each with the reason."""
    ignored: int = 0

    def with_action(self, action: str) -> list[StoredDecision]:
        return [one for one in self.decisions if one.action == action]


def plan_stored(
    paths: Sequence[str], settings: BatchSettings, storage: StorageSettings, result: str | None = None
) -> StoredBatch:
    """Decides what to do. It lists folders and changes nothing. ``result``: the name of the only result."""
    batch = StoredBatch(settings=settings, storage=storage)
    sources = [source for path in paths for source in _sources(path, batch)]
    if result is None:
        _place_in_folders(sources, batch)
    else:
        destination = Address(result) if is_address(result) else local_path(result)
        batch.decisions = [_decision(one, destination, batch, _is_there(destination, storage)) for one in sources]
    return batch


# ---- sources ---------------------------------------------------------------------------------------------------------


def _sources(given: str, batch: StoredBatch) -> Iterator[StoredSource]:
    try:
        yield from _stored(Address(given), batch) if is_address(given) else _local(local_path(given), batch)
    except (InvalidConfig, UnsupportedFeature):  # which is so for all files
        raise
    except NvencError as error:
        batch.troubles.append((Address(given).shown if is_address(given) else given, error_text(error)))


def _stored(address: Address, batch: StoredBatch) -> Iterator[StoredSource]:
    settings = batch.settings
    files = list_files(address, batch.storage, recursive=settings.recursive)
    if files is None:
        size = look_at(address, batch.storage).size or 0
        yield StoredSource(place=address, root=address.parent, below=address.name, size=size)
        return
    for one in files:
        if is_video_name(one.below) and _is_meant(one.below, settings) and not _is_result(one.below, settings):
            yield StoredSource(place=one.address, root=address, below=one.below, size=one.size or 0)
        else:
            batch.ignored += 1


def _local(path: Path, batch: StoredBatch) -> Iterator[StoredSource]:
    settings = batch.settings
    scan = Scan(recursive=settings.recursive, include=settings.include, exclude=settings.exclude)
    found = scan.run([path])
    batch.troubles += [(str(one.source), one.reason) for one in found.troubles]
    batch.ignored += found.ignored
    for one in found.sources:
        below = one.path.relative_to(one.root).as_posix()
        yield StoredSource(place=one.path, root=one.root, below=below, size=one.size)


def _is_meant(below: str, settings: BatchSettings) -> bool:
    """Whether the patterns let the file through. They mean the name, or the path if they have a slash."""

    def matches(patterns: Sequence[str]) -> bool:
        parts = below.split("/")
        names = [(one, "/".join(parts[: number + 1])) for number, one in enumerate(parts)]
        return any(fnmatch(path if "/" in pattern else name, pattern) for pattern in patterns for name, path in names)

    return (not settings.include or matches(settings.include)) and not matches(settings.exclude)


def _is_result(below: str, settings: BatchSettings) -> bool:
    """Whether the file is in a folder of results beside sources."""
    return is_beside(settings.destination) and settings.destination in below.split("/")[:-1]


# ---- results ---------------------------------------------------------------------------------------------------------


def _place_in_folders(sources: Sequence[StoredSource], batch: StoredBatch) -> None:
    settings, taken = batch.settings, set[str]()
    there: dict[str, set[str]] = {}
    # Sources whose names stay as they are come first, so that they keep them.
    for one in sorted(sources, key=lambda one: with_container(_file_name(one), settings) != _file_name(one)):
        folder = _folder(one, settings)
        if str(folder) not in there:
            there[str(folder)] = _names_in(folder, batch.storage)
        name = _name(one, settings)
        if f"{folder}\n{name}" in taken:
            above, slash, last = name.rpartition("/")
            name = f"{above}{slash}{short_name(_file_name(one), os.path.splitext(last)[1])}"
        if f"{folder}\n{name}" in taken:
            batch.troubles.append((str(one.place), f"Its result {name} is already that of another source. Rename it."))
            continue
        taken.add(f"{folder}\n{name}")
        destination = folder.child(name) if isinstance(folder, Address) else folder / name
        batch.decisions.append(_decision(one, destination, batch, name in there[str(folder)]))


def _folder(source: StoredSource, settings: BatchSettings) -> Path | Address:
    """The folder that all results of the source's folder go to, with the paths below it."""
    given = settings.destination
    if is_address(given):
        return Address(given)
    if not is_beside(given):
        return local_path(given).expanduser().absolute()
    above = source.below.rpartition("/")[0]
    if isinstance(source.root, Address):
        return source.root.child(above, given)
    return source.root / above / given


def _file_name(source: StoredSource) -> str:
    return source.below.rpartition("/")[2]


def _name(source: StoredSource, settings: BatchSettings) -> str:
    """The path of the result below its folder, also if the storage has names such as ``//etc/film.mp4``."""
    made = with_container(_file_name(source), settings)
    above = [] if is_beside(settings.destination) else [part for part in source.below.split("/")[:-1] if part]
    return "/".join([*above, made])


def _names_in(folder: Path | Address, storage: StorageSettings) -> set[str]:
    """The paths of the files that are there, below the folder."""
    if isinstance(folder, Path):
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    require_publishable(folder.child("any"))
    try:
        return {one.below for one in list_files(folder, storage, recursive=True) or ()}
    except SourceUnreadable:
        return set()  # there is no such folder yet


def _is_there(destination: Path | Address, storage: StorageSettings) -> bool:
    if isinstance(destination, Path):
        return destination.exists()
    return look_for_result(destination, storage) is not None


def _decision(source: StoredSource, destination: Path | Address, batch: StoredBatch, is_there: bool) -> StoredDecision:
    if is_there and not batch.settings.overwrite:
        why = "its result exists; --overwrite makes it again"
        return StoredDecision(source=source, destination=destination, action=EXISTS, why=why)
    return StoredDecision(source=source, destination=destination, action=ENCODE)
