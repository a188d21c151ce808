"""The seam: a pool works with anything that is a ``Cluster``, and with whatever its workers do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cluster.scripted import Film, Scripted
from cluster.threads import Threads
from frames import nv12
from pdum.nvenc import EncoderPool, NoEngineLeft, events
from pdum.nvenc._cluster import dispatcher

from simulator import Simulator, checksum, parse

pytestmark = pytest.mark.one_abi

WIDTH, HEIGHT, FRAMES = 192, 64, 60
VIDEO: dict[str, Any] = {"width": WIDTH, "height": HEIGHT, "gop": 20}


@pytest.fixture
def cluster(simulator: Simulator) -> Iterator[Threads]:
    with simulator.machine(gpus=[{"name": "L4", "engines": 4, "fps_1080p": 0}]):
        made = Threads()
        try:
            yield made
        finally:
            made.close()


def render(number: int, surface: Any) -> Any:
    return nv12(WIDTH, HEIGHT, number)


def acting(at: int, act: Callable[[], object]) -> Callable[..., Any]:
    """Acts once, when this frame is made."""
    done: list[int] = []

    def render_and_act(number: int, surface: Any) -> Any:
        if number >= at and not done:
            done.append(number)
            act()
        return render(number, surface)

    return render_and_act


def require_all_frames(stream: bytes) -> None:
    assert [unit.checksum for unit in parse(stream)] == [checksum(nv12(WIDTH, HEIGHT, n)) for n in range(FRAMES)]


def of_kind(told: list[events.Event], kind: type[Any]) -> list[Any]:
    return [one for one in told if isinstance(one, kind)]


def test_any_cluster_will_do(cluster: Threads) -> None:
    cluster.join("one")
    cluster.join("two")
    with EncoderPool(cluster=cluster) as pool:
        require_all_frames(pool.render_video(render, FRAMES, **VIDEO))
        require_all_frames(pool.render_video(render, FRAMES, segments=5, **VIDEO))


def test_a_worker_that_leaves_and_comes_back_keeps_its_number(cluster: Threads) -> None:
    told: list[events.Event] = []
    cluster.join("one")

    def leave_and_return() -> None:
        cluster.leave("one")
        cluster._announce("one")

    with EncoderPool(cluster=cluster) as pool:
        result = pool.render_video(acting(30, leave_and_return), FRAMES, on_event=told.append, **VIDEO)
        require_all_frames(result)
        assert [engine.index for engine in pool.engines] == [0]
    assert [one.engine for one in of_kind(told, events.EngineLost)] == [0]
    assert [one.engine.index for one in of_kind(told, events.EngineJoined)] == [0]
    (retried,) = of_kind(told, events.PieceRetried)
    assert "ended while it encoded" in retried.reason


def test_a_run_without_engines_waits_for_one(cluster: Threads) -> None:
    told: list[events.Event] = []
    cluster.join("one")

    def others_come() -> None:
        cluster.leave("one")
        cluster.join("two")

    with EncoderPool(cluster=cluster) as pool:
        require_all_frames(pool.render_video(acting(10, others_come), FRAMES, on_event=told.append, **VIDEO))
    assert {one.engine for one in of_kind(told, events.PieceFinished)} == {1}


def test_if_none_comes_it_says_so(cluster: Threads) -> None:
    cluster.join("one")
    with EncoderPool(cluster=cluster, session_timeout=0.5) as pool:
        run = pool.start([pool.generated(acting(10, lambda: cluster.leave("one")), FRAMES, **VIDEO)])
        (outcome,) = run.wait().results
    assert isinstance(outcome, NoEngineLeft)
    assert "threads had no engine for" in str(outcome)
    assert "It was asked to leave" in str(outcome)


def test_a_worker_that_falls_silent_is_given_up(cluster: Threads) -> None:
    """It may be frozen, or its reports are lost: nobody can tell."""
    told: list[events.Event] = []
    cluster.join("one")

    def fall_silent() -> None:
        cluster.is_mute = True

    def talk_again(event: events.Event) -> None:
        told.append(event)
        if isinstance(event, events.EngineLost):
            cluster.is_mute = False
            cluster.join("two")

    with EncoderPool(cluster=cluster, watchdog=0.6) as pool:
        require_all_frames(pool.render_video(acting(10, fall_silent), FRAMES, on_event=talk_again, **VIDEO))
    (lost,) = of_kind(told, events.EngineLost)
    assert "has not reported for" in lost.reason


def test_an_engine_that_works_for_others_gives_its_piece_back(
    cluster: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "BUSY_SECONDS", 0.3)
    told: list[events.Event] = []
    cluster.join("one")
    cluster.begins = False

    def begin(event: events.Event) -> None:
        told.append(event)
        cluster.begins = cluster.begins or isinstance(event, events.EngineWaiting)

    with EncoderPool(cluster=cluster) as pool:
        require_all_frames(pool.render_video(render, FRAMES, on_event=begin, **VIDEO))
    assert "Another run uses this engine" in of_kind(told, events.EngineWaiting)[0].reason


def test_a_paused_run_encodes_nothing_more(cluster: Threads) -> None:
    cluster.join("one")
    told: list[events.Event] = []
    with EncoderPool(cluster=cluster) as pool:
        run = pool.start([task := pool.generated(render, 40 * FRAMES, **VIDEO)], on_event=told.append)
        run.pause()
        before = [lane.frames for lane in run._lanes]
        run.resume()
        run.wait().raise_for_errors()
    assert before[0] < 40 * FRAMES
    assert len(parse(task.encoded)) == 40 * FRAMES


def test_refused_workers_are_told_once(cluster: Threads) -> None:
    cluster.join("one")
    told: list[events.Event] = []

    def refuse() -> None:
        for _ in range(2):
            cluster.refuse("The worker stranger has another version.")

    with EncoderPool(cluster=cluster) as pool:
        pool.render_video(acting(5, refuse), FRAMES, on_event=told.append, **VIDEO)
    assert [one.message for one in of_kind(told, events.Notice)] == ["The worker stranger has another version."]


def test_two_runs_share_the_engines(cluster: Threads) -> None:
    cluster.join("one")
    cluster.join("two")
    with EncoderPool(cluster=cluster) as pool:
        tasks = [pool.generated(render, FRAMES, **VIDEO) for _ in range(2)]
        runs = [pool.start([task]) for task in tasks]
        for run in runs:
            run.wait().raise_for_errors()
    for task in tasks:
        require_all_frames(task.encoded)


def test_many_engines_report_less_often(cluster: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if 3 were 600 engines."""
    monkeypatch.setattr(dispatcher, "ENGINES_AT_FULL_PACE", 0.5)
    for worker in ("one", "two", "three"):
        cluster.join(worker)
    with EncoderPool(cluster=cluster) as pool:
        require_all_frames(pool.render_video(render, FRAMES, **VIDEO))
    assert {order.pace for order in cluster.orders} == {6.0}


def test_two_machines_of_one_name_are_two_engines() -> None:
    """Both say that they are for the same engine. A process that takes the place of one that has ended is none more."""
    scripted = Scripted("one")
    with EncoderPool(cluster=scripted, backend="software") as pool:
        scripted.join("two", 0)
        assert [one.label for one in pool.engines] == ["node · CPU 0", "node · CPU 1"]
        scripted.leave("one")
        scripted.join("three", 0)
        assert [one.label for one in pool.engines] == ["node · CPU 0", "node · CPU 1"]
        films = [Film(f"film {number}") for number in range(2)]
        run = pool.start(films)
        for order in scripted.orders(2):
            order.finish()
        run.wait().raise_for_errors()
    assert {order.worker for order in scripted.given} == {"two", "three"}
