"""Where the results of a test go, and nothing else may be left lying."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """For results: whatever happens in the test, no work folder and no part file may stay in it."""
    made = tmp_path / "results"
    made.mkdir()
    yield made
    assert [path.name for path in made.iterdir() if path.name.startswith(".")] == []
