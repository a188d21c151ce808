"""The engines of a cluster, for all runs of a pool: each has one number, also after its process was started again."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from .._errors import NoEncoder
from .._machine.node_capabilities import learn
from ..events import EngineInfo
from .dispatcher import Dispatcher
from .seam import Cluster, Found, Joined, Left, News, Refused, WorkerFacts

if TYPE_CHECKING:
    from .._pool.lane_view import RunHost

GATHERING_SECONDS = 10.0
"""How long a pool that has an engine waits for other workers that are there but have not said what they are."""

OTHERS_SECONDS = 2.0
"""How long a pool waits for an engine of the wanted kind, if there are workers and none of them has one."""

BOTH = "both"
"""Hardware and software engines work for the same run, each on files of its own."""

Identity = tuple[str, "int | None", "int | str"]


class Member:
    """One engine. ``worker`` is its process, None while there is none."""

    def __init__(self, engine: EngineInfo, worker: str) -> None:
        self.engine = engine
        self.worker: str | None = worker


class ClusterEngines:
    """``RemoteEngines`` for a pool. Closing it closes the connection to the cluster.

    Args:
        backend: ``"nvenc"``, ``"software"``, ``"auto"`` (hardware if any worker has it), or ``"both"``.
    """

    def __init__(self, cluster: Cluster, backend: str, timeout: float) -> None:
        self.cluster = cluster
        self.locks: dict[int, threading.Lock] = {}
        self.notices: list[str] = []
        self._kind = {"auto": ""}.get(backend, backend)
        self._members: dict[Identity, Member] = {}
        self._all: list[WorkerFacts] = []
        self._silent: set[str] = set()
        """Workers that have not said yet what they are."""
        self._changed = threading.Condition()
        self._runs: weakref.WeakSet[Dispatcher] = weakref.WeakSet()
        cluster.watch(self._take)
        try:
            self._wait(timeout)
        except BaseException:
            cluster.close()
            raise

    @property
    def kind(self) -> str:
        return self._kind

    @property
    def engines(self) -> tuple[EngineInfo, ...]:
        """The engines that are there now."""
        with self._changed:
            return tuple(one.engine for one in self._members.values() if one.worker is not None)

    def close(self) -> None:
        self.cluster.close()

    def lanes_for(self, host: RunHost) -> Dispatcher:
        dispatcher = Dispatcher(host, self.cluster)
        with self._changed:
            self._runs.add(dispatcher)
            for member in self._members.values():
                if member.worker is not None:
                    dispatcher.begin_with(member.engine, member.worker)
        return dispatcher

    # --- workers come and go ---

    def _wait(self, timeout: float) -> None:
        """Waits for the first engines, and decides about their kind."""
        deadline = monotonic() + timeout
        with self._changed:
            while not self._fitting(self._kind) and (left := deadline - monotonic()) > 0:
                if (self._all or self.notices) and not self._silent:
                    deadline = min(deadline, monotonic() + OTHERS_SECONDS)
                    left = deadline - monotonic()
                self._changed.wait(left)
            until = min(deadline, monotonic() + GATHERING_SECONDS)
            while self._silent and (left := until - monotonic()) > 0:
                self._changed.wait(left)
            kinds = {one.kind for one in self._all}
            self._kind = self._kind or ("nvenc" if "nvenc" in kinds else "software")
            fitting = self._fitting(self._kind)
            for facts in fitting:
                self._add(facts)
        if not fitting:
            raise NoEncoder(self._why_none(timeout))

    def _why_none(self, timeout: float) -> str:
        after = "" if self._all else f", after {timeout:.0f} s"
        others = f" {' '.join(self.notices)}" if self.notices else ""
        kind = f" for {self._kind}" if self._all else ""
        return (
            f"The cluster {self.cluster.address} has no engine{kind}{after}.{others} "
            f"Start workers on its machines: pdum-nvenc worker {self.cluster.address}"
        )

    def _fitting(self, kind: str) -> list[WorkerFacts]:
        return [one for one in self._all if kind in ("", BOTH, one.kind)]

    def _take(self, news: News) -> None:
        with self._changed:
            if isinstance(news, Found):
                self._silent.add(news.worker)
                return
            self._silent.discard(news.facts.worker if isinstance(news, Joined) else news.worker)
            if isinstance(news, Joined):
                self._joined(news.facts)
            elif isinstance(news, Left):
                self._left(news.worker, news.reason)
            elif isinstance(news, Refused) and news.reason not in self.notices:
                self.notices.append(news.reason)
                for run in self._runs:
                    run.warn(news.reason)
            self._changed.notify_all()

    def _joined(self, facts: WorkerFacts) -> None:
        self._all.append(facts)
        if self._members and self._kind in (BOTH, facts.kind):
            member = self._add(facts)
            for run in self._runs:
                run.joined(member.engine, facts.worker)

    def _add(self, facts: WorkerFacts) -> Member:
        identity = _identity(facts)
        member = self._members.get(identity)
        if member is not None and member.worker is not None:  # two processes say that they are for the same engine
            facts = replace(facts, number=None)
            identity = _identity(facts)
            member = self._members.get(identity)
        if member is None:
            engine = _engine(facts, len(self._members), [one.engine for one in self._members.values()])
            member = self._members[identity] = Member(engine, facts.worker)
            self.locks[engine.index] = threading.Lock()
        member.worker = facts.worker
        learn(member.engine, facts.codecs)
        return member

    def _left(self, worker: str, reason: str) -> None:
        self._all = [one for one in self._all if one.worker != worker]
        for member in self._members.values():
            if member.worker == worker:
                member.worker = None
                for run in self._runs:
                    run.left(member.engine, worker, reason)


def _identity(facts: WorkerFacts) -> Identity:
    """The same for the process that takes the place of one that has ended, if the worker knows its engine's number."""
    return facts.node, facts.gpu_id, facts.worker if facts.number is None else facts.number


def _engine(facts: WorkerFacts, index: int, others: Iterable[EngineInfo]) -> EngineInfo:
    number = facts.number
    if number is None:
        number = sum((one.node, one.gpu_id) == (facts.node, facts.gpu_id) for one in others)
    return EngineInfo(
        index=index, kind=facts.kind, gpu_id=facts.gpu_id, gpu_name=facts.gpu_name, number=number, node=facts.node
    )
