"""Where the results of a test go, and a machine of its own for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pdum.nvenc._machine import availability as _availability
from pdum.nvenc._machine import capabilities as _capabilities


@pytest.fixture(autouse=True)
def _machine_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What was learned of another test's machine is forgotten."""
    monkeypatch.delenv("PDUM_NVENC_ENGINES", raising=False)
    _forget()
    yield
    _forget()


def _forget() -> None:
    _availability._reasons.clear()
    _capabilities._found.clear()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """For results: whatever happens in the test, no work folder and no part file may stay in it."""
    made = tmp_path / "results"
    made.mkdir()
    yield made
    assert [path.name for path in made.iterdir() if path.name.startswith(".")] == []
