"""The destination of each result: the source's name in another folder. Results of one folder get different names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from .._media.containers import WITH_ALPHA
from .._text import visible
from .journal import Journal
from .journal_entry import Entry
from .scan import Source, Trouble
from .settings import CONTAINERS, BatchSettings

LONGEST_NAME = 255
"""In bytes. All usual file systems of Linux have this limit."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A source and its destination. ``folder`` holds the journal."""

    source: Source
    destination: Path
    folder: Path


@dataclass(kw_only=True)
class Placements:
    placements: list[Placement] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)


def is_beside(destination: str) -> bool:
    """Whether the setting names a folder next to each source, rather than one for all."""
    return os.sep not in destination and destination not in ("~", ".", "..")


class Folders:
    """The folders that hold the journals, by the source."""

    def __init__(self, settings: BatchSettings, journal_of: Callable[[Path], Journal]) -> None:
        self._settings, self._journal_of = settings, journal_of
        self._found: dict[str, Path] = {}

    def of(self, source: Source) -> Path:
        """The folder of the source's journal."""
        parent = os.path.dirname(source.path)
        folder = self._found.get(parent)
        if folder is None:
            folder = self._found[parent] = _folder_for(source.path.parent, self._settings)
        return folder

    def journal(self, source: Source) -> Journal:
        return self._journal_of(self.of(source))

    def entry(self, source: Source) -> Entry | None:
        return self.journal(source).entry(source.path)


def _folder_for(parent: Path, settings: BatchSettings) -> Path:
    if settings.in_place:
        return parent
    if is_beside(settings.destination):
        return parent / settings.destination
    return Path(os.path.abspath(Path(settings.destination).expanduser()))


class EarlierResults:
    """The results that the journals of these sources name. A look-up costs the same however long the journals are."""

    def __init__(self, sources: Iterable[Source], folders: Folders) -> None:
        self._journals = {str(folders.of(source)): folders.journal(source) for source in sources}
        self._above: dict[str, list[tuple[int, Journal]]] = {}
        """The journals of a folder and of those above it, with the length of each one's folder."""

    def maker_of(self, path: str) -> str | None:
        """The source of this file if an earlier run made it."""
        for length, journal in self._journals_above(os.path.dirname(path)):
            source = journal.maker_of(path[length + 1 :])
            if source is not None:
                return os.path.normpath(journal.folder / source)
        return None

    def _journals_above(self, folder: str) -> list[tuple[int, Journal]]:
        found = self._above.get(folder)
        if found is None:
            parent = os.path.dirname(folder)
            found = [] if parent == folder else self._journals_above(parent)
            if folder in self._journals:
                found = [(len(folder.rstrip(os.sep)), self._journals[folder]), *found]
            self._above[folder] = found
        return found


def place_all(
    sources: Sequence[Source], settings: BatchSettings, folders: Folders, earlier: EarlierResults
) -> Placements:
    """Results keep the names of earlier runs, even if new files have come."""
    if settings.in_place:
        return _in_place(sources)
    wanted = [str(folders.of(one) / _below(one, settings) / with_container(one.path.name, settings)) for one in sources]
    chosen = _names_of_earlier_runs(sources, folders)
    taken = {*chosen.values(), *(str(source.path) for source in sources)}

    def is_free(name: str, source: str) -> bool:
        """Results of sources that are not part of this run keep their names too."""
        return name not in taken and earlier.maker_of(name) in (None, source)

    def order(number: int) -> tuple[bool, bytes]:
        """Sources whose names stay as they are come first."""
        path = sources[number].path
        return os.path.basename(wanted[number]) != path.name, os.fsencode(path)

    for number in sorted(range(len(sources)), key=order):
        path = str(sources[number].path)
        if path not in chosen and wanted[number] != path:
            candidates = _candidates(sources[number], wanted[number])
            chosen[path] = next(name for name in candidates if is_free(name, path))
            taken.add(chosen[path])
    result = Placements()
    for source, name in zip(sources, wanted, strict=True):
        _place(source, name, chosen.get(str(source.path)), folders.of(source), result)
    return result


def _wanted(source: Source, folder: Path, settings: BatchSettings) -> str:
    """The name that the result gets if it is free."""
    return str(folder / _below(source, settings) / with_container(source.path.name, settings))


def _names_of_earlier_runs(sources: Iterable[Source], folders: Folders) -> dict[str, str]:
    """The result of each source that has one. If two sources claim one name, the first gets it."""
    owners: dict[str, str] = {}
    for source in sources:
        entry = folders.entry(source)
        if entry is not None:
            owners.setdefault(str(folders.of(source) / entry.output), str(source.path))
    return {source: name for name, source in owners.items()}


def _place(source: Source, wanted: str, destination: str | None, folder: Path, result: Placements) -> None:
    if destination is None:
        reason = "The result would overwrite its own source. Choose another folder with -o, or use --in-place."
        result.troubles.append(Trouble(source=source.path, reason=reason))
        return
    if destination != wanted:
        name, other = visible(os.path.basename(destination)), visible(os.path.basename(wanted))
        result.notices.append(f"{visible(str(source.path))} becomes {name}, because another file has the name {other}.")
    result.placements.append(Placement(source=source, destination=Path(destination), folder=folder))


def _in_place(sources: Sequence[Source]) -> Placements:
    """One file under several names is replaced once, under the first."""
    result = Placements()
    first: dict[tuple[int, int], Source] = {}
    for source in sources:
        if source.path.suffix.lower().removeprefix(".") not in CONTAINERS:
            reason = f"Cannot be replaced in place: only {', '.join(CONTAINERS)} can. Leave out --in-place."
            result.troubles.append(Trouble(source=source.path, reason=reason))
            continue
        known = first.setdefault(source.inode, source)
        if known is not source:
            result.notices.append(f"{visible(str(source.path))} is the same file as {visible(str(known.path))}.")
            continue
        result.placements.append(Placement(source=source, destination=source.path, folder=source.path.parent))
    return result


def _below(source: Source, settings: BatchSettings) -> Path:
    return Path() if is_beside(settings.destination) else source.path.parent.relative_to(source.root)


def with_container(name: str, settings: BatchSettings) -> str:
    """The container stays if it can hold the result. QuickTime has no AV1, which "auto" may choose elsewhere, and is
    where players expect alpha."""
    stem, suffix = os.path.splitext(name)
    container = settings.container
    if container == "auto" and settings.keeps_alpha:
        return name if suffix.lower().removeprefix(".") in WITH_ALPHA else short_name(stem, ".mov")
    if container == "auto":
        kept = CONTAINERS if settings.codec in ("h264", "hevc") else CONTAINERS[:2]
        return name if suffix.lower().removeprefix(".") in kept else short_name(stem, ".mkv")
    return name if suffix.lower() == f".{container}" else short_name(stem, f".{container}")


def _candidates(source: Source, wanted: str) -> Iterator[str]:
    folder, name = os.path.split(wanted)
    stem, suffix = os.path.splitext(name)
    yield wanted
    if source.path.suffix.lower() != suffix.lower():
        yield os.path.join(folder, short_name(source.path.name, suffix))
    parent = source.path.parent.name
    if parent:
        yield os.path.join(folder, short_name(f"{stem} ({parent})", suffix))
    # A digest of the whole path, so that the name depends on no other file.
    mark = sha256(os.fsencode(source.path)).hexdigest()
    for length in range(6, len(mark)):
        yield os.path.join(folder, short_name(f"{stem} ({mark[:length]})", suffix))


def short_name(stem: str, suffix: str) -> str:
    """Shortens a name that is too long for file systems, between characters. A mark keeps such names different."""
    raw = os.fsencode(stem + suffix)
    if len(raw) <= LONGEST_NAME:
        return stem + suffix
    mark = f"~{sha256(raw).hexdigest()[:8]}"
    while len(os.fsencode(stem + mark + suffix)) > LONGEST_NAME:
        stem = stem[:-1]
    return stem + mark + suffix
