"""One picture over several engines (split-frame encoding), in a pool that has work for each engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pdum.nvenc import EncoderPool
from pool_tasks import Meeting, Pictures

from simulator import Simulator
from simulator.trace import read_calls

LEFT_TO_THE_DRIVER, OFF, FORCED_TWO = 0, 15, 2  # NV_ENC_SPLIT_ENCODE_MODE


def split_modes(
    simulator: Simulator, path: Path, gpus: list[Any], *, engines: str | int = "auto", **config: Any
) -> list[int]:
    """What each session of a pool told the driver about it."""
    with simulator.machine(gpus=gpus, trace=str(path)), EncoderPool(engines=engines) as pool:
        task = Pictures(400, meeting=Meeting(len(pool.engines)), **{"codec": "hevc", **config})
        pool.run([task]).raise_for_errors()
        count = len(pool.engines)
    sessions = read_calls(path, "nvEncInitializeEncoder")
    assert len(sessions) >= count
    return sorted({call.args.get("splitEncodeMode", 0) for call in sessions})


@pytest.mark.parametrize("codec", ["hevc", "h265", "av1"])
@pytest.mark.parametrize("gpu", ["L4", "RTX 4090"])
def test_lanes_that_share_a_gpu_turn_it_off(simulator: Simulator, tmp_path: Path, gpu: str, codec: str) -> None:
    """A picture that is split over all engines leaves none of them to the other lanes."""
    assert split_modes(simulator, tmp_path / "trace", [gpu], codec=codec) == [OFF]


def test_a_lane_alone_leaves_it_to_the_driver(simulator: Simulator, tmp_path: Path) -> None:
    assert split_modes(simulator, tmp_path / "trace", ["RTX 4090"], engines=1) == [LEFT_TO_THE_DRIVER]


def test_lanes_on_gpus_of_their_own_leave_it_to_the_driver(simulator: Simulator, tmp_path: Path) -> None:
    assert split_modes(simulator, tmp_path / "trace", ["RTX 4070", "RTX 4070"]) == [LEFT_TO_THE_DRIVER]


def test_each_gpu_counts_for_itself(simulator: Simulator, tmp_path: Path) -> None:
    assert split_modes(simulator, tmp_path / "trace", ["RTX 4070", "L4"]) == [LEFT_TO_THE_DRIVER, OFF]


@pytest.mark.parametrize(("given", "mode"), [("auto", 0), ("off", OFF), (2, FORCED_TWO)])
@pytest.mark.parametrize("engines", ["auto", 1])
def test_what_the_user_says_counts(
    simulator: Simulator, tmp_path: Path, given: str | int, mode: int, engines: str | int
) -> None:
    found = split_modes(simulator, tmp_path / "trace", ["RTX 4090"], engines=engines, split_encode=given)
    assert found == [mode]


def test_h264_has_no_such_thing(simulator: Simulator, tmp_path: Path) -> None:
    assert split_modes(simulator, tmp_path / "trace", ["RTX 4090"], codec="h264") == [LEFT_TO_THE_DRIVER]
