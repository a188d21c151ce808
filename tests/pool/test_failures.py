"""Slow, hanging and failing engines, lost GPUs, no free sessions: the video is right, and nothing leaks."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pdum.nvenc import EncoderPool, InvalidConfig, NoEngineLeft, OutOfSessions, SourceEnded, UnsupportedFeature, events
from pdum.nvenc._machine import capabilities as _capabilities
from pool_tasks import Meeting, Pictures, WaitingEngines

from simulator import Simulator, environment

pytestmark = pytest.mark.one_abi

FOLDER = Path(__file__).parent
L4 = {"name": "L4", "engines": 3, "fps_1080p": 100}  # 120 microseconds for a picture of the tests


def kinds(told: Sequence[events.Event]) -> list[str]:
    return [type(event).__name__ for event in told]


def run_of(
    pool: EncoderPool, tasks: Sequence[Pictures], on_event: Callable[[events.Event], object] | None = None
) -> tuple[list[events.Event], Any]:
    run = pool.start(tasks, on_event)
    return list(run), run.wait()


# --- sessions ---


@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize("status", [10, 21])
def test_fewer_sessions_than_engines(simulator: Simulator, limit: int, status: int) -> None:
    waiting = WaitingEngines(3 - limit)
    tasks = [
        Pictures(400, meeting=waiting),
        Pictures(100, 1000, meeting=waiting),
        Pictures(70, 2000, codec="hevc", meeting=waiting),
        Pictures(50, 3000, meeting=waiting),
    ]
    machine: dict[str, Any] = {"gpus": [{**L4, "session_limit": limit}], "session_limit_status": status}
    with simulator.machine(**machine), EncoderPool() as pool:
        told, report = run_of(pool, tasks, waiting)
    report.raise_for_errors()
    for task in tasks:
        task.check()
    assert "JobFailed" not in kinds(told)
    assert len({event.engine for event in told if isinstance(event, events.EngineWaiting)}) >= 3 - limit


@contextmanager
def another_process(count: int, machine: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    """Holds this many sessions until its input is closed."""
    command = [sys.executable, str(FOLDER / "hold_sessions.py"), str(count)]
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(**machine)
    )
    assert child.stdout is not None
    assert child.stdin is not None
    try:
        assert child.stdout.readline() == "held\n"
        yield child
    finally:
        if not child.stdin.closed:
            child.stdin.close()
        child.stdout.close()
        assert child.wait(30) == 0


@pytest.mark.parametrize("taken", [1, 2])
def test_another_process_has_sessions(simulator: Simulator, tmp_path: Path, taken: int) -> None:
    machine: dict[str, Any] = {"gpus": [{**L4, "session_limit": 3}], "state": str(tmp_path / "state")}
    heard = WaitingEngines(taken)
    task = Pictures(400, meeting=heard)
    with simulator.machine(**machine), another_process(taken, machine) as child, EncoderPool() as pool:
        told, report = run_of(pool, [task], heard)
        waiting = [event for event in told if isinstance(event, events.EngineWaiting)]
        assert len({event.engine for event in waiting}) >= taken
        assert f"process {child.pid} (python" in waiting[0].reason
    report.raise_for_errors()
    task.check()


def test_waits_until_another_process_gives_its_sessions_back(simulator: Simulator, tmp_path: Path) -> None:
    machine: dict[str, Any] = {"gpus": [{**L4, "session_limit": 2}], "state": str(tmp_path / "state")}
    task = Pictures(200)
    with simulator.machine(**machine), EncoderPool() as pool, another_process(2, machine) as child:
        run = pool.start([task])
        for event in run:
            if isinstance(event, events.EngineWaiting) and child.stdin is not None:
                child.stdin.close()
                break
        run.wait().raise_for_errors()
    task.check()


def test_no_session_becomes_free(simulator: Simulator, tmp_path: Path) -> None:
    machine: dict[str, Any] = {"gpus": [{**L4, "session_limit": 2}], "state": str(tmp_path / "state")}
    task = Pictures(200)
    with simulator.machine(**machine), EncoderPool(session_timeout=0.4) as pool, another_process(2, machine) as child:
        _, report = run_of(pool, [task])
        words = rf"No encode session was free.*process {child.pid}.*has 2"
        with pytest.raises(OutOfSessions, match=words) as caught:
            report.raise_for_errors()
        assert "session_timeout" in caught.value.advice
        _capabilities._found.clear()  # so that the number of engines has to be asked for, which takes a session
        with pytest.raises(OutOfSessions, match=f"process {child.pid}"):
            EncoderPool(session_timeout=0.2).close()
    assert task.abandoned == 1


def test_two_runs_of_one_pool_share_its_engines(simulator: Simulator) -> None:
    tasks = [Pictures(300, 1000 * number) for number in range(4)]
    with simulator.machine(gpus=[{**L4, "session_limit": 3}]), EncoderPool(idle_release=0.1) as pool:
        runs = [pool.start(tasks[:2])]
        for event in runs[0]:
            if isinstance(event, events.PieceStarted):
                break
        runs.append(pool.start(tasks[2:]))
        told = [list(run) for run in runs]
        for run in runs:
            run.wait().raise_for_errors()
    for task in tasks:
        task.check()
    waiting = [event for one in told for event in one if isinstance(event, events.EngineWaiting)]
    assert {event.reason for event in waiting} <= {"Another run of this pool uses this engine."}


# --- engines ---


def stalled(engines: int, which: Sequence[int], after: int) -> dict[str, Any]:
    command = [sys.executable, str(FOLDER / "stalled.py"), str(engines), json.dumps(which), str(after)]
    path = {"PYTHONPATH": os.pathsep.join([str(FOLDER.parent), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, env={**os.environ, **path}, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize(("which", "after"), [([0], 0), ([1], 37), ([0, 2], 60)])
def test_an_engine_that_hangs_loses_its_session_and_not_the_job(which: list[int], after: int) -> None:
    answer = stalled(3, which, after)
    assert answer["results"] == ["Result", "Result", "Result"]
    assert len(answer["lost"]) == len(which)
    assert all("has not answered" in reason for reason in answer["lost"].values())
    lost = [event["engine"] for event in answer["events"] if event["event"] == "engine_lost"]
    retried = [event for event in answer["events"] if event["event"] == "piece_retried"]
    assert {event["engine"] for event in retried} == set(lost) == {int(engine) for engine in answer["lost"]}
    assert answer["second"] == ["Result"], "those that are left go on"
    assert len(answer["threads"]) == len(which), "only threads that wait for an engine are left"
    assert answer["open"] == [0, 0, 0]


def test_all_engines_hang() -> None:
    answer = stalled(2, [0, 1], 30)
    assert "NoEngineLeft" in answer["results"]
    assert set(answer["results"]) <= {"NoEngineLeft", "Result"}
    assert all("engine 0: GPU 0" in text and "engine 1: GPU 0" in text for text in answer["messages"])
    assert "All engines of this pool hang" in answer["second"][0]


def test_a_gpu_that_is_lost_half_way(simulator: Simulator) -> None:
    """One of two engines is lost: the other does the rest, and the session of the first is released."""
    both = Meeting(2, of="gpu_id")
    tasks = [Pictures(900, meeting=both), Pictures(100, 1000, meeting=both)]
    stall = [{"gpu": 1, "engine": 0, "after_frames": 60, "device_lost": True}]
    with simulator.machine(check=False, gpus=[L4, L4], stall=stall), EncoderPool() as pool:
        told, report = run_of(pool, tasks)
        assert simulator.live().get("sessions", 0) == 0
    report.raise_for_errors()
    for task in tasks:
        task.check()
    begun = {pool.engines[event.engine].gpu_id for event in told if isinstance(event, events.PieceStarted)}
    assert begun == {0, 1}
    lost = {event.engine for event in told if isinstance(event, events.EngineLost)}
    assert lost
    assert {pool.engines[engine].gpu_id for engine in lost} == {1}
    assert {event.engine for event in told if isinstance(event, events.PieceRetried)} <= lost


def test_the_only_gpu_is_lost(simulator: Simulator) -> None:
    tasks = [Pictures(500), Pictures(100, 1000), Pictures(90, 2000)]
    stall = [{"gpu": 0, "engine": 0, "after_frames": 50, "device_lost": True}]
    with (
        simulator.machine(check=False, gpus=[{"name": "RTX 4070", "fps_1080p": 200}], stall=stall),
        EncoderPool() as pool,
    ):
        _, report = run_of(pool, tasks)
    assert all(isinstance(error, NoEngineLeft) for error in report.errors)
    assert len(report.errors) == 3
    assert "engine 0:" in str(report.errors[0])
    assert [task.abandoned for task in tasks] == [1, 1, 1] or sum(task.abandoned for task in tasks) == 1
    assert [task.sinks_open + task.sources_open for task in tasks] == [0, 0, 0]


def test_an_engine_that_is_much_slower(simulator: Simulator) -> None:
    slow, fast = {"name": "RTX 4070", "fps_1080p": 0.5}, {"name": "RTX 4070", "fps_1080p": 100}
    task = Pictures(1200)
    with simulator.machine(gpus=[slow, fast]), EncoderPool() as pool:
        run_of(pool, [task])[1].raise_for_errors()
    units = task.check()
    starts = [number for number, unit in enumerate(units) if unit.is_idr]
    by_gpu = [0, 0]
    for begin, end in zip(starts, [*starts[1:], len(units)], strict=True):
        by_gpu[units[begin].gpu_index] += end - begin
    assert by_gpu[1] > 5 * by_gpu[0], "the work is shared by speed"


CALLS = (
    "nvEncOpenEncodeSessionEx",
    "nvEncInitializeEncoder",
    "nvEncCreateBitstreamBuffer",
    "nvEncRegisterResource",
    "nvEncMapInputResource",
    "nvEncEncodePicture",
    "nvEncLockBitstream",
    "nvEncUnlockBitstream",
    "nvEncUnmapInputResource",
    "nvEncGetSequenceParams",
    "nvEncDestroyEncoder",
)


@pytest.mark.parametrize("seed", range(30))
def test_calls_that_fail_at_random(simulator: Simulator, seed: int) -> None:
    """Any one or a few of the driver's calls fail: the affected pieces are done again."""
    chance = random.Random(seed)
    faults = [
        {"call": chance.choice(CALLS), "nth": chance.randint(1, 60), "status": chance.choice([8, 10, 20, 21])}
        for _ in range(chance.randint(1, 3))
    ]
    tasks = [Pictures(chance.randint(1, 150), 1000 * number, bframes=seed % 3, tuning="hq") for number in range(4)]
    gpu = {**L4, "engines": chance.randint(1, 3)}
    with simulator.machine(check=False, gpus=[gpu]):
        EncoderPool().close()  # asks how many engines there are
    # If a lock fails while a session is closed, the driver has to release everything, which breaks its rules.
    with simulator.machine(check=False, gpus=[gpu], faults=faults), EncoderPool() as pool:
        _, report = run_of(pool, tasks)
        assert simulator.live().get("sessions", 0) == 0
    assert not report.errors, (faults, report.errors)
    for task in tasks:
        task.check()


# --- tasks ---


def test_an_error_of_one_task_is_reported_for_that_task_only(simulator: Simulator) -> None:
    good = [Pictures(150), Pictures(60, 5000)]
    bad = [
        Pictures(150, 1000, fail_at=70),
        Pictures(150, 2000, width=100_000),
        Pictures(150, 3000, codec="vp9"),
        Pictures(150, 4000, bit_depth=10),
    ]
    short = Pictures(150, 6000)
    short.frames = lambda first, engine: iter(())  # type: ignore[method-assign]
    tasks = [bad[0], good[0], bad[1], bad[2], bad[3], good[1], short]
    with simulator.machine(gpus=[{"name": "L4", "engines": 3}]), EncoderPool() as pool:
        told, report = run_of(pool, tasks)
    for task in good:
        task.check()
    results = report.results
    assert isinstance(results[0], OSError)
    assert isinstance(results[2], InvalidConfig)
    assert isinstance(results[3], InvalidConfig)
    assert isinstance(results[4], (UnsupportedFeature, InvalidConfig))
    assert isinstance(results[6], SourceEnded)
    assert report.lost_engines == {}
    failed = {event.job: event.error for event in told if isinstance(event, events.JobFailed)}
    assert failed == {job: type(results[job]).__name__ for job in (0, 2, 3, 4, 6)}
    assert all(task.abandoned == 1 and task.finished == 0 for task in [*bad, short])
    assert all(task.sinks_open == task.sources_open == 0 for task in tasks)


@pytest.mark.parametrize("step", ["prepare", "config", "sink", "write", "complete", "finish", "abandon"])
def test_a_task_that_raises(simulator: Simulator, step: str) -> None:
    def fail(*_: Any) -> Any:
        raise ZeroDivisionError(step)

    class Bad(Pictures):
        pass

    bad, good = Bad(90), Pictures(120, 1000)
    if step in ("write", "complete"):
        plain = bad.sink

        def sink(first: int) -> Any:
            one = plain(first)
            setattr(one, step, fail)
            return one

        bad.sink = sink  # type: ignore[method-assign]
    else:
        setattr(bad, step, fail)
        bad.fail_at = 50 if step == "abandon" else None
    with simulator.machine(gpus=[{"name": "L4", "engines": 3}]), EncoderPool() as pool:
        told, report = run_of(pool, [bad, good])
    good.check()
    assert isinstance(report.results[0], OSError if step == "abandon" else ZeroDivisionError)
    assert bad.sinks_open == bad.sources_open == 0
    assert any(isinstance(event, events.Notice) for event in told) == (step == "abandon")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"good_range": 7.5}, "good_range has 7.5"),
        ({"shortest_range": None}, "shortest_range has None"),
        ({"frames": "90"}, "frames has '90'"),
        ({"ranges": [(0, 45), (45, 90.0)]}, "ranges has 90.0"),
        ({"ranges": [(0, 45), (44, 90)]}, "44 to 90 does not follow frame 45"),
    ],
)
def test_a_plan_that_cannot_be(simulator: Simulator, wrong: dict[str, Any], words: str) -> None:
    """Otherwise an engine would stop half-way, and the run would wait for it."""
    bad, good = Pictures(90), Pictures(120, 1000)
    plan = bad.prepare
    setattr(bad, "prepare", lambda lanes: replace(plan(lanes), **wrong))  # noqa: B010
    with simulator.machine(gpus=[{"name": "L4", "engines": 3}]), EncoderPool() as pool:
        _, report = run_of(pool, [bad, good])
    good.check()
    assert words in str(report.results[0])


def test_a_feeder_that_fails_ends_the_run(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any error, even one of our own: the run does not wait for an engine that gets no more frames."""
    monkeypatch.setattr("pdum.nvenc._pool.scheduler.shares", lambda *_: 1 / 0)
    task = Pictures(90)
    with simulator.machine(gpus=[{"name": "L4", "engines": 3}]), EncoderPool() as pool:
        _, report = run_of(pool, [task])
    assert isinstance(report.results[0].__cause__, ZeroDivisionError)
    assert task.abandoned == 1


def test_another_gpu_does_what_one_cannot(simulator: Simulator) -> None:
    gpus = [{"name": "A40", "fps_1080p": 100}, {"name": "RTX 4070", "fps_1080p": 100}]  # the first knows no AV1
    tasks = [Pictures(200, codec="av1"), Pictures(200, 1000)]
    with simulator.machine(gpus=gpus), EncoderPool() as pool:
        run_of(pool, tasks)[1].raise_for_errors()
    assert {unit.gpu_index for unit in tasks[0].check() if unit.is_idr} == {1}
    tasks[1].check()
    with simulator.machine(gpus=gpus), EncoderPool(gpus=0) as pool:
        _, report = run_of(pool, [Pictures(200, codec="av1"), Pictures(200, 1000)])
    assert [type(result) for result in report.errors] == [UnsupportedFeature]
