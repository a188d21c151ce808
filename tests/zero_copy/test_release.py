"""Frames that the engine reads in place: kept until then, and reported once when they may be written again."""

from __future__ import annotations

import gc
import sys
import weakref
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frames import CudaFrame, DlpackFrame, Gpu, gpu
from pdum.nvenc import EncoderFailed, InvalidFrame, NvencEncoder, Packet
from zero_copy.memory import FAST, HEIGHT, ROWS, WIDTH, LatePool, OwnedFrame, expected, picture, pixels

from simulator import Simulator

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]

HELD_BACK: list[dict[str, Any]] = [
    {},
    {"extra_output_delay": 3},
    {"tuning": "hq", "bframes": 2},
    {"tuning": "hq", "lookahead": 4},
    {"tuning": "hq", "bframes": 1, "extra_output_delay": 5},
]


def owned(device: Gpu, count: int) -> list[OwnedFrame]:
    return [OwnedFrame(device, picture(number)) for number in range(count)]


@pytest.mark.parametrize("options", HELD_BACK, ids=str)
def test_a_packet_names_the_frame_that_it_releases(abi: str, simulator: Simulator, options: dict[str, Any]) -> None:
    with simulator.machine(**FAST), gpu() as device, NvencEncoder(WIDTH, HEIGHT, copy="never", **options) as encoder:
        frames = owned(device, 12)
        packets = [packet for number, frame in enumerate(frames) for packet in encoder.submit(frame, number)]
        packets += encoder.flush_pipeline()
        assert len(packets) == 12
        for packet in packets:
            assert packet.released is frames[packet.seq]
        assert pixels(packets) == expected(range(12))


@pytest.mark.parametrize("options", HELD_BACK, ids=str)
def test_frames_without_another_reference(simulator: Simulator, options: dict[str, Any]) -> None:
    """They live until read, although the caller has dropped them, and end with their packets."""
    with simulator.machine(**FAST), gpu() as device, NvencEncoder(WIDTH, HEIGHT, copy="never", **options) as encoder:
        watched: list[weakref.ref[OwnedFrame]] = []
        packets: list[Packet] = []
        for number in range(9):
            frame = OwnedFrame(device, picture(number))
            watched.append(weakref.ref(frame))
            packets += encoder.submit(frame, number)
            del frame
            gc.collect()
            out = {packet.seq for packet in packets}
            assert all(reference() is not None for seq, reference in enumerate(watched) if seq not in out)
        packets += encoder.flush_pipeline()
        assert pixels(packets) == expected(range(9))
        packets.clear()
        gc.collect()
        assert [reference() for reference in watched] == [None] * 9


def test_a_tensor_is_held_as_its_producer_wants(simulator: Simulator) -> None:
    """DLPack's capsule is released when the frame has been read, not before."""
    with (
        simulator.machine(**FAST),
        gpu() as device,
        NvencEncoder(WIDTH, HEIGHT, copy="never", extra_output_delay=1) as encoder,
    ):
        one = DlpackFrame(device.frame(picture(1)).pointer, (ROWS, WIDTH))
        other = DlpackFrame(device.frame(picture(2)).pointer, (ROWS, WIDTH))
        assert encoder.submit(one, 1) == []
        assert one.alive == 1
        (packet,) = encoder.submit(other, 2)
        assert packet.released is one
        assert (one.alive, other.alive) == (0, 1)
        encoder.flush_pipeline()
        assert other.alive == 0


@dataclass(frozen=True)
class Plan:
    """Frames through an encoder that holds some back and is flushed at times."""

    copy: str
    delay: int
    bframes: int
    count: int
    flushes: frozenset[int]


plans = st.builds(
    Plan,
    copy=st.sampled_from(["auto", "always", "never"]),
    delay=st.integers(0, 4),
    bframes=st.integers(0, 3),
    count=st.integers(1, 14),
    flushes=st.frozensets(st.integers(0, 13), max_size=2),
)


@given(plan=plans)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_each_frame_is_released_once_and_never_too_early(simulator: Simulator, plan: Plan) -> None:
    """For each value of `copy`: in place, when its packet is out; copied, before the call returns."""
    with simulator.machine(**FAST), gpu() as device:
        frames = owned(device, plan.count)
        told: list[Any] = []
        out: set[int] = set()
        options: dict[str, Any] = {
            "copy": plan.copy,
            "extra_output_delay": plan.delay,
            "bframes": plan.bframes,
            "tuning": "hq",
        }
        with NvencEncoder(WIDTH, HEIGHT, **options) as encoder:
            packets: list[Packet] = []
            for number, frame in enumerate(frames):
                packets += encoder.submit(frame, number, on_released=told.append)
                packets += encoder.flush_pipeline() if number in plan.flushes else []
                out = {packet.seq for packet in packets}
                free = {frames.index(one) for one in told}
                assert free == (set(range(number + 1)) if plan.copy == "always" else out)
            packets += encoder.flush_pipeline()
        assert Counter(map(id, told)) == Counter(map(id, frames))
        assert pixels(packets) == expected(range(plan.count))


def test_a_callback_makes_auto_read_in_place(abi: str, simulator: Simulator) -> None:
    """A caller with a callback waits for it. A caller without one may write at once, and gets a copy."""
    with (
        simulator.machine(**FAST) as machine,
        gpu() as device,
        NvencEncoder(WIDTH, HEIGHT, extra_output_delay=2) as encoder,
    ):
        frames = owned(device, 6)
        told: list[Any] = []
        packets: list[Packet] = []
        before = machine.calls("cuda").get("cuMemcpy2DAsync_v2", 0)
        for number, frame in enumerate(frames):
            packets += encoder.submit(frame, number, on_released=told.append if number % 2 else None)
        packets += encoder.flush_pipeline()
        assert machine.calls("cuda")["cuMemcpy2DAsync_v2"] - before == 3
        assert told == [frames[1], frames[3], frames[5]]
        assert [packet.released for packet in packets] == [None, frames[1], None, frames[3], None, frames[5]]
        assert pixels(packets) == expected(range(6))


def test_a_copied_frame_is_released_by_no_packet(simulator: Simulator) -> None:
    with (
        simulator.machine(**FAST),
        gpu() as device,
        NvencEncoder(WIDTH, HEIGHT, copy="always", extra_output_delay=1) as encoder,
    ):
        told: list[Any] = []
        frame = device.frame(picture(1))
        assert encoder.submit(frame, 0, on_released=told.append) == []
        assert told == [frame]
        assert [packet.released for packet in encoder.flush_pipeline()] == [None]


def test_a_callback_that_raises_costs_no_packet(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda report: reported.append(type(report.exc_value)))

    def fail(frame: object) -> None:
        raise KeyError("mine")

    with (
        simulator.machine(**FAST),
        gpu() as device,
        NvencEncoder(WIDTH, HEIGHT, copy="never", extra_output_delay=1) as encoder,
    ):
        frame = device.frame(picture(0))
        packets = [packet for number in range(4) for packet in encoder.submit(frame, number, on_released=fail)]
        packets += encoder.flush_pipeline()
    assert [packet.seq for packet in packets] == [0, 1, 2, 3]
    assert reported == [KeyError] * 4


def test_a_callback_may_use_the_encoder(simulator: Simulator) -> None:
    """It submits the next frame from inside the call that released the previous one."""
    with (
        simulator.machine(**FAST),
        gpu() as device,
        NvencEncoder(WIDTH, HEIGHT, copy="never", extra_output_delay=1) as encoder,
    ):
        frames = owned(device, 2)
        packets: list[Packet] = []
        told: list[Any] = []

        def again(frame: Any) -> None:
            told.append(frame)
            if len(told) <= 3:
                packets.extend(encoder.submit(frame, 10 + len(told), on_released=again))

        for number, frame in enumerate(frames):
            packets += encoder.submit(frame, number, on_released=again)
        while encoder.in_flight:
            packets += encoder.flush_pipeline()
        assert sorted(packet.seq for packet in packets) == [0, 1, 11, 12, 13]
        assert len(told) == 5


@pytest.mark.parametrize("options", HELD_BACK[1:], ids=str)
def test_closing_releases_frames_in_flight(abi: str, simulator: Simulator, options: dict[str, Any]) -> None:
    """Their packets are lost, but not their memory. The engine is done with it when the callback runs."""
    with simulator.machine(**FAST) as machine, gpu() as device:
        frames = owned(device, 3)
        told: list[Any] = []
        open_sessions: list[int] = []

        def tell(frame: Any) -> None:
            told.append(frame)
            open_sessions.append(machine.live().get("sessions", 0))

        encoder = NvencEncoder(WIDTH, HEIGHT, copy="never", **options)
        out = [packet for frame in frames for packet in encoder.submit(frame, 0, on_released=tell)]
        assert len(out) < 3
        encoder.close()
        encoder.close()
        assert Counter(map(id, told)) == Counter(map(id, frames))
        assert set(open_sessions[len(out) :]) == {0}


@pytest.mark.parametrize("call", ["nvEncEncodePicture", "nvEncMapInputResource", "nvEncRegisterResource"])
def test_a_call_that_failed_keeps_no_frame(abi: str, simulator: Simulator, call: str) -> None:
    """None of these frames is in flight: they are gone as soon as the caller drops them."""
    with simulator.machine(**FAST), gpu() as device, NvencEncoder(WIDTH, HEIGHT, copy="never") as encoder:
        simulator.configure(**FAST, faults=[{"call": call, "nth": 0, "status": 10}])
        watched: list[weakref.ref[OwnedFrame]] = []
        told: list[Any] = []
        for number in range(10):
            frame = OwnedFrame(device, picture(number))
            watched.append(weakref.ref(frame))
            with pytest.raises(MemoryError):
                encoder.submit(frame, number, on_released=told.append)
            del frame
        simulator.configure(**FAST)
        assert [reference() for reference in watched] == [None] * 10
        assert (encoder.in_flight, told) == (0, [])


def test_a_call_that_failed_with_its_frame_in_flight(abi: str, simulator: Simulator) -> None:
    """The engine has the frame: it is kept until its packet is out, and then reported."""
    with simulator.machine(**FAST), gpu() as device, NvencEncoder(WIDTH, HEIGHT, copy="never") as encoder:
        (frame,) = owned(device, 1)
        watched, told = weakref.ref(frame), list[Any]()
        simulator.configure(**FAST, faults=[{"call": "nvEncLockBitstream", "nth": 1, "status": 20}])
        simulator.reset()
        with pytest.raises(EncoderFailed):
            encoder.submit(frame, 5, on_released=told.append)
        del frame
        gc.collect()
        assert (encoder.in_flight, told) == (1, [])
        assert watched() is not None
        (packet,) = encoder.flush_pipeline()
        assert (packet.seq, packet.released, told) == (5, watched(), [watched()])
        assert pixels([packet]) == expected([0])
        encoder.close()
        assert len(told) == 1


def test_a_copied_frame_of_a_call_that_failed(simulator: Simulator) -> None:
    """Its packet comes later. The frame itself is free at once, and reported."""
    with simulator.machine(**FAST), gpu() as device, NvencEncoder(WIDTH, HEIGHT, copy="always") as encoder:
        (frame,) = owned(device, 1)
        told: list[Any] = []
        simulator.configure(**FAST, faults=[{"call": "nvEncLockBitstream", "nth": 1, "status": 20}])
        simulator.reset()
        with pytest.raises(EncoderFailed):
            encoder.submit(frame, 5, on_released=told.append)
        assert told == [frame]
        assert [packet.seq for packet in encoder.flush_pipeline()] == [5]


ALIGNED = 16


def misplaced(device: Gpu, kind: str) -> Any:
    if kind == "host":
        return picture(1)
    if kind == "multiple of 16 bytes apart":
        return device.frame(picture(1), pitch=WIDTH + 8)
    if kind == "multiple of 16":
        start = device.allocate(ROWS * WIDTH + ALIGNED)
        return CudaFrame(start + 8, (ROWS, WIDTH))
    raise AssertionError(kind)


@pytest.mark.parametrize("kind", ["host", "multiple of 16 bytes apart", "multiple of 16"])
def test_never_says_why_it_cannot(abi: str, simulator: Simulator, kind: str) -> None:
    """Nothing is encoded, the frame is not kept, and the encoder goes on. The other modes copy it."""
    with simulator.machine(**FAST), gpu() as device, NvencEncoder(WIDTH, HEIGHT, copy="never") as encoder:
        frame = misplaced(device, kind)
        told: list[Any] = []
        before = sys.getrefcount(frame)
        with pytest.raises(InvalidFrame, match=r"copy='never'.*" + kind) as raised:
            encoder.submit(frame, 0, on_released=told.append)
        assert "surface()" in str(raised.value)
        del raised
        assert (encoder.in_flight, told, sys.getrefcount(frame)) == (0, [], before)
        assert pixels(encoder.submit(device.frame(picture(4)), 4)) == expected([4])
        for copy in ("auto", "always"):
            with NvencEncoder(WIDTH, HEIGHT, copy=copy) as other:
                assert other.encode(frame)


@pytest.mark.parametrize("delay", [0, 1, 4])
def test_written_again_once_released(abi: str, simulator: Simulator, delay: int) -> None:
    """As few buffers as possible: one more than are in flight."""
    with simulator.machine(**FAST, async_streams=True), gpu() as device:
        pool = LatePool(device, delay + 1)
        packets: list[Packet] = []
        with NvencEncoder(WIDTH, HEIGHT, copy="never", extra_output_delay=delay) as encoder:
            for number in range(60):
                frame = pool.free.pop()
                pool.write(frame, number)
                done = encoder.submit(frame, number)
                pool.free += [packet.released for packet in done]
                packets += done
            packets += encoder.flush_pipeline()
        assert pixels(packets) == expected(range(60))
