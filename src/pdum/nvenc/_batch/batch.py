"""A batch: files and folders turned into jobs, with journals that let it continue after an earlier run was stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .._errors import InvalidConfig
from .._text import count, visible
from .decisions import BIGGER_BEFORE, DONE_BEFORE, ENCODE, EXISTS, Decision, decide
from .destinations import EarlierResults, Folders, Placement, Placements, is_beside, place_all
from .journal import is_there
from .known_journals import KnownJournals
from .scan import Found, Scan, Trouble
from .scan_progress import counted, ignore_progress
from .settings import BatchSettings
from .settings_digest import digest_of


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """Everything that is known before a file is opened."""

    settings: BatchSettings
    decisions: tuple[Decision, ...]
    troubles: tuple[Trouble, ...]
    notices: tuple[str, ...]
    ignored: int
    lie_among_files: bool = False
    """Whether the folder of the results is also one of the user's own files."""

    def with_action(self, action: str) -> list[Decision]:
        return [one for one in self.decisions if one.action == action]

    @property
    def folders(self) -> list[Path]:
        """The folders of the journals."""
        return list(dict.fromkeys(one.placement.folder for one in self.decisions))


def plan(
    paths: Sequence[Path], settings: BatchSettings, progress: Callable[[int, int], object] = ignore_progress
) -> BatchPlan:
    """Decides what to do. It reads only names, sizes and journals, and changes nothing.

    ``progress`` gets the number of videos so far, and how many of them have been compared with earlier results.
    """
    known = KnownJournals()
    scan = replace(scan_for(settings, known), progress=lambda found: progress(found, 0))
    return plan_sources(scan.run(paths), settings, known, progress)


def plan_one(source: Path, result: Path, settings: BatchSettings) -> BatchPlan:
    """Decides what to do with one source whose result gets this name. The journal lies beside the result."""
    named = replace(settings, destination=str(result.parent), in_place=False)
    found = Scan().run([source])
    journals = KnownJournals()
    folders = Folders(named, journals.of)
    placements = [Placement(source=one, destination=result, folder=result.parent) for one in found.sources]
    decisions = [decide(one, folders.entry(one.source), named, digest_of(named)) for one in placements]
    return BatchPlan(
        settings=named,
        decisions=tuple(decisions),
        troubles=tuple(found.troubles),
        notices=tuple(journals.of(result.parent).notices),
        ignored=0,
        lie_among_files=True,
    )


def plan_sources(
    found: Found,
    settings: BatchSettings,
    journals: KnownJournals,
    progress: Callable[[int, int], object] = ignore_progress,
) -> BatchPlan:
    """Decides what to do with sources that have been found already."""
    require_one_left_view(settings, found)
    where = Folders(settings, journals.of)
    placements = _placed(found, settings, where)
    digest = digest_of(settings)
    decided = (decide(one, where.entry(one.source), settings, digest) for one in placements.placements)
    decisions = tuple(counted(decided, lambda checked: progress(len(found.sources), checked)))
    folders = dict.fromkeys(one.folder for one in placements.placements)
    return BatchPlan(
        settings=settings,
        decisions=decisions,
        troubles=(*found.troubles, *placements.troubles),
        notices=(*placements.notices, *(notice for folder in folders for notice in journals.of(folder).notices)),
        ignored=found.ignored,
    )


def require_one_left_view(settings: BatchSettings, found: Found) -> None:
    """Raises InvalidConfig if several videos would have one right view."""
    if settings.right and len(found.sources) > 1:
        raise InvalidConfig(
            f"right={settings.right!r} goes with one video for the left eye, got {len(found.sources)} videos. Give one."
        )


def scan_for(settings: BatchSettings, journals: KnownJournals) -> Scan:
    """Leaves out folders of results: those of this run by name, and those of earlier ones by their journals."""
    beside = is_beside(settings.destination) and not settings.in_place
    apart = None if is_beside(settings.destination) else one_folder(settings)

    def is_for_results(folder: Path) -> bool:
        if (beside and folder.name == settings.destination) or folder == apart:
            return True
        return is_there(folder) and journals.of(folder).kind == "outputs"

    return Scan(
        recursive=settings.recursive,
        include=settings.include,
        exclude=settings.exclude,
        leave_out=is_for_results,
    )


def one_folder(settings: BatchSettings) -> Path:
    """The folder for all results, if the settings name one."""
    return Path(os.path.abspath(Path(settings.destination).expanduser()))


def _placed(found: Found, settings: BatchSettings, folders: Folders) -> Placements:
    """Leaves out the results of earlier runs that lie among the sources."""
    earlier = EarlierResults(found.sources, folders)
    is_apart = settings.in_place
    sources = [one for one in found.sources if is_apart or earlier.maker_of(str(one.path)) is None]
    return place_all(sources, settings, folders, earlier)


def describe(batch: BatchPlan) -> Iterator[str]:
    """Sentences about the files that are skipped or encoded again."""
    for decision in batch.decisions:
        if decision.why and decision.action in (ENCODE, EXISTS):
            what = "encoded again" if decision.action == ENCODE else "skipped"
            yield f"{visible(str(decision.source))}: {what}, because {decision.why}."
    for action, words in (
        (DONE_BEFORE, "already done; skipped."),
        (BIGGER_BEFORE, "already tried, but not smaller; skipped. --keep-bigger encodes them anyway."),
    ):
        number = len(batch.with_action(action))
        if number:
            yield f"{count(number, 'file')} {words}"
