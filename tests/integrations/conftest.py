"""The tests of this folder that run in this process have a graphics card, simulated, whose streams can be decoded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulator import Simulator


@pytest.fixture
def card(simulator: Simulator) -> Iterator[Simulator]:
    with simulator.machine(gpus=["RTX 4090"], backend="codec", count=True):
        yield simulator
