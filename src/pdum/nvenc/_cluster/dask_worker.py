"""What runs in a worker of Dask. A pool names these functions, and sends plain values and packed orders."""

from __future__ import annotations

import asyncio
import os
import pickle
from collections.abc import Callable
from typing import Any

from .._errors import ClusterFailed, NvencError
from .._pool.job import as_error
from . import order_runner
from .assigned_engine import describe
from .orders import Grant, Order, Outcome, Report

SECONDS_TO_ANSWER = 1.0
"""A process whose engine is lost ends after this time, and its nanny starts another one."""


async def describe_worker() -> dict[str, Any]:
    """Asking a GPU takes a while, in which the worker has to stay alive for its scheduler."""
    return await asyncio.get_running_loop().run_in_executor(None, describe)


def grant(number: str, until: int, is_final: bool) -> None:
    order_runner.grant(number, Grant(until=until, is_final=is_final))


def cancel(number: str) -> bool:
    return order_runner.cancel(number)


def encode(packed: bytes, topic: str) -> bytes:
    """Carries out an order, and returns the packed outcome."""
    from distributed import get_worker

    worker = get_worker()
    try:
        order: Order = pickle.loads(packed)
    except Exception as error:
        wrong = ClusterFailed(
            f"The order cannot be read on {worker.address}: {error!r} Install the same packages and the modules of "
            "your own functions on all machines."
        )
        return pickle.dumps(Outcome(error=wrong, by_engine=True))

    def tell(report: Report) -> None:
        worker.log_event(topic, [order.number, vars(report)])

    try:
        outcome = order_runner.of_this_process().do(order, tell, _is_wanted(worker))
    except Exception as error:  # Dask would write the order into its log, with the passwords of storages
        outcome = Outcome(error=as_error(error, order.source), by_engine=True, is_lost=True)
    if outcome.is_lost and worker.nanny is not None:
        worker.loop.add_callback(worker.loop.call_later, SECONDS_TO_ANSWER, os._exit, 1)
    return packed_outcome(outcome)


def _is_wanted(worker: Any) -> Callable[[], bool]:
    """Whether the scheduler still wants the task: it does not if the process that has the pool has ended."""
    from distributed.worker import thread_state  # type: ignore[attr-defined]

    key = thread_state.key

    def is_wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state == "executing"

    return is_wanted


def packed_outcome(outcome: Outcome) -> bytes:
    """An error of the caller's own class comes back as one of that class, also if only its script has the class. An
    error that cannot be packed and unpacked is told in words."""
    if outcome.error is None:
        return pickle.dumps(outcome)
    import cloudpickle  # type: ignore[import-untyped]  # which Dask needs itself

    try:
        packed: bytes = cloudpickle.dumps(outcome)
        pickle.loads(packed)
    except Exception:
        told = NvencError(f"{type(outcome.error).__name__}: {outcome.error}")
        return pickle.dumps(Outcome(error=told, by_engine=outcome.by_engine, is_lost=outcome.is_lost))
    return packed
