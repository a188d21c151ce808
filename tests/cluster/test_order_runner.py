"""The worker's side without a cluster: a runner that carries out orders in this process."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from cluster.scripted import until
from frames import nv12
from pdum.nvenc import ClusterFailed, DeviceLost, EncoderConfig, InvalidConfig
from pdum.nvenc._cluster import order_runner
from pdum.nvenc._cluster.assigned_engine import AssignedEngine
from pdum.nvenc._cluster.order_runner import OrderRunner
from pdum.nvenc._cluster.orders import Grant, Order, Outcome, Report
from pdum.nvenc._pool import lane_session
from pdum.nvenc._pool.generated import VideoElsewhere
from pdum.nvenc._tasks import Portable
from pdum.nvenc._version import __version__

from simulator import Simulator, parse

pytestmark = pytest.mark.one_abi

WIDTH, HEIGHT, FRAMES = 192, 64, 30
CONFIG = EncoderConfig(width=WIDTH, height=HEIGHT, gop=10)
ASSIGNED = AssignedEngine(node="here", kind="nvenc", gpu_id=0, number=0)


def render(number: int, surface: Any) -> Any:
    return nv12(WIDTH, HEIGHT, number)


def order(number: str = "1", key: str = "video", **more: Any) -> Order:
    portable = Portable(key=key, make=partial(VideoElsewhere, render, FRAMES, CONFIG))
    whole = {
        "version": __version__, "source": "video", "portable": portable, "config": CONFIG, "frames": FRAMES,
        "first": 0, "last": FRAMES, "grant": Grant(until=FRAMES, is_final=True),
    }  # fmt: skip
    return Order(number=number, key=key, **{**whole, **more})


@pytest.fixture
def gpu() -> dict[str, Any]:
    return {"name": "L4", "engines": 1}


@pytest.fixture
def runner(simulator: Simulator, gpu: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[OrderRunner]:
    """Knows of no order, as a new process does: the tests use the same few numbers."""
    monkeypatch.setattr(order_runner, "_begun", deque())
    monkeypatch.setattr(order_runner, "_cancelled", deque())
    stalls = gpu.pop("stall", [])
    with simulator.machine(gpus=[gpu], check=not stalls, **({"stall": stalls} if stalls else {})):
        made = OrderRunner(ASSIGNED)
        order_runner._runner.append(made)
        yield made
        order_runner._runner.remove(made)
        made.close()


def do(
    runner: OrderRunner, given: Order, tell: Callable[[Report], object] = lambda _: None, wanted: bool = True
) -> Outcome:
    return runner.do(given, tell, lambda: wanted)


def frames_of(outcome: Outcome) -> list[int]:
    assert outcome.encoded is not None
    units = [unit for packet in outcome.encoded.packets for unit in parse(packet.data)]
    assert units[0].is_idr
    return sorted(packet.seq for packet in outcome.encoded.packets)


def test_an_order_becomes_packets(runner: OrderRunner) -> None:
    outcome = do(runner, order(first=10, last=20, grant=Grant(until=20, is_final=True)))
    assert frames_of(outcome) == list(range(10, 20))
    assert outcome.encoded is not None
    assert (outcome.encoded.first, outcome.encoded.last, bool(outcome.encoded.header)) == (10, 20, True)


def test_it_encodes_only_what_is_granted(runner: OrderRunner) -> None:
    """The pool grants four frames at a time, and ends the range early because another engine has taken the rest."""

    def tell(report: Report) -> None:
        if report.wants_more:
            until = min(report.until + 4, 18)
            order_runner.grant("1", Grant(until=until, is_final=until == 18))

    assert frames_of(do(runner, order(grant=Grant(until=4, is_final=False)), tell)) == list(range(18))


def test_the_last_report_tells_how_far_it_is(runner: OrderRunner) -> None:
    told: list[Report] = []
    do(runner, order(), told.append)
    assert told
    assert all(0 <= report.packets <= report.frames <= FRAMES for report in told)


def test_it_keeps_what_it_has_been_sent(runner: OrderRunner) -> None:
    first = order(portable=None)
    assert do(runner, first).forgot
    do(runner, order())
    assert frames_of(do(runner, replace(first, number="2"))) == list(range(FRAMES))
    for number in range(order_runner.MOST_KEPT):
        do(runner, order(key=f"other {number}"))
    assert do(runner, first).forgot


def test_an_idle_worker_lets_go_of_its_sources(runner: OrderRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copies of sources at storages take gigabytes of its disk."""
    closed: list[VideoElsewhere] = []
    monkeypatch.setattr(VideoElsewhere, "close", lambda self: closed.append(self))
    monkeypatch.setattr(order_runner, "IDLE_SECONDS", 0.05)
    do(runner, order("last"))
    until(lambda: len(closed) == 1)
    assert do(runner, order("later", portable=None)).forgot, "the pool sends it again"


def test_another_version_is_refused(runner: OrderRunner) -> None:
    outcome = do(runner, order(version="0.0.1"))
    assert isinstance(outcome.error, ClusterFailed)
    assert f"here · GPU 0 · NVENC 0 has pdum-nvenc {__version__}, and the pool has 0.0.1" in str(outcome.error)
    assert outcome.by_engine


def test_a_setting_that_no_engine_takes_is_a_refusal(runner: OrderRunner) -> None:
    outcome = do(runner, order(config=CONFIG.replaced(width=16, height=16)))
    assert isinstance(outcome.error, InvalidConfig)
    assert outcome.is_refusal


@pytest.mark.parametrize("when", ["before", "meanwhile", "unwanted"])
def test_a_cancelled_order_ends_without_a_result(runner: OrderRunner, when: str) -> None:
    """Nothing more is granted, so it would otherwise wait."""
    number = f"cancelled {when}"
    if when == "before":
        assert order_runner.cancel(number), "it will never begin"
    answers: list[bool] = []
    cancels = (lambda _: answers.append(order_runner.cancel(number))) if when == "meanwhile" else (lambda _: None)
    given = order(number, grant=Grant(until=4, is_final=False))
    assert do(runner, given, cancels, wanted=when != "unwanted") == Outcome()
    assert not any(answers)
    assert frames_of(do(runner, order(f"after {number}"))) == list(range(FRAMES)), "the engine is free again"


def test_it_stops_when_its_pool_answers_nothing_more(runner: OrderRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_runner, "LONGEST_SILENCE", 0.3)
    assert do(runner, order(grant=Grant(until=4, is_final=False))) == Outcome()


def test_a_pool_that_is_paused_is_waited_for(runner: OrderRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """It repeats its last grant as a sign of life."""
    monkeypatch.setattr(order_runner, "LONGEST_SILENCE", 0.6)
    repeated: list[int] = []

    def tell(report: Report) -> None:
        if report.wants_more:
            repeated.append(report.until)
            is_over = len(repeated) > 5
            order_runner.grant("1", Grant(until=FRAMES if is_over else report.until, is_final=is_over))

    assert frames_of(do(runner, order(grant=Grant(until=4, is_final=False)), tell)) == list(range(FRAMES))
    assert len(repeated) > 5


@pytest.mark.parametrize("gpu", [{"name": "L4", "engines": 1, "stall": [
    {"gpu": 0, "engine": 0, "after_frames": 8, "device_lost": True}]}])  # fmt: skip
def test_a_lost_gpu_is_told_and_not_used_again(runner: OrderRunner) -> None:
    """A picture that is in flight may fail before any call says that the device is lost."""
    outcomes = [do(runner, order(f"lost {number}")) for number in range(3)]
    assert all(one.by_engine for one in outcomes)
    assert isinstance(next(one.error for one in outcomes if one.is_lost), DeviceLost)
    assert outcomes[-1].is_lost
    assert "has to be started again" in str(outcomes[-1].error)


def test_a_gpu_that_is_lost_before_an_encoder_is_made_is_told(
    runner: OrderRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process has to be started again, whichever call has noticed the loss."""

    def lost(*_: Any) -> None:
        raise DeviceLost("The GPU has fallen off the bus.")

    monkeypatch.setattr(lane_session, "open_encoder", lost)
    outcome = do(runner, order("never encoded"))
    assert isinstance(outcome.error, DeviceLost)
    assert outcome.is_lost


def test_orders_wait_for_each_other(runner: OrderRunner) -> None:
    begun, outcomes = threading.Event(), list[Outcome]()
    first = order("1", grant=Grant(until=4, is_final=False))
    waiting = threading.Thread(target=lambda: outcomes.append(do(runner, first, lambda _: begun.set())))
    waiting.start()
    assert begun.wait(30)
    second = threading.Thread(target=lambda: outcomes.append(do(runner, order("2"))))
    second.start()
    assert outcomes == []
    order_runner.cancel("1")
    for thread in (waiting, second):
        thread.join(30)
    assert outcomes[0] == Outcome()
    assert frames_of(outcomes[1]) == list(range(FRAMES))
