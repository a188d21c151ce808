"""A folder for the results of each test, and a separate machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pdum.nvenc._machine import availability as _availability
from pdum.nvenc._machine import capabilities as _capabilities


@pytest.fixture(autouse=True)
def _machine_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forgets what was learned about another test's machine."""
    monkeypatch.delenv("PDUM_NVENC_ENGINES", raising=False)
    _forget()
    yield
    _forget()


def _forget() -> None:
    _availability._reasons.clear()
    _capabilities._found.clear()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for results. Whatever the test does, no work folder and no part file may stay in it."""
    made = tmp_path / "results"
    made.mkdir()
    yield made
    assert [path.name for path in made.iterdir() if path.name.startswith(".")] == []
