"""The journals that a process has read, for looks at the same folders again and again."""

from __future__ import annotations

from pathlib import Path

from .journal import Journal


class KnownJournals:
    """Reads each journal once. After ``refresh`` it reads what has been written since."""

    def __init__(self) -> None:
        self._known: dict[Path, Journal] = {}

    def of(self, folder: Path) -> Journal:
        if folder not in self._known:
            self._known[folder] = Journal.read(folder)
        return self._known[folder]

    def refresh(self) -> None:
        """Brings all of them up to date."""
        for journal in self._known.values():
            journal.refresh()
