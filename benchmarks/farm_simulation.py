"""What breaks first when a farm grows: a simulation on paper, of up to 1,000 nodes and a million files.

    python benchmarks/farm_simulation.py [--nodes 1,10,100] [--files-per-node 1000] [--quick] [--json FILE]

Nothing is encoded. The program that gives the work is simulated as it is built: one interpreter, which is busy for
``job-cost`` with each job and for ``event-cost`` with each report of progress; helpers that examine sources and join
results; at most one job ahead for each engine. The engines take the longest file first. Whatever the machines share is
a number of servers with a queue, and the events between them are simulated one by one.

The durations of the files have a lognormal distribution, as libraries of videos have. Each number is an option, so that
yours can take its place. ``look-cost`` and ``join-cost`` are processor time for a second of video, which
``farm_costs.py`` measures. ``job-cost`` is what ``farm.py`` measures of a job, with the cluster's scheduler in the same
program. All others are assumed: ``look`` and ``join`` are what the storage takes for a second of video.
"""

from __future__ import annotations

import argparse
import heapq
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from math import ceil, inf
from pathlib import Path
from typing import Any

REPORTS = 4.0
"""Reports of progress a second, of each engine that works."""
FEWEST_HELPERS, MOST_HELPERS, ENGINES_FOR_EACH_HELPER = 3, 16, 4
"""As a pool has them with a cluster."""
NEARLY_IDEAL = 1.05
"""How much longer than the ideal a run may take, before the farm counts as too large."""


@dataclass(frozen=True)
class Model:
    """A farm and its files. Seconds, unless something else is said."""

    nodes: int = 10
    engines: int = 3
    """On each node."""
    files: int = 10_000
    duration: float = 600.0
    """The mean duration of a video."""
    spread: float = 1.0
    """Of the logarithm of the durations."""
    speed: float = 8.0
    """Seconds of video that an engine encodes in a second."""
    job_cost: float = 0.03
    """Processor time of the calling program for one job, whatever its length."""
    look_cost: float = 0.0002
    """Processor time to examine a source, for each second of video."""
    join_cost: float = 0.0004
    """Processor time to join and verify a result, for each second of video."""
    event_cost: float = 0.00005
    """Processor time of the calling program for one report of progress."""
    helpers: int = 0
    """Threads that examine sources and join results; 0: as many as a pool has."""
    look: float = 0.001
    """To wait for the storage when a source is examined, for each second of video."""
    join: float = 0.0025
    """To wait for the storage when a result is joined and verified, for each second of video."""
    fixed: float = 0.05
    """To open and to close the files of a job."""
    memory: float = 6000.0
    """Bytes that the calling program keeps for each job until the run ends."""
    source_rate: float = 8e6
    """Bits for a second of a source."""
    result_rate: float = 4e6

    @property
    def all_helpers(self) -> int:
        return self.helpers or max(FEWEST_HELPERS, min(self.all_engines // ENGINES_FOR_EACH_HELPER, MOST_HELPERS))

    @property
    def looking(self) -> float:
        """Seconds of a helper for each second of video."""
        return self.look + self.look_cost

    @property
    def joining(self) -> float:
        return self.join + self.join_cost

    def interpreting(self, video: float) -> float:
        """Processor time for a job."""
        return self.job_cost + video * (self.look_cost + self.join_cost)

    @property
    def all_engines(self) -> int:
        return self.nodes * self.engines

    @property
    def interpreter_share(self) -> float:
        """The part of the interpreter's time that is left for jobs, beside the reports of progress."""
        return max(1 - self.all_engines * REPORTS * self.event_cost, 0.001)


@dataclass(frozen=True)
class Outcome:
    seconds: float
    ideal: float
    engines_busy: float
    """From 0 to 1."""
    helpers_busy: float
    interpreter_busy: float

    @property
    def ratio(self) -> float:
        return self.seconds / self.ideal

    @property
    def first_to_break(self) -> str:
        shares = {"helpers": self.helpers_busy, "interpreter": self.interpreter_busy}
        return max(shares, key=lambda name: shares[name]) if self.ratio > NEARLY_IDEAL else "nothing"


class Station:
    """Servers with one queue."""

    def __init__(self, clock: Clock, servers: int) -> None:
        self._clock, self._free = clock, servers
        self._queue: deque[tuple[float, Callable[[], object]]] = deque()
        self.busy = 0.0
        """Seconds of all servers together."""

    def serve(self, seconds: float, then: Callable[[], object]) -> None:
        self._queue.append((seconds, then))
        self._start()

    def _start(self) -> None:
        while self._free and self._queue:
            seconds, then = self._queue.popleft()
            self._free -= 1
            self.busy += seconds
            self._clock.after(seconds, partial(self._end, then))

    def _end(self, then: Callable[[], object]) -> None:
        self._free += 1
        then()
        self._start()


class Helpers:
    """Threads that examine sources and join results. All but one of them may join, which comes first."""

    def __init__(self, clock: Clock, helpers: int) -> None:
        self._clock, self._free = clock, helpers
        self._may_join = max(1, helpers - 1)
        self._looks: deque[tuple[float, Callable[[], object]]] = deque()
        self._joins: deque[float] = deque()
        self.busy = 0.0

    def look(self, seconds: float, then: Callable[[], object]) -> None:
        self._looks.append((seconds, then))
        self._start()

    def join(self, seconds: float) -> None:
        self._joins.append(seconds)
        self._start()

    def _start(self) -> None:
        while self._free and (self._looks or (self._joins and self._may_join)):
            self._free -= 1
            if self._joins and self._may_join:
                self._may_join -= 1
                self._work(self._joins.popleft(), self._joined)
            else:
                seconds, then = self._looks.popleft()
                self._work(seconds, then)

    def _work(self, seconds: float, then: Callable[[], object]) -> None:
        self.busy += seconds
        self._clock.after(seconds, partial(self._end, then))

    def _joined(self) -> None:
        self._may_join += 1

    def _end(self, then: Callable[[], object]) -> None:
        self._free += 1
        then()
        self._start()


class Clock:
    """Events in the order of their times."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._number = 0

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        self._number += 1
        heapq.heappush(self._events, (self.now + seconds, self._number, call))

    def run(self) -> None:
        while self._events:
            self.now, _, call = heapq.heappop(self._events)
            call()


class Farm:
    """One run. A file waits to be examined, for an engine, and to be joined."""

    def __init__(self, model: Model, durations: Sequence[float]) -> None:
        self.model = model
        self.clock = Clock()
        self.interpreter = Station(self.clock, 1)
        self.helpers = Helpers(self.clock, model.all_helpers)
        self._queued = deque(sorted(durations, reverse=True))
        self._prepared: deque[float] = deque()
        self._preparing = 0
        self._idle = model.all_engines
        self.encoding = 0.0

    def run(self) -> Outcome:
        self._prepare()
        self.clock.run()
        model, seconds = self.model, self.clock.now
        return Outcome(
            seconds=seconds,
            ideal=self.encoding / model.all_engines,
            engines_busy=self.encoding / model.all_engines / seconds,
            helpers_busy=self.helpers.busy / model.all_helpers / seconds,
            interpreter_busy=min(self.interpreter.busy / seconds + 1 - model.interpreter_share, 1.0),
        )

    def _prepare(self) -> None:
        """Sources are examined ahead: one for each engine, and one more."""
        while self._queued and len(self._prepared) + self._preparing <= self.model.all_engines:
            video = self._queued.popleft()
            self._preparing += 1
            seconds = self.model.fixed + video * self.model.looking
            self.helpers.look(seconds, partial(self._give, video))

    def _give(self, video: float) -> None:
        cost = self.model.interpreting(video) / self.model.interpreter_share
        self.interpreter.serve(cost, partial(self._take_up, video))

    def _take_up(self, video: float) -> None:
        self._preparing -= 1
        self._prepared.append(video)
        self._encode()

    def _encode(self) -> None:
        while self._idle and self._prepared:
            video = self._prepared.popleft()
            self._idle -= 1
            seconds = video / self.model.speed
            self.encoding += seconds
            self.clock.after(seconds, partial(self._encoded, video))
        self._prepare()

    def _encoded(self, video: float) -> None:
        self._idle += 1
        self.helpers.join(self.model.fixed + video * self.model.joining)
        self._encode()


def durations_of(model: Model, seed: int = 1) -> list[float]:
    chance = random.Random(seed)
    found = [chance.lognormvariate(0.0, model.spread) for _ in range(model.files)]
    factor = model.duration * model.files / sum(found)
    return [factor * one for one in found]


def simulate(model: Model) -> Outcome:
    return Farm(model, durations_of(model)).run()


def limits(model: Model) -> dict[str, float]:
    """By formula: the number of engines at which each part of the calling program is always busy."""
    encoding = model.duration / model.speed
    helping = 2 * model.fixed + model.duration * (model.looking + model.joining)
    costs = {
        "each helper": helping / encoding,
        "the interpreter": model.interpreting(model.duration) / encoding + REPORTS * model.event_cost,
    }
    return {name: 1 / cost if cost else inf for name, cost in costs.items()}


def row(model: Model, programs: int = 1) -> dict[str, tuple[float, str]]:
    """Each value with its unit. ``programs``: how many calling programs share the farm, each with its part of it."""
    found = simulate(replace(model, nodes=-(-model.nodes // programs), files=-(-model.files // programs)))
    bits = (model.source_rate + model.result_rate) * model.speed * model.all_engines * found.engines_busy
    return {
        "the run": (found.seconds / 3600, "hours"),
        "of the ideal time": (found.ratio, "×"),
        "engines busy": (100 * found.engines_busy, "%"),
        "helpers busy": (100 * found.helpers_busy, "%"),
        "interpreter busy": (100 * found.interpreter_busy, "%"),
        "storage": (bits / 1e9, "Gbit/s"),
        "memory of a program": (model.files / programs * model.memory / 1e9, "GB"),
    }


def name_of_row(model: Model, programs: int) -> str:
    return f"{counted(model.nodes, 'node')}, {counted(model.files, 'file')}, {counted(programs, 'program')}"


def counted(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def enough_helpers(model: Model) -> int:
    """So many that they are busy for two thirds of the time."""
    jobs = model.all_engines * model.speed / model.duration
    busy = jobs * (2 * model.fixed + model.duration * (model.looking + model.joining))
    return max(model.all_helpers, round(busy * 1.5) + 2)


def enough_programs(model: Model) -> int:
    """So many that each has at most three quarters of the engines that it can serve."""
    most = min(limits(model)["the interpreter"], limits(model)["each helper"] * MOST_HELPERS)
    return max(1, ceil(model.all_engines / (0.75 * most)))


def rows(model: Model, nodes: Sequence[int], files_per_node: int) -> Iterator[tuple[str, dict[str, tuple[float, str]]]]:
    """By their names: each farm with one program, and with as many as it needs."""
    for number in nodes:
        one = replace(model, nodes=number, files=number * files_per_node)
        yield name_of_row(one, 1), row(one)
        if (programs := enough_programs(one)) > 1:
            yield name_of_row(one, programs), row(one, programs)


def options_of(model: Model) -> str:
    told = {field.name: getattr(model, field.name) for field in fields(Model) if field.name not in ("nodes", "files")}
    return ", ".join(f"{name} {value:g}" for name, value in told.items())


def main() -> None:
    from measuring import Figure, save  # type: ignore[import-not-found]  # beside this script

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", default="1,10,30,60,100,300,1000", metavar="N,N")
    parser.add_argument("--files-per-node", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the files")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    for field in fields(Model):
        if field.name not in ("nodes", "files"):
            kind: Any = int if field.name in ("engines", "helpers") else float
            parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default)
    given = parser.parse_args()
    values = {field.name: getattr(given, field.name) for field in fields(Model) if hasattr(given, field.name)}
    values.pop("nodes")
    model = Model(**values)
    files = max(given.files_per_node // 20 if given.quick else given.files_per_node, 1)
    print("Simulated, with", options_of(model))
    for name, engines in limits(model).items():
        print(f"By formula, {name} is always busy at {engines:,.0f} engines, {engines / model.engines:,.0f} nodes.")
    figures = []
    for name, cells in rows(model, [int(one) for one in given.nodes.split(",")], files):
        print(f"{name}:", ", ".join(f"{what} {value:,.4g} {unit}" for what, (value, unit) in cells.items()), flush=True)
        figures += [Figure(name, what, unit, [value], "") for what, (value, unit) in cells.items()]
    save(given.json, "farm_simulation", figures)


if __name__ == "__main__":
    main()
