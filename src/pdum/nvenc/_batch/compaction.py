"""Compaction: which lines of a journal are still needed, and when the others are dropped.

A journal gets a few lines for each job, and only the last line of a source counts. Lines stay as they are, byte for
byte, so that what a later version wrote in them is not lost.
"""

from __future__ import annotations

from .journal_entry import VERSION, Entry, Header, parse_line

FEW_LINES = 1000
"""A journal of so many lines is read in milliseconds. It is not worth rewriting."""


def is_due(lines: int, outdated: int) -> bool:
    """Whether most lines are outdated. Rewriting then costs less than what was appended since the last time."""
    return lines > FEW_LINES and 2 * outdated > lines


def is_understood(header: Header) -> bool:
    """Whether this version knows which lines such a journal needs."""
    return bool(header.version == VERSION)


def compacted(text: bytes) -> bytes:
    """The last line of each source in the place of its first, and everything that this version does not know."""
    needed: dict[object, bytes] = {}
    for number, line in enumerate(text.split(b"\n")):
        record = parse_line(line)
        if record is not None:
            key = record.source if isinstance(record, Entry) else Header if isinstance(record, Header) else number
            needed[key] = line
    return b"".join(line + b"\n" for line in needed.values())
