"""``pdum-nvenc watch``: what is dropped into a folder is encoded once it is whole."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from .._batch.batch import ENCODE, BatchPlan, ledger, plan
from .._batch.journal import Identity
from .._batch.settings import BatchSettings
from .._batch.stable_files import StabilityCheck
from .._errors import InvalidConfig
from . import exits
from .encode import output_options
from .interruption import Interruption, interruptible
from .output import OutputOptions
from .running import run_batch
from .show_settings import resolved_settings
from .standard_streams import complain

LONGEST_SLEEP = 0.1
"""Seconds: a signal is noticed within these."""


def watch(arguments: argparse.Namespace) -> int:
    folder = Path(arguments.folder)
    if not folder.is_dir():
        raise InvalidConfig(f"{folder} is no folder; watch takes one.")
    watcher = Watcher(
        folder=folder,
        settings=resolved_settings(arguments).settings,
        options=output_options(arguments),
        stability=StabilityCheck(seconds=arguments.settle),
    )
    with interruptible(complain) as interruption:
        while not interruption.code:
            waiting = watcher.look(interruption)
            if arguments.once and not waiting:
                break
            _sleep(arguments.every, interruption)
    return interruption.code or (exits.FAILED if watcher.failed else exits.DONE)


def _sleep(seconds: float, interruption: Interruption) -> None:
    end = time.monotonic() + seconds
    while not interruption.code and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, LONGEST_SLEEP))


@dataclass(kw_only=True)
class Watcher:
    """Looks, and encodes what is ready. What failed is tried again when it has changed, or by another process."""

    folder: Path
    settings: BatchSettings
    options: OutputOptions
    stability: StabilityCheck
    failed: bool = False
    _tried: dict[Path, Identity] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def look(self, interruption: Interruption) -> int:
        """Returns how many files are not whole yet."""
        batch = plan([self.folder], self.settings)
        fresh = [
            one
            for one in batch.with_action(ENCODE)
            if self._tried.get(one.source) != (one.named.source.size, one.named.source.mtime_ns)
        ]
        ready = [one for one in fresh if self.stability.is_stable(one.source, time.monotonic(), time.time())]
        if ready:
            for one in ready:
                self._tried[one.source] = (one.named.source.size, one.named.source.mtime_ns)
            self._encode(replace(batch, decisions=tuple(ready), troubles=(), notices=self._new(batch)), interruption)
        return len(fresh) - len(ready)

    def _new(self, batch: BatchPlan) -> tuple[str, ...]:
        notices = tuple(one for one in batch.notices if one not in self._told)
        self._told.update(notices)
        return notices

    def _encode(self, batch: BatchPlan, interruption: Interruption) -> None:
        with ledger(batch) as book:
            code = run_batch(book, self.options, interruption)
        self.failed = self.failed or code == exits.FAILED
