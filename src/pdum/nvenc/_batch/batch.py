"""A batch: files and folders turned into jobs, with journals that let it continue after an earlier run was stopped."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .._errors import NvencError
from .._text import count, error_text, visible
from .destinations import EarlierResults, Folders, Placement, Placements, is_beside, place_all
from .journal import Journal, is_there
from .journal_entry import BEGUN, BIGGER, DONE, FAILED, Entry, Identity, identity_of
from .known_journals import KnownJournals
from .scan import Found, Scan, Trouble
from .scan_progress import counted, ignore_progress
from .settings import BatchSettings
from .settings_digest import SettingsDigest, digest_of

ENCODE, DONE_BEFORE, BIGGER_BEFORE, EXISTS = "encode", "done before", "bigger before", "exists"
FILES_BESIDES = 512
"""How many files a run may have open besides its journals."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What happens to one source. ``why`` is for people; ``entry`` is what the journal knew."""

    placement: Placement
    action: str
    why: str = ""
    entry: Entry | None = None
    recovered: bool = False
    """The result was complete when the last run was killed, but the journal did not know it yet."""

    @property
    def source(self) -> Path:
        return self.placement.source.path


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


# ---- what to do with each source -----------------------------------------------------------------------------------


def decide(placement: Placement, entry: Entry | None, settings: BatchSettings, digest: SettingsDigest) -> Decision:
    source = placement.source
    now = (source.size, source.mtime_ns)
    lies_there = identity_of(placement.destination)

    def answer(action: str, why: str = "", recovered: bool = False) -> Decision:
        return Decision(placement=placement, action=action, why=why, entry=entry, recovered=recovered)

    if entry is not None and not settings.in_place and not _is_about(entry, placement):
        entry = None
    if entry is None:
        if settings.in_place or lies_there is None or settings.overwrite:
            return answer(ENCODE)
        return answer(EXISTS, "its result would replace a file that pdum-nvenc did not make; --overwrite allows that")
    if settings.in_place:
        return _decide_in_place(entry, source.path, digest, settings, answer)
    known = lies_there is None or lies_there in (entry.made, entry.before) or settings.overwrite
    unsaid = _is_unsaid(entry, lies_there)
    if entry.identity == now and digest.matches(entry.settings) and unsaid:
        return answer(DONE_BEFORE, "finished just before the last run ended", recovered=True)
    if not known and not unsaid:
        return answer(EXISTS, "another program has changed its result; --overwrite replaces it")
    if entry.identity != now:
        return answer(ENCODE, "the source has changed")
    if not digest.matches(entry.settings):
        return answer(ENCODE, "its result was made with other settings")
    if entry.result == DONE and lies_there is not None:
        return answer(DONE_BEFORE) if lies_there == entry.made else answer(ENCODE, "its result has changed")
    return _remembered(entry, settings, answer)


def _is_about(entry: Entry, placement: Placement) -> bool:
    """Whether the journal knows this result, and not another one of the same source."""
    return os.path.normpath(placement.folder / entry.output) == os.path.normpath(placement.destination)


def _remembered(entry: Entry, settings: BatchSettings, answer: Any) -> Decision:
    """Decides about a source that has no result."""
    decision: Decision
    if entry.result == BIGGER and not settings.keep_bigger and not _would_be_kept(entry, settings):
        decision = answer(BIGGER_BEFORE, "its result was not smaller before")
    else:
        why = {DONE: "its result was deleted", FAILED: "it failed before", BEGUN: "it was interrupted before"}
        decision = answer(ENCODE, why.get(entry.result, "the size limit (--smaller-than) has changed"))
    return decision


def _would_be_kept(entry: Entry, settings: BatchSettings) -> bool:
    return entry.size is not None and entry.size < settings.smaller_than * entry.identity[0]


def _decide_in_place(
    entry: Entry, source: Path, digest: SettingsDigest, settings: BatchSettings, answer: Any
) -> Decision:
    """Once the job is done, the source is its result. Its times stay, so the size tells the two apart."""
    now = identity_of(source)
    if now is None:
        return _gone(answer)
    decision: Decision
    if entry.result == DONE and now == entry.made:
        decision = answer(DONE_BEFORE)
    elif _is_unsaid(entry, now) and now != entry.identity:
        decision = answer(DONE_BEFORE, "finished just before the last run ended", recovered=True)
    elif entry.result in (BEGUN, FAILED) and _is_half_replaced(source):
        decision = answer(DONE_BEFORE, "being replaced when the last run ended", recovered=True)
    elif now != entry.identity:
        decision = answer(ENCODE, "the source has changed")
    elif not digest.matches(entry.settings):
        decision = answer(ENCODE, "it was tried with other settings")
    else:
        decision = _remembered(entry, settings, answer)
    return decision


def _gone(answer: Any) -> Decision:
    decision: Decision = answer(ENCODE, "the source is gone")  # the job fails and says so
    return decision


def _is_unsaid(entry: Entry, lies_there: Identity | None) -> bool:
    """Whether this file is the result, although the journal knows only that it was about to be put there."""
    return entry.result in (BEGUN, FAILED) and lies_there is not None and lies_there == entry.made


def _is_half_replaced(source: Path) -> bool:
    from .._files.overwrite import unfinished

    return unfinished(source.resolve()) is not None


# ---- journals of a run ----------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Ledger:
    """The journals of a batch, held open and locked while it runs; ``batch`` is the plan as it was then."""

    batch: BatchPlan
    digest: SettingsDigest
    journals: Mapping[Path, Journal]

    def begin(self, decision: Decision, quality: float | None = None) -> None:
        """Records that the job begins, and which older result of ours it may replace. It never replaces a user's."""
        last = self.journals[decision.placement.folder].entry(decision.source)
        lies_there = identity_of(decision.placement.destination)
        is_ours = last is not None and lies_there in (last.made, last.before)
        self._record(decision, BEGUN, before=lies_there if is_ours else None, made=None, quality=quality)

    def found(self, decision: Decision, quality: float) -> None:
        """Records what a search has found, so that a later run need not search again."""
        self._record(decision, BEGUN, quality=quality)

    def end(self, decision: Decision, size: int, kept: bool) -> None:
        made = identity_of(decision.placement.destination) if kept else None
        self._record(decision, DONE if kept else BIGGER, made=made, size=size)

    def fail(self, decision: Decision, error: str) -> None:
        self._record(decision, FAILED, error=error)

    def announce(self, decision: Decision, made: Identity) -> None:
        """Records what the result will be, before it gets its name, so that a later run recognises it."""
        self._record(decision, BEGUN, made=made)

    def recover(self) -> None:
        """Records the results that a killed run could not record, and removes its temporary files."""
        for decision in self.batch.decisions:
            if decision.recovered:
                try:
                    self._recover(decision)
                except (OSError, NvencError) as error:
                    self._tell_half_replaced(decision, error)

    def _recover(self, decision: Decision) -> None:
        from .._files.overwrite import unfinished
        from .._media.spool import WorkFolder

        destination = decision.placement.destination
        target = destination.resolve() if decision.source == destination else destination
        work = WorkFolder(target)
        overwrite = unfinished(target)
        if overwrite is not None:
            work.lock()
            try:
                overwrite.run()
            finally:
                work.release()
        work.remove_unless_busy()
        made = identity_of(destination)
        self._record(decision, DONE, made=made, size=None if made is None else made[0])

    def _tell_half_replaced(self, decision: Decision, error: Exception) -> None:
        trouble = Trouble(source=decision.source, reason=f"Its replacement could not be completed: {error_text(error)}")
        others = tuple(one for one in self.batch.decisions if one is not decision)
        self.batch = replace(self.batch, decisions=others, troubles=(*self.batch.troubles, trouble))

    def found_quality(self, decision: Decision) -> float | None:
        """The quality that an earlier run found for the same source and settings."""
        entry = decision.entry
        source = decision.placement.source
        same = (
            entry is not None
            and self.digest.matches(entry.settings)
            and entry.identity == (source.size, source.mtime_ns)
        )
        return entry.quality if entry is not None and same else None

    def _record(self, decision: Decision, result: str, **more: Any) -> None:
        journal = self.journals[decision.placement.folder]
        last = journal.entry(decision.source)
        # What is known of the job stays: the older result, the announced result, and the quality found.
        known = last is not None and "before" not in more
        kept = {"before": last.before, "made": last.made, "quality": last.quality} if last and known else {}
        identity = (decision.placement.source.size, decision.placement.source.mtime_ns)
        if decision.recovered and decision.entry is not None:
            identity = decision.entry.identity
        entry = Entry(
            source=journal.key(decision.source),
            output=os.path.relpath(decision.placement.destination, decision.placement.folder),
            result=result,
            settings=self.digest.current,
            identity=identity,
        )
        journal.record(replace(entry, **{**kept, **more}))


@contextmanager
def ledger(batch: BatchPlan, known: KnownJournals | None = None) -> Iterator[Ledger]:
    """Takes all folders of the batch for this process. Raises FolderBusy if another run has one.

    Of journals that are already known, only the new lines are read.
    """
    kind = "in place" if batch.settings.in_place or batch.lie_among_files else "outputs"
    known = known or KnownJournals()
    journals: dict[Path, Journal] = {}
    closed: dict[Path, str] = {}
    _allow_files(len(batch.folders))
    try:
        for folder in batch.folders:
            journal = known.of(folder)
            try:
                journal.acquire(kind)
                journals[folder] = journal
            except OSError as error:
                closed[folder] = _closed(folder, error)
        book = _book(batch, journals, closed)
        book.recover()
        yield book
    finally:
        for journal in journals.values():
            journal.close()


def _closed(folder: Path, error: OSError) -> str:
    return f"Its result cannot be written to {visible(str(folder))}: {error_text(error)}."


def why_closed(folder: Path) -> str | None:
    """Why no result can be written to the folder, which need not exist yet; None if that cannot be seen."""
    above = folder
    while not os.path.lexists(above) and above != above.parent:
        above = above.parent
    if not above.is_dir():
        number = errno.EEXIST if above == folder else errno.ENOTDIR
    elif not os.access(above, os.W_OK | os.X_OK):
        number = errno.EACCES
    else:
        return None
    return _closed(folder, OSError(number, os.strerror(number), str(above)))


def _book(batch: BatchPlan, journals: Mapping[Path, Journal], closed: Mapping[Path, str]) -> Ledger:
    """Decides again: another run may have worked on a folder after the plan was made and before it was locked."""
    digest = digest_of(batch.settings)
    decisions = tuple(
        decide(one.placement, journals[one.placement.folder].entry(one.source), batch.settings, digest)
        for one in batch.decisions
        if one.placement.folder in journals
    )
    troubles = [
        Trouble(source=one.source, reason=closed[one.placement.folder])
        for one in batch.decisions
        if one.placement.folder in closed
    ]
    now = replace(batch, decisions=decisions, troubles=(*batch.troubles, *troubles))
    return Ledger(batch=now, digest=digest, journals=journals)


def _allow_files(journals: int) -> None:
    """Each folder needs an open file, and the limit is often a thousand at first."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = journals + FILES_BESIDES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


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
