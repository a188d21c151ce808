"""The engines of a run: which may work now, how fast each is, and which share of the processor each has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping


class EngineSet:
    """The scheduler's lock guards it. ``rates`` alone is written without it, by the one thread that measures."""

    def __init__(
        self, engines: Iterable[int], cores: int, changed: Callable[[], None], kinds: Mapping[int, str] | None = None
    ) -> None:
        self._all = tuple(engines)
        self.kinds = dict(kinds or {})
        """The kind of each engine, if hardware and software work for one run; else nothing."""
        self._limit: int | None = None
        self._changed = changed
        self.left = set(self._all)
        """The engines that are not lost."""
        self.lost: dict[int, str] = {}
        """The lost engines, and why they are lost."""
        self.opening: set[int] = set()
        """The engines that are opening an encoder for waiting work."""
        self.rates: dict[int, float] = {}
        """The measured megapixels a second of each engine."""
        self.cores = cores
        """The cores that software encoders share; 0: each engine is separate hardware."""
        self.lent: dict[int, int] = {}
        """The cores of each engine's encoder."""
        self._choose()

    def _choose(self) -> None:
        self.able = frozenset([engine for engine in self._all if engine not in self.lost][: self._limit])
        """The engines that take work now: as many of the remaining ones as the caller allows."""

    def limit(self, engines: int) -> None:
        self._limit = engines
        self._choose()
        self._changed()

    def join(self, engine: int, kind: str = "") -> None:
        """Adds an engine, or takes a lost one back."""
        if kind:
            self.kinds[engine] = kind
        if engine not in self._all:
            self._all = (*self._all, engine)
        self.left.add(engine)
        self.lost.pop(engine, None)
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

    # --- hardware and software in one run ---

    def able_of(self, kind: str) -> frozenset[int]:
        """The engines of this kind that take work now; all of them if the kind is empty."""
        if not kind:
            return self.able
        return frozenset(engine for engine in self.able if self.kinds.get(engine) == kind)

    def kind_of(self, engine: int) -> str:
        return self.kinds.get(engine, "")

    def rate_of(self, kind: str) -> float | None:
        """The mean megapixels a second of the engines of this kind; None: not known yet."""
        found = [self.rates[engine] for engine in self.able_of(kind) if engine in self.rates]
        return sum(found) / len(found) if found else None

    # --- the processor's cores ---

    @property
    def are_all_cores_lent(self) -> bool:
        """Whether all cores are in use. Another encoder would only take time from the others."""
        return self.cores > 0 and sum(self.lent.values()) >= self.cores

    def lend_cores(self, engine: int, at_once: int) -> int:
        """Gives cores to an encoder that is made now, if so many work at the same time. Returns how many."""
        self.lent[engine] = -(-self.cores // at_once)
        return self.lent[engine]

    def take_cores_back(self, engine: int) -> None:
        if self.lent.pop(engine, 0):
            self._changed()
