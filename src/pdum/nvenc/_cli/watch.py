"""``pdum-nvenc watch``: encodes files that appear in a folder, once no program writes them any more."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from .._batch.batch import BatchPlan, one_folder, plan_sources, scan_for
from .._batch.decisions import ENCODE
from .._batch.destinations import is_beside
from .._batch.journal_entry import Identity
from .._batch.known_journals import KnownJournals
from .._batch.ledger import ledger
from .._batch.scan import Found, Source
from .._batch.scan_progress import ignore_progress
from .._batch.settings import BatchSettings
from .._batch.stable_files import StabilityCheck
from .._batch.watched_folder import WatchedFolder
from .._errors import InvalidConfig
from .._text import visible
from . import exits
from .encode import output_options
from .interruption import Interruption, interruptible
from .output import OutputOptions, RunOutput
from .running import run_batch
from .scanning import shown_scan
from .show_settings import resolved_settings
from .standard_streams import complain

LONGEST_SLEEP = 0.1
"""Seconds within which a signal is noticed."""
SECONDS_BETWEEN_FULL_LOOKS = 60.0
SHARE_OF_FULL_LOOKS = 0.05
"""The largest part of the time that full looks may take."""


def watch(arguments: argparse.Namespace) -> int:
    folder = Path(arguments.folder)
    if not folder.is_dir():
        raise InvalidConfig(f"Expected a folder to watch, got {folder}.")
    options, settings = output_options(arguments), resolved_settings(arguments).settings
    if settings.right:
        raise InvalidConfig(
            f"right={settings.right!r} goes with one video, and watch takes all of a folder. Leave it out."
        )
    watcher = Watcher(folder, settings, options, StabilityCheck(seconds=arguments.settle))
    with interruptible(complain) as interruption:
        RunOutput.of(options).say(_greeting(folder, settings, arguments.settle))
        while not interruption.code:
            waiting = watcher.look(interruption)
            if arguments.once and not waiting:
                break
            _sleep(arguments.every, interruption)
    lost = exits.UNSHOWN if options.is_lost else exits.DONE
    return interruption.code or (exits.FAILED if watcher.failed else lost)


def _greeting(folder: Path, settings: BatchSettings, settle: float) -> str:
    where = "replace them" if settings.in_place else f"go to {visible(settings.destination)}"
    which = "in" if not settings.recursive else "in and below"
    return (
        f"Watching for videos {which} {visible(str(folder))}; results {where}. "
        f"A file is encoded once it has not changed for {settle:g} s. Ctrl-C ends."
    )


def _sleep(seconds: float, interruption: Interruption) -> None:
    end = time.monotonic() + seconds
    while not interruption.code and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, LONGEST_SLEEP))


class Watcher:
    """Looks at a folder, and encodes what is ready there.

    What failed is tried again when it has changed, or by another process. A look costs what has changed since the last
    one. Full looks, which also notice files that were overwritten in place and results that are gone, take a small
    share of the time.
    """

    def __init__(
        self, folder: Path, settings: BatchSettings, options: OutputOptions, stability: StabilityCheck
    ) -> None:
        self.failed = False
        self._settings = settings
        self._options = options
        self._stability = stability
        self.journals = KnownJournals()
        self.folder = WatchedFolder(folder, scan_for(settings, self.journals))
        self._needs_everything = settings.in_place or _may_lie_among_sources(folder, settings)
        """Whether the decision about one file depends on all others: on their names, or on other links to them."""
        self._waiting: dict[Path, None] = {}
        """Files to be encoded that are not stable yet."""
        self._tried: dict[Path, Identity] = {}
        self._told: set[str] = set()
        self._next_full_look = 0.0

    def look(self, interruption: Interruption) -> int:
        """Returns how many files are not stable yet."""
        self.journals.refresh()
        for decision in self._new_work().with_action(ENCODE):
            if self._tried.get(decision.source) != _identity(decision.placement.source):
                self._waiting[decision.source] = None
        ready = self._stability.stable(self._waiting, time.monotonic(), time.time())
        for path in ready:
            del self._waiting[path]
        if ready:
            self._encode(ready, interruption)
        self._waiting = {path: None for path in self._waiting if path.exists()}
        return len(self._waiting)

    def _new_work(self) -> BatchPlan:
        now = time.monotonic()
        if now < self._next_full_look:
            sources = self.folder.changes()
            return self._plan(self.folder.everything() if sources and self._needs_everything else sources)
        if self._next_full_look:
            batch = self._plan(self.folder.everything())
        else:
            with shown_scan(RunOutput.of(self._options)) as progress:
                batch = self._plan(self.folder.everything(progress.update), progress.update)
        took = time.monotonic() - now
        self._next_full_look = now + max(SECONDS_BETWEEN_FULL_LOOKS, took / SHARE_OF_FULL_LOOKS)
        return batch

    def _plan(
        self, sources: Iterable[Source | None], progress: Callable[[int, int], object] = ignore_progress
    ) -> BatchPlan:
        found = Found(sources=[one for one in sources if one is not None])
        return plan_sources(found, self._settings, self.journals, progress)

    def _encode(self, ready: Sequence[Path], interruption: Interruption) -> None:
        sources = self.folder.everything() if self._needs_everything else map(self.folder.source, ready)
        batch, wanted = self._plan(sources), set(ready)
        decisions = tuple(one for one in batch.with_action(ENCODE) if one.source in wanted)
        self._tried.update((one.source, _identity(one.placement.source)) for one in decisions)
        if decisions:
            batch = replace(batch, decisions=decisions, troubles=(), notices=self._new_notices(batch))
            with ledger(batch, self.journals) as book:
                code = run_batch(book, self._options, interruption)
            self.failed = self.failed or code == exits.FAILED

    def _new_notices(self, batch: BatchPlan) -> tuple[str, ...]:
        notices = tuple(one for one in batch.notices if one not in self._told)
        self._told.update(notices)
        return notices


def _identity(source: Source) -> Identity:
    return source.size, source.mtime_ns


def _may_lie_among_sources(folder: Path, settings: BatchSettings) -> bool:
    """Whether results may get names that sources have: all go to the watched folder, or to one above it."""
    results = one_folder(settings)
    watched = Path(os.path.abspath(folder))
    return not is_beside(settings.destination) and (results == watched or results in watched.parents)
