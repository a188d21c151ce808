"""Orders as tasks of Dask."""

from __future__ import annotations

import logging
import pickle
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from cluster.scripted import until
from cluster.test_order_runner import order
from pdum.nvenc import NoEncoder
from pdum.nvenc._cluster import dask_signals, dask_worker, order_runner
from pdum.nvenc._cluster.dask_client import DaskCluster
from pdum.nvenc._cluster.orders import Grant, Outcome, Report
from pdum.nvenc._cluster.seam import Joined, News

pytestmark = pytest.mark.one_abi


class Recorded:
    """An ``OrderListener``."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.outcomes: list[Outcome] = []

    def report(self, report: Report) -> None:
        self.reports.append(report)

    def ended(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


def test_an_order_that_waits_behind_another_is_cancelled_at_once(client: Any) -> None:
    news: list[News] = []
    cluster = DaskCluster(client, owns=False)
    cluster.watch(news.append)
    until(lambda: any(isinstance(one, Joined) for one in news))
    worker = next(one.facts.worker for one in news if isinstance(one, Joined))
    first, second = Recorded(), Recorded()
    waiting = Grant(until=4, is_final=False)
    running = cluster.start(worker, order("it waits for a grant", grant=waiting), first)
    until(lambda: first.reports)
    behind = cluster.start(worker, order("it waits behind the first"), second)
    behind.cancel()
    until(lambda: second.outcomes)
    assert second.outcomes == [Outcome()]
    assert not first.outcomes
    running.cancel()
    until(lambda: first.outcomes)
    assert first.outcomes == [Outcome()]
    assert not second.reports
    cluster.close()


def test_a_worker_without_its_gpu_tells_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """If its task raised, Dask would write the order into the worker's log, with the passwords of storages."""

    def none() -> Any:
        raise NoEncoder("The GPU has fallen off the bus.")

    monkeypatch.setattr("distributed.get_worker", lambda: Mock(nanny=None))
    monkeypatch.setattr("distributed.worker.thread_state", SimpleNamespace(key="order"))
    monkeypatch.setattr(order_runner, "of_this_process", none)
    outcome = pickle.loads(dask_worker.encode(pickle.dumps(order()), "topic"))
    assert isinstance(outcome.error, NoEncoder)
    assert (outcome.by_engine, outcome.is_lost) == (True, True)


def test_a_worker_tells_of_a_lost_connection_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """Its heartbeat may be on its way when the command ends."""
    logger = logging.getLogger(dask_signals.LOGGER)
    logger.addFilter(dask_signals.in_one_line)
    try:
        for error in (ConnectionResetError("it has ended"), ValueError("our mistake")):
            try:
                raise error
            except type(error):
                logger.exception("No answer to %s.", "a heartbeat")
    finally:
        logger.removeFilter(dask_signals.in_one_line)
    assert [one.getMessage() for one in caplog.records] == [
        "No answer to a heartbeat. it has ended", "No answer to a heartbeat.",
    ]  # fmt: skip
    assert caplog.text.count("Traceback") == 1
