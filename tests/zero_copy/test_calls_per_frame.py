"""How many calls of the driver a frame costs that is read in place, counted by name."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from frames import CudaFrame, Gpu, gpu
from memory_kinds import memory
from pdum.nvenc import NvencEncoder
from zero_copy.memory import FAST, HEIGHT, ROWS, WIDTH, picture

from simulator import Machine, Simulator

pytestmark = pytest.mark.one_abi

FRAMES = 64
ASKED_AGAIN = 16  # frames after which src/cpp/cuda/cuda.cpp asks again whether the context has become current

ALWAYS = {
    "cuPointerGetAttribute": 1,  # whether it is still the same allocation
    "nvEncMapInputResource": 1,
    "nvEncEncodePicture": 1,
    "nvEncLockBitstream": 1,
    "nvEncUnlockBitstream": 1,
    "nvEncUnmapInputResource": 1,
}
ON_THE_LEGACY_STREAM = {"cuEventRecord": 1, "cuStreamWaitEvent": 1}
ON_A_STREAM = {**ON_THE_LEGACY_STREAM, "cuStreamIsCapturing": 1}
PUSHED = {"cuCtxPushCurrent_v2": 1, "cuCtxPopCurrent_v2": 1}
ASKED = {"cuCtxGetCurrent": 1}


def per_frame(machine: Machine, encoder: NvencEncoder, frame: Any, frames: int = FRAMES) -> dict[str, float]:
    """Of the calls that are made, how many a frame."""
    before = {**machine.calls("cuda"), **machine.calls("encode")}
    for _ in range(frames):
        encoder.encode(frame)
    after = {**machine.calls("cuda"), **machine.calls("encode")}
    counts = {name: (count - before.get(name, 0)) / frames for name, count in after.items()}
    return {name: count for name, count in counts.items() if count > 0}


def current(device: Gpu, is_current: bool) -> AbstractContextManager[None]:
    return device.current() if is_current else nullcontext()


@pytest.mark.parametrize("is_current", [True, False])
@pytest.mark.parametrize("stream", ["none", "legacy", "own"])
def test_a_registered_frame(simulator: Simulator, is_current: bool, stream: str) -> None:
    with simulator.machine(**FAST) as machine, gpu() as device, NvencEncoder(WIDTH, HEIGHT, copy="never") as encoder:
        handle = {"none": None, "legacy": 1, "own": device.stream()}[stream]
        frame = CudaFrame(device.frame(picture(1)).pointer, (ROWS, WIDTH), stream=handle)
        with current(device, is_current):
            for _ in range(ASKED_AGAIN):
                encoder.encode(frame)
            found = per_frame(machine, encoder, frame)
        order = {"none": {}, "legacy": ON_THE_LEGACY_STREAM, "own": ON_A_STREAM}[stream]
        if is_current:
            assert found == ALWAYS | order | ASKED
        else:
            assert found.pop("cuCtxGetCurrent", 0) <= 1 / ASKED_AGAIN
            assert found == ALWAYS | order | PUSHED


def test_a_context_that_becomes_current_is_noticed(simulator: Simulator) -> None:
    with simulator.machine(**FAST) as machine, gpu() as device, NvencEncoder(WIDTH, HEIGHT, copy="never") as encoder:
        frame = device.frame(picture(1))
        for is_current in (False, True, False, True):
            with current(device, is_current):
                per_frame(machine, encoder, frame, ASKED_AGAIN)
                found = per_frame(machine, encoder, frame)
            assert ("cuCtxPushCurrent_v2" in found) != is_current


def test_a_frame_that_has_to_be_copied_asks_two_things(simulator: Simulator) -> None:
    """Of memory that was not seen before: what kind it is, and on which GPU."""
    with simulator.machine(**FAST) as machine, memory("pool", ROWS * WIDTH) as address:
        frame = CudaFrame(address, (ROWS, WIDTH), stream=None)
        with NvencEncoder(WIDTH, HEIGHT) as encoder:
            encoder.encode(frame)
            found = per_frame(machine, encoder, frame)
    assert "nvEncRegisterResource" not in found
    assert found["cuPointerGetAttribute"] == 2
