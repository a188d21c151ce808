"""How many calls of the driver a frame costs that is read in place, counted by name."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
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

ALWAYS = {
    "cuCtxGetCurrent": 1,
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


def per_frame(machine: Machine, encoder: NvencEncoder, frame: Any) -> dict[str, float]:
    """How often each call is made for a frame."""
    before = {**machine.calls("cuda"), **machine.calls("encode")}
    for _ in range(FRAMES):
        encoder.encode(frame)
    after = {**machine.calls("cuda"), **machine.calls("encode")}
    counts = {name: (count - before.get(name, 0)) / FRAMES for name, count in after.items()}
    return {name: count for name, count in counts.items() if count > 0}


def current(device: Gpu, is_current: bool) -> AbstractContextManager[None]:
    return device.current() if is_current else nullcontext()


@pytest.mark.parametrize("is_current", [True, False])
@pytest.mark.parametrize("stream", ["none", "legacy", "own"])
def test_a_registered_frame(simulator: Simulator, is_current: bool, stream: str) -> None:
    with simulator.machine(**FAST) as machine, gpu() as device, NvencEncoder(WIDTH, HEIGHT, copy="never") as encoder:
        handle = {"none": None, "legacy": 1, "own": device.stream()}[stream]
        frame = CudaFrame(device.frame(picture(1)).pointer, (ROWS, WIDTH), stream=handle)

        def count() -> dict[str, float]:
            with current(device, is_current):
                encoder.encode(frame)
                return per_frame(machine, encoder, frame)

        with ThreadPoolExecutor(1) as new_thread:  # which has no current context
            found = new_thread.submit(count).result()
        order = {"none": {}, "legacy": ON_THE_LEGACY_STREAM, "own": ON_A_STREAM}[stream]
        assert found == ALWAYS | order | ({} if is_current else PUSHED)


def test_a_frame_that_has_to_be_copied_asks_two_things(simulator: Simulator) -> None:
    """Of memory that was not seen before: what kind it is, and on which GPU."""
    with simulator.machine(**FAST) as machine, memory("pool", ROWS * WIDTH) as address:
        frame = CudaFrame(address, (ROWS, WIDTH), stream=None)
        with NvencEncoder(WIDTH, HEIGHT) as encoder:
            encoder.encode(frame)
            found = per_frame(machine, encoder, frame)
    assert "nvEncRegisterResource" not in found
    assert found["cuPointerGetAttribute"] == 2
