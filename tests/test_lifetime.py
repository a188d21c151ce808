"""Ends of encoders, threads, the interpreter and forked processes, and memory over many encoders."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frames import CudaFrame, DlpackFrame, gpu, nv12
from lifetime_runner import SCENARIOS
from pdum.nvenc import EncoderClosed, InvalidFrame, NvencEncoder

from simulator import Simulator

pytestmark = [pytest.mark.one_abi, pytest.mark.usefixtures("nvsim_dir")]

RUNNER = Path(__file__).with_name("lifetime_runner.py")
FAST = [{"name": "RTX 4090", "fps_1080p": 0}]
# A race with the end of the interpreter goes another way each time.
RACES = {
    "daemon_encodes",
    "daemon_makes_encoders",
    "daemon_asks_for_gpus",
    "daemon_recycles",
    "daemon_runs_python",
    "daemon_encodes_and_a_late_close",
    "forked_in_use",
}
REPEATS, MANY_REPEATS = 2, 12
# A sanitizer's own memory grows, too, and does not count.
MEMORY = {"many_encoders", "many_refused_encoders", "many_frames"}
WIDTH, HEIGHT = 192, 128


def run(scenario: str) -> None:
    command = [sys.executable, "-X", "faulthandler", str(RUNNER), scenario]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{done.returncode}: {done.stderr}"
    assert not done.stderr


@pytest.mark.parametrize("scenario", sorted(SCENARIOS.keys() - MEMORY))
def test_a_clean_end(scenario: str) -> None:
    for _ in range(REPEATS if scenario in RACES else 1):
        run(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", sorted(RACES))
def test_a_clean_end_again_and_again(scenario: str) -> None:
    for _ in range(MANY_REPEATS):
        run(scenario)


@pytest.mark.parametrize("scenario", sorted(MEMORY))
def test_memory_stays_flat(scenario: str) -> None:
    if os.environ.get("PDUM_SANITIZER"):
        return
    run(scenario)


def references(*objects: Any) -> list[int]:
    return [sys.getrefcount(one) for one in objects]


def test_reference_counts_are_right(abi: str, simulator: Simulator) -> None:
    """References to good and bad frames, streams and results."""
    picture = nv12(WIDTH, HEIGHT, 3)
    with simulator.machine(gpus=FAST), gpu() as device, NvencEncoder(WIDTH, HEIGHT) as encoder:
        device_frame = device.frame(picture)
        stream = device.stream()
        tensor = DlpackFrame(device_frame.pointer, picture.shape)
        bad = CudaFrame(0, picture.shape)
        wrong = np.zeros((3, 3), np.uint8)
        things = [picture, device_frame, device_frame.interface, stream, tensor, bad, bad.interface, wrong]
        before = references(*things)
        for _ in range(10):
            for frame in (picture, picture.data, device_frame, tensor):
                data = encoder.encode(frame, stream=stream)
                assert references(data) == references(b"".join([data, b"1"]))
            for frame in (bad, wrong, wrong.data):
                with pytest.raises(InvalidFrame):
                    encoder.encode(frame)
        del frame, data
        gc.collect()
        assert references(*things) == before
        assert tensor.alive == 0
        packet = encoder.submit(picture, 2**40)[0]
        held, bare = references(packet.data, packet.seq), references(packet)
        assert [type(value) for value in packet] == [int, bytes, bool]
        assert (references(packet.data, packet.seq), references(packet)) == (held, bare)


def test_a_refused_buffer_is_given_back(abi: str, simulator: Simulator) -> None:
    """A bytearray cannot change its size while it is being read."""
    with simulator.machine(gpus=FAST), NvencEncoder(WIDTH, HEIGHT) as encoder:
        for size in (0, 10, WIDTH * HEIGHT * 3 // 2):
            memory = bytearray(size)
            if size < WIDTH * HEIGHT:
                with pytest.raises(InvalidFrame):
                    encoder.encode(memory)
            else:
                encoder.encode(memory)
            memory.append(1)


def test_a_frame_may_go_as_soon_as_the_call_returns(abi: str, simulator: Simulator) -> None:
    class Frame:
        """Something that can be referred to weakly."""

        def __init__(self, array: Any) -> None:
            self.array = array

        def __dlpack__(self, **arguments: Any) -> Any:
            return self.array.__dlpack__(**arguments)

        def __dlpack_device__(self) -> Any:
            return self.array.__dlpack_device__()

    options: dict[str, Any] = {"tuning": "hq", "bframes": 2, "extra_output_delay": 4}
    with simulator.machine(gpus=FAST), NvencEncoder(WIDTH, HEIGHT, **options) as encoder:
        frame = Frame(nv12(WIDTH, HEIGHT, 1))
        watched = weakref.ref(frame)
        assert encoder.submit(frame, 1) == []
        del frame
        assert watched() is None
        assert encoder.in_flight == 1


class Recycler(NvencEncoder):
    """It refers to itself through its frames in flight, as in code with a pool of frames."""

    def __init__(self, **options: Any) -> None:
        super().__init__(WIDTH, HEIGHT, copy="never", extra_output_delay=2, **options)
        self.log: list[Any] = []

    def recycle(self, frame: Any) -> None:
        self.log.append(frame)

    def take(self, frame: Any) -> None:
        self.submit(frame, 0, on_released=self.recycle)


def test_an_encoder_in_a_cycle_is_collected(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=FAST) as machine, gpu() as device:
        frame = device.frame(nv12(WIDTH, HEIGHT, 1))
        encoder = Recycler()
        encoder.take(frame)
        log, watched = encoder.log, weakref.ref(encoder)
        del encoder
        gc.collect()
        assert watched() is None
        assert machine.live().get("sessions", 0) == 0
        assert log == [frame]


def test_a_frame_that_refers_to_its_encoder(simulator: Simulator) -> None:
    """The frame in flight is a part of the cycle."""
    with simulator.machine(gpus=FAST) as machine, gpu() as device:

        class Frame:
            encoder: Any

            def __init__(self, frame: CudaFrame) -> None:
                self.__cuda_array_interface__ = frame.interface

        encoder = NvencEncoder(WIDTH, HEIGHT, copy="never", extra_output_delay=2)
        frame = Frame(device.frame(nv12(WIDTH, HEIGHT, 1)))
        frame.encoder = encoder
        encoder.submit(frame, 0)
        watched = weakref.ref(frame)
        del encoder, frame
        gc.collect()
        assert watched() is None
        assert machine.live().get("sessions", 0) == 0


@pytest.mark.parametrize("own_del", [False, True])
def test_a_dropped_encoder_releases_its_frames(abi: str, simulator: Simulator, own_del: bool) -> None:
    """It was not closed. The engine is done with the frames when the callback runs."""

    class Dropped(NvencEncoder):
        """Some classes have their own finaliser."""

        if own_del:

            def __del__(self) -> None:
                pass

    with simulator.machine(gpus=FAST) as machine, gpu() as device:
        frames = [device.frame(nv12(WIDTH, HEIGHT, number)) for number in range(2)]
        told: list[tuple[Any, int]] = []

        def tell(frame: Any) -> None:
            told.append((frame, machine.live().get("sessions", 0)))

        encoder = Dropped(WIDTH, HEIGHT, copy="never", extra_output_delay=2)
        for frame in frames:
            assert encoder.submit(frame, 0, on_released=tell) == []
        del encoder
        gc.collect()
        assert told == [(frames[0], 0), (frames[1], 0)]


def test_dropping_an_encoder_hides_no_error(simulator: Simulator) -> None:
    """It may be dropped while an exception is pending, and its callbacks may raise others."""
    with simulator.machine(gpus=FAST), gpu() as device:
        frame = device.frame(nv12(WIDTH, HEIGHT, 1))

        def drop() -> None:
            encoder = NvencEncoder(WIDTH, HEIGHT, copy="never", extra_output_delay=2)
            told: list[Any] = []
            encoder.submit(frame, 0, on_released=told.append)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            drop()


def test_an_encoder_without_init(simulator: Simulator) -> None:
    """Nothing of it is raw memory."""
    with simulator.machine(gpus=FAST):

        class Early(NvencEncoder):
            def __init__(self) -> None:
                self.close()
                assert (self.width, self.height) == (0, 0)
                super().__init__(WIDTH, HEIGHT)

        encoder = Early()
        assert encoder.encode(nv12(WIDTH, HEIGHT, 1))
        encoder.close()


@pytest.mark.parametrize("again", [{}, {"codec": "av1"}])
def test_init_twice(abi: str, simulator: Simulator, again: dict[str, Any]) -> None:
    with simulator.machine(gpus=FAST) as machine:
        encoder = NvencEncoder(WIDTH, HEIGHT)
        NvencEncoder.__init__(encoder, WIDTH, HEIGHT, **again)
        assert machine.live()["sessions"] == 1
        assert encoder.encode(nv12(WIDTH, HEIGHT, 1))
        encoder.close()
        del encoder


def test_a_closed_encoder_asks_no_frame(abi: str, simulator: Simulator) -> None:
    """A producer that gets a stream that is gone would make its frame ready on it."""
    picture = nv12(WIDTH, HEIGHT, 1)
    with simulator.machine(gpus=FAST), gpu() as device:
        tensor = DlpackFrame(device.frame(picture).pointer, picture.shape)
        encoder = NvencEncoder(WIDTH, HEIGHT)
        assert encoder.encode(tensor)
        encoder.close()
        for frame in (tensor, b"", None):
            with pytest.raises(EncoderClosed):
                encoder.encode(frame)
        assert len(tensor.streams) == 1


def test_encoders_are_not_copied(simulator: Simulator) -> None:
    with simulator.machine(gpus=FAST), NvencEncoder(WIDTH, HEIGHT) as encoder:
        for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="pickle"):
                duplicate(encoder)
