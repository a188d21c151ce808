"""Several engines that share one video give what a single one gives, and wait for no more than they have to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frames import CudaFrame, DlpackFrame, Gpu, gpu, nv12
from pdum.nvenc import (
    DeviceLost,
    EncoderClosed,
    EncoderConfig,
    EncoderFailed,
    InvalidConfig,
    InvalidFrame,
    NvencEncoder,
    NvencError,
    OutOfSessions,
    Packet,
    PictureOptions,
)
from pdum.nvenc._machine import availability, capabilities
from pdum.nvenc._pool.engines import find_engines
from pdum.nvenc._writer import all_engines
from pdum.nvenc._writer.all_engines import AllEngines
from pool_tasks import HEIGHT, WIDTH, picture, sum_of

from loud import need_module
from simulator import Simulator, parse
from simulator.trace import read_calls

THREE = [{"name": "L4", "engines": 3}]
TWO_GPUS: list[dict[str, Any]] = [{"name": "L4"}, {"name": "RTX 4070"}]
Frames = Iterable[tuple[Any, dict[str, Any]]]


@pytest.fixture(autouse=True)
def _forgotten_machines(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has its own machine."""
    monkeypatch.delenv("PDUM_NVENC_ENGINES", raising=False)
    for known in (availability._reasons, capabilities._found):
        known.clear()
    yield
    for known in (availability._reasons, capabilities._found):
        known.clear()


def config_of(**given: Any) -> EncoderConfig:
    return EncoderConfig(**{"width": WIDTH, "height": HEIGHT, "gop": 10, **given})


def opened(config: EncoderConfig, told: list[str] | None = None) -> AllEngines:
    lanes = find_engines("all", "auto", "nvenc", 0.0).lanes
    return AllEngines(config, lanes, (told if told is not None else []).append)


def pictures(count: int) -> Frames:
    return [(picture(number), {}) for number in range(count)]


def by_all(encoder: AllEngines, frames: Frames) -> list[Packet]:
    packets: list[Packet] = []
    for number, (frame, options) in enumerate(frames):
        packets += encoder.submit(frame, number, **options)
    return [*packets, *encoder.finish()]


def by_one(config: EncoderConfig, frames: Frames) -> list[Packet]:
    """Engines that share a GPU do not split pictures either."""
    packets: list[Packet] = []
    split = None if config.codec == "h264" else "off"
    with NvencEncoder(config.replaced(split_encode=split)) as encoder:
        for number, (frame, options) in enumerate(frames):
            packets += encoder.submit(frame, number, **options)
        return packets + encoder.flush_pipeline()


def told_by(packets: list[Packet]) -> list[tuple[Any, ...]]:
    """What a packet says, and what the simulated engine saw."""
    return [
        (one.seq, one.pts, one.dts, one.keyframe, one.pic_type, one.frame_avg_qp, unit.checksum, unit.settings)
        for one in packets
        for unit in parse(one.data)
    ]


def engines_of(packets: list[Packet]) -> list[tuple[int, int]]:
    """The engine of each group of pictures."""
    return [(unit.gpu_index, unit.engine) for one in packets for unit in parse(one.data) if unit.is_idr]


# --- the same as a single engine ---


@pytest.mark.parametrize("frames", [0, 1, 9, 10, 11, 95])
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


@settings(max_examples=25)
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


# --- machines ---


@pytest.mark.one_abi
def test_frames_on_the_host_go_to_all_gpus(simulator: Simulator) -> None:
    with simulator.machine(gpus=TWO_GPUS), closing(opened(config_of())) as encoder:
        packets = by_all(encoder, pictures(120))
    assert set(engines_of(packets)) == {(0, 0), (0, 1), (1, 0)}


class FrameOnGpu:
    """A frame that says which GPU it lies on."""

    def __init__(self, gpu: Gpu, number: int) -> None:
        self._frame = gpu.frame(picture(number))
        self.__dlpack_device__ = lambda: (DlpackFrame.CUDA, gpu.index)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return self._frame.__cuda_array_interface__


@pytest.mark.one_abi
def test_frames_on_a_gpu_go_to_its_own_engines(simulator: Simulator) -> None:
    """A group ends where the next frame lies on another GPU."""
    with simulator.machine(gpus=TWO_GPUS), gpu(0) as first, gpu(1) as second:
        frames = [FrameOnGpu(second if 15 <= number < 30 else first, number) for number in range(48)]
        with closing(opened(config_of())) as encoder:
            packets = by_all(encoder, [(frame, {}) for frame in frames])
    units = [unit for one in packets for unit in parse(one.data)]
    assert [unit.checksum for unit in units] == [sum_of(number) for number in range(48)]
    assert [number for number, unit in enumerate(units) if unit.is_idr] == [0, 10, 15, 25, 30, 40]
    assert [unit.gpu_index for unit in units if unit.is_idr] == [0, 0, 1, 1, 0, 0]


@pytest.mark.one_abi
def test_the_callers_memory_may_be_overwritten(simulator: Simulator) -> None:
    """Each engine copies its frames in the order of the stream on which they are made, while streams run late."""
    made = [picture(number) for number in range(60)]
    with simulator.machine(gpus=THREE, async_streams=True), gpu() as device, closing(opened(config_of())) as encoder:
        stream, memory = device.stream(), device.allocate(made[0].nbytes)
        frame = CudaFrame(memory, made[0].shape, stream=stream)
        packets = []
        for number, one in enumerate(made):
            device.upload(memory, one, stream)
            packets += encoder.submit(frame, number)
        packets += encoder.finish()
    assert [parse(one.data)[0].checksum for one in packets] == [sum_of(number) for number in range(60)]


@pytest.mark.one_abi
def test_frames_on_a_gpu_without_an_engine_are_refused(simulator: Simulator) -> None:
    machine = [{"name": "L4"}, {"name": "H100"}, {"name": "RTX 4070"}]
    words = r"GPU 1, of which no engine takes part.*Copy it to the host, or to GPU 0"
    with simulator.machine(gpus=machine), gpu(1) as second, closing(opened(config_of())) as encoder:
        frame = FrameOnGpu(second, 0)
        with pytest.raises(InvalidFrame, match=words):
            encoder.submit(frame, 0)


@pytest.mark.one_abi
def test_fewer_sessions_than_engines(simulator: Simulator) -> None:
    told: list[str] = []
    with simulator.machine(gpus=[{**THREE[0], "session_limit": 2}]), closing(opened(config_of(), told)) as encoder:
        packets = by_all(encoder, pictures(100))
    assert [one.seq for one in packets] == list(range(100))
    assert len(set(engines_of(packets))) == 2
    assert len(told) == 1
    assert "GPU 0 · NVENC 2 is left out, 2 engines go on: " in told[0]


@pytest.mark.one_abi
def test_no_session_at_all(simulator: Simulator) -> None:
    told: list[str] = []
    with simulator.machine(gpus=[{**THREE[0], "session_limit": 1}]), closing(opened(config_of(), told)) as encoder:
        with NvencEncoder(WIDTH, HEIGHT), pytest.raises(OutOfSessions):
            encoder.submit(picture(0), 0)
        assert [one.seq for one in by_all(encoder, pictures(20))] == list(range(20)), "the last one tries again"
    assert [text[:27] for text in told] == ["GPU 0 · NVENC 0 is left out", "GPU 0 · NVENC 1 is left out"]


@pytest.mark.one_abi
def test_an_engine_that_writes_other_headers_is_left_out(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    ask = NvencEncoder.sequence_header
    monkeypatch.setattr(NvencEncoder, "sequence_header", lambda one: ask(one) + b"x" * one.gpu_id)
    with simulator.machine(gpus=TWO_GPUS), closing(opened(config_of(), told)) as encoder:
        packets = by_all(encoder, pictures(60))
    assert [one.seq for one in packets] == list(range(60))
    assert set(engines_of(packets)) == {(0, 0), (0, 1)}
    assert len(told) == 1
    assert "other parameter sets" in told[0]


@pytest.mark.one_abi
def test_only_as_many_sessions_as_groups(simulator: Simulator) -> None:
    with simulator.machine(gpus=THREE) as machine, closing(opened(config_of())) as encoder:
        assert machine.live().get("sessions", 0) == 0
        assert encoder.header()
        encoder.submit(picture(0), 0)
        assert machine.live()["sessions"] == 1
        by_all(encoder, pictures(25))
        assert machine.live()["sessions"] == 3


@pytest.mark.one_abi
@pytest.mark.parametrize(("gop", "expected"), [(84, 0), (85, 1)])
def test_groups_that_are_too_long_are_told(simulator: Simulator, gop: int, expected: int) -> None:
    told: list[str] = []
    with simulator.machine(gpus=THREE), closing(opened(config_of(gop=gop), told)):
        pass
    assert len(told) == expected
    assert all("With gop=84 or less they are" in text for text in told)


@pytest.mark.one_abi
def test_one_group_cannot_be_shared(simulator: Simulator) -> None:
    with simulator.machine(gpus=THREE), pytest.raises(InvalidConfig, match=r"Expected gop of 1 or more.*gop=0.*gop=60"):
        opened(config_of(gop=0))


# --- failures ---

FAILS = {"call": "nvEncEncodePicture", "status": 20}


def until_it_fails(encoder: AllEngines, count: int, words: str) -> tuple[list[Packet], NvencError]:
    """The packets before an engine's failure, which comes again with each further call."""
    packets: list[Packet] = []

    def submit_all() -> None:
        for number in range(count):
            packets.extend(encoder.submit(picture(number), number))

    def finish() -> None:
        for packet in encoder.finish():
            packets.append(packet)  # keeps those before the failure

    with pytest.raises(NvencError, match=words) as caught:
        submit_all()
    for call in (lambda: encoder.submit(picture(0), 0), finish):
        with pytest.raises(NvencError) as again:
            call()
        assert again.value is caught.value
    return packets, caught.value


@pytest.mark.one_abi
def test_frames_that_an_engine_loses_end_the_video(simulator: Simulator) -> None:
    faults = [{**FAILS, "nth": 35}, {"call": "nvEncLockBitstream", "nth": 0, "status": 20}]
    words = r"GPU 0 · NVENC 0 failed, and frames that it had are lost: .*Use engines=1"
    with simulator.machine(gpus=THREE, faults=faults, check=False), closing(opened(config_of())) as encoder:
        packets, error = until_it_fails(encoder, 100, words)
    assert isinstance(error, EncoderFailed)
    assert error.status == 20
    assert packets == []


@pytest.mark.one_abi
def test_a_lost_gpu_ends_the_video(simulator: Simulator) -> None:
    """What comes before its frames is complete, and no engine goes on as if nothing had happened."""
    stall = [{"gpu": 1, "engine": 0, "after_frames": 25, "device_lost": True}]
    with simulator.machine(gpus=TWO_GPUS, stall=stall, check=False), closing(opened(config_of())) as encoder:
        packets, error = until_it_fails(encoder, 1000, "GPU 1 · NVENC 0 failed")
    assert isinstance(error, DeviceLost)
    assert [one.seq for one in packets] == list(range(len(packets)))
    assert 10 <= len(packets) < 1000


@pytest.mark.one_abi
@pytest.mark.parametrize("bframes", [0, 2])
@pytest.mark.parametrize("nth", [1, 2, 11, 15, 21, 58, 95])
def test_an_engine_that_fails_and_loses_nothing_is_left_out(simulator: Simulator, nth: int, bframes: int) -> None:
    """Another one goes on with the frame that it refused."""
    told: list[str] = []
    config = config_of(bframes=bframes, tuning="hq")
    with simulator.machine(gpus=THREE, faults=[{**FAILS, "nth": nth}]), closing(opened(config, told)) as encoder:
        packets = by_all(encoder, pictures(100))
    units = {one.seq: unit for one in packets for unit in parse(one.data)}
    assert [units[number].checksum for number in range(100)] == [sum_of(number) for number in range(100)]
    assert [one.dts for one in packets] == list(range(packets[0].dts, packets[0].dts + 100))
    assert units[nth - 1].is_idr
    assert len(told) == 1
    assert "2 engines go on" in told[0]


@pytest.mark.one_abi
def test_all_engines_fail_before_they_have_frames(simulator: Simulator) -> None:
    with simulator.machine(gpus=THREE, faults=[{**FAILS, "nth": 0}]), closing(opened(config_of())) as encoder:
        until_it_fails(encoder, 1, "NVENC 2 failed")


@pytest.mark.one_abi
def test_closed_in_the_middle(simulator: Simulator) -> None:
    """The machine checks that nothing is left."""
    with simulator.machine(gpus=THREE):
        encoder = opened(config_of(bframes=2, tuning="hq"))
        for number in range(55):
            encoder.submit(picture(number), number)
        encoder.close()
        encoder.close()
        with pytest.raises(EncoderClosed, match="closed"):
            encoder.submit(picture(0), 0)
        assert encoder.header(), "it was known before"


@pytest.mark.one_abi
def test_a_failure_at_the_end_closes_all_the_same(simulator: Simulator) -> None:
    faults = [{"call": "nvEncDestroyEncoder", "nth": 5, "status": 20}]
    with simulator.machine(gpus=THREE, faults=faults, check=False) as machine:
        before = len(find_engines("all", "auto", "nvenc", 0.0).lanes)
        assert before == 3
        encoder = opened(config_of())
        by_all(encoder, pictures(30))
        encoder.close()
        assert machine.live().get("sessions", 0) == 0


@pytest.mark.one_abi
def test_groups_begin_with_key_frames_alone(simulator: Simulator) -> None:
    with simulator.machine(gpus=THREE), closing(opened(config_of(gop=7))) as encoder:
        packets = by_all(encoder, pictures(50))
    starts = [one.seq for one in packets if one.keyframe]
    assert {end - begin for begin, end in pairwise(starts)} == {7}
