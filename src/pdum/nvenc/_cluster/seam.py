"""What a pool needs of a cluster, whatever connects its machines.

A cluster has workers: processes on any machine, each for one encoder engine. It tells who joins and who leaves, and
lets a worker carry out an order. An adapter for another engine than Dask has to be a ``Cluster`` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .._machine.capabilities import Capabilities
    from .orders import Grant, Order, Outcome, Report


@dataclass(frozen=True, kw_only=True)
class WorkerFacts:
    """What a worker says of itself."""

    worker: str
    """The cluster's own name of the process. A process that starts again has another one."""
    node: str
    """The machine."""
    kind: str
    """``"nvenc"`` or ``"software"``."""
    gpu_id: int | None = None
    """The number of the GPU on its machine."""
    gpu_name: str | None = None
    number: int | None = None
    """The number of the engine on its GPU; None: the worker does not know it."""
    codecs: Mapping[str, Capabilities] = field(default_factory=dict)
    """What the engine can do, by codec; empty for software."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A worker is there, and will say what it is."""

    worker: str


@dataclass(frozen=True, kw_only=True)
class Joined:
    """A worker is ready."""

    facts: WorkerFacts


@dataclass(frozen=True, kw_only=True)
class Left:
    """A worker has ended, or does not answer any more."""

    worker: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A worker cannot be used."""

    worker: str
    reason: str


News = Found | Joined | Left | Refused


class OrderListener(Protocol):
    """Whoever gave an order. Both methods are called in threads of the cluster, and return at once."""

    def report(self, report: Report) -> None: ...
    def ended(self, outcome: Outcome) -> None: ...


class RunningOrder(Protocol):
    """An order that a worker has got."""

    def grant(self, grant: Grant) -> None:
        """Sends the answer to a report that asks for more frames. It may be lost: the worker asks again."""
        ...

    def cancel(self) -> None:
        """Asks the worker to stop. ``ended`` is still called if the worker answers, and at once if it has not begun."""
        ...

    def forget(self) -> None:
        """Nobody waits for the outcome any more."""
        ...


class Cluster(Protocol):
    @property
    def address(self) -> str:
        """The name of the cluster for messages."""
        ...

    def watch(self, tell: Callable[[News], object]) -> None:
        """Calls ``tell`` for each worker that is there, and from then on for each change, until ``close``."""
        ...

    def start(self, worker: str, order: Order, listener: OrderListener) -> RunningOrder:
        """Lets the worker carry out the order. It does one at a time."""
        ...

    def close(self) -> None: ...
