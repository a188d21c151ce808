"""Ctrl+C and other errors that are no ``Exception``, at any moment: the call ends soon and leaves nothing behind."""

from __future__ import annotations

import _thread
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from pdum.nvenc import Cancelled, EncoderPool, NvencError, Plan, Result, events
from pool_tasks import HEIGHT, WIDTH, Pictures, Sink, picture, threads_of_pools

from simulator import Simulator

pytestmark = pytest.mark.one_abi

SLOW = {"name": "L4", "fps_1080p": 4}  # 3 milliseconds for a picture of the tests
NOT_EXCEPTIONS = [SystemExit, GeneratorExit, KeyboardInterrupt]


def test_a_signal_that_does_not_wake_the_main_thread_still_interrupts(simulator: Simulator) -> None:
    """The handler in C may run just before the main thread blocks, or in another thread. The wait then continues."""
    task = Pictures(20_000)
    sent: list[events.Event] = []

    def interrupt(event: events.Event) -> None:
        if isinstance(event, events.Progress) and not sent:
            sent.append(event)
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    with simulator.machine(gpus=[SLOW]), EncoderPool() as pool:
        with pytest.raises(KeyboardInterrupt):
            pool.run([task], interrupt)
        assert simulator.live().get("sessions", 0) == 0
    assert (task.finished, task.abandoned) == (0, 1)


def test_the_signal_interrupts_a_listener(simulator: Simulator) -> None:
    task = Pictures(20_000)
    with simulator.machine(gpus=[SLOW]), EncoderPool() as pool:
        run = pool.start([task])
        run.pause()
        told = iter(run)
        threading.Timer(0.3, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGINT)).start()
        end = threading.Timer(20, run.cancel)
        end.start()
        with pytest.raises(KeyboardInterrupt):
            for _ in told:
                pass
        end.cancel()
        assert not run.is_over


@pytest.mark.parametrize("nth", range(1, 9))
def test_interrupted_while_a_thread_starts(simulator: Simulator, monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    """Right after the start of the thread, before it is recorded: no thread is started twice, and none is lost."""
    begun: list[int] = []
    name = "_start_joinable_thread" if hasattr(threading, "_start_joinable_thread") else "_start_new_thread"

    def interrupted(start: Callable[..., Any]) -> Callable[..., Any]:
        def begin(*given: Any, **named: Any) -> Any:
            answer = start(*given, **named)
            if threading.current_thread() is threading.main_thread():
                begun.append(0)
                if len(begun) == nth:
                    raise KeyboardInterrupt
            return answer

        return begin

    failed: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    task = Pictures(400)
    with simulator.machine(gpus=[SLOW]), EncoderPool() as pool:
        with monkeypatch.context() as patched:
            patched.setattr(_thread, "start_new_thread", interrupted(_thread.start_new_thread))
            patched.setattr(threading, name, interrupted(getattr(threading, name)))
            try:
                pool.run([task])
            except KeyboardInterrupt:
                assert len(begun) >= nth
            else:
                assert len(begun) < nth
        assert simulator.live().get("sessions", 0) == 0
        assert threads_of_pools() == []
        assert failed == []
        again = Pictures(50)
        pool.run([again]).raise_for_errors()
        again.check()


@pytest.mark.parametrize("kind", NOT_EXCEPTIONS)
def test_render_raises_a_base_exception(simulator: Simulator, kind: type[BaseException]) -> None:
    def render(index: int, _: None) -> Any:
        if index == 30:
            raise kind("enough")
        return picture(index)

    with simulator.machine(gpus=["L4"]), EncoderPool() as pool:
        run = pool.start([pool.generated(render, 60, width=WIDTH, height=HEIGHT)])
        (result,) = run.wait(20).results
        assert isinstance(result, NvencError)
        assert isinstance(result.__cause__, kind)
        assert kind.__name__ in str(result)
        again = Pictures(50)
        pool.run([again]).raise_for_errors()


@pytest.mark.parametrize("kind", NOT_EXCEPTIONS)
@pytest.mark.parametrize("step", ["prepare", "config", "frames", "sink", "write", "complete", "finish", "abandon"])
def test_a_task_raises_a_base_exception(simulator: Simulator, step: str, kind: type[BaseException]) -> None:
    def fail(*_: Any) -> Any:
        raise kind(step)

    class BadSink(Sink):
        pass

    bad, good = Pictures(90), Pictures(120, 1000)
    if step in ("write", "complete"):
        setattr(BadSink, step, fail)

        def sink(first: int) -> Sink:
            bad.sinks_open += 1
            return BadSink(bad, first)

        bad.sink = sink  # type: ignore[method-assign]
    else:
        setattr(bad, step, fail)
        bad.fail_at = 50 if step == "abandon" else None
    with simulator.machine(gpus=["L4"]), EncoderPool() as pool:
        results = pool.start([bad, good]).wait(20).results
    good.check()
    assert isinstance(results[0], OSError if step == "abandon" else NvencError)
    assert bad.sinks_open == bad.sources_open == 0


@pytest.mark.parametrize("kind", NOT_EXCEPTIONS)
@pytest.mark.parametrize("last", [False, True])
def test_a_callback_raises_a_base_exception(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException], last: bool
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)

    def raising(event: events.Event) -> None:
        if isinstance(event, events.RunFinished) or not last:
            raise kind

    with simulator.machine(gpus=["L4"]), EncoderPool() as pool:
        pool.start([Pictures(50)], raising).wait(20).raise_for_errors()


@contextmanager
def held_by_another_thread(lock: Any) -> Iterator[None]:
    is_held, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            is_held.set()
            may_go.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait(60)
    try:
        yield
    finally:
        may_go.set()
        thread.join()


def test_a_child_that_is_forked_while_a_run_works(simulator: Simulator) -> None:
    """The child has none of the run's threads: every call of the pool returns at once."""
    with simulator.machine(gpus=[SLOW]):
        pool = EncoderPool()
        run = pool.start([Pictures(1000)])
        for event in run:
            if isinstance(event, events.PieceStarted):
                break
        with pool._lock, held_by_another_thread(run.scheduler.lock):  # as it may be at that moment
            child = os.fork()
        if child == 0:
            code = 1
            try:
                signal.alarm(30)
                run.cancel()
                pool.close()
                code += 2 * _raises(run.wait) + 4 * _raises(lambda: pool.run([])) + 8 * _raises(lambda: list(run))
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 15
        assert not run.is_over
        pool.close()
        assert isinstance(run.wait().results[0], Cancelled)


def _raises(call: Callable[[], object]) -> bool:
    try:
        call()
    except NvencError as error:
        return "process" in str(error)
    return False


# --- calls that do not return ---


class Stuck(Pictures):
    """Does not return from ``prepare`` until it is allowed to."""

    def __init__(self, frames: int, offset: int = 0, fails: bool = False) -> None:
        super().__init__(frames, offset)
        self.inside, self.go_on = threading.Event(), threading.Event()
        self.fails = fails

    def prepare(self, lanes: int) -> Plan:
        self.inside.set()
        self.go_on.wait(60)
        if self.fails:
            raise Cancelled("The first attempt was called off.")
        return super().prepare(lanes)

    def interrupt(self) -> None:
        """Nothing can wake it."""

    def succeed(self) -> None:
        self.fails = False
        self.go_on.set()


def ended(results: Sequence[Any]) -> list[type]:
    return [type(result) for result in results]


def test_cancelled_while_all_helpers_are_stuck(simulator: Simulator) -> None:
    """Sources that do not answer do not delay the cleanup after a cancelled job."""
    working, stuck = Pictures(20_000), [Stuck(5000 - number, 1000) for number in range(3)]
    with simulator.machine(gpus=[SLOW]), EncoderPool() as pool:
        run = pool.start([working, *stuck])
        for task in stuck:
            assert task.inside.wait(20)
        for event in run:
            if isinstance(event, events.PieceStarted):
                break
        run.cancel()
        assert ended(run.wait(20).results) == [Cancelled] * 4
        assert working.abandoned == 1
        for task in stuck:
            task.go_on.set()
        for thread in threading.enumerate():
            if thread.name.startswith("pdum.nvenc"):
                thread.join(20)
    assert [task.abandoned for task in stuck] == [1, 1, 1]


@pytest.mark.parametrize("fails", [False, True])
def test_skipped_and_tried_again_before_prepare_returns(simulator: Simulator, fails: bool) -> None:
    """A late result of the first attempt is not mistaken for the second's."""
    task, other = Stuck(100, fails=fails), Pictures(1500, 1000)
    with simulator.machine(gpus=[SLOW]), EncoderPool() as pool:
        run = pool.start([task, other])
        assert task.inside.wait(20)
        run.skip(0)
        for event in run:
            if isinstance(event, events.JobSkipped):
                break
        task.inside.clear()
        run.retry(0)
        if fails:
            threading.Timer(0.3, task.succeed).start()
        else:
            task.go_on.set()
        results = run.wait(60).results
    assert ended(results) == [Result, Result]
    assert task.abandoned == 1, "the first attempt's plan"
    task.abandoned = 0
    task.check()


# --- the ends of a run ---


def test_the_only_allowed_engine_is_lost(simulator: Simulator) -> None:
    """The next engine takes over, since the user asked for a number of engines, not for particular ones."""
    task = Pictures(600)
    stall = [{"gpu": 0, "engine": 0, "after_frames": 60, "device_lost": True}]
    with simulator.machine(check=False, gpus=[SLOW, SLOW], stall=stall), EncoderPool() as pool:
        engines = [engine for engine in pool.engines if engine.gpu_id == 0]
        assert pool.engines[0] in engines
        run = pool.start([task])
        run.set_engines(1)
        told = list(run)
        run.wait(60).raise_for_errors()
    task.check()
    changed = [event.engines for event in told if isinstance(event, events.EnginesChanged)]
    assert all(len(engines) == 1 for engines in changed)
    lost = [event.engine for event in told if isinstance(event, events.EngineLost)]
    assert lost
    assert changed[-1][0].index not in lost


@pytest.mark.parametrize("wrong", [ZeroDivisionError("no estimate"), "much", None, float("nan")])
def test_a_task_whose_work_cannot_be_estimated(simulator: Simulator, wrong: Any) -> None:
    class Bad(Pictures):
        @property
        def estimated_work(self) -> Any:
            if isinstance(wrong, Exception):
                raise wrong
            return wrong

    bad, good = Bad(90), Pictures(120, 1000)
    with simulator.machine(gpus=["L4"]), EncoderPool() as pool:
        results = pool.start([bad, good]).wait(20).results
    good.check()
    assert isinstance(results[0], ZeroDivisionError if isinstance(wrong, Exception) else NvencError)
    assert bad.prepared == 0


def test_the_runs_own_thread_fails(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any error, even one of our own: no call waits forever."""
    monkeypatch.setattr("pdum.nvenc._pool.progress.ProgressTeller.tell", lambda _: 1 / 0)
    with simulator.machine(gpus=[SLOW]), EncoderPool() as pool:
        (result,) = pool.start([Pictures(3000)]).wait(20).results
    assert isinstance(result, NvencError)
    assert isinstance(result.__cause__, ZeroDivisionError)


def test_a_helper_fails(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any error, even one of our own."""
    monkeypatch.setattr("pdum.nvenc._pool.scheduler.gaps", lambda *_: 1 / 0)
    with simulator.machine(gpus=["L4"]), EncoderPool() as pool:
        results = pool.start([Pictures(30), Pictures(30, 1000)]).wait(20).results
    assert ended(results) == [NvencError, NvencError]


def test_a_loop_that_breaks_off_leaves_no_listener(simulator: Simulator) -> None:
    with simulator.machine(gpus=["L4"]), EncoderPool() as pool:
        run = pool.start([Pictures(200)])
        for _ in run:
            break
        iter(run)
        run.cancel()
        assert run._log.listeners() == []


def test_events_lists_all_of_its_names() -> None:
    kinds = {name for name, one in vars(events).items() if isinstance(one, type) and one.__module__ == events.__name__}
    assert kinds | {"SCHEMA", "kind_of", "to_dict"} == set(events.__all__)
