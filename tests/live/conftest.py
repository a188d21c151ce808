"""The two places where a live encoder works: on a simulated card that makes real H.264, and on the processor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pdum.nvenc._machine import availability, capabilities

from simulator import Simulator

CARD = "RTX 4090"


@pytest.fixture(autouse=True)
def forget_other_machines() -> Iterator[None]:
    """What one simulated machine answered does not hold for the next one."""
    yield
    availability._reasons.clear()
    capabilities._found.clear()


@pytest.fixture(params=["card", "processor"])
def place(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """Arguments of a ``LiveEncoder`` for NV12 frames. Requests for key frames need not wait."""
    arguments = {"format": "nv12", "keyframe_spacing": 0, "preset": "p1"}
    if request.param == "processor":
        yield {**arguments, "backend": "software"}
        return
    simulator: Simulator = request.getfixturevalue("simulator")
    with simulator.machine(gpus=[CARD], backend="codec"):
        yield {**arguments, "backend": "nvenc"}
