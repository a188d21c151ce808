"""A cluster without machines and without Dask: each worker is a thread of this process, with a runner of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pdum.nvenc._cluster import order_runner
from pdum.nvenc._cluster.assigned_engine import AssignedEngine
from pdum.nvenc._cluster.order_runner import OrderRunner
from pdum.nvenc._cluster.orders import Grant, Order, Outcome, Report
from pdum.nvenc._cluster.seam import Found, Joined, Left, News, OrderListener, Refused, WorkerFacts
from pdum.nvenc._machine.capabilities import capabilities


class Threads:
    """A ``Cluster``."""

    address = "threads"

    def __init__(self) -> None:
        self.runners: dict[str, OrderRunner] = {}
        self.is_mute = False
        """Reports and outcomes are lost on the way."""
        self.begins = True
        """Whether workers begin what they are given, or work for somebody else."""
        self._tell: Callable[[News], object] = lambda _: None
        self._threads: list[threading.Thread] = []
        self.orders: list[Order] = []

    def watch(self, tell: Callable[[News], object]) -> None:
        self._tell = tell
        for worker in self.runners:
            self._announce(worker)

    def join(self, worker: str, node: str = "node") -> None:
        assigned = AssignedEngine(node=node, kind="nvenc", gpu_id=0, gpu_name="L4", number=len(self.runners))
        self.runners[worker] = OrderRunner(assigned)
        order_runner._runner.append(self.runners[worker])
        self._announce(worker)

    def _announce(self, worker: str) -> None:
        assigned = self.runners[worker]._assigned
        facts = WorkerFacts(
            worker=worker, node=assigned.node, kind="nvenc", gpu_id=0, gpu_name="L4", number=assigned.number,
            codecs=capabilities(0),
        )  # fmt: skip
        self._tell(Found(worker=worker))
        self._tell(Joined(facts=facts))

    def leave(self, worker: str) -> None:
        self._tell(Left(worker=worker, reason="It was asked to leave."))

    def refuse(self, reason: str) -> None:
        self._tell(Refused(worker="stranger", reason=reason))

    def start(self, worker: str, order: Order, listener: OrderListener) -> Running:
        def work() -> None:
            def tell(report: Report) -> None:
                if not self.is_mute:
                    listener.report(report)

            outcome = self.runners[worker].do(order, tell, lambda: True)
            if not self.is_mute:
                listener.ended(outcome)

        self.orders.append(order)
        if self.begins:
            thread = threading.Thread(target=work)
            self._threads.append(thread)
            thread.start()
        return Running(order.number, listener)

    def close(self) -> None:
        self._tell = lambda _: None
        for thread in self._threads:
            thread.join()
        while self.runners:
            _, one = self.runners.popitem()
            order_runner._runner.remove(one)
            one.close()


class Running:
    """A ``RunningOrder``."""

    def __init__(self, number: str, listener: OrderListener) -> None:
        self._number, self._listener = number, listener

    def grant(self, grant: Grant) -> None:
        order_runner.grant(self._number, grant)

    def cancel(self) -> None:
        if order_runner.cancel(self._number):
            self._listener.ended(Outcome())

    def forget(self) -> None: ...
