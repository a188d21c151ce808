"""A cluster whose workers do what a test says: reports and outcomes come when the test sends them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from pdum.nvenc import BaseTask, EncoderConfig, Plan, Result
from pdum.nvenc._cluster.orders import Grant, Order, Outcome, Report
from pdum.nvenc._cluster.seam import Joined, Left, News, OrderListener, WorkerFacts
from pdum.nvenc._tasks import EncodedRange, Portable

FRAMES = 100
"""Of each task."""
KEPT = "kept by the worker"


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


class GivenTo:
    """An order that a worker has got; a ``RunningOrder``."""

    def __init__(self, worker: str, order: Order, listener: OrderListener) -> None:
        self.worker, self.order, self._listener = worker, order, listener
        self.is_cancelled = self.is_forgotten = self.has_ended = False

    def grant(self, grant: Grant) -> None: ...

    def cancel(self) -> None:
        self.is_cancelled = True

    def forget(self) -> None:
        self.is_forgotten = True

    # --- what the worker says ---

    def report(self, frames: int, fps: float = 100.0) -> None:
        self._listener.report(Report(frames=frames, packets=frames, fps=fps, until=self.order.last))

    def finish(self) -> None:
        own = self.order
        encoded = EncodedRange(first=own.first, last=own.last, header=b"", size=1, kept=KEPT)
        self.end(Outcome(encoded=encoded))

    def end(self, outcome: Outcome) -> None:
        self.has_ended = True
        self._listener.ended(outcome)


class Scripted:
    """A ``Cluster`` of software workers, which need no driver."""

    address = "scripted"

    def __init__(self, *workers: str) -> None:
        self.workers = workers
        self.given: list[GivenTo] = []
        self._tell: Callable[[News], object] = lambda _: None

    def watch(self, tell: Callable[[News], object]) -> None:
        self._tell = tell
        for number, worker in enumerate(self.workers):
            self.join(worker, number)

    def join(self, worker: str, number: int) -> None:
        self._tell(Joined(facts=WorkerFacts(worker=worker, node="node", kind="software", number=number)))

    def leave(self, worker: str) -> None:
        self._tell(Left(worker=worker, reason="It was asked to leave."))

    def start(self, worker: str, order: Order, listener: OrderListener) -> GivenTo:
        self.given.append(GivenTo(worker, order, listener))
        return self.given[-1]

    def close(self) -> None:
        self._tell = lambda _: None

    def orders(self, count: int) -> list[GivenTo]:
        """Waits until so many orders were given."""
        until(lambda: len(self.given) >= count)
        return self.given[:count]


class Film(BaseTask):
    """A task of one range that cannot be divided. Its result is a name."""

    def __init__(self, name: str, frames: int = FRAMES) -> None:
        self.source, self.destination = name, f"{name}.mkv"  # type: ignore[misc]
        self.frames_there = frames
        self.adopted: list[EncodedRange] = []

    @property
    def estimated_work(self) -> float:
        return float(self.frames_there)

    def prepare(self, lanes: int) -> Plan:
        return Plan(
            frames=self.frames_there, ranges=[(0, self.frames_there)], whole_ranges=True, width=64, height=64, fps=25.0
        )

    def config(self, engine: Any) -> EncoderConfig:
        return EncoderConfig(width=64, height=64, codec="h264")

    def frames(self, first: int, engine: Any) -> Iterator[Any]:
        raise NotImplementedError

    def sink(self, first: int) -> Any:
        raise NotImplementedError

    def portable(self) -> Portable:
        return Portable(key=self.source, make=lambda: None)  # type: ignore[arg-type, return-value]

    def adopt(self, encoded: EncodedRange) -> None:
        self.adopted.append(encoded)

    def finish(self) -> Result:
        return Result(destination=self.destination, frames=self.frames_there, size=1)
