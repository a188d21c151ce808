"""What a batch does with each source, by what the journal knows of it and what lies there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .destinations import Placement
from .journal_entry import BEGUN, BIGGER, DONE, FAILED, Entry, Identity, identity_of
from .settings import BatchSettings
from .settings_digest import SettingsDigest

ENCODE, DONE_BEFORE, BIGGER_BEFORE, EXISTS = "encode", "done before", "bigger before", "exists"


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
