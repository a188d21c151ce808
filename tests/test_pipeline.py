"""submit() and flush_pipeline(): every frame comes out exactly once, unchanged, whatever holds it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from frames import nv12
from pdum.nvenc import NvencEncoder, Packet

from simulator import EchoUnit, Simulator, checksum, parse
from simulator.trace import read_calls

pytestmark = pytest.mark.one_abi

VERSIONS = ("12.1", "13.0", "13.1")
WIDTH, HEIGHT = 192, 128
FAST = {"name": "RTX 4090", "fps_1080p": 0}
SLOW = {"name": "RTX 4090", "fps_1080p": 20_000, "engines": 1}
PICTURES = [nv12(WIDTH, HEIGHT, number) for number in range(64)]
CHECKSUMS = [checksum(picture) for picture in PICTURES]

relaxed = hypothesis_settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@dataclass(frozen=True)
class Plan:
    """The steps of a test: the frames' numbers, the forced ones, and those with a flush afterwards."""

    codec: str
    delay: int
    bframes: int
    lookahead: int
    gop: int
    seqs: list[int]
    forced: set[int]
    flushes: set[int]
    reused: bool  # one buffer for all frames, overwritten after each call

    @property
    def holds(self) -> int:
        return self.bframes + self.lookahead

    @property
    def most_in_flight(self) -> int:
        """With a lookahead, the pictures that an anchor releases come out only after the next one."""
        return max(self.delay, self.holds + (self.bframes if self.lookahead else 0))

    def settings(self) -> dict[str, Any]:
        return {
            "codec": self.codec,
            "tuning": "hq" if self.holds else "ll",
            "gop": self.gop,
            "extra_output_delay": self.delay,
            "bframes": self.bframes,
            "lookahead": self.lookahead,
        }


@st.composite
def plans(draw: st.DrawFn, most_bframes: int = 3) -> Plan:
    seqs = draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=len(PICTURES)))
    frames = st.sets(st.integers(0, len(seqs) - 1), max_size=6)
    bframes = draw(st.integers(0, most_bframes))
    return Plan(
        codec=draw(st.sampled_from(["h264", "hevc", "av1"])),
        delay=draw(st.integers(0, 8)),
        bframes=bframes,
        lookahead=draw(st.one_of(st.just(0), st.integers(0, 12))),
        gop=draw(st.one_of(st.just(0), st.integers(bframes + 1, 20))),
        seqs=seqs,
        forced=draw(frames),
        flushes=draw(frames),
        reused=draw(st.booleans()),
    )


@dataclass
class Outcome:
    """Packets by the flush that ended their part of the stream, and what was in flight after each call."""

    parts: list[list[Packet]] = field(default_factory=lambda: [[]])
    in_flight: list[int] = field(default_factory=list)

    @property
    def packets(self) -> list[Packet]:
        return [packet for part in self.parts for packet in part]


def carry_out(plan: Plan) -> Outcome:
    outcome = Outcome()
    buffer = PICTURES[0].copy()
    with NvencEncoder(WIDTH, HEIGHT, **plan.settings()) as encoder:
        for number, seq in enumerate(plan.seqs):
            frame = PICTURES[number]
            if plan.reused:
                buffer[...] = frame
                frame = buffer
            outcome.parts[-1] += encoder.submit(frame, seq, number in plan.forced)
            outcome.in_flight.append(encoder.in_flight)
            buffer[...] = 0xAA
            if number in plan.flushes:
                outcome.parts[-1] += encoder.flush_pipeline()
                assert encoder.in_flight == 0
                outcome.parts.append([])
        outcome.parts[-1] += encoder.flush_pipeline()
        assert encoder.in_flight == 0
        assert encoder.flush_pipeline() == []
    return outcome


def units_of(packets: Sequence[Packet]) -> list[EchoUnit]:
    units = [parse(packet.data) for packet in packets]
    assert all(len(unit) == 1 for unit in units), "one access unit a packet"
    return [unit[0] for unit in units]


@given(plan=plans(), version=st.sampled_from(VERSIONS))
@relaxed
def test_whatever_the_plan_is(simulator: Simulator, monkeypatch: pytest.MonkeyPatch, plan: Plan, version: str) -> None:
    monkeypatch.setenv("PDUM_NVENC_ABI", version)
    with simulator.machine(gpus=FAST):
        outcome = carry_out(plan)
    every_frame_comes_out_once_as_itself(plan, outcome.packets)
    packets_come_in_decoding_order(plan, outcome.packets)
    forced_frames_are_idrs(plan, outcome.packets)
    as_many_are_in_flight_as_requested(plan, outcome.in_flight)


def every_frame_comes_out_once_as_itself(plan: Plan, packets: list[Packet]) -> None:
    assert sorted(packet.pts for packet in packets) == list(range(len(plan.seqs)))
    for packet, unit in zip(packets, units_of(packets), strict=True):
        assert packet.seq == plan.seqs[packet.pts]
        assert unit.checksum == CHECKSUMS[packet.pts], "the pixels of exactly that frame"
        assert packet.keyframe == unit.is_idr
        assert packet.pic_type == unit.pic_type
        assert packet.frame_avg_qp == unit.qp
        assert [type(value) for value in packet] == [int, bytes, bool]


def packets_come_in_decoding_order(plan: Plan, packets: list[Packet]) -> None:
    assert [packet.dts for packet in packets] == list(range(packets[0].dts, packets[0].dts + len(packets)))
    assert all(packet.dts <= packet.pts for packet in packets)
    if plan.codec == "av1":  # a unit of AV1 shows one picture, so that units come in display order
        assert [packet.pts for packet in packets] == list(range(len(packets)))
        return
    anchors: list[int] = []
    for index, packet in enumerate(packets):
        if packet.keyframe:
            assert all(before.pts < packet.pts for before in packets[:index]), "nothing refers over an IDR"
            anchors = []
        if packet.pic_type == "B":
            assert min(anchors) < packet.pts < max(anchors), "after both of its anchors"
        else:
            anchors.append(packet.pts)
            assert anchors == sorted(anchors)
    if not plan.bframes:
        assert all(packet.pic_type != "B" for packet in packets)
        assert [packet.seq for packet in packets] == plan.seqs
        assert [packet.dts for packet in packets] == [packet.pts for packet in packets]


def forced_frames_are_idrs(plan: Plan, packets: list[Packet]) -> None:
    idrs = {packet.pts for packet in packets if packet.keyframe}
    assert plan.forced | {0} <= idrs
    after_flushes = {flush + 1 for flush in plan.flushes if flush + 1 < len(plan.seqs)}
    if plan.lookahead:
        assert after_flushes <= idrs, "a stream that was ended goes on with an IDR"
    elif not plan.bframes:
        after_flushes = set()  # nothing is held back, so no stream has to be ended
    if plan.gop == 0:
        assert idrs <= plan.forced | {0} | after_flushes


def as_many_are_in_flight_as_requested(plan: Plan, counts: list[int]) -> None:
    """And no more than requested or held back."""
    since_flush = 0
    for number, in_flight in enumerate(counts):
        since_flush += 1
        assert min(since_flush, plan.delay) <= in_flight <= plan.most_in_flight
        if not plan.holds:
            assert in_flight == min(since_flush, plan.delay)
        if number in plan.flushes:
            since_flush = 0


@given(plan=plans(), version=st.sampled_from(VERSIONS))
@hypothesis_settings(relaxed, max_examples=40)
def test_the_same_on_an_engine_that_takes_its_time(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, plan: Plan, version: str
) -> None:
    monkeypatch.setenv("PDUM_NVENC_ABI", version)
    packets = []
    for gpu in (FAST, SLOW):
        with simulator.machine(gpus={**gpu, "engines": 1}):
            packets.append(carry_out(plan).packets)
    assert packets[0] == packets[1]


@given(plan=plans())
@hypothesis_settings(relaxed, max_examples=60)
def test_all_versions_give_the_same_packets(simulator: Simulator, monkeypatch: pytest.MonkeyPatch, plan: Plan) -> None:
    told = []
    for version in VERSIONS:
        monkeypatch.setenv("PDUM_NVENC_ABI", version)
        with simulator.machine(gpus=FAST):
            packets = carry_out(plan).packets
        told.append([(p.seq, p.keyframe, p.pts, p.dts, p.pic_type, p.frame_avg_qp) for p in packets])
        told[-1] += [unit.checksum for unit in units_of(packets)]  # type: ignore[misc]
    assert told[0] == told[1] == told[2]


@pytest.mark.parametrize("delay", range(9))
def test_the_driver_really_holds_that_many(abi: str, simulator: Simulator, tmp_path: Path, delay: int) -> None:
    """From the driver's side: pictures that it got and that were not collected yet."""
    path = tmp_path / "trace"
    with (
        simulator.machine(gpus=SLOW, trace=str(path)),
        NvencEncoder(WIDTH, HEIGHT, extra_output_delay=delay) as encoder,
    ):
        for number in range(30):
            encoder.submit(PICTURES[number], number)
        encoder.flush_pipeline()
    given_minus_got, most, mapped, most_mapped = 0, 0, 0, 0
    for call in read_calls(path):
        is_picture = call.name == "nvEncEncodePicture" and "inputBuffer" in call.args
        given_minus_got += is_picture - (call.name == "nvEncLockBitstream")
        mapped += (call.name == "nvEncMapInputResource") - (call.name == "nvEncUnmapInputResource")
        most, most_mapped = max(most, given_minus_got), max(most_mapped, mapped)
    assert (given_minus_got, mapped) == (0, 0)
    assert most == delay + 1, "one more only while the call is running"
    assert most_mapped == delay + 1


@pytest.mark.parametrize(("bframes", "lookahead"), [(1, 0), (3, 0), (0, 5), (2, 4)])
def test_surfaces_are_made_beforehand(
    abi: str, simulator: Simulator, tmp_path: Path, bframes: int, lookahead: int
) -> None:
    """No memory is allocated and nothing registered once frames flow."""
    path = tmp_path / "trace"
    settings: dict[str, Any] = {"tuning": "hq", "bframes": bframes, "lookahead": lookahead, "extra_output_delay": 2}
    with simulator.machine(gpus=FAST, trace=str(path)), NvencEncoder(WIDTH, HEIGHT, **settings) as encoder:
        for number in range(60):
            encoder.submit(PICTURES[number], number)
    names = [call.name for call in read_calls(path)]
    first = names.index("nvEncEncodePicture")
    making = {"cuMemAllocPitch_v2", "nvEncRegisterResource", "nvEncCreateBitstreamBuffer", "cuStreamCreate"}
    assert making <= set(names[:first])
    assert not making & set(names[first:])


def test_a_timestamp_is_the_frames_place(abi: str, simulator: Simulator, tmp_path: Path) -> None:
    """The driver never gets the caller's own number, which may have any value."""
    path = tmp_path / "trace"
    with simulator.machine(gpus=FAST, trace=str(path)), NvencEncoder(WIDTH, HEIGHT) as encoder:
        for number, seq in enumerate([5, 5, -1, 2**63 - 1]):
            (packet,) = encoder.submit(PICTURES[number], seq)
            assert packet.seq == seq
    pictures = [call.args for call in read_calls(path, "nvEncEncodePicture") if "inputBuffer" in call.args]
    assert [picture.get("inputTimeStamp", 0) for picture in pictures] == [0, 1, 2, 3]


def test_seq_of_any_integer_type(abi: str, simulator: Simulator) -> None:
    import numpy as np

    with simulator.machine(gpus=FAST), NvencEncoder(WIDTH, HEIGHT) as encoder:
        packets = [encoder.submit(PICTURES[0], seq)[0] for seq in (np.int64(-7), np.uint8(200), True)]
    assert [packet.seq for packet in packets] == [-7, 200, 1]
    assert {type(packet.seq) for packet in packets} == {int}


def test_encode_and_submit_may_be_mixed(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=FAST), NvencEncoder(WIDTH, HEIGHT, extra_output_delay=2) as encoder:
        assert encoder.encode(PICTURES[0]) == b""
        assert encoder.submit(PICTURES[1], 100) == []
        first = encoder.encode(PICTURES[2])
        assert parse(first)[0].checksum == CHECKSUMS[0]
        second, third = encoder.flush_pipeline()
    assert (second.seq, second.pts, third.pts) == (100, 1, 2)


def test_thousands_of_frames(abi: str, simulator: Simulator) -> None:
    """Long enough for any overflow or exhaustion."""
    with (
        simulator.machine(gpus=FAST),
        NvencEncoder(WIDTH, HEIGHT, tuning="hq", bframes=2, gop=50, extra_output_delay=5) as encoder,
    ):
        seen = []
        for number in range(3000):
            seen += [(p.seq, parse(p.data)[0].checksum) for p in encoder.submit(PICTURES[number % 64], number)]
        seen += [(p.seq, parse(p.data)[0].checksum) for p in encoder.flush_pipeline()]
    assert sorted(seen) == [(number, CHECKSUMS[number % 64]) for number in range(3000)]
