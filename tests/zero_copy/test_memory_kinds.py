"""Memory that NVENC does not take: it is copied, and copy="never" says why it has to be."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import memory_kinds
from frames import CudaFrame, DlpackFrame, gpu
from memory_kinds import ALL_KINDS, NOT_REGISTERABLE, REGISTERABLE
from pdum.nvenc import EncoderFailed, InvalidFrame, NvencEncoder
from zero_copy.memory import FAST, HEIGHT, ROWS, WIDTH, Calls, expected, picture, pixels

from simulator import Simulator

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]

REGISTER, MAP, ENCODE = "nvEncRegisterResource", "nvEncMapInputResource", "nvEncEncodePicture"
REASONS = {"pool": "cudaMallocAsync", "own pool": "cudaMallocAsync", "managed": "managed memory", "virtual": "virtual"}


@contextmanager
def frame_of(kind: str, number: int) -> Iterator[CudaFrame]:
    with memory_kinds.memory(kind, ROWS * WIDTH, picture(number).tobytes()) as address:
        yield CudaFrame(address, (ROWS, WIDTH))


def with_fault(simulator: Simulator, call: str, status: int, nth: int = 1) -> None:
    simulator.configure(**FAST, faults=[{"call": call, "nth": nth, "status": status}])
    simulator.reset()


@pytest.mark.parametrize("kind", NOT_REGISTERABLE)
@pytest.mark.parametrize("awaited", [False, True])
def test_auto_copies_it_without_trying(simulator: Simulator, kind: str, awaited: bool) -> None:
    with simulator.machine(**FAST) as machine, frame_of(kind, 1) as frame, NvencEncoder(WIDTH, HEIGHT) as encoder:
        calls, told = Calls(machine), list[Any]()
        options: dict[str, Any] = {"on_released": told.append} if awaited else {}
        for _ in range(3):
            (packet,) = encoder.submit(frame, 0, **options)
            assert packet.released is None
            assert pixels([packet]) == expected([1])
        assert (calls(REGISTER), calls("cuMemcpy2D")) == (0, 3)
        assert len(told) == (3 if awaited else 0)


@pytest.mark.parametrize("kind", REGISTERABLE)
def test_auto_reads_plain_memory_in_place(simulator: Simulator, kind: str) -> None:
    with simulator.machine(**FAST) as machine, frame_of(kind, 1) as frame, NvencEncoder(WIDTH, HEIGHT) as encoder:
        calls = Calls(machine)
        for _ in range(3):
            (packet,) = encoder.submit(frame, 0)
            assert packet.released is frame
        assert (calls(REGISTER), calls("cuMemcpy2D")) == (1, 0)


@pytest.mark.parametrize("kind", NOT_REGISTERABLE)
def test_never_says_why_and_what_to_do(simulator: Simulator, kind: str) -> None:
    words = rf"copy='never'.*{REASONS[kind]}.*cudaMalloc .*surface\(\).*copy"
    with simulator.machine(**FAST), frame_of(kind, 1) as frame, NvencEncoder(WIDTH, HEIGHT, copy="never") as encoder:
        with pytest.raises(InvalidFrame, match=words):
            encoder.encode(frame)
        assert encoder.in_flight == 0


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("delay", [0, 2])
def test_always_copies_every_kind(simulator: Simulator, kind: str, delay: int) -> None:
    options: dict[str, Any] = {"copy": "always", "extra_output_delay": delay}
    with simulator.machine(**FAST), frame_of(kind, 1) as frame, NvencEncoder(WIDTH, HEIGHT, **options) as encoder:
        packets = [packet for number in range(4) for packet in encoder.submit(frame, number)]
        assert pixels(packets + encoder.flush_pipeline()) == expected([1] * 4)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_by_dlpack(simulator: Simulator, kind: str) -> None:
    with simulator.machine(**FAST), frame_of(kind, 5) as frame, NvencEncoder(WIDTH, HEIGHT) as encoder:
        device = (DlpackFrame.CUDA_MANAGED if kind == "managed" else DlpackFrame.CUDA, 0)
        tensor = DlpackFrame(frame.pointer, (ROWS, WIDTH), device=device)
        assert pixels(encoder.submit(tensor, 0)) == expected([5])


def test_where_cuda_has_no_legacy_ipc(simulator: Simulator) -> None:
    """Without it, plain memory is still read in place, and the kinds that CUDA names are still copied."""
    config = {**FAST, "gpus": {**FAST["gpus"], "legacy_ipc": False}}
    for kind in ALL_KINDS:
        with simulator.machine(**config) as machine, frame_of(kind, 1) as frame, NvencEncoder(WIDTH, HEIGHT) as encoder:
            calls = Calls(machine)
            for _ in range(3):
                assert pixels(encoder.submit(frame, 0)) == expected([1])
            tried = {"plain": 1, "pitched": 1, "virtual": 1}.get(kind, 0)
            assert (calls(REGISTER), calls("cuMemcpy2D")) == (tried, 0 if kind in REGISTERABLE else 3), kind


def test_registered_memory_is_not_asked_again(simulator: Simulator) -> None:
    with simulator.machine(**FAST) as machine, gpu() as device, NvencEncoder(WIDTH, HEIGHT, copy="never") as encoder:
        frame = device.frame(picture(1))
        encoder.encode(frame)
        calls = Calls(machine)
        for _ in range(5):
            encoder.encode(frame)
        assert calls("cuPointerGetAttribute") == 5, "one a frame: whether it is still the same allocation"


def test_the_tests_for_a_gpu_pass_on_the_simulated_one(nvsim_dir: Path, root: Path) -> None:
    """But for those that need kernels or CuPy. A process can have only one libcuda, so this starts another."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/gpu/test_memory_kinds.py"]
    environment = {**os.environ, "LD_LIBRARY_PATH": str(nvsim_dir / "full"), "PDUM_NO_SKIPS": "0"}
    environment.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert int(passed[1] if passed else 0) >= 100, done.stdout


STATUSES = (8, 10, 12, 20, 23)  # invalid or unsupported parameter, out of memory, no reason, not registered


@pytest.mark.parametrize("status", STATUSES)
def test_auto_copies_what_is_refused_at_its_first_picture(abi: str, simulator: Simulator, status: int) -> None:
    """And remembers it for that memory; other memory is tried."""
    with simulator.machine(**FAST) as machine, gpu() as device, NvencEncoder(WIDTH, HEIGHT) as encoder:
        refused, other = device.frame(picture(1)), device.frame(picture(2))
        with_fault(simulator, ENCODE, status)
        told: list[Any] = []
        (packet,) = encoder.submit(refused, 7, on_released=told.append)
        assert (packet.seq, packet.pts, packet.released, told) == (7, 0, None, [refused])
        assert pixels([packet]) == expected([1])
        calls = Calls(machine)
        for _ in range(3):
            assert pixels(encoder.submit(refused, 0)) == expected([1])
        assert (calls(REGISTER), calls("cuMemcpy2D")) == (0, 3)
        assert encoder.submit(other, 0)[0].released is other
        assert (calls(REGISTER), calls("cuMemcpy2D")) == (1, 3)


def test_a_failure_that_the_copy_has_too_is_raised_and_not_remembered(simulator: Simulator) -> None:
    with simulator.machine(**FAST) as machine, gpu() as device, NvencEncoder(WIDTH, HEIGHT) as encoder:
        frame = device.frame(picture(1))
        with_fault(simulator, ENCODE, 20, nth=0)
        with pytest.raises(EncoderFailed, match="nvEncEncodePicture"):
            encoder.encode(frame)
        assert encoder.in_flight == 0
        simulator.configure(**FAST)
        calls = Calls(machine)
        (packet,) = encoder.submit(frame, 3)
        assert (packet.seq, packet.pts, packet.released) == (3, 0, frame)
        assert calls("cuMemcpy2D") == 0


def test_memory_that_was_read_before_is_not_copied_after_a_failure(simulator: Simulator) -> None:
    with simulator.machine(**FAST) as machine, gpu() as device, NvencEncoder(WIDTH, HEIGHT) as encoder:
        frame = device.frame(picture(1))
        encoder.encode(frame)
        with_fault(simulator, ENCODE, 20)
        calls = Calls(machine)
        with pytest.raises(EncoderFailed):
            encoder.encode(frame)
        assert encoder.submit(frame, 0)[0].released is frame
        assert calls("cuMemcpy2D") == 0


def test_never_names_the_copy_as_a_way_out_of_a_refused_first_picture(simulator: Simulator) -> None:
    with simulator.machine(**FAST), gpu() as device, NvencEncoder(WIDTH, HEIGHT, copy="never") as encoder:
        frame = device.frame(picture(1))
        with_fault(simulator, ENCODE, 20)
        with pytest.raises(EncoderFailed, match=r"nvEncEncodePicture.*copy='auto'"):
            encoder.encode(frame)
        assert pixels(encoder.submit(frame, 0)) == expected([1])


def test_a_refused_frame_is_released(simulator: Simulator) -> None:
    """Its registration went with the refusal, and nothing watches its owner."""
    with simulator.machine(**FAST) as machine, gpu() as device, NvencEncoder(WIDTH, HEIGHT) as encoder:
        own = machine.live()["registered"]
        frame = device.frame(picture(1))
        with_fault(simulator, ENCODE, 20)
        encoder.encode(frame)
        assert machine.live()["registered"] == own
        assert weakref.getweakrefcount(frame) == 0
