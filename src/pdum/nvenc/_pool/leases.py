"""Which engines of a pool a run has now: another run of the same pool may have the others."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..events import EngineInfo


class Leases:
    """The engines of one run. ``locks`` are the pool's, one for each engine."""

    def __init__(self, locks: dict[int, Lock]) -> None:
        self._locks = locks
        self._held: set[int] = set()

    def take(self, engine: EngineInfo) -> bool:
        """Whether the engine is this run's now."""
        is_free = self._locks[engine.index].acquire(blocking=False)
        if is_free:
            self._held.add(engine.index)
        return is_free

    def give_back(self, engine: EngineInfo) -> None:
        if engine.index in self._held:
            self._held.discard(engine.index)
            self._locks[engine.index].release()

    def hanging(self, lost: dict[int, str], is_over: bool) -> dict[int, str]:
        """Engines that are still in use although they are lost or the run is over, and why."""
        busy = "A cancelled task has not returned."
        return {engine: lost.get(engine, busy) for engine in list(self._held) if engine in lost or is_over}
