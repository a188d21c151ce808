"""A batch: files and folders turned into jobs, with journals that let it continue after an earlier run was stopped."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .._errors import NvencError
from .._text import visible
from .destinations import EarlierResults, Folders, Named, Names, is_beside, name_all
from .journal import Journal, is_there
from .journal_entry import BEGUN, BIGGER, DONE, FAILED, Entry, Identity, identity_of
from .known_journals import KnownJournals
from .scan import Found, Scan, Trouble
from .settings import BatchSettings
from .settings_digest import SettingsDigest, digest_of

ENCODE, DONE_BEFORE, BIGGER_BEFORE, EXISTS = "encode", "done before", "bigger before", "exists"
FILES_BESIDES = 512
"""How many files a run may have open in addition to its journals."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is to become of one source. ``why`` is for people; ``entry`` is what the journal knew."""

    named: Named
    action: str
    why: str = ""
    entry: Entry | None = None
    recovered: bool = False
    """The result was finished just when the run was killed, before the journal could say so."""

    @property
    def source(self) -> Path:
        return self.named.source.path


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """Everything that is known before anything is opened for encoding."""

    settings: BatchSettings
    decisions: tuple[Decision, ...]
    troubles: tuple[Trouble, ...]
    notices: tuple[str, ...]
    ignored: int

    def with_action(self, action: str) -> list[Decision]:
        return [one for one in self.decisions if one.action == action]

    @property
    def folders(self) -> list[Path]:
        """The folders of the journals."""
        return list(dict.fromkeys(one.named.folder for one in self.decisions))


def plan(paths: Sequence[Path], settings: BatchSettings, journals: KnownJournals | None = None) -> BatchPlan:
    """Decides what is to be done. Looks at names, sizes and journals alone, and changes nothing."""
    known = journals or KnownJournals()
    return plan_sources(scan_for(settings, known).run(paths), settings, known)


def plan_sources(found: Found, settings: BatchSettings, journals: KnownJournals) -> BatchPlan:
    """The same for sources that have been found already."""
    where = Folders(settings, journals.of)
    names = _named(found, settings, where)
    digest = digest_of(settings)
    decisions = tuple(decide(one, where.entry(one.source), settings, digest) for one in names.named)
    folders = dict.fromkeys(one.folder for one in names.named)
    return BatchPlan(
        settings=settings,
        decisions=decisions,
        troubles=(*found.troubles, *names.troubles),
        notices=(*names.notices, *(notice for folder in folders for notice in journals.of(folder).notices)),
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


def _named(found: Found, settings: BatchSettings, folders: Folders) -> Names:
    """Results that lie among the sources are no sources: those that the journals name are left out."""
    earlier = EarlierResults(found.sources, folders)
    is_apart = settings.in_place
    sources = [one for one in found.sources if is_apart or earlier.maker_of(str(one.path)) is None]
    return name_all(sources, settings, folders, earlier)


# ---- what is to be done with each -----------------------------------------------------------------------------------


def decide(named: Named, entry: Entry | None, settings: BatchSettings, digest: SettingsDigest) -> Decision:
    source = named.source
    now = (source.size, source.mtime_ns)
    lies_there = identity_of(named.destination)

    def answer(action: str, why: str = "", recovered: bool = False) -> Decision:
        return Decision(named=named, action=action, why=why, entry=entry, recovered=recovered)

    if entry is None:
        if settings.in_place or lies_there is None or settings.overwrite:
            return answer(ENCODE)
        return answer(EXISTS, "a file of that name is there, and no journal knows it")
    if settings.in_place:
        return _decide_in_place(entry, source.path, digest, settings, answer)
    known = lies_there is None or lies_there in (entry.made, entry.before) or settings.overwrite
    unsaid = _is_unsaid(entry, lies_there)
    if entry.identity == now and digest.matches(entry.settings) and unsaid:
        return answer(DONE_BEFORE, "finished just before the last run ended", recovered=True)
    if not known and not unsaid:
        return answer(EXISTS, "its result was changed by somebody else since")
    if entry.identity != now:
        return answer(ENCODE, "the source has changed")
    if not digest.matches(entry.settings):
        return answer(ENCODE, "made with other settings before")
    if entry.result == DONE and lies_there is not None:
        return answer(DONE_BEFORE) if lies_there == entry.made else answer(ENCODE, "its result was changed since")
    return _remembered(entry, settings, answer)


def _remembered(entry: Entry, settings: BatchSettings, answer: Any) -> Decision:
    """Nothing lies there that could count as the result."""
    decision: Decision
    if entry.result == BIGGER and not settings.keep_bigger and not _would_be_kept(entry, settings):
        decision = answer(BIGGER_BEFORE, "its result was not smaller before")
    else:
        why = {DONE: "its result is gone", FAILED: "it failed before", BEGUN: "it was interrupted before"}
        decision = answer(ENCODE, why.get(entry.result, "with another threshold before"))
    return decision


def _would_be_kept(entry: Entry, settings: BatchSettings) -> bool:
    return entry.size is not None and entry.size < settings.smaller_than * entry.identity[0]


def _decide_in_place(
    entry: Entry, source: Path, digest: SettingsDigest, settings: BatchSettings, answer: Any
) -> Decision:
    """Once done, the source is its result. It has the same times, so only the size differs."""
    now = identity_of(source)
    if now is None:
        return _gone(answer)
    decision: Decision
    if entry.result == DONE and now == entry.made:
        decision = answer(DONE_BEFORE)
    elif _is_unsaid(entry, now) and now != entry.identity:
        decision = answer(DONE_BEFORE, "finished just before the last run ended", recovered=True)
    elif entry.result in (BEGUN, FAILED) and _is_half_replaced(source):
        decision = answer(DONE_BEFORE, "was being replaced when the last run ended", recovered=True)
    elif now != entry.identity:
        decision = answer(ENCODE, "the source has changed")
    elif not digest.matches(entry.settings):
        decision = answer(ENCODE, "tried with other settings before")
    else:
        decision = _remembered(entry, settings, answer)
    return decision


def _gone(answer: Any) -> Decision:
    decision: Decision = answer(ENCODE, "the source is gone")  # which the job itself will tell
    return decision


def _is_unsaid(entry: Entry, lies_there: Identity | None) -> bool:
    """Whether the file that lies there is the result, though the journal knows only that it was about to come."""
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
        """Says whether an older result of ours has the result's name: that may be replaced. A user's file may not."""
        last = self.journals[decision.named.folder].entry(decision.source)
        lies_there = identity_of(decision.named.destination)
        is_ours = last is not None and lies_there in (last.made, last.before)
        self._record(decision, BEGUN, before=lies_there if is_ours else None, made=None, quality=quality)

    def end(self, decision: Decision, size: int, kept: bool) -> None:
        made = identity_of(decision.named.destination) if kept else None
        self._record(decision, DONE if kept else BIGGER, made=made, size=size)

    def fail(self, decision: Decision, error: str) -> None:
        self._record(decision, FAILED, error=error)

    def announce(self, decision: Decision, made: Identity) -> None:
        """Says what the result will be, before it gets its name. By that a later run knows it."""
        self._record(decision, BEGUN, made=made)

    def recover(self) -> None:
        """Writes down the results that a killed run could not, and removes what it left next to them."""
        for decision in self.batch.decisions:
            if decision.recovered:
                try:
                    self._recover(decision)
                except (OSError, NvencError) as error:
                    self._tell_half_replaced(decision, error)

    def _recover(self, decision: Decision) -> None:
        from .._files.overwrite import unfinished
        from .._media.spool import WorkFolder

        destination = decision.named.destination
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
        trouble = Trouble(source=decision.source, reason=f"could not be replaced to the end: {error}")
        others = tuple(one for one in self.batch.decisions if one is not decision)
        self.batch = replace(self.batch, decisions=others, troubles=(*self.batch.troubles, trouble))

    def found_quality(self, decision: Decision) -> float | None:
        """What an earlier run's search found for the same source and settings."""
        entry = decision.entry
        source = decision.named.source
        same = (
            entry is not None
            and self.digest.matches(entry.settings)
            and entry.identity == (source.size, source.mtime_ns)
        )
        return entry.quality if entry is not None and same else None

    def _record(self, decision: Decision, result: str, **more: Any) -> None:
        journal = self.journals[decision.named.folder]
        last = journal.entry(decision.source)
        # What was known of the same job stays: what lay there before, what was to come, and a quality found.
        known = last is not None and "before" not in more
        kept = {"before": last.before, "made": last.made, "quality": last.quality} if last and known else {}
        identity = (decision.named.source.size, decision.named.source.mtime_ns)
        if decision.recovered and decision.entry is not None:
            identity = decision.entry.identity
        entry = Entry(
            source=journal.key(decision.source),
            output=os.path.relpath(decision.named.destination, decision.named.folder),
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
    kind = "in place" if batch.settings.in_place else "outputs"
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
                closed[folder] = f"cannot have its result in {visible(str(folder))}: {error.strerror or error}"
        book = _book(batch, journals, closed)
        book.recover()
        yield book
    finally:
        for journal in journals.values():
            journal.close()


def _book(batch: BatchPlan, journals: Mapping[Path, Journal], closed: Mapping[Path, str]) -> Ledger:
    """Decided anew, for another run may have worked on a folder between the plan and its lock."""
    digest = digest_of(batch.settings)
    decisions = tuple(
        decide(one.named, journals[one.named.folder].entry(one.source), batch.settings, digest)
        for one in batch.decisions
        if one.named.folder in journals
    )
    troubles = [
        Trouble(source=one.source, reason=closed[one.named.folder])
        for one in batch.decisions
        if one.named.folder in closed
    ]
    now = replace(batch, decisions=decisions, troubles=(*batch.troubles, *troubles))
    return Ledger(batch=now, digest=digest, journals=journals)


def _allow_files(journals: int) -> None:
    """One file stays open for each folder; what a process may open at first is often no more than a thousand."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = journals + FILES_BESIDES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def describe(batch: BatchPlan) -> Iterator[str]:
    """Sentences about what is not encoded, and what is again."""
    for decision in batch.decisions:
        if decision.why and decision.action in (ENCODE, EXISTS):
            again = "is encoded again" if decision.action == ENCODE else "is left out"
            yield f"{visible(str(decision.source))} {again}: {decision.why}."
    for action, words in ((DONE_BEFORE, "done before"), (BIGGER_BEFORE, "not smaller before")):
        number = len(batch.with_action(action))
        if number:
            yield f"{number} {'file was' if number == 1 else 'files were'} {words}; nothing is done with them."
