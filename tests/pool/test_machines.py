"""Machines of all kinds: each encoder has one session and works, and the video is in order."""

from __future__ import annotations

import threading
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from frames import gpu
from pdum.nvenc import (
    EncoderConfig,
    EncoderPool,
    InvalidConfig,
    NoEncoder,
    NvencEncoder,
    OutOfMemory,
    SoftwareEncoder,
    events,
)
from pdum.nvenc._encoders.notices import software_notice
from pdum.nvenc._tasks import VideoEncoder
from pool_tasks import HEIGHT, WIDTH, Meeting, Pictures, picture, sum_of

from loud import need_module
from simulator import Simulator, parse

pytestmark = pytest.mark.one_abi

RATE = 150  # at 1080p; a picture of the tests takes 80 microseconds
MACHINES: dict[str, tuple[list[dict[str, Any]], int]] = {
    "L4": ([{"name": "L4", "fps_1080p": RATE}], 2),
    "RTX 4090": ([{"name": "RTX 4090", "fps_1080p": RATE}], 2),
    "eight engines": ([{"like": "L4", "name": "eight", "engines": 8, "fps_1080p": RATE}], 8),
    "two of three": ([{"name": "L4", "engines": 3, "fps_1080p": RATE}] * 2, 6),
    "L4 and H100": ([{"name": "H100"}, {"name": "L4", "fps_1080p": RATE}], 2),
    "one engine": ([{"name": "RTX 4070", "fps_1080p": RATE}], 1),
}


@pytest.fixture(params=MACHINES, ids=lambda name: name.replace(" ", "-"))
def machine(request: pytest.FixtureRequest) -> tuple[list[dict[str, Any]], int]:
    return MACHINES[request.param]


def engines_of(gpus: list[dict[str, Any]], count: int) -> set[tuple[int, int]]:
    able = [number for number, gpu in enumerate(gpus) if gpu["name"] != "H100"]
    return {(gpu, engine) for gpu in able for engine in range(count // len(able))}


def test_one_video_over_all_engines(simulator: Simulator, machine: tuple[list[dict[str, Any]], int]) -> None:
    gpus, count = machine
    task = Pictures(1600, meeting=Meeting(count))
    with simulator.machine(gpus=gpus), EncoderPool() as pool:
        assert len(pool.engines) == count
        report = pool.run([task])
        assert report.frames == 1600
        assert simulator.live().get("sessions", 0) == 0, "a run gives its sessions back"
    task.check()
    assert task.engines() == engines_of(gpus, count)


def test_many_videos_over_all_engines(simulator: Simulator, machine: tuple[list[dict[str, Any]], int]) -> None:
    """Each engine works, and the pool never has more open sessions than there are engines."""
    gpus, count = machine
    meeting = Meeting(count)
    tasks = [Pictures(60 + 37 * number % 200, 10_000 * number, meeting=meeting) for number in range(3 * count)]
    limited = [{**gpu, "session_limit": 8} for gpu in gpus]
    with simulator.machine(gpus=limited), EncoderPool() as pool:
        results = pool.run(tasks).raise_for_errors()
    assert [result.frames for result in results] == [task.count for task in tasks]
    used: set[tuple[int, int]] = set()
    for task in tasks:
        task.check()
        used |= task.engines()
    assert used == engines_of(gpus, count)


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@pytest.mark.parametrize("bframes", [0, 2])
def test_the_same_pictures_as_one_encoder(simulator: Simulator, codec: str, bframes: int) -> None:
    """Generated video from all engines, compared with the same frames from a single encoder."""
    frames = 300
    options: dict[str, Any] = {"codec": codec, "tuning": "hq", "bframes": bframes, "gop": 40}
    with simulator.machine(gpus=["L4"]):
        with NvencEncoder(WIDTH, HEIGHT, **options) as encoder:
            alone = b"".join(encoder.encode(picture(number)) for number in range(frames)) + encoder.flush()
        with EncoderPool() as pool:
            config: dict[str, Any] = {"width": WIDTH, "height": HEIGHT, **options}
            joined = pool.render_video(lambda index, _: picture(index), frames, segments=4, **config)
    expected = [unit.checksum for unit in parse(alone)]
    found = parse(joined)
    assert sorted(unit.checksum for unit in found) == sorted(expected) == sorted(map(sum_of, range(frames)))
    starts = [number for number, unit in enumerate(found) if unit.is_idr]
    assert len(starts) >= 4
    for begin, end in pairwise([*starts, frames]):
        group = {unit.checksum for unit in found[begin:end]}
        assert group == {sum_of(number) for number in range(begin, end)}, "closed groups, in order"
    assert len({unit.settings for unit in found}) == 1


def test_render_writes_into_the_encoders_surface(simulator: Simulator) -> None:
    with simulator.machine(gpus=["L4"]), gpu() as device, EncoderPool() as pool:

        def render(index: int, surface: Any) -> None:
            described = surface.__cuda_array_interface__
            for row, line in enumerate(picture(index)):
                device.upload(described["data"][0] + row * described["strides"][0], line)

        stream = pool.render_video(render, 100, width=WIDTH, height=HEIGHT, surfaces=True)
    assert [unit.checksum for unit in parse(stream)] == [sum_of(number) for number in range(100)]


def test_render_gets_its_engine(simulator: Simulator) -> None:
    told: set[int] = set()
    both = Meeting(2, of="gpu_id")

    def render(index: int, surface: None, engine: Any) -> Any:
        both.join(engine)
        told.add(engine.gpu_id)
        return picture(index)

    gpus = MACHINES["two of three"][0]
    with simulator.machine(gpus=gpus), EncoderPool(config=EncoderConfig(width=WIDTH, height=HEIGHT)) as pool:
        pool.render_video(render, 600)
    assert told == {0, 1}


@pytest.mark.parametrize(
    ("given", "environment", "expected"),
    [
        ({}, "1", {(0, 0)}),
        ({}, "2", {(0, 0), (1, 0)}),
        ({}, "1,3", {(0, 0), (1, 0), (1, 1), (1, 2)}),
        ({}, "0,2", {(1, 0), (1, 1)}),
        ({"engines": 2}, "5", {(0, 0), (1, 0)}),
        ({"engines": (2, 0)}, "", {(0, 0), (0, 1)}),
        ({"gpus": 1}, "", {(1, 0), (1, 1), (1, 2)}),
        ({"gpus": [1], "engines": 2}, "", {(1, 0), (1, 1)}),
    ],
)
def test_engines_are_limited(
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, Any],
    environment: str,
    expected: set[tuple[int, int]],
) -> None:
    monkeypatch.setenv("PDUM_NVENC_ENGINES", environment)
    task = Pictures(900, meeting=Meeting(len(expected)))
    with simulator.machine(gpus=MACHINES["two of three"][0]), EncoderPool(**given) as pool:
        assert {(one.gpu_id, one.number) for one in pool.engines} == expected
        pool.run([task])
    task.check()
    assert len(task.engines()) == len(expected)
    assert {gpu for gpu, _ in task.engines()} == {gpu for gpu, _ in expected}


@pytest.mark.parametrize(
    ("given", "environment", "words"),
    [
        ({"engines": 0}, "", "engines=0"),
        ({"engines": "many"}, "", "many"),
        ({}, "x", "PDUM_NVENC_ENGINES='x'"),
        ({"backend": "hard"}, "", "Unknown backend 'hard'"),
        ({"gpus": "some"}, "", "some"),
        ({"watchdog": 0}, "", "watchdog=0"),
        ({"session_timeout": -1}, "", "session_timeout=-1"),
    ],
)
def test_pools_that_cannot_exist(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], environment: str, words: str
) -> None:
    monkeypatch.setenv("PDUM_NVENC_ENGINES", environment)
    with simulator.machine(gpus=["L4"]), pytest.raises(InvalidConfig, match=words):
        EncoderPool(**given)


@pytest.mark.parametrize("engine", ["auto", "software"])
def test_the_processor_if_there_is_no_hardware(simulator: Simulator, tmp_path: Path, engine: str) -> None:
    """Every core has its part. A notice says so to those who have not asked for it."""
    av = need_module("av")
    path = tmp_path / "film.mp4"
    with simulator.machine(gpus=["H100"]), EncoderPool(backend=engine) as pool:
        assert not pool.uses_hardware
        assert {one.kind for one in pool.engines} == {"software"}
        told: list[events.Event] = []
        options: dict[str, Any] = {"width": WIDTH, "height": HEIGHT, "time_code": True, "segments": 4}
        pool.render_video(lambda index, _: picture(index), 60, destination=path, on_event=told.append, **options)
    notices = [event.message for event in told if isinstance(event, events.Notice)]
    told_of_software = [software_notice(NoEncoder(""))] if engine == "auto" else []
    assert notices == [*told_of_software, "Ignored by software encoding: time_code."]
    with av.open(str(path)) as container:
        times = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    assert times == [Fraction(number, 30) for number in range(60)]


@pytest.mark.parametrize(
    ("cores", "engines", "segments", "shares"),
    [
        (1, "auto", 4, {1}),
        (2, "auto", 4, {1}),
        (3, "auto", 4, {2}),
        (6, "auto", 6, {2}),
        (6, 6, 6, {1}),
        (6, "auto", 2, {3}),
        (6, "auto", 1, {6}),
        (6, 2, 6, {3}),
        (12, "auto", 8, {2}),
    ],
)
def test_software_codecs_share_the_cores(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, cores: int, engines: Any, segments: int, shares: set[int]
) -> None:
    """Each has its part of the cores, and a single one has all of them."""
    need_module("av")
    given = []

    def open_encoder(config: EncoderConfig, engine: events.EngineInfo, threads: int) -> VideoEncoder:
        given.append(threads)
        return SoftwareEncoder(config, threads)

    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr("pdum.nvenc._pool.lane_session.open_encoder", open_encoder)
    with simulator.machine(gpus=["H100"]), EncoderPool(backend="software", engines=engines) as pool:
        meeting = Meeting(min(len(pool.engines), segments))

        def render(index: int, surface: None, engine: events.EngineInfo) -> Any:
            meeting.join(engine)
            return picture(index)

        pool.render_video(render, 60, width=WIDTH, height=HEIGHT, segments=segments, destination=None)
    assert set(given) == shares


def test_an_encoder_that_cannot_be_made_leaves_its_work_to_another(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_module("av")
    refused: list[int] = []

    def open_encoder(config: EncoderConfig, engine: events.EngineInfo, threads: int) -> VideoEncoder:
        if not refused or engine.index in refused:
            refused.append(engine.index)
            raise OutOfMemory("Not now.")
        return SoftwareEncoder(config, threads)

    monkeypatch.setattr("pdum.nvenc._pool.lane_session.open_encoder", open_encoder)
    with simulator.machine(gpus=["H100"]), EncoderPool(backend="software", engines=2) as pool:
        task = pool.generated(lambda index, _: picture(index), 20, width=WIDTH, height=HEIGHT, segments=1)
        run = pool.start([task])
        run.wait(60).raise_for_errors()
    assert len(set(refused)) == 1
    assert not run.scheduler.engine_set.lent, "by the one that was refused nor by the other"


def test_software_that_another_run_uses_leaves_its_work_to_another(simulator: Simulator) -> None:
    """One video waits in the middle until the free engine has done the other, which begins later."""
    need_module("av")
    begun, may_end = threading.Event(), threading.Event()

    def first(index: int, surface: None) -> Any:
        begun.set()
        assert may_end.wait(60)
        return picture(index)

    given: dict[str, Any] = {"width": WIDTH, "height": HEIGHT, "segments": 1}
    with simulator.machine(gpus=["H100"]), EncoderPool(backend="software", engines=2) as pool:
        waiting = pool.start([pool.generated(first, 3, **given)])
        assert begun.wait(60)
        try:
            other = pool.start([pool.generated(lambda index, _: picture(index), 20, **given)])
            other.wait(60).raise_for_errors()
        finally:
            may_end.set()
        waiting.wait(60).raise_for_errors()


def test_no_hardware_although_it_was_requested(simulator: Simulator) -> None:
    with simulator.machine(gpus=["H100"]):
        with pytest.raises(NoEncoder, match=r"GPU 0 \(NVIDIA H100.*software"):
            EncoderPool(backend="nvenc")
        with pytest.raises(NoEncoder, match="no GPU 3"):
            EncoderPool(gpus=3)
