"""The lines of a journal: one JSON object each."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import Any

DONE, BIGGER, FAILED, BEGUN = "done", "bigger", "failed", "begun"
VERSION = 1
NAME = ".pdum-nvenc.jsonl"
"""The journal's file."""
KEYS = {"quality": "found_quality"}
"""Fields of an entry that have another name in the file."""
Identity = tuple[int, int]
"""Size and modification time in nanoseconds."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What was last recorded about one source."""

    source: str
    output: str
    result: str
    settings: str
    identity: Identity
    before: Identity | None = None
    """An older result of ours that had the result's name when the job began. It may be replaced."""
    made: Identity | None = None
    """The result. It is known just before it gets its name."""
    size: int | None = None
    quality: float | None = None
    """What a search for a target found. Earlier versions wrote the codec's own number as ``quality``."""
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Header:
    """The first line of a journal."""

    version: Any
    kind: str


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """A line that means nothing to this version. A later version may have written it."""

    outside: str | None = None
    """The result that it names, if that does not lie in the journal's folder."""


def digest(settings: Mapping[str, Any]) -> str:
    """A digest of settings: equal settings have equal digests, in any order."""
    return sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:16]


def identity_of(path: Path) -> Identity | None:
    """None if there is no such file, or it cannot be read."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def parse_line(line: bytes) -> Header | Entry | Unknown | None:
    """None for a line that is no JSON object, such as one that was cut off."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # RecursionError: thousands of brackets
        return None
    if not isinstance(record, dict):
        return None
    if "journal" in record:
        return Header(version=record["journal"], kind=str(record.get("kind")))
    try:
        entry = _entry(record)
    except (LookupError, TypeError, ValueError, OverflowError):  # OverflowError: 1e400 is read as infinity
        return Unknown()
    return entry if _is_inside(entry.output) else Unknown(outside=entry.output)


def record_of(entry: Entry) -> dict[str, Any]:
    return {KEYS.get(name, name): value for name, value in vars(entry).items() if value is not None}


def _is_inside(output: str) -> bool:
    """Whether a result's name means a file in the journal's folder or below it."""
    path = os.path.normpath(output)
    return not ("\0" in output or os.path.isabs(path) or path in (".", "..", NAME) or path.startswith("../"))


def _entry(record: dict[str, Any]) -> Entry:
    identity = _pair(record["identity"])
    if identity is None:
        raise ValueError("no identity")
    return Entry(
        source=str(record["source"]),
        output=str(record["output"]),
        result=str(record["result"]),
        settings=str(record["settings"]),
        identity=identity,
        before=_pair(record.get("before")),
        made=_pair(record.get("made")),
        size=_whole_number(record.get("size")),
        quality=_number(record.get(KEYS["quality"])),
        error=None if record.get("error") is None else str(record["error"]),
    )


def _pair(value: Any) -> Identity | None:
    return None if value is None else (int(value[0]), int(value[1]))


def _whole_number(value: Any) -> int | None:
    return None if value is None else int(value)


def _number(value: Any) -> float | None:
    if value is not None and not isfinite(value):
        raise ValueError("not a finite number")
    return None if value is None else value + 0
