"""The journals of a batch while it runs."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .._errors import NvencError
from .._text import error_text, visible
from .batch import BatchPlan
from .decisions import Decision, decide
from .journal import Journal
from .journal_entry import BEGUN, BIGGER, DONE, FAILED, Entry, Identity, identity_of
from .known_journals import KnownJournals
from .scan import Trouble
from .settings_digest import SettingsDigest, digest_of

FILES_BESIDES = 512
"""How many files a run may have open besides its journals."""


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
