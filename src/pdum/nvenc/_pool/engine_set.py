"""The engines of a run: which of them may work now, how fast each is, and which share of the processor each has."""

from __future__ import annotations

from collections.abc import Callable, Iterable


class EngineSet:
    """The scheduler's lock guards it. ``rates`` alone is written without it, by the one thread that measures."""

    def __init__(self, engines: Iterable[int], cores: int, changed: Callable[[], None]) -> None:
        self._all = tuple(engines)
        self._limit = len(self._all)
        self._changed = changed
        self.left = set(self._all)
        """Those that are not lost."""
        self.lost: dict[int, str] = {}
        """And why."""
        self.opening: set[int] = set()
        """Those that make an encoder for work that waits."""
        self.rates: dict[int, float] = {}
        """Megapixels a second that each engine was seen to do."""
        self.cores = cores
        """The cores that software encoders share; 0: each engine is separate hardware."""
        self.lent: dict[int, int] = {}
        """Cores, by the engine whose encoder was made for them."""
        self._choose()

    def _choose(self) -> None:
        self.able = frozenset([engine for engine in self._all if engine not in self.lost][: self._limit])
        """Those that take work now: as many as the caller allows, of those that are left."""

    def limit(self, engines: int) -> None:
        self._limit = engines
        self._choose()
        self._changed()

    def lose(self, engine: int, reason: str) -> None:
        self.left.discard(engine)
        self.lost[engine] = reason
        self.stops_opening(engine)
        self._choose()
        self._changed()

    def stops_opening(self, engine: int) -> None:
        if engine in self.opening:
            self.opening.discard(engine)
            self._changed()

    def reasons(self) -> str:
        return "; ".join(f"engine {engine}: {reason}" for engine, reason in sorted(self.lost.items()))

    # --- the processor's cores ---

    @property
    def are_all_cores_lent(self) -> bool:
        """A further encoder would only take time from those that work."""
        return self.cores > 0 and sum(self.lent.values()) >= self.cores

    def lend_cores(self, engine: int, at_once: int) -> int:
        """The share for an encoder that is made now, of which so many will work at the same time."""
        self.lent[engine] = -(-self.cores // at_once)
        return self.lent[engine]

    def take_cores_back(self, engine: int) -> None:
        if self.lent.pop(engine, 0):
            self._changed()
