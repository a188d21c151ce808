"""Whether a file of RIFF's form, as AVI is, has its end."""

from __future__ import annotations

from pathlib import Path

HEAD = 8
"""Bytes: a kind, and the size of what follows."""


def is_whole_riff(path: Path) -> bool:
    """Large files consist of several parts, one after the other. What is behind them is none."""
    size, place = path.stat().st_size, 0
    with path.open("rb") as file:
        while place < size:
            file.seek(place)
            head = file.read(HEAD)
            if head[:4] != b"RIFF":
                return place > 0
            place += HEAD + int.from_bytes(head[4:], "little")
    return place <= size + 1  # a part of odd length may lack the byte behind it
