"""Several engines that share a video on machines of every kind, and what comes of failures."""

from __future__ import annotations

from contextlib import closing
from itertools import pairwise
from typing import Any

import pytest

from frames import CudaFrame, DlpackFrame, Gpu, gpu
from pdum.nvenc import (
    DeviceLost,
    EncoderClosed,
    EncoderFailed,
    InvalidConfig,
    InvalidFrame,
    NvencEncoder,
    NvencError,
    OutOfSessions,
    Packet,
)
from pdum.nvenc._pool.engines import find_engines
from pdum.nvenc._writer.all_engines import AllEngines
from pool_tasks import HEIGHT, WIDTH, picture, sum_of
from shared_videos import THREE, TWO_GPUS, by_all, config_of, engines_of, opened, pictures

from simulator import Simulator, parse

pytestmark = pytest.mark.one_abi

# --- machines ---


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


def test_frames_on_a_gpu_without_an_engine_are_refused(simulator: Simulator) -> None:
    machine = [{"name": "L4"}, {"name": "H100"}, {"name": "RTX 4070"}]
    words = r"GPU 1, but no engine of that GPU takes part.*Copy it to the host, or to GPU 0"
    with simulator.machine(gpus=machine), gpu(1) as second, closing(opened(config_of())) as encoder:
        frame = FrameOnGpu(second, 0)
        with pytest.raises(InvalidFrame, match=words):
            encoder.submit(frame, 0)


def test_fewer_sessions_than_engines(simulator: Simulator) -> None:
    told: list[str] = []
    with simulator.machine(gpus=[{**THREE[0], "session_limit": 2}]), closing(opened(config_of(), told)) as encoder:
        packets = by_all(encoder, pictures(100))
    assert [one.seq for one in packets] == list(range(100))
    assert len(set(engines_of(packets))) == 2
    assert len(told) == 1
    assert "GPU 0 · NVENC 2 is not used; 2 engines continue: " in told[0]


def test_no_session_at_all(simulator: Simulator) -> None:
    told: list[str] = []
    with simulator.machine(gpus=[{**THREE[0], "session_limit": 1}]), closing(opened(config_of(), told)) as encoder:
        with NvencEncoder(WIDTH, HEIGHT), pytest.raises(OutOfSessions):
            encoder.submit(picture(0), 0)
        assert [one.seq for one in by_all(encoder, pictures(20))] == list(range(20)), "the last one tries again"
    assert [text[:27] for text in told] == ["GPU 0 · NVENC 0 is not used", "GPU 0 · NVENC 1 is not used"]


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


def test_only_as_many_sessions_as_groups(simulator: Simulator) -> None:
    with simulator.machine(gpus=THREE) as machine, closing(opened(config_of())) as encoder:
        assert machine.live().get("sessions", 0) == 0
        assert encoder.header()
        encoder.submit(picture(0), 0)
        assert machine.live()["sessions"] == 1
        by_all(encoder, pictures(25))
        assert machine.live()["sessions"] == 3


@pytest.mark.parametrize(("gop", "expected"), [(84, 0), (85, 1)])
def test_groups_that_are_too_long_are_told(simulator: Simulator, gop: int, expected: int) -> None:
    told: list[str] = []
    with simulator.machine(gpus=THREE), closing(opened(config_of(gop=gop), told)):
        pass
    assert len(told) == expected
    assert all("Use gop=84 or less" in text for text in told)


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


def test_frames_that_an_engine_loses_end_the_video(simulator: Simulator) -> None:
    faults = [{**FAILS, "nth": 35}, {"call": "nvEncLockBitstream", "nth": 0, "status": 20}]
    words = r"GPU 0 · NVENC 0 failed, and frames that it had are lost: .*Use engines=1"
    with simulator.machine(gpus=THREE, faults=faults, check=False), closing(opened(config_of())) as encoder:
        packets, error = until_it_fails(encoder, 100, words)
    assert isinstance(error, EncoderFailed)
    assert error.status == 20
    assert packets == []


def test_a_lost_gpu_ends_the_video(simulator: Simulator) -> None:
    """What comes before its frames is complete, and no engine goes on as if nothing had happened."""
    stall = [{"gpu": 1, "engine": 0, "after_frames": 25, "device_lost": True}]
    with simulator.machine(gpus=TWO_GPUS, stall=stall, check=False), closing(opened(config_of())) as encoder:
        packets, error = until_it_fails(encoder, 1000, "GPU 1 · NVENC 0 failed")
    assert isinstance(error, DeviceLost)
    assert [one.seq for one in packets] == list(range(len(packets)))
    assert 10 <= len(packets) < 1000


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
    assert "2 engines continue" in told[0]


def test_all_engines_fail_before_they_have_frames(simulator: Simulator) -> None:
    with simulator.machine(gpus=THREE, faults=[{**FAILS, "nth": 0}]), closing(opened(config_of())) as encoder:
        until_it_fails(encoder, 1, "NVENC 2 failed")


def test_packets_that_never_come(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """It neither waits for them forever nor goes on without them."""
    flush = NvencEncoder.flush_pipeline
    monkeypatch.setattr(NvencEncoder, "flush_pipeline", lambda encoder: flush(encoder)[1:])
    with simulator.machine(gpus=THREE), closing(opened(config_of())) as encoder:
        encoder.submit(picture(0), 0)
        with pytest.raises(EncoderFailed, match="0 packets were returned for 1 frames"):
            list(encoder.finish())
    with simulator.machine(gpus=THREE), closing(opened(config_of())) as encoder:
        encoder.most_frames = 25
        until_it_fails(encoder, 100, "9 packets were returned for 10 frames")


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


def test_a_failure_at_the_end_closes_all_the_same(simulator: Simulator) -> None:
    faults = [{"call": "nvEncDestroyEncoder", "nth": 5, "status": 20}]
    with simulator.machine(gpus=THREE, faults=faults, check=False) as machine:
        before = len(find_engines("all", "auto", "nvenc", 0.0).lanes)
        assert before == 3
        encoder = opened(config_of())
        by_all(encoder, pictures(30))
        encoder.close()
        assert machine.live().get("sessions", 0) == 0


def test_groups_begin_with_key_frames_alone(simulator: Simulator) -> None:
    with simulator.machine(gpus=THREE), closing(opened(config_of(gop=7))) as encoder:
        packets = by_all(encoder, pictures(50))
    starts = [one.seq for one in packets if one.keyframe]
    assert {end - begin for begin, end in pairwise(starts)} == {7}
