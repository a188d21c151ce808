"""Fixtures of the control tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from control.driver_calls import Driver

from simulator import Simulator


@pytest.fixture(params=["12.1", "13.0", "13.1"])
def abi(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every interface version, forced for all encoders of the test."""
    monkeypatch.setenv("PDUM_NVENC_ABI", request.param)
    return str(request.param)


@pytest.fixture
def driver(simulator: Simulator, tmp_path: Path) -> Driver:
    """The simulated driver, which records the calls that it gets."""
    return Driver(simulator, tmp_path / "trace.jsonl")
