"""Several engines that share one video give what a single one gives, and wait for no more than they have to."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frames import nv12
from pdum.nvenc import (
    InvalidFrame,
    PictureOptions,
)
from pdum.nvenc._writer import all_engines
from pool_tasks import picture
from shared_videos import THREE, by_all, by_one, config_of, engines_of, opened, pictures, told_by

from loud import need_module
from simulator import Simulator
from simulator.trace import read_calls

# --- the same as a single engine ---


@pytest.mark.parametrize("frames", [0, 1, 11, 95])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"codec": "hevc", "tuning": "hq", "bframes": 2, "lookahead": 8},
        {"codec": "h264", "tuning": "hq", "bframes": 3, "b_ref_mode": "middle", "gop": 7},
        {"codec": "av1", "bframes": 2, "tuning": "hq"},
        {"gop": 1},
        {"gop": 400},
    ],
    ids=str,
)
def test_packets_are_those_of_one_engine(simulator: Simulator, given: dict[str, Any], frames: int) -> None:
    config = config_of(**given)
    with simulator.machine(gpus=THREE):
        expected = by_one(config, pictures(frames))
        with closing(opened(config)) as encoder:
            assert told_by(by_all(encoder, pictures(frames))) == told_by(expected)
            assert encoder.frames_waiting == encoder.bytes_waiting == 0


@settings(max_examples=15)
@given(
    length=st.integers(1, 60),
    gop=st.integers(3, 12),
    bframes=st.sampled_from([0, 2]),
    idr=st.sets(st.integers(0, 59), max_size=6),
    by_picture=st.booleans(),
    delay=st.integers(0, 5),
)
def test_forced_key_frames_end_groups_early(
    simulator: Simulator, length: int, gop: int, bframes: int, idr: set[int], by_picture: bool, delay: int
) -> None:
    config = config_of(gop=gop, bframes=bframes, tuning="hq", extra_output_delay=delay)
    forced: dict[str, Any] = {"picture": PictureOptions(type="IDR")} if by_picture else {"force_idr": True}
    frames = [(picture(number), forced if number in idr else {}) for number in range(length)]
    with simulator.machine(gpus=THREE):
        expected = told_by(by_one(config, frames))
        with closing(opened(config)) as encoder:
            assert told_by(by_all(encoder, frames)) == expected


@pytest.mark.one_abi
@pytest.mark.parametrize(("codec", "bframes"), [("h264", 0), ("h264", 2), ("hevc", 0), ("hevc", 2)])
def test_decoded_pictures_are_those_of_one_engine(simulator: Simulator, codec: str, bframes: int) -> None:
    """With constant quantisers nothing depends on what a session encoded before."""
    av = need_module("av")
    config = config_of(codec=codec, bframes=bframes, qp=30, rate_control="constqp", gop=8, tuning="hq")
    with simulator.machine(gpus=THREE, backend="codec"), closing(opened(config)) as encoder:
        header = encoder.header()
        streams = [by_all(encoder, pictures(30)), by_one(config, pictures(30))]
    decoded = []
    for packets in streams:
        assert all(header[:20] in one.data for one in packets if one.keyframe)
        context = av.CodecContext.create(codec, "r")
        found = [*(frame for one in packets for frame in context.decode(av.Packet(one.data))), *context.decode(None)]
        decoded.append([frame.to_ndarray().tobytes() for frame in found])
    assert len(decoded[0]) == 30
    assert decoded[0] == decoded[1]


@pytest.mark.one_abi
def test_a_p_picture_puts_off_the_end_of_a_group(simulator: Simulator) -> None:
    config = config_of(picture_types="manual", tuning="ull", gop=5)
    frames = [(picture(number), {"picture": PictureOptions(type="P")} if number == 5 else {}) for number in range(20)]
    with simulator.machine(gpus=THREE):
        expected = told_by(by_one(config, frames))
        with closing(opened(config)) as encoder:
            assert told_by(by_all(encoder, frames)) == expected
    assert [seq for seq, *_ in expected if expected[seq][3]] == [0, 6, 11, 16]


@pytest.mark.one_abi
def test_a_frame_that_is_refused_changes_nothing(simulator: Simulator) -> None:
    """In the middle of a group, and where a group would begin."""
    config = config_of()
    wrong = nv12(64, 64, 0)
    with simulator.machine(gpus=THREE):
        expected = told_by(by_one(config, pictures(40)))
        with closing(opened(config)) as encoder:
            packets = []
            for number in range(40):
                if number in (0, 5, 10, 20):
                    with pytest.raises(InvalidFrame, match="64"):
                        encoder.submit(wrong, number)
                packets += encoder.submit(picture(number), number)
            assert told_by([*packets, *encoder.finish()]) == expected


@pytest.mark.one_abi
def test_the_callers_numbers_come_back(simulator: Simulator) -> None:
    with simulator.machine(gpus=THREE), closing(opened(config_of(bframes=2, tuning="hq"))) as encoder:
        packets = [one for number in range(50) for one in encoder.submit(picture(number), 1000 + 3 * number)]
        packets += encoder.finish()
    assert sorted(one.seq for one in packets) == [1000 + 3 * number for number in range(50)]
    assert all(one.seq == 1000 + 3 * one.pts for one in packets)


# --- all of them work ---


@pytest.mark.one_abi
def test_all_engines_have_work_at_the_same_time(simulator: Simulator, tmp_path: Path) -> None:
    """When a group is done, the groups for all other engines are with them already."""
    trace, gop, groups = tmp_path / "trace", 10, 12
    with simulator.machine(gpus=THREE, trace=str(trace)), closing(opened(config_of(gop=gop))) as encoder:
        trace.write_text("")  # without the questions of find_engines
        packets = by_all(encoder, pictures(gop * groups))
    assert Counter(engines_of(packets)) == {(0, 0): 4, (0, 1): 4, (0, 2): 4}
    begun, done, given, got = [], [], Counter[int](), Counter[int]()
    for call in read_calls(trace):
        if call.name == "nvEncEncodePicture" and "inputWidth" in call.args:
            if given[call.session] % gop == 0:
                begun.append(call.time)
            given[call.session] += 1
        elif call.name == "nvEncLockBitstream":
            got[call.session] += 1
            if got[call.session] % gop == 0:
                done.append(call.time)
    assert len(begun) == len(done) == groups
    assert all(begun[number + 2] < sorted(done)[number] for number in range(groups - 2))


@pytest.mark.one_abi
def test_a_fast_engine_gets_more_than_a_slow_one(simulator: Simulator) -> None:
    """Each group goes to the engine that will be the first to have nothing to do; there are no gaps in the video."""
    gpus = [
        {"like": "L4", "name": "slow", "engines": 1, "fps_1080p": 0.6},
        {"like": "L4", "name": "fast", "engines": 1, "fps_1080p": 0},
    ]
    with simulator.machine(gpus=gpus), closing(opened(config_of())) as encoder:
        waiting, packets = [], []
        for number in range(300):
            packets += encoder.submit(picture(number), number)
            waiting.append(encoder.frames_waiting)
        packets += encoder.finish()
        assert max(waiting) <= encoder.most_frames
    assert [one.seq for one in packets] == list(range(300))
    share = Counter(engines_of(packets))
    assert share[1, 0] > 2 * share[0, 0] > 0


@pytest.mark.one_abi
def test_no_more_frames_wait_than_may(simulator: Simulator) -> None:
    config = config_of()
    with simulator.machine(gpus=THREE), closing(opened(config)) as encoder:
        usual = encoder.most_frames
        encoder.most_frames = 25
        packets = []
        for number in range(200):
            packets += encoder.submit(picture(number), number)
            assert encoder.frames_waiting <= 25
        packets += encoder.finish()
        assert [one.seq for one in packets] == list(range(200))
    assert usual == 2 * 3 * (64 + 10)


@pytest.mark.one_abi
def test_no_more_bytes_wait_than_may(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a group begins. In the middle of one, its own engine is not emptied, and others may give what they have."""
    gop, groups = 40, 12

    def most_bytes() -> int:
        most, packets = 0, []
        with simulator.machine(gpus=THREE), closing(opened(config_of(gop=gop))) as encoder:
            for number in range(gop * groups):
                packets += encoder.submit(picture(number), number)
                if number % gop == 0:
                    most = max(most, encoder.bytes_waiting)
            packets += encoder.finish()
        assert [one.seq for one in packets] == list(range(gop * groups))
        return most

    usual = most_bytes()
    monkeypatch.setattr(all_engines, "MOST_BYTES", usual // 3)
    assert most_bytes() < usual // 2
