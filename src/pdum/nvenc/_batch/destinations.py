"""Which name each result gets: the source's own in another folder, and distinct names where two sources meet in one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from .._text import visible
from .journal import Journal
from .scan import Source, Trouble
from .settings import CONTAINERS, BatchSettings

LONGEST_NAME = 255
"""Bytes, on all usual file systems of Linux."""


@dataclass(frozen=True, kw_only=True)
class Named:
    """A source and where its result goes. ``folder`` is where the journal lies."""

    source: Source
    destination: Path
    folder: Path


@dataclass(kw_only=True)
class Names:
    named: list[Named] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)


def is_beside(destination: str) -> bool:
    """Whether the setting names a folder beside each source, rather than one for all."""
    return os.sep not in destination and destination not in ("~", ".", "..")


def folder_of(source: Source, settings: BatchSettings) -> Path:
    """Where the journal of the source's result lies."""
    if settings.in_place:
        return source.path.parent
    if is_beside(settings.destination):
        return source.path.parent / settings.destination
    return Path(os.path.abspath(Path(settings.destination).expanduser()))


class EarlierResults:
    """Whose results the journals of all these sources name. The cost of a question does not depend on their length."""

    def __init__(
        self, sources: Iterable[Source], settings: BatchSettings, journal_of: Callable[[Path], Journal]
    ) -> None:
        self._journals = {str(folder): journal_of(folder) for folder in {folder_of(one, settings) for one in sources}}
        self._above: dict[str, list[tuple[int, Journal]]] = {}
        """The journals of a folder and of those above it, with the length of each one's folder."""

    def maker_of(self, path: Path) -> Path | None:
        """The source that this file was made of, by an earlier run."""
        folder, name = os.path.split(path)
        for length, journal in self._journals_above(folder):
            source = journal.maker_of(f"{folder}{os.sep}{name}"[length + 1 :])
            if source is not None:
                return Path(os.path.normpath(journal.folder / source))
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


def name_all(
    sources: Sequence[Source],
    settings: BatchSettings,
    journal_of: Callable[[Path], Journal],
    earlier: EarlierResults | None = None,
) -> Names:
    """Names stay what they were in earlier runs, whatever files came since."""
    result = Names()
    if settings.in_place:
        return _in_place(sources, result)
    earlier = earlier or EarlierResults(sources, settings, journal_of)
    taken: dict[Path, Path] = {}
    wanted: dict[Source, Path] = {}
    for source in sources:
        folder = folder_of(source, settings)
        wanted[source] = folder / _below(source, settings) / _with_container(source.path.name, settings)
        entry = journal_of(folder).entry(source.path)
        if entry is not None:
            taken.setdefault(folder / entry.output, source.path)
    chosen = {path: destination for destination, path in taken.items()}
    all_sources = {source.path for source in sources}

    def is_free(path: Path, source: Source) -> bool:
        """Results of sources that are not part of this run keep their names too."""
        return path not in taken and path not in all_sources and earlier.maker_of(path) in (None, source.path)

    # Who keeps its name as it is comes first.
    for source in sorted(sources, key=lambda one: (wanted[one].name != one.path.name, os.fsencode(one.path))):
        if source.path not in chosen and wanted[source] != source.path:
            candidates = _candidates(source, wanted[source])
            chosen[source.path] = next(one for one in candidates if is_free(one, source))
            taken[chosen[source.path]] = source.path
    for source in sources:
        _tell(source, wanted[source], chosen.get(source.path), folder_of(source, settings), result)
    return result


def _tell(source: Source, wanted: Path, destination: Path | None, folder: Path, result: Names) -> None:
    if destination is None:
        reason = "would be replaced by its own result; give another folder with -o, or --in-place"
        result.troubles.append(Trouble(source=source.path, reason=reason))
        return
    if destination != wanted:
        name = visible(str(destination.name))
        result.notices.append(
            f"{visible(str(source.path))} becomes {name}, for {visible(str(wanted.name))} is another's."
        )
    result.named.append(Named(source=source, destination=destination, folder=folder))


def _in_place(sources: Sequence[Source], result: Names) -> Names:
    """One file under several names is replaced once, under the first."""
    first: dict[tuple[int, int], Source] = {}
    for source in sources:
        if source.path.suffix.lower().removeprefix(".") not in CONTAINERS:
            reason = f"cannot be replaced in place: a result is one of {', '.join(CONTAINERS)}; leave out --in-place"
            result.troubles.append(Trouble(source=source.path, reason=reason))
            continue
        known = first.setdefault(source.inode, source)
        if known is not source:
            result.notices.append(f"{visible(str(source.path))} is the same file as {visible(str(known.path))}.")
            continue
        result.named.append(Named(source=source, destination=source.path, folder=source.path.parent))
    return result


def _below(source: Source, settings: BatchSettings) -> Path:
    return Path() if is_beside(settings.destination) else source.path.parent.relative_to(source.root)


def _with_container(name: str, settings: BatchSettings) -> str:
    """Kept where it can hold the result: QuickTime has no AV1, which "auto" may come to on the next machine."""
    stem, suffix = os.path.splitext(name)
    container = settings.container
    if container == "auto":
        kept = CONTAINERS if settings.codec in ("h264", "hevc") else CONTAINERS[:2]
        return name if suffix.lower().removeprefix(".") in kept else _short(stem, ".mkv")
    return name if suffix.lower() == f".{container}" else _short(stem, f".{container}")


def _candidates(source: Source, wanted: Path) -> Iterator[Path]:
    stem, suffix = os.path.splitext(wanted.name)
    yield wanted
    if source.path.suffix.lower() != suffix.lower():
        yield wanted.with_name(_short(source.path.name, suffix))
    parent = source.path.parent.name
    if parent:
        yield wanted.with_name(_short(f"{stem} ({parent})", suffix))
    # Of the whole path, so that the name depends on no other file.
    mark = sha256(os.fsencode(source.path)).hexdigest()
    for length in range(6, len(mark)):
        yield wanted.with_name(_short(f"{stem} ({mark[:length]})", suffix))


def _short(stem: str, suffix: str) -> str:
    """Cut where a file system would refuse it, in bytes and between characters, and kept distinct by a mark."""
    raw = os.fsencode(stem + suffix)
    if len(raw) <= LONGEST_NAME:
        return stem + suffix
    mark = f"~{sha256(raw).hexdigest()[:8]}"
    while len(os.fsencode(stem + mark + suffix)) > LONGEST_NAME:
        stem = stem[:-1]
    return stem + mark + suffix
