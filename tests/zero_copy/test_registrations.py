"""Registered memory: once for each place, while it is the same memory, and in limited number."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from frames import CudaFrame, Gpu, gpu, nv12
from pdum.nvenc import EncoderFailed, InvalidFrame, NvencEncoder
from zero_copy.memory import (
    FAST,
    HEIGHT,
    ROWS,
    WIDTH,
    Calls,
    OwnedFrame,
    View,
    WithoutWeakReferences,
    expected,
    picture,
    pixels,
)

from simulator import Simulator, checksum, parse

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]

REGISTER, UNREGISTER = "nvEncRegisterResource", "nvEncUnregisterResource"
MOST_REGISTERED = 64  # the limit in src/cpp/session/inputs.cpp


def places(device: Gpu, count: int) -> list[CudaFrame]:
    """Frames next to each other in one allocation, each with its own picture."""
    size = ROWS * WIDTH
    start = device.allocate(count * size)
    for number in range(count):
        device.upload(start + number * size, picture(number))
    return [CudaFrame(start + number * size, (ROWS, WIDTH)) for number in range(count)]


def in_place(**settings: Any) -> NvencEncoder:
    return NvencEncoder(WIDTH, HEIGHT, copy="never", **settings)


@pytest.mark.parametrize("delay", [0, 3])
def test_a_place_is_registered_once(abi: str, simulator: Simulator, delay: int) -> None:
    with simulator.machine(**FAST) as machine, gpu() as device, in_place(extra_output_delay=delay) as encoder:
        frames, packets = places(device, 6), []
        calls = Calls(machine)
        for turn in range(5):
            for number, frame in enumerate(frames):
                packets += encoder.submit(frame, turn * 6 + number)
        packets += encoder.flush_pipeline()
        assert (calls(REGISTER), calls(UNREGISTER)) == (6, 0)
        assert calls("cuMemcpy") == 0
        assert pixels(packets) == expected(list(range(6)) * 5)


def test_auto_registers_what_the_call_waits_for(abi: str, simulator: Simulator) -> None:
    with simulator.machine(**FAST) as machine, gpu() as device, NvencEncoder(WIDTH, HEIGHT) as encoder:
        frames = places(device, 2)
        calls = Calls(machine)
        for number in range(6):
            assert parse(encoder.encode(frames[number % 2]))[0].checksum == checksum(picture(number % 2))
        assert (calls(REGISTER), calls("cuMemcpy")) == (2, 0)


def test_another_pitch_at_the_same_address_is_another_picture(simulator: Simulator) -> None:
    with simulator.machine(**FAST) as machine, gpu() as device, in_place() as encoder:
        calls = Calls(machine)
        padded = device.frame(picture(1), pitch=256)
        packed = CudaFrame(padded.pointer, (ROWS, WIDTH))
        for _ in range(3):
            assert pixels(encoder.submit(padded, 0)) == expected([1])
            assert pixels(encoder.submit(packed, 0)) != expected([1])
        assert calls(REGISTER) == 2


def test_it_goes_with_its_owner(abi: str, simulator: Simulator) -> None:
    """At once, and not only when something else is registered."""
    with simulator.machine(**FAST) as machine, gpu() as device, in_place() as encoder:
        frame = OwnedFrame(device, picture(1))
        encoder.encode(frame)
        calls = Calls(machine)
        del frame
        gc.collect()
        assert (calls(UNREGISTER), calls("cuMemFree")) == (1, 1)


def test_an_owner_in_flight_stays_until_its_packet_is_out(abi: str, simulator: Simulator) -> None:
    with simulator.machine(**FAST) as machine, gpu() as device, in_place(extra_output_delay=2) as encoder:
        frame = OwnedFrame(device, picture(7))
        assert encoder.submit(frame, 7) == []
        calls = Calls(machine)
        del frame
        gc.collect()
        assert (calls(UNREGISTER), calls("cuMemFree")) == (0, 0)
        packets = encoder.flush_pipeline()
        assert pixels(packets) == expected([7])
        assert (calls(UNREGISTER), calls("cuMemFree")) == (0, 0), "the packet still holds what it has released"
        del packets
        gc.collect()
        assert (calls(UNREGISTER), calls("cuMemFree")) == (1, 1)


def test_views_come_and_go(simulator: Simulator) -> None:
    """The array that owns the memory counts, not the objects that point into it."""
    with simulator.machine(**FAST) as machine, gpu() as device, in_place() as encoder:
        frame = OwnedFrame(device, picture(2))
        calls = Calls(machine)
        for _ in range(5):
            assert pixels(encoder.submit(View(frame), 0)) == expected([2])
            gc.collect()
        assert (calls(REGISTER), calls(UNREGISTER)) == (1, 0)
        del frame
        gc.collect()
        assert calls(UNREGISTER) == 1


def test_memory_freed_and_allocated_again_at_the_same_address(abi: str, simulator: Simulator) -> None:
    """Nothing reported the end of the first one: CUDA's own number of the allocation shows it."""
    with simulator.machine(**FAST) as machine, gpu() as device, in_place() as encoder:
        calls, addresses = Calls(machine), set()
        for number in range(5):
            frame = device.frame(picture(number))
            addresses.add(frame.pointer)
            for _ in range(2):
                assert pixels(encoder.submit(WithoutWeakReferences(frame), number)) == expected([number])
            device.free(frame.pointer)
        assert len(addresses) == 1, "the simulated libcuda gives the same memory again"
        assert (calls(REGISTER), calls(UNREGISTER)) == (5, 4)


def test_their_number_is_bounded(abi: str, simulator: Simulator) -> None:
    count = MOST_REGISTERED * 2 + 10
    with simulator.machine(**FAST) as machine, gpu() as device, in_place() as encoder:
        own = machine.live()["registered"]
        most = 0
        for number, frame in enumerate(places(device, count)):
            assert pixels(encoder.submit(frame, number)) == expected([number])
            most = max(most, machine.live()["registered"] - own)
        assert most == MOST_REGISTERED


def test_the_one_not_used_for_longest_goes_first(simulator: Simulator) -> None:
    with simulator.machine(**FAST) as machine, gpu() as device, in_place() as encoder:
        favourite, *others = places(device, 3 * MOST_REGISTERED)
        encoder.encode(favourite)
        calls = Calls(machine)
        for frame in others:
            encoder.encode(frame)
            encoder.encode(favourite)
        assert calls(REGISTER) == len(others)


def test_frames_in_flight_stay_registered(simulator: Simulator) -> None:
    """More frames at once than can stay registered: none is unregistered while the engine uses it."""
    count = MOST_REGISTERED + 1
    with simulator.machine(**FAST) as machine, gpu() as device, in_place(extra_output_delay=MOST_REGISTERED) as encoder:
        packets: list[Any] = []
        own = machine.live()["registered"]
        for number, frame in enumerate(places(device, count)):
            packets += encoder.submit(frame, number)
        assert machine.live()["registered"] == own + count
        packets += encoder.flush_pipeline()
        assert pixels(packets) == expected(range(count))


def test_one_frame_many_times_in_flight(simulator: Simulator) -> None:
    with simulator.machine(**FAST) as machine, gpu() as device, in_place(extra_output_delay=4) as encoder:
        (frame,) = places(device, 1)
        calls, packets = Calls(machine), []
        for number in range(9):
            packets += encoder.submit(frame, number)
        packets += encoder.flush_pipeline()
        assert pixels(packets) == expected([0] * 9)
        assert calls(REGISTER) == 1


def test_another_size_is_registered_again(abi: str, simulator: Simulator) -> None:
    settings: dict[str, Any] = {"copy": "never", "max_width": WIDTH, "max_height": HEIGHT}
    small = (WIDTH - 32, HEIGHT - 16)
    with simulator.machine(**FAST) as machine, gpu() as device:
        one, other = device.frame(picture(1)), device.frame(nv12(*small, 2))
        with NvencEncoder(WIDTH, HEIGHT, **settings) as encoder:
            calls = Calls(machine)
            for turn in range(3):
                encoder.reconfigure(width=WIDTH, height=HEIGHT)
                assert pixels(encoder.submit(one, turn)) == expected([1])
                encoder.reconfigure(width=small[0], height=small[1])
                assert pixels(encoder.submit(other, turn)) == [checksum(nv12(*small, 2))]
            assert (calls(REGISTER), calls("cuMemcpy")) == (6, 0)


def test_two_encoders_register_for_themselves(simulator: Simulator) -> None:
    with simulator.machine(**FAST) as machine, gpu() as device:
        frame = OwnedFrame(device, picture(3))
        with in_place() as one, in_place(codec="hevc") as other:
            for encoder in (one, other, one, other):
                assert pixels(encoder.submit(frame, 0)) == expected([3])
            calls = Calls(machine)
            del frame
            gc.collect()
            assert calls(UNREGISTER) == 2


def test_owners_outlive_encoders(simulator: Simulator) -> None:
    """The end of an array has no effect once its encoder is gone."""
    with simulator.machine(**FAST) as machine, gpu() as device:
        frame = OwnedFrame(device, picture(3))
        with in_place() as encoder:
            encoder.encode(frame)
        del encoder
        calls = Calls(machine)
        del frame
        gc.collect()
        assert (calls(UNREGISTER), calls("cuMemFree")) == (0, 1)


def watchers(frames: list[Any]) -> list[int]:
    return [weakref.getweakrefcount(frame) for frame in frames]


def test_an_owner_is_watched_once_and_while_it_is_registered(abi: str, simulator: Simulator) -> None:
    """More buffers in rotation than can stay registered: a new registration adds nothing to its owner."""
    with simulator.machine(**FAST), gpu() as device, in_place() as encoder:
        frames = places(device, MOST_REGISTERED + 6)
        for _ in range(3):
            for frame in frames:
                encoder.encode(frame)
            assert set(watchers(frames)) == {0, 1}
            assert sum(watchers(frames)) == MOST_REGISTERED
        encoder.close()
        assert set(watchers(frames)) == {0}


def test_one_owner_of_many_places_is_watched_once(simulator: Simulator) -> None:
    with simulator.machine(**FAST) as machine, gpu() as device, in_place() as encoder:
        base = CudaFrame(*((places(device, 5))[0].pointer, (ROWS, WIDTH)))
        views = [View(base) for _ in range(5)]
        for number, view in enumerate(views):
            view.interface = {**view.interface, "data": (base.pointer + number * ROWS * WIDTH, False)}
            assert pixels(encoder.submit(view, 0)) == expected([number])
        assert weakref.getweakrefcount(base) == 1
        calls = Calls(machine)
        del base, views, view
        gc.collect()
        assert calls(UNREGISTER) == 5


def test_a_closed_encoder_leaves_nothing_at_the_owners(simulator: Simulator) -> None:
    with simulator.machine(**FAST), gpu() as device:
        (frame,) = places(device, 1)
        for end in ("close", "drop"):
            encoder = in_place()
            encoder.encode(frame)
            assert weakref.getweakrefcount(frame) == 1
            if end == "close":
                encoder.close()
            else:
                del encoder
                gc.collect()
            assert weakref.getweakrefcount(frame) == 0


def test_a_failed_call_watches_what_it_has_registered(simulator: Simulator) -> None:
    fault = {"call": "nvEncEncodePicture", "nth": 1, "status": 20}
    with simulator.machine(**FAST, faults=[fault]) as machine, gpu() as device, in_place() as encoder:
        frame = OwnedFrame(device, picture(1))
        calls = Calls(machine)
        with pytest.raises(EncoderFailed):
            encoder.encode(frame)
        assert calls(REGISTER) == 1
        del frame
        gc.collect()
        assert calls(UNREGISTER) == 1


def test_a_registration_asks_few_others(simulator: Simulator) -> None:
    """Checking that their memory is unchanged costs one call of the driver each."""
    with simulator.machine(**FAST) as machine, gpu() as device, in_place() as encoder:
        frames = places(device, MOST_REGISTERED + 6)
        for frame in frames:
            encoder.encode(frame)
        calls = Calls(machine)
        for frame in frames:
            encoder.encode(frame)
        assert calls(REGISTER) == len(frames)
        assert calls("cuPointerGetAttribute") <= 6 * len(frames)


@pytest.mark.parametrize(("call", "status"), [(REGISTER, 23), ("nvEncMapInputResource", 18), (REGISTER, 10)])
def test_auto_copies_what_the_driver_refuses(abi: str, simulator: Simulator, call: str, status: int) -> None:
    """It remembers this for the memory, and tries other memory."""
    with simulator.machine(**FAST) as machine, gpu() as device, NvencEncoder(WIDTH, HEIGHT) as encoder:
        refused, other = device.frame(picture(1)), device.frame(picture(2))
        fault = {"call": call, "nth": 1, "status": status}
        simulator.configure(**FAST, faults=[fault])
        simulator.reset()
        told: list[Any] = []
        assert pixels(encoder.submit(refused, 0, on_released=told.append)) == expected([1])
        assert told == [refused]
        calls = Calls(machine)
        for _ in range(3):
            (packet,) = encoder.submit(refused, 0)
            assert packet.released is None
            assert pixels([packet]) == expected([1])
        assert (calls(REGISTER), calls("cuMemcpy2D")) == (0, 3)
        assert encoder.submit(other, 0)[0].released is other
        assert (calls(REGISTER), calls("cuMemcpy2D")) == (1, 3)
        assert weakref.getweakrefcount(refused) == 0


def test_new_memory_at_the_place_of_refused_memory_is_tried(simulator: Simulator) -> None:
    with simulator.machine(**FAST) as machine, gpu() as device, NvencEncoder(WIDTH, HEIGHT) as encoder:
        refused = device.frame(picture(1))
        simulator.configure(**FAST, faults=[{"call": REGISTER, "nth": 1, "status": 23}])
        simulator.reset()
        encoder.encode(refused)
        device.free(refused.pointer)
        again = device.frame(picture(3))
        assert again.pointer == refused.pointer
        calls = Calls(machine)
        assert pixels(encoder.submit(again, 0)) == expected([3])
        assert calls(REGISTER) == 1


@pytest.mark.parametrize("call", [REGISTER, "nvEncMapInputResource"])
def test_never_says_what_the_driver_refused(abi: str, simulator: Simulator, call: str) -> None:
    with simulator.machine(**FAST), gpu() as device, in_place() as encoder:
        frame = device.frame(picture(1))
        simulator.configure(**FAST, faults=[{"call": call, "nth": 1, "status": 23}])
        simulator.reset()
        for _ in range(2):
            with pytest.raises(InvalidFrame, match=r"copy='never'.*driver refused"):
                encoder.encode(frame)
        assert encoder.in_flight == 0
        assert pixels(encoder.submit(device.frame(picture(4)), 4)) == expected([4])
