"""Machines that crash, hang, lie or come late: every video is complete, or fails with a reason, and engines return."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.nodes import cluster_of, engines_that_worked, node, spec
from files.runner import LOSSLESS
from pdum.nvenc import Cancelled, ClusterFailed, EncoderPool, NoEncoder, events
from pdum.nvenc._version import __version__

from clips import make_clip
from simulator import parse

pytestmark = pytest.mark.one_abi

FRAMES, WIDTH, HEIGHT = 120, 192, 64
VIDEO: dict[str, Any] = {"width": WIDTH, "height": HEIGHT, "codec": "h264", "gop": 30}


@pytest.fixture(scope="module")
def cluster(nvsim_dir: Path) -> Iterator[Any]:
    """Two machines with an engine each, whose processes are started again when they end."""
    assert nvsim_dir.is_dir()
    with cluster_of(*node("a", 1, backend="echo"), *node("b", 1, backend="echo")) as made:
        yield made


@pytest.fixture
def client(cluster: Any) -> Iterator[Any]:
    with cluster.get_client() as connected:
        connected.wait_for_workers(2, timeout=60)
        yield connected


@pytest.fixture
def pool(client: Any) -> Iterator[EncoderPool]:
    with EncoderPool(cluster=client, watchdog=60) as made:
        while len(made.engines) < 2:
            time.sleep(0.05)
        yield made


def grey(pause: float = 0.0, at_frame: Callable[[int], object] | None = None) -> Callable[..., Any]:
    """A function that is sent to other machines with all that it needs."""
    size = (HEIGHT * 3 // 2, WIDTH)

    def render(number: int, surface: Any) -> Any:
        import time

        import numpy as np

        if at_frame is not None:
            at_frame(number)
        time.sleep(pause)
        return np.full(size, number % 256, np.uint8)

    return render


def kills_its_process(at: int) -> Callable[[int], object]:
    def kill(number: int) -> None:
        import os
        import signal

        if number == at:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill


def require_all_frames(stream: bytes) -> None:
    """Each picture once, in order."""
    from simulator import checksum

    wanted = [checksum(np.full((HEIGHT * 3 // 2, WIDTH), number % 256, np.uint8)) for number in range(FRAMES)]
    assert [unit.checksum for unit in parse(stream)] == wanted


def processes(client: Any) -> dict[str, int]:
    """The process of each worker, by its machine."""
    from pdum.nvenc._cluster.assigned_engine import engine_of_this_process

    found = client.run(lambda: (engine_of_this_process().node, os.getpid()))
    return dict(found.values())


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def kinds(told: list[events.Event]) -> set[str]:
    return {type(one).__name__ for one in told}


def started(told: list[events.Event]) -> int:
    return sum(isinstance(one, events.Progress) and one.frames > 0 for one in told)


def test_a_generated_video_is_made_by_all_machines(pool: EncoderPool) -> None:
    told: list[events.Event] = []
    require_all_frames(pool.render_video(grey(0.005), FRAMES, on_event=told.append, **VIDEO))
    assert engines_that_worked(told) == {0, 1}


def test_a_function_that_cannot_be_sent_is_told(pool: EncoderPool) -> None:
    import threading

    lock = threading.Lock()
    with pytest.raises(ValueError, match="cannot be sent to other machines"):
        pool.render_video(lambda number, surface: lock, FRAMES, **VIDEO)


def test_a_function_that_raises_fails_its_job_at_once(pool: EncoderPool) -> None:
    def render(number: int, surface: Any) -> Any:
        raise ZeroDivisionError(f"frame {number}")

    told: list[events.Event] = []
    with pytest.raises(ZeroDivisionError, match="frame"):
        pool.render_video(render, FRAMES, on_event=told.append, **VIDEO)
    assert "PieceRetried" not in kinds(told)


def test_an_error_of_the_callers_own_class_keeps_it(pool: EncoderPool) -> None:
    """Workers do not have the class, as if it were in a script."""

    class OutOfPaint(Exception):
        def __init__(self, colour: str) -> None:
            super().__init__(f"no {colour} is left")
            self.colour = colour

        def __reduce__(self) -> Any:
            return OutOfPaint, (self.colour,)

    def render(number: int, surface: Any) -> Any:
        raise OutOfPaint("blue")

    with pytest.raises(OutOfPaint, match="no blue is left") as caught:
        pool.render_video(render, FRAMES, **VIDEO)
    assert caught.value.colour == "blue"


def test_a_killed_process_is_replaced(client: Any, pool: EncoderPool) -> None:
    told: list[events.Event] = []
    run = pool.start([task := pool.generated(grey(0.05), FRAMES, **VIDEO)], on_event=told.append)
    until(lambda: started(told) >= 2)
    os.kill(processes(client)["b"], signal.SIGKILL)
    until(lambda: "EngineJoined" in kinds(told) or run.is_over)
    run.wait().raise_for_errors()
    require_all_frames(task.encoded)
    assert {"EngineLost", "PieceRetried"} <= kinds(told)
    until(lambda: len(pool.engines) == 2)


def test_a_poisonous_job_fails_and_the_others_do_not(pool: EncoderPool) -> None:
    told: list[events.Event] = []
    poison = pool.generated(grey(0.0, kills_its_process(at=7)), 40, segments=1, **VIDEO)
    good = pool.generated(grey(0.02), FRAMES, **VIDEO)
    report = pool.run([poison, good], on_event=told.append)
    assert isinstance(report.results[0], ClusterFailed)
    assert "ended while it encoded" in str(report.results[0])
    require_all_frames(good.encoded)
    tries = [one for one in told if isinstance(one, events.PieceStarted) and one.job == 0]
    assert len(tries) == 4
    until(lambda: len(pool.engines) == 2)


def test_a_cancelled_run_frees_the_engines(pool: EncoderPool) -> None:
    told: list[events.Event] = []
    run = pool.start([pool.generated(grey(0.05), 10 * FRAMES, **VIDEO)], on_event=told.append)
    until(lambda: started(told) >= 2)
    run.cancel()
    (outcome,) = run.wait().results
    assert isinstance(outcome, Cancelled)
    require_all_frames(pool.render_video(grey(), FRAMES, **VIDEO))  # the engines are free again


@pytest.mark.slow
def test_a_frozen_machine_does_not_hold_up_the_others(client: Any) -> None:
    told: list[events.Event] = []
    with EncoderPool(cluster=client, watchdog=3) as pool:
        until(lambda: len(pool.engines) == 2)
        run = pool.start([task := pool.generated(grey(0.02), FRAMES, **VIDEO)], on_event=told.append)
        until(lambda: started(told) >= 2)
        frozen = processes(client)["a"]
        os.kill(frozen, signal.SIGSTOP)
        try:
            run.wait().raise_for_errors()
        finally:
            os.kill(frozen, signal.SIGCONT)
    require_all_frames(task.encoded)
    (lost,) = [one for one in told if isinstance(one, events.EngineLost)]
    assert "has not reported for" in lost.reason


@pytest.mark.slow
def test_a_machine_that_joins_late_takes_work(cluster: Any, pool: EncoderPool) -> None:
    told: list[events.Event] = []
    (late,) = node("late", 1, backend="echo")
    run = pool.start([task := pool.generated(grey(0.1), FRAMES, **VIDEO)], on_event=told.append)
    until(lambda: started(told) >= 2)
    cluster.worker_spec["late"] = spec(late)
    cluster.sync(cluster._correct_state)
    try:
        until(lambda: 2 in engines_that_worked(told) or run.is_over)
        run.wait().raise_for_errors()
    finally:
        cluster.worker_spec.pop("late")
        cluster.sync(cluster._correct_state)
    require_all_frames(task.encoded)
    assert engines_that_worked(told) == {0, 1, 2}
    (joined,) = [one.engine for one in told if isinstance(one, events.EngineJoined)]
    assert joined.label == "late · GPU 0 · NVENC 0"
    until(lambda: len(pool.engines) == 2)


def test_a_machine_of_another_version_is_refused_and_told(client: Any) -> None:
    def be(version: str) -> None:
        from pdum.nvenc._cluster import assigned_engine, order_runner

        assigned_engine.__version__ = order_runner.__version__ = version  # type: ignore[attr-defined]

    told: list[events.Event] = []
    one, other = sorted(client.scheduler_info(n_workers=-1)["workers"])
    client.run(be, "0.0.1", workers=[one])
    try:
        with EncoderPool(cluster=client) as pool:
            require_all_frames(pool.render_video(grey(), FRAMES, on_event=told.append, **VIDEO))
            assert len(pool.engines) == 1
        (notice,) = [event.message for event in told if isinstance(event, events.Notice)]
        assert "has pdum-nvenc 0.0.1, and the pool has" in notice
        client.run(be, "0.0.1", workers=[other])
        with pytest.raises(NoEncoder, match=r"has pdum-nvenc 0\.0\.1"):
            EncoderPool(cluster=client, session_timeout=0.5)
    finally:
        client.run(be, __version__)


def test_a_full_disk_on_one_machine_moves_its_work(client: Any, tmp_path: Path) -> None:
    """The pieces of that machine go to the other one, and nothing of them is left."""

    def limit(size: int) -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    source = make_clip(tmp_path / "a.mkv", 40)
    told: list[events.Event] = []
    settings: dict[str, Any] = {**LOSSLESS, "codec": "h264", "segments": 4, "verify": "structure"}
    full = next(iter(client.scheduler_info(n_workers=-1)["workers"]))
    client.run(limit, 300, workers=[full])
    try:
        with EncoderPool(cluster=client) as pool:
            until(lambda: len(pool.engines) == 2)
            pool.encode_file(source, tmp_path / "b.mkv", on_event=told.append, **settings)
    finally:
        client.run(limit, -1)
    assert [one.reason for one in told if isinstance(one, events.PieceRetried)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "b.mkv"]
