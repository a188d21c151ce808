"""The pool's public names: what a report raises, what a task may leave out, and old names that still work."""

from __future__ import annotations

import gc
import time
import weakref
from typing import Any

import pytest

from pdum.nvenc import (
    BaseTask,
    EncoderPool,
    InvalidConfig,
    NvencError,
    Result,
    RunReport,
    SeveralErrors,
    TimedOut,
)
from pool_tasks import HEIGHT, WIDTH, Pictures, picture

from simulator import Simulator

pytestmark = pytest.mark.one_abi

GOOD = Result(destination="there", frames=1, size=1)


def report(*results: Result | Exception) -> RunReport:
    return RunReport(results=results, frames=0, seconds=0.0, lost_engines={})


def test_raise_for_errors() -> None:
    one, two = InvalidConfig("one"), OSError("two")
    assert report(GOOD, GOOD).raise_for_errors() == [GOOD, GOOD]
    with pytest.raises(InvalidConfig, match="one"):
        report(GOOD, one).raise_for_errors()
    with pytest.raises(SeveralErrors, match=r"2 of 3 jobs failed\. The first error: one") as caught:
        report(one, GOOD, two).raise_for_errors()
    assert caught.value.exceptions == (one, two)
    assert isinstance(caught.value, NvencError)


def test_old_names_work_with_a_warning(simulator: Simulator) -> None:
    with simulator.machine(gpus=["L4"]):
        with pytest.warns(DeprecationWarning, match="backend=") as warned:
            pool = EncoderPool(engine="nvenc")
        with pool, pytest.warns(DeprecationWarning, match="render_video"):
            stream = pool.map_segments(lambda index, _: picture(index), 5, width=WIDTH, height=HEIGHT)
    assert warned[0].filename == __file__
    assert isinstance(stream, bytes)
    with pytest.warns(DeprecationWarning, match="raise_for_errors"), pytest.raises(InvalidConfig, match="one"):
        report(InvalidConfig("one"), OSError("two")).require_success()


def test_the_error_of_an_incomplete_task_names_what_is_missing(simulator: Simulator) -> None:
    class Own:
        source = "my own"
        destination = ""

    tasks: list[Any] = [Own(), Pictures(20)]
    with simulator.machine(gpus=["L4"]), EncoderPool() as pool:
        results = pool.run(tasks).results
    assert isinstance(results[0], InvalidConfig)
    assert "BaseTask" in str(results[0])
    assert "prepare" in str(results[0])
    assert isinstance(results[1], Result)


def test_the_defaults_of_a_base_task() -> None:
    class Own(BaseTask):
        source = "my own"
        estimated_work = 3.0

        def __init__(self) -> None:
            self.source_bytes = 4  # type: ignore[misc]  # an attribute will do

    own = Own()
    assert (own.destination, own.source_bytes, own.estimated_work, own.needs_encoder) == ("", 4, 3.0, False)
    own.interrupt()
    own.abandon(keep=False)


def test_a_wait_that_takes_too_long(simulator: Simulator) -> None:
    with simulator.machine(gpus=[{"name": "L4", "fps_1080p": 4}]), EncoderPool() as pool:
        run = pool.start([Pictures(3000)])
        with pytest.raises(TimedOut) as caught:
            run.wait(0.01)
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, NvencError)


LOOKS = 200
"""A thread that has just finished the task may keep it for some of these."""


def test_a_finished_task_is_released(simulator: Simulator) -> None:
    """It may hold the index of a two-hour film, and the run may go on for days."""
    long = Pictures(20_000)
    with simulator.machine(gpus=[{"name": "L4", "fps_1080p": 4}]), EncoderPool() as pool:
        short = Pictures(20, 50_000)
        known = weakref.ref(short)
        tasks = [short, long]
        run = pool.start(tasks)
        del short, tasks[0]
        while run.scheduler.totals.sums.jobs_over == 0:
            assert not run.is_over
            time.sleep(0.01)  # so that the run's threads have the GIL
        run.pause()
        for _ in range(LOOKS):
            if known() is None:
                break
            time.sleep(0.01)
            gc.collect()
        assert known() is None
        run.cancel()
        assert isinstance(run.wait().results[0], Result)
