"""The tool for each test, with its own home folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clips import Tool
from loud import need_module
from simulator import Machine, Simulator


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tests do not read the configuration of the user who runs them."""
    for module in ("av", "rich"):
        need_module(module)
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    monkeypatch.setattr("pdum.nvenc._machine.capabilities._found", {})
    return folder


@pytest.fixture
def tool(capsys: pytest.CaptureFixture[str]) -> Tool:
    return Tool(capsys)


@pytest.fixture
def rtx4090(simulator: Simulator) -> Iterator[Machine]:
    """Two engines that make real streams. The driver's rules must be kept and no object left alive."""
    with simulator.machine(gpus=["RTX 4090"], backend="codec") as machine:
        yield machine
