"""What the tests of control share."""

from __future__ import annotations

from pathlib import Path

import pytest

from control.told import Driver

from simulator import Simulator


@pytest.fixture
def driver(simulator: Simulator, tmp_path: Path) -> Driver:
    """The simulated driver, which tells what it was told."""
    return Driver(simulator, tmp_path / "trace.jsonl")
