"""MV-HEVC: pairs of frames in, one stream out, whose two views FFmpeg's decoder shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from control.driver_calls import GPU
from pdum.nvenc import (
    InvalidFrame,
    NvencEncoder,
    NvencError,
    Packet,
    UnsupportedFeature,
)
from stereo_streams import COUNT, HEIGHT, WIDTH, Pair, encode, frame, layer_of, pair, views

from simulator import Simulator
from streams import nal_type, nal_units

DISPLAYS = 176  # 3D reference displays information, of H.265, annex G

pytestmark = pytest.mark.one_abi


@pytest.fixture(params=["13.0", "13.1"])
def interface(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    version: str = request.param
    monkeypatch.setenv("PDUM_NVENC_ABI", version)
    return version


def assert_shown(packets: list[Packet], pairs: list[Pair]) -> None:
    shown = views(packets)
    assert len(shown) == len(pairs)
    for number, (given, seen) in enumerate(zip(pairs, shown, strict=True)):
        for eye in range(2):
            assert np.abs(seen[eye][:HEIGHT].astype(int) - given[eye][:HEIGHT]).max() <= 2, (number, eye)


@pytest.mark.usefixtures("interface")
@pytest.mark.parametrize("delay", [0, 3])
def test_both_views_come_out_as_they_went_in(simulator: Simulator, delay: int) -> None:
    packets = encode(simulator, extra_output_delay=delay)
    assert [(packet.seq, packet.pts, packet.dts) for packet in packets] == [(100 + n, n, n) for n in range(COUNT)]
    assert_shown(packets, [pair(number) for number in range(COUNT)])


def test_a_pair_needs_no_later_one(simulator: Simulator) -> None:
    with (
        simulator.machine(gpus=GPU, backend="codec"),
        NvencEncoder(WIDTH, HEIGHT, codec="hevc", stereo=True) as encoder,
    ):
        for number in range(3):
            assert layers_in(encoder.encode(pair(number))) == {0, 1}
            assert encoder.in_flight == 0


def layers_in(data: bytes) -> set[int]:
    return {layer_of(unit) for unit in nal_units(data) if nal_type(unit, "hevc") < 32}


def test_each_packet_has_both_layers_and_key_frames_have_both(simulator: Simulator) -> None:
    packets = encode(simulator, gop=3)
    assert [packet.keyframe for packet in packets] == [number % 3 == 0 for number in range(COUNT)]
    for packet in packets:
        slices = [(nal_type(unit, "hevc"), layer_of(unit)) for unit in nal_units(packet.data)]
        slices = [one for one in slices if one[0] < 32]
        kind = 20 if packet.keyframe else 1
        assert slices == [(kind, 0), (kind, 1)]
    assert_shown(packets, [pair(number) for number in range(COUNT)])


def test_key_frames_say_which_view_is_for_which_eye(simulator: Simulator) -> None:
    for packet in encode(simulator, gop=4):
        messages = [unit for unit in nal_units(packet.data) if nal_type(unit, "hevc") == 39 and unit[2] == DISPLAYS]
        assert len(messages) == packet.keyframe
        for message in messages:
            # Precision 31, no distance, one display, views 0 and 1, a width of 0, no shift, no extension.
            bits = "".join(f"{byte:08b}" for byte in message[4 : 4 + message[3]])
            assert bits.startswith("00000100000" + "0" + "1" + "1" + "010" + "000000" + "0" + "0" + "0")


def test_a_forced_key_frame_is_one_in_both_views(simulator: Simulator) -> None:
    with (
        simulator.machine(gpus=GPU, backend="codec"),
        NvencEncoder(WIDTH, HEIGHT, codec="hevc", stereo=True, gop=0, qp=10) as encoder,
    ):
        packets = []
        for number in range(5):
            packets += encoder.submit(pair(number), number, number == 3)
    assert [packet.keyframe for packet in packets] == [True, False, False, True, False]
    assert_shown(packets[3:], [pair(3), pair(4)])


@pytest.mark.parametrize("given", [frame(9), (frame(9),), (frame(9), frame(9), frame(9)), None, "lr"])
def test_what_is_no_pair_is_refused(simulator: Simulator, given: Any) -> None:
    with (
        simulator.machine(gpus=GPU, backend="echo"),
        NvencEncoder(WIDTH, HEIGHT, codec="hevc", stereo=True) as encoder,
    ):
        with pytest.raises(InvalidFrame, match=r"stereo=True.*encode\(\(left, right\)\)"):
            encoder.encode(given)
        assert encoder.encode(pair(1))


@pytest.mark.parametrize("wrong", [0, 1])
def test_a_wrong_view_costs_nothing(simulator: Simulator, wrong: int) -> None:
    with (
        simulator.machine(gpus=GPU, backend="codec"),
        NvencEncoder(WIDTH, HEIGHT, codec="hevc", stereo=True, qp=10) as encoder,
    ):
        packets = encoder.submit(pair(0), 0)
        bad: list[Any] = list(pair(1))
        bad[wrong] = bad[wrong][:-6]
        with pytest.raises(InvalidFrame):
            encoder.submit(bad, 1)
        packets += encoder.submit(pair(2), 2)
    assert_shown(packets, [pair(0), pair(2)])


def test_after_a_refused_right_view_the_next_pair_is_whole(simulator: Simulator) -> None:
    fault = [{"call": "nvEncEncodePicture", "nth": 4, "status": 20}]
    with (
        simulator.machine(gpus=GPU, backend="codec", faults=fault),
        NvencEncoder(WIDTH, HEIGHT, codec="hevc", stereo=True, qp=10) as encoder,
    ):
        packets = encoder.submit(pair(0), 0)
        with pytest.raises(NvencError):
            encoder.submit(pair(1), 1)
        packets += encoder.submit(pair(2), 2) + encoder.submit(pair(3), 3) + encoder.flush_pipeline()
    assert [(packet.seq, packet.keyframe) for packet in packets] == [(0, True), (2, True), (3, False)]
    assert_shown(packets[1:], [pair(2), pair(3)])


def test_a_refused_right_view_costs_only_its_own_pair(simulator: Simulator) -> None:
    """The pairs before it were still in flight. The end of a stream is a call like those of its pictures."""
    fault = [{"call": "nvEncEncodePicture", "nth": nth, "status": 8} for nth in (6, 11, 14)]
    with (
        simulator.machine(gpus=GPU, backend="codec", faults=fault),
        NvencEncoder(WIDTH, HEIGHT, codec="hevc", stereo=True, qp=10, extra_output_delay=3) as encoder,
    ):
        packets = encoder.submit(pair(0), 0) + encoder.submit(pair(1), 1)
        assert packets == []
        with pytest.raises(NvencError):
            encoder.submit(pair(2), 2)
        assert encoder.in_flight == 2
        packets += encoder.submit(pair(3), 3)
        assert [packet.seq for packet in packets] == [0, 1]
        for _ in range(2):
            with pytest.raises(NvencError):
                encoder.submit(pair(4), 4)
        packets += encoder.submit(pair(5), 5) + encoder.flush_pipeline()
    assert [(packet.seq, packet.keyframe) for packet in packets] == [(0, True), (1, False), (3, True), (5, True)]
    assert [(packet.pts, packet.dts) for packet in packets] == [(number, number) for number in range(4)]
    assert_shown(packets[:2], [pair(0), pair(1)])
    assert_shown(packets[2:], [pair(3), pair(5)])


def test_the_older_interface_refuses_and_says_which_one_is_needed(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PDUM_NVENC_ABI", "12.1")
    with (
        simulator.machine(gpus=GPU),
        pytest.raises(UnsupportedFeature, match=r"stereo takes version 13\.0.*12\.1.*570"),
    ):
        NvencEncoder(WIDTH, HEIGHT, codec="hevc", stereo=True)


def test_surfaces_are_refused(simulator: Simulator) -> None:
    with (
        simulator.machine(gpus=GPU),
        NvencEncoder(WIDTH, HEIGHT, codec="hevc", stereo=True) as encoder,
        pytest.raises(UnsupportedFeature, match="pair"),
    ):
        encoder.surface()


def test_lost_pictures_lead_to_a_key_frame(simulator: Simulator) -> None:
    with (
        simulator.machine(gpus=GPU, backend="codec"),
        NvencEncoder(WIDTH, HEIGHT, codec="hevc", stereo=True, gop=0) as encoder,
    ):
        for number in range(3):
            encoder.submit(pair(number), number)
        assert not encoder.lost(1)
        assert encoder.submit(pair(3), 3)[0].keyframe
