"""A change of the rate control that no running session can make: another session takes over unnoticed.

Every frame still comes out once, in order, with its own seq and pts; an IDR is all that there is to see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from frames import gpu, nv12
from pdum.nvenc import EncoderFailed, NvencEncoder, NvencError, OutOfSessions, Packet
from zero_copy.memory import render

from simulator import Machine, Simulator, checksum, parse

pytestmark = pytest.mark.one_abi

WIDTH, HEIGHT = 192, 128
FAST = {"name": "RTX 4090", "fps_1080p": 0}
SLOW = {"name": "RTX 4090", "fps_1080p": 20_000, "engines": 1}
PICTURES = [nv12(WIDTH, HEIGHT, number) for number in range(40)]
CHECKSUMS = [checksum(picture) for picture in PICTURES]
CBR: dict[str, Any] = {"rate_control": "cbr", "qp": None, "cq": None}
VBR: dict[str, Any] = {"rate_control": "vbr", "qp": None, "cq": 25}
CONSTQP: dict[str, Any] = {"rate_control": "constqp", "qp": 30, "cq": None}
MODES = {"cbr": CBR, "vbr": VBR, "constqp": CONSTQP}
LATENCIES: list[dict[str, Any]] = [
    {},
    {"extra_output_delay": 3},
    {"tuning": "hq", "bframes": 2},
    {"tuning": "hq", "lookahead": 4, "bframes": 1},
]


def takes_another_session(before: str, after: str) -> bool:
    """No recorded card changes the mode in a running session; most can go to constant quantisers."""
    return before != after and after != "constqp"


@dataclass(frozen=True)
class Plan:
    """What a test does with an encoder: numbers are frames' seqs, names the modes that it changes to."""

    settings: dict[str, Any]
    steps: list[int | str]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    seqs = st.integers(-(2**63), 2**63 - 1)
    other = st.sampled_from([*MODES, "flush", "live", "force"])
    steps = draw(st.lists(st.one_of(seqs, seqs, other), min_size=1, max_size=40))
    latency = {
        "extra_output_delay": draw(st.integers(0, 5)),
        "bframes": draw(st.integers(0, 3)),
        "lookahead": draw(st.one_of(st.just(0), st.integers(0, 6))),
    }
    gop = draw(st.sampled_from([0, 5, 30]))
    settings = {"codec": draw(st.sampled_from(["h264", "hevc", "av1"])), "tuning": "hq", "gop": gop, **latency}
    return Plan(settings, steps)


@dataclass
class Run:
    """What came of a plan: the frames' seqs by pts, the packets, and the frames before which a session was changed."""

    seqs: list[int] = field(default_factory=list)
    packets: list[Packet] = field(default_factory=list)
    changes: list[int] = field(default_factory=list)
    forced: set[int] = field(default_factory=set)
    sessions: int = 1
    mode: str = "cbr"
    force: bool = False

    def step(self, encoder: NvencEncoder, step: int | str) -> None:
        if isinstance(step, int):
            if self.force:
                self.forced.add(len(self.seqs))
            self.packets += encoder.submit(PICTURES[len(self.seqs)], step, self.force)
            self.seqs.append(step)
            self.force = False
        elif step == "flush":
            self.packets += encoder.flush_pipeline()
            assert encoder.in_flight == 0
        elif step == "live":
            encoder.reconfigure(spatial_aq=True)
        elif step == "force":
            self.force = True
        else:
            self.change(encoder, step)
        assert encoder.in_flight == len(self.seqs) - len(self.packets)

    def change(self, encoder: NvencEncoder, mode: str) -> None:
        in_flight = encoder.in_flight
        encoder.reconfigure(**MODES[mode])
        assert encoder.in_flight == in_flight, "what the old session still had is not lost"
        if takes_another_session(self.mode, mode):
            self.changes.append(len(self.seqs))
            self.sessions += 1
        self.mode = mode


def carry_out(plan: Plan) -> Run:
    run = Run()
    with NvencEncoder(WIDTH, HEIGHT, **plan.settings, **CBR) as encoder:
        for step in plan.steps:
            run.step(encoder, step)
        run.packets += encoder.flush_pipeline()
    return run


@given(plan=plans())
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_every_frame_comes_out_once_whatever_changes(abi: str, simulator: Simulator, plan: Plan) -> None:
    with simulator.machine(gpus=FAST, count=True) as machine:
        run = carry_out(plan)
        assert machine.calls()["nvEncOpenEncodeSessionEx"] == run.sessions
    assert sorted(packet.pts for packet in run.packets) == list(range(len(run.seqs)))
    for packet in run.packets:
        assert packet.seq == run.seqs[packet.pts]
        (unit,) = parse(packet.data)
        assert unit.checksum == CHECKSUMS[packet.pts], "the pixels of exactly that frame"
        assert packet.keyframe == unit.is_idr
    dts = [packet.dts for packet in run.packets]
    assert dts == list(range(dts[0], dts[0] + len(dts))) if dts else True
    assert all(packet.dts <= packet.pts for packet in run.packets)
    idrs = {packet.pts for packet in run.packets if packet.keyframe}
    for change in run.changes:
        assert change in idrs or change == len(run.seqs), "each session starts with an IDR"
        before = [packet.pts < change for packet in run.packets]
        assert before == sorted(before, reverse=True), "the old session's packets come first"
    assert run.forced <= idrs


def test_a_live_change_takes_no_other_session(abi: str, simulator: Simulator) -> None:
    gpu = {**FAST, "caps": {"SUPPORT_DYN_RCMODE_CHANGE": 1}}
    with simulator.machine(gpus=gpu, count=True) as machine, NvencEncoder(WIDTH, HEIGHT, gop=0, **CBR) as encoder:
        keys = []
        for mode in (VBR, CONSTQP, CBR):
            keys.append(encoder.submit(PICTURES[0], 0)[0].keyframe)
            encoder.reconfigure(**mode)
        assert machine.calls()["nvEncOpenEncodeSessionEx"] == 1
    assert keys == [True, False, False]


@contextmanager
def changing(simulator: Simulator, latency: dict[str, Any], **machine: Any) -> Iterator[tuple[NvencEncoder, Machine]]:
    """An encoder on a GPU that cannot change its rate control live."""
    with (
        simulator.machine(**{"gpus": FAST, **machine}) as one,
        NvencEncoder(WIDTH, HEIGHT, gop=0, **CBR, **latency) as encoder,
    ):
        yield encoder, one


def submit(encoder: NvencEncoder, first: int, count: int = 5) -> list[Packet]:
    return [
        packet for number in range(first, first + count) for packet in encoder.submit(PICTURES[number], number + 100)
    ]


def assert_whole(packets: list[Packet], count: int, idrs: set[int]) -> None:
    """All frames, those of one session after those of another, and key frames where sessions begin."""
    assert sorted(packet.pts for packet in packets) == list(range(count))
    assert all(packet.seq == packet.pts + 100 for packet in packets)
    assert {packet.pts for packet in packets if packet.keyframe} == idrs
    assert [parse(packet.data)[0].checksum for packet in packets] == [CHECKSUMS[packet.pts] for packet in packets]


@pytest.mark.parametrize("latency", LATENCIES, ids=str)
@pytest.mark.parametrize("gpu", [FAST, SLOW], ids=["fast", "slow"])
def test_what_was_in_flight_comes_with_the_next_call(
    abi: str, simulator: Simulator, gpu: dict[str, Any], latency: dict[str, Any]
) -> None:
    with changing(simulator, latency, gpus=gpu) as (encoder, _):
        packets = submit(encoder, 0)
        held = encoder.in_flight
        encoder.reconfigure(**VBR)
        assert encoder.in_flight == held
        first = submit(encoder, 5, 1)
        assert len(first) >= held
        packets += first + submit(encoder, 6, 4) + encoder.flush_pipeline()
    assert_whole(packets, 10, {0, 5})


@pytest.mark.parametrize("latency", LATENCIES, ids=str)
def test_encode_gives_the_same_bytes(abi: str, simulator: Simulator, latency: dict[str, Any]) -> None:
    with changing(simulator, latency) as (encoder, _):
        units = b"".join(encoder.encode(PICTURES[number]) for number in range(5))
        encoder.reconfigure(**VBR)
        units += b"".join(encoder.encode(PICTURES[number]) for number in range(5, 8)) + encoder.flush()
    assert sorted(unit.checksum for unit in parse(units)) == sorted(CHECKSUMS[:8])


def test_awaited_calls_give_them_too(abi: str, simulator: Simulator) -> None:
    async def encode(encoder: NvencEncoder) -> list[Packet]:
        packets = [p for number in range(5) for p in await encoder.submit_async(PICTURES[number], number + 100)]
        encoder.reconfigure(**VBR)
        packets += [p for number in range(5, 9) for p in await encoder.submit_async(PICTURES[number], number + 100)]
        return packets + await encoder.flush_pipeline_async()

    with changing(simulator, {"extra_output_delay": 3}) as (encoder, _):
        assert_whole(asyncio.run(encode(encoder)), 9, {0, 5})


@pytest.mark.parametrize("latency", LATENCIES, ids=str)
def test_two_changes_without_a_frame_between_them(abi: str, simulator: Simulator, latency: dict[str, Any]) -> None:
    with changing(simulator, latency) as (encoder, _):
        packets = submit(encoder, 0)
        encoder.reconfigure(**VBR)
        encoder.reconfigure(**CBR)
        packets += encoder.flush_pipeline() + submit(encoder, 5) + encoder.flush_pipeline()
    assert_whole(packets, 10, {0, 5})


@pytest.mark.parametrize("latency", LATENCIES, ids=str)
def test_another_size_waits_for_the_frames_in_flight(abi: str, simulator: Simulator, latency: dict[str, Any]) -> None:
    """It needs no other session, and no picture may be in flight when the driver hears of it."""
    slow = {**SLOW, "fps_1080p": 200}
    with changing(simulator, {"max_width": 256, **latency}, gpus=slow, count=True) as (encoder, machine):
        packets = submit(encoder, 0)
        encoder.reconfigure(width=256)
        later = [nv12(256, HEIGHT, number) for number in range(3)]
        packets += [packet for number in range(3) for packet in encoder.submit(later[number], number + 105)]
        packets += encoder.flush_pipeline()
        assert machine.calls()["nvEncOpenEncodeSessionEx"] == 1
    assert sorted(packet.seq for packet in packets) == list(range(100, 108))
    assert {packet.pts for packet in packets if packet.keyframe} == {0, 5}
    expected = [*CHECKSUMS[:5], *map(checksum, later)]
    assert [parse(packet.data)[0].checksum for packet in packets] == [expected[packet.pts] for packet in packets]


def test_a_size_may_change_at_once(abi: str, simulator: Simulator) -> None:
    with changing(simulator, {"extra_output_delay": 2, "max_width": 256}) as (encoder, _):
        packets = submit(encoder, 0)
        encoder.reconfigure(width=256, **VBR)
        picture = nv12(256, HEIGHT, 1)
        packets += encoder.submit(picture, 1) + encoder.flush_pipeline()
    assert packets[-1].keyframe
    assert parse(packets[-1].data)[0].checksum == checksum(picture)
    assert [packet.pts for packet in packets] == list(range(6))


def test_frames_read_in_place_and_surfaces_outlive_a_session(abi: str, simulator: Simulator) -> None:
    released: list[int] = []
    with simulator.machine(gpus=FAST), gpu() as device:
        frames = [device.frame(picture) for picture in PICTURES[:8]]
        options: dict[str, Any] = {"copy": "never", "extra_output_delay": 3, **CBR}
        with NvencEncoder(WIDTH, HEIGHT, gop=0, **options) as encoder:

            def give(number: int) -> list[Packet]:
                frame = frames[number]
                return encoder.submit(frame, number + 100, on_released=lambda _: released.append(number))

            packets = [packet for number in range(5) for packet in give(number)]
            lent = encoder.surface()
            encoder.reconfigure(**VBR)
            render(device, lent, PICTURES[5])
            packets += encoder.submit(lent, 105)
            packets += [packet for number in (6, 7) for packet in give(number)] + encoder.flush_pipeline()
            assert sorted(released) == [0, 1, 2, 3, 4, 6, 7]
            assert [packet.released for packet in packets if packet.seq != 105] == [*frames[:5], *frames[6:]]
    assert_whole(packets, 8, {0, 5})


def fault(call: str, *uses: int, status: int) -> list[dict[str, Any]]:
    return [{"call": call, "nth": nth, "status": status} for nth in uses]


# The call that fails, the uses of it that fail, its status, the error, and whether the encoder has a session after it.
REFUSALS: list[tuple[str, tuple[int, ...], int, type[NvencError], bool]] = [
    ("nvEncOpenEncodeSessionEx", (2,), 21, OutOfSessions, True),
    ("nvEncOpenEncodeSessionEx", (2, 3), 10, OutOfSessions, False),
    ("nvEncInitializeEncoder", (2,), 8, NvencError, True),
    ("nvEncInitializeEncoder", (2, 3), 8, NvencError, False),
]


@pytest.mark.parametrize(("call", "uses", "status", "kind", "goes_on"), REFUSALS, ids=str)
@pytest.mark.parametrize("latency", LATENCIES, ids=str)
def test_without_another_session_the_settings_stay(
    abi: str,
    simulator: Simulator,
    latency: dict[str, Any],
    call: str,
    uses: tuple[int, ...],
    status: int,
    kind: type[NvencError],
    goes_on: bool,
) -> None:
    with changing(simulator, latency, faults=fault(call, *uses, status=status)) as (encoder, machine):
        packets = submit(encoder, 0)
        before, held = encoder.config, encoder.in_flight
        with pytest.raises(kind, match=call) as caught:
            encoder.reconfigure(**VBR)
        assert ("goes on" if goes_on else "for its next frame") in str(caught.value)
        assert encoder.config == before
        assert machine.live().get("sessions", 0) == goes_on
        assert encoder.in_flight == held
        packets += encoder.flush_pipeline()
        assert len(packets) == 5, "what was in flight is not lost"
        packets += submit(encoder, 5) + encoder.flush_pipeline()
        encoder.reconfigure(**VBR)
        packets += submit(encoder, 10) + encoder.flush_pipeline()
    assert_whole(packets, 15, {0, 5, 10})


USES: list[Callable[[NvencEncoder], object]] = [
    lambda encoder: encoder.submit(PICTURES[0], 0),
    lambda encoder: encoder.surface(),
    lambda encoder: encoder.sequence_header(),
    lambda encoder: encoder.reconfigure(**CBR),
]


@pytest.mark.parametrize("use", USES)
def test_an_encoder_without_a_session_says_so_until_there_is_one(
    abi: str, simulator: Simulator, use: Callable[[NvencEncoder], object]
) -> None:
    faults = fault("nvEncOpenEncodeSessionEx", 2, 3, 4, 5, status=21)
    with changing(simulator, {"extra_output_delay": 3}, faults=faults) as (encoder, machine):
        submit(encoder, 0)
        for step in (lambda e: e.reconfigure(**VBR), use, use):
            with pytest.raises(OutOfSessions, match="for its next frame"):
                step(encoder)
        assert len(encoder.flush_pipeline()) == 3
        assert encoder.flush_pipeline() == []
        use(encoder)
        assert machine.live()["sessions"] == 1


def test_closing_without_a_session(abi: str, simulator: Simulator) -> None:
    faults = fault("nvEncOpenEncodeSessionEx", 2, 3, status=21)
    told: list[object] = []
    with changing(simulator, {"extra_output_delay": 3}, faults=faults) as (encoder, machine):
        encoder.submit(PICTURES[0], 0, on_released=told.append)
        with pytest.raises(OutOfSessions):
            encoder.reconfigure(**VBR)
        encoder.close()
        assert machine.live() == {}
    assert len(told) == 1


def test_frames_that_do_not_come_out_change_nothing(abi: str, simulator: Simulator) -> None:
    """The driver refuses the second of four locks: the first is kept, and the settings are those from before."""
    faults = fault("nvEncLockBitstream", 4, status=20)
    with changing(simulator, {"extra_output_delay": 3}, faults=faults) as (encoder, machine):
        packets = submit(encoder, 0)
        before = encoder.config
        with pytest.raises(EncoderFailed, match="nvEncLockBitstream"):
            encoder.reconfigure(**VBR)
        assert encoder.config == before
        assert encoder.in_flight == 3
        packets += submit(encoder, 5) + encoder.flush_pipeline()
        assert machine.live()["sessions"] == 1
    assert_whole(packets, 10, {0, 5})
