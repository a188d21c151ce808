"""Controlling a run while it works, the events about it, and the release of everything that ended."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pdum.nvenc import Cancelled, EncoderClosed, EncoderPool, InvalidConfig, NvencError, Packet, Result, events
from pool_tasks import HEIGHT, WIDTH, Pictures, Sink, picture, threads_of_pools

from loud import need_module
from simulator import Simulator

pytestmark = pytest.mark.one_abi

L4 = {"name": "L4", "engines": 3, "fps_1080p": 100}  # 120 microseconds for a picture of the tests
SLOW = {"name": "L4", "engines": 3, "fps_1080p": 4}  # 3 milliseconds
LASTING = (events.Progress, events.RunProgress)


def wait_for(run: Any, kind: type[events.Event], count: int = 1) -> None:
    for event in run:
        count -= isinstance(event, kind)
        if count == 0:
            return
    raise AssertionError(f"no {kind.__name__} came")


# --- ending ---


@pytest.mark.parametrize("seed", range(12))
def test_cancelled_at_any_moment(simulator: Simulator, seed: int) -> None:
    chance = random.Random(seed)
    tasks = [Pictures(chance.randint(1, 400), 1000 * number, pause=0.001 * (seed % 2)) for number in range(6)]
    with simulator.machine(gpus=[SLOW if seed % 3 else L4]), EncoderPool() as pool:
        run = pool.start(tasks)
        threading.Event().wait(chance.random() * 0.3)
        run.cancel()
        report = run.wait(20)
        assert simulator.live().get("sessions", 0) == 0
        assert threads_of_pools() == []
    for task, result in zip(tasks, report.results, strict=True):
        assert isinstance(result, (Result, Cancelled))
        assert task.sinks_open == task.sources_open == 0
        assert task.finished + task.abandoned == task.prepared or task.finished == 1
        if isinstance(result, Result):
            task.check()


LOOKED_AHEAD = 16


class WaitsInItsFlush(Pictures):
    """Holds the engine at the first packet that can only come after the last frame."""

    def __init__(self, frames: int) -> None:
        super().__init__(frames, parts=1, tuning="hq", lookahead=LOOKED_AHEAD)
        self.flushing, self.go_on = threading.Event(), threading.Event()
        self.packets_when_it_began = -1

    def sink(self, first: int) -> Sink:
        task = self

        class Slow(Sink):
            def write(self, packets: Sequence[Packet]) -> None:
                super().write(packets)
                if len(self.packets) > task.count - LOOKED_AHEAD and not task.flushing.is_set():
                    task.packets_when_it_began = len(self.packets)
                    task.flushing.set()
                    assert task.go_on.wait(60)

        self.sinks_open += 1
        return Slow(self, first)


def test_cancelled_while_software_gives_its_last_packets(simulator: Simulator) -> None:
    """A software codec holds dozens of frames. A cancel does not wait for them."""
    need_module("av")
    task = WaitsInItsFlush(40)
    with simulator.machine(gpus=["H100"]), EncoderPool(backend="software") as pool:
        run = pool.start([task])
        assert task.flushing.wait(60)
        run.cancel()
        task.go_on.set()
        (result,) = run.wait(20).results
        assert threads_of_pools() == []
    assert isinstance(result, Cancelled)
    assert task.packets_when_it_began < 40
    assert task.sinks_open == task.sources_open == 0


def test_cancelled_video_leaves_no_file(simulator: Simulator, tmp_path: Path) -> None:
    begun = threading.Event()

    def render(index: int, _: None) -> Any:
        if index % 100 == 20:
            begun.set()
        return picture(index % 50)

    with simulator.machine(gpus=[SLOW]), EncoderPool() as pool:
        run = pool.start([pool.generated(render, 5000, width=WIDTH, height=HEIGHT, destination=tmp_path / "one.h264")])
        assert begun.wait(20)
        run.cancel("I changed my mind.")
        (result,) = run.wait(20).results
    assert isinstance(result, Cancelled)
    assert str(result) == "I changed my mind."
    assert list(tmp_path.iterdir()) == []


def test_closing_the_pool_cancels(simulator: Simulator) -> None:
    with simulator.machine(gpus=[SLOW]):
        with EncoderPool() as pool:
            run = pool.start([Pictures(3000)])
            wait_for(run, events.PieceStarted)
        assert run.is_over
        assert [type(result) for result in run.wait().results] == [Cancelled]
        with pytest.raises(EncoderClosed, match="closed"):
            pool.start([])
        pool.close()


def test_a_run_of_nothing(simulator: Simulator) -> None:
    with simulator.machine(gpus=[{"name": "L4", "engines": 3}]), EncoderPool() as pool:
        run = pool.start([])
        assert [type(event) for event in run] == [events.RunStarted, events.RunFinished]
        assert run.wait().results == ()


def test_interrupted_while_waiting(simulator: Simulator) -> None:
    """Ctrl+C during a waiting call first cancels the run."""
    task = Pictures(5000)
    interrupted: list[events.Event] = []

    def interrupt(event: events.Event) -> None:
        if isinstance(event, events.PieceStarted) and not interrupted:
            interrupted.append(event)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with simulator.machine(gpus=[SLOW]), EncoderPool() as pool:
        with pytest.raises(KeyboardInterrupt):
            pool.run([task], interrupt)
        assert simulator.live().get("sessions", 0) == 0
    assert task.abandoned == 1


def test_drained(simulator: Simulator) -> None:
    tasks = [Pictures(400, 1000 * number) for number in range(12)]
    with simulator.machine(gpus=[SLOW]), EncoderPool() as pool:
        run = pool.start(tasks)
        wait_for(run, events.PieceStarted, 3)
        run.drain()
        results = run.wait().results
    finished = [task for task, result in zip(tasks, results, strict=True) if isinstance(result, Result)]
    assert 3 <= len(finished) <= 6
    for task in finished:
        task.check()
    assert all(isinstance(result, (Result, Cancelled)) for result in results)


def test_one_job_is_skipped(simulator: Simulator) -> None:
    tasks = [Pictures(600, 1000 * number) for number in range(4)]
    with simulator.machine(gpus=[SLOW]), EncoderPool() as pool:
        run = pool.start(tasks)
        wait_for(run, events.PieceStarted, 3)
        run.skip(0)
        run.skip(3)
        told = list(run)
        results = run.wait().results
        with pytest.raises(InvalidConfig, match="job=4"):
            run.skip(4)
    assert [type(result) for result in results] == [Cancelled, Result, Result, Cancelled]
    assert {event.job for event in told if isinstance(event, events.JobSkipped)} == {0, 3}
    for task in tasks[1:3]:
        task.check()


def test_a_job_is_tried_again(simulator: Simulator) -> None:
    bad, long = Pictures(100, fail_at=60), Pictures(1500, 1000)
    with simulator.machine(gpus=[SLOW]), EncoderPool() as pool:
        run = pool.start([bad, long])
        with pytest.raises(InvalidConfig, match="Job 1 cannot be retried"):
            run.retry(1)
        wait_for(run, events.JobFailed)
        bad.fail_at = None
        run.retry(0)
        told = list(run)
        report = run.wait()
        with pytest.raises(InvalidConfig, match="Job 0 cannot be retried"):
            run.retry(0)
    report.raise_for_errors()
    assert [type(event) for event in told if getattr(event, "job", 1) == 0][-1] is events.JobFinished
    long.check()
    bad.abandoned = 0
    bad.check()


# --- going on otherwise ---


def test_paused(simulator: Simulator) -> None:
    task = Pictures(900)
    with simulator.machine(gpus=[SLOW]), EncoderPool() as pool:
        run = pool.start([task])
        wait_for(run, events.Progress)
        run.pause()
        frames = [0]
        while True:  # the claimed frames are finished, and then nothing moves
            seen = [event.frames for event in run._log.subscribe().take() if isinstance(event, events.RunProgress)]
            frames.append(sum(lane.frames for lane in run._lanes))
            if frames[-1] == frames[-2] and len(frames) > 3:
                break
            threading.Event().wait(0.1)
        assert seen == []
        assert frames[-1] < 900
        assert not run.is_over
        run.resume()
        run.wait().raise_for_errors()
    task.check()


def test_cancelled_while_paused(simulator: Simulator) -> None:
    with simulator.machine(gpus=[SLOW]), EncoderPool() as pool:
        run = pool.start([Pictures(900), Pictures(900)])
        wait_for(run, events.PieceStarted)
        run.pause()
        run.cancel()
        assert [type(result) for result in run.wait(20).results] == [Cancelled, Cancelled]


def test_fewer_engines_and_more_again(simulator: Simulator) -> None:
    tasks = [Pictures(900), Pictures(300, 1000)]
    with simulator.machine(gpus=[SLOW]), EncoderPool(idle_release=0.1) as pool:
        run = pool.start(tasks)
        wait_for(run, events.PieceStarted, 3)
        run.set_engines(1)
        listener = iter(run)
        while simulator.live().get("sessions", 0) > 1:
            assert not run.is_over
            threading.Event().wait(0.02)
        run.set_engines(3)
        told = list(listener)
        run.wait().raise_for_errors()
        for engines in (0, 4):
            with pytest.raises(InvalidConfig, match=f"engines={engines}"):
                run.set_engines(engines)
    for task in tasks:
        task.check()
    assert {event.engine for event in told if isinstance(event, events.PieceStarted)} == {0, 1, 2}


# --- events ---


def consistent(told: list[events.Event]) -> None:
    """The promises that every listener may rely on."""
    assert isinstance(told[0], events.RunStarted)
    assert isinstance(told[-1], events.RunFinished)
    assert [event.at for event in told] == sorted(event.at for event in told)
    for job in range(told[0].jobs):
        own = [type(event) for event in told if getattr(event, "job", None) == job]
        assert own[0] is events.JobQueued
        assert own[-1] in (events.JobFinished, events.JobFailed, events.JobSkipped, events.JobCancelled)
        begun = own.count(events.PieceStarted)
        assert own.count(events.PieceFinished) + own.count(events.PieceRetried) <= begun + 3
    for event in told:
        assert all(value == value for value in dataclasses.asdict(event).values())


@pytest.mark.parametrize("how", ["for", "async for", "callback", "callback of start"])
def test_every_listener_gets_every_event(simulator: Simulator, how: str) -> None:
    tasks = [Pictures(600, 1000 * number) for number in range(3)]
    told: list[events.Event] = []

    async def listen(run: Any) -> Any:
        told.extend([event async for event in run])
        return await run.wait_async()

    with simulator.machine(gpus=[SLOW]), EncoderPool() as pool:
        run = pool.start(tasks, told.append if how == "callback of start" else None)
        if how == "callback":
            run.on_event(told.append)
        if how == "async for":
            report = asyncio.run(listen(run))
        else:
            told += list(run) if how == "for" else []
            report = run.wait()
        again = list(run)
    report.raise_for_errors()
    consistent(told)
    assert any(isinstance(event, events.Progress) for event in told)
    progress = [event for event in told if isinstance(event, events.RunProgress)]
    assert [event.frames for event in progress] == sorted(event.frames for event in progress)
    assert all(event.frames <= event.total == 1800 for event in progress)
    finished = told[-1]
    assert isinstance(finished, events.RunFinished)
    assert (finished.finished, finished.frames, finished.source_bytes) == (3, 1800, 21)
    assert again == [event for event in told if not isinstance(event, LASTING)], "who comes late hears all that lasts"


def test_a_callback_that_raises_is_not_called_again(simulator: Simulator) -> None:
    calls: list[events.Event] = []

    def raising(event: events.Event) -> None:
        calls.append(event)
        raise ZeroDivisionError

    with simulator.machine(gpus=[{"name": "L4", "engines": 3}]), EncoderPool() as pool:
        run = pool.start([Pictures(50)], raising)
        told = list(run)
        run.wait().raise_for_errors()
    assert len(calls) == 1
    assert any(isinstance(event, events.Notice) and "ZeroDivisionError" in event.message for event in told)


def test_the_error_of_a_late_callback_is_reported(simulator: Simulator) -> None:
    """All events except the last have happened before its first call."""
    began = threading.Event()

    def late(event: events.Event) -> None:
        if isinstance(event, events.RunStarted):
            began.set()
            time.sleep(0.3)
        if isinstance(event, events.JobFinished):
            raise ZeroDivisionError

    with simulator.machine(gpus=[{"name": "L4", "engines": 3}]), EncoderPool() as pool:
        run = pool.start([Pictures(3)], late)
        told = list(run)
        run.wait().raise_for_errors()
    assert began.is_set()
    assert any(isinstance(event, events.Notice) and "ZeroDivisionError" in event.message for event in told)


def test_the_error_of_the_last_callback_is_reported(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """No event can follow, so the error goes to the hook for errors of threads, and the run still ends."""
    told: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", told.append)

    def raising(event: events.Event) -> None:
        if isinstance(event, events.RunFinished):
            raise ZeroDivisionError

    with simulator.machine(gpus=[{"name": "L4", "engines": 3}]), EncoderPool() as pool:
        pool.start([Pictures(3)], raising).wait().raise_for_errors()
    assert [one.exc_type for one in told] == [ZeroDivisionError]


def test_a_callback_may_use_its_run_but_not_wait_for_it(simulator: Simulator) -> None:
    caught: list[NvencError] = []
    runs: list[Any] = []
    ready = threading.Event()

    def callback(event: events.Event) -> None:
        ready.wait()
        if isinstance(event, events.PieceStarted) and not caught:
            try:
                runs[0].wait()
            except NvencError as error:
                caught.append(error)
            runs[0].cancel()

    with simulator.machine(gpus=[SLOW]), EncoderPool() as pool:
        runs.append(pool.start([Pictures(3000)], callback))
        ready.set()
        results = runs[0].wait(20).results
        with pytest.raises(TimeoutError):
            pool.start([Pictures(3000)]).wait(0.01)
    assert [type(result) for result in results] == [Cancelled]
    assert "callback" in str(caught[0])


def test_a_listener_that_breaks_off_costs_nothing(simulator: Simulator) -> None:
    async def first(run: Any) -> events.Event:
        async for event in run:
            return event  # type: ignore[no-any-return]
        raise AssertionError

    with simulator.machine(gpus=[{"name": "L4", "engines": 3}]), EncoderPool() as pool:
        run = pool.start([Pictures(200)])
        assert isinstance(asyncio.run(first(run)), events.RunStarted)
        run.wait().raise_for_errors()
        assert run._log.listeners() == []


def test_the_longest_job_goes_first(simulator: Simulator) -> None:
    lengths = [30, 200, 10, 150, 80, 60]
    with simulator.machine(gpus=[{**SLOW, "engines": 1}]), EncoderPool() as pool:
        run = pool.start([Pictures(length, 1000 * number) for number, length in enumerate(lengths)])
        told = list(run)
        run.wait().raise_for_errors()
    order = [event.job for event in told if isinstance(event, events.PieceStarted)]
    assert order == [1, 3, 4, 5, 0, 2]


@pytest.mark.parametrize("seed", range(8))
def test_everything_at_once(simulator: Simulator, seed: int) -> None:
    """Several threads control a run in any way: its finished jobs are right, and nothing is left of it."""
    chance = random.Random(seed)
    tasks = [
        Pictures(chance.randint(1, 300), 1000 * number, fail_at=chance.choice([None, None, None, 20]))
        for number in range(8)
    ]
    faults = [{"call": "nvEncLockBitstream", "nth": chance.randint(1, 300), "status": 8} for _ in range(2)]
    gpu = {**L4, "session_limit": chance.choice([0, 2]), "engines": chance.randint(1, 4)}

    def meddle(run: Any, own: random.Random) -> None:
        for _ in range(own.randint(1, 12)):
            threading.Event().wait(own.random() * 0.05)
            what = own.choice(["pause", "resume", "skip", "retry", "engines", "drain", "cancel"])
            if what == "engines":
                run.set_engines(own.randint(1, len(run.engines)))
            elif what == "retry":
                with contextlib.suppress(InvalidConfig):
                    run.retry(own.randrange(8))
            elif what == "skip":
                run.skip(own.randrange(8))
            elif what in ("pause", "resume") or own.random() < 0.2:
                getattr(run, what)()
        run.resume()

    # If a lock fails while a session is closed, the driver has to release everything, which breaks its rules.
    with simulator.machine(check=False, gpus=[gpu], faults=faults), EncoderPool(idle_release=0.02) as pool:
        run = pool.start(tasks)
        meddlers = [threading.Thread(target=meddle, args=(run, random.Random(seed * 10 + each))) for each in range(3)]
        for thread in meddlers:
            thread.start()
        for thread in meddlers:
            thread.join()
        run.resume()
        told = list(run)
        report = run.wait(60)
        assert simulator.live().get("sessions", 0) == 0
    assert isinstance(told[-1], events.RunFinished)
    for task, result in zip(tasks, report.results, strict=True):
        assert task.sinks_open == task.sources_open == 0
        assert isinstance(result, (Result, Cancelled, OSError)), result
        if isinstance(result, Result):
            units = task.units()
            assert len(units) == task.count


@pytest.mark.parametrize("where", ["frames", "prepare", "finish", "render"])
def test_cancelled_while_a_task_does_not_return(simulator: Simulator, where: str) -> None:
    """The run ends without it. When it returns, it releases what it has."""
    inside, go_on = threading.Event(), threading.Event()

    def stay(*_: Any) -> Any:
        inside.set()
        go_on.wait()
        raise OSError("at last")

    with simulator.machine(gpus=[L4]), EncoderPool() as pool:
        task: Any = Pictures(60)
        if where == "render":
            task = pool.generated(stay, 60, width=WIDTH, height=HEIGHT)
        else:
            setattr(task, where, stay)
        run = pool.start([task])
        assert inside.wait(20)
        run.cancel()
        assert [type(result) for result in run.wait(20).results] == [Cancelled]
        assert isinstance(list(run)[-1], events.RunFinished)
        if where in ("prepare", "finish"):
            again = Pictures(60)
            pool.run([again]).raise_for_errors()
            again.check()
        go_on.set()
        for thread in threading.enumerate():
            if thread.name.startswith("pdum.nvenc"):
                thread.join(20)
        assert simulator.live().get("sessions", 0) == 0
        last = Pictures(60)
        pool.run([last]).raise_for_errors()
        last.check()
    if where != "render":
        assert task.abandoned == 1
        assert task.sinks_open == 0
