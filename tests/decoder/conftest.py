"""Videos that the tests of the GPU's decoder share, and a simulated machine that counts calls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from decoder.references_printer import Printer, build
from decoder.videos import Kind, make

from simulator import Machine, Simulator

L4: dict[str, Any] = {"gpus": {"name": "L4", "fps_1080p": 0}, "count": True}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


@pytest.fixture
def h264(folder: Path) -> Path:
    return make(folder, Kind("h264"))


@pytest.fixture
def machine(simulator: Simulator) -> Iterator[Machine]:
    """It has to end without a broken rule and with nothing left alive."""
    with simulator.machine(**L4) as found:
        yield found


@pytest.fixture(scope="session")
def printer(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[Printer]:
    program = tmp_path_factory.mktemp("printer") / "references_printer"
    build(root, program)
    found = Printer(program)
    yield found
    found.end()
