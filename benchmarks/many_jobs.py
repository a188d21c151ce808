"""The cost of one job among many, planned, run and cancelled, in bytes and microseconds of processor time.

    .venv/bin/python benchmarks/many_jobs.py [--most 100000] [--rounds 3] [--quick] [--json FILE]

The cost of one should not grow with their number. The jobs have nothing to encode, so that only the pool's own work is
left: threads, states, events, progress. Fails if a job costs more than three times as much among the most jobs as
among the fewest.
"""

from __future__ import annotations

import argparse
import gc
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from measuring import Figure, machine, quartiles, save

from pdum.nvenc import BaseTask, EncoderPool, Plan, Result

FEWEST = 1000
MOST_GROWTH = 3.0
UNITS = {"plan": 1e6, "run": 1e6, "cancel": 1e6, "bytes": 1.0}
"""What is measured of each job, with what it is multiplied by to be printed: seconds become microseconds."""


class Nothing(BaseTask):
    """A job with all frames already encoded by an earlier run."""

    source = "nothing"
    estimated_work = 1.0

    def prepare(self, lanes: int) -> Plan:  # noqa: ARG002
        return Plan(frames=1, ranges=())

    def config(self, engine: Any) -> Any:
        raise NotImplementedError

    def frames(self, first: int, engine: Any) -> Iterator[Any]:
        raise NotImplementedError

    def sink(self, first: int) -> Any:
        raise NotImplementedError

    def finish(self) -> Result:
        return Result(destination="", frames=1, size=1)


class Waiting(Nothing):
    """Keeps its helper busy until it is cancelled, so that all later jobs are still waiting."""

    def __init__(self) -> None:
        self.inside, self.called_off = threading.Event(), threading.Event()

    def prepare(self, lanes: int) -> Plan:
        self.inside.set()
        self.called_off.wait()
        return super().prepare(lanes)

    def interrupt(self) -> None:
        self.called_off.set()


def timed(call: Callable[[], object]) -> float:
    gc.collect()
    begin = time.process_time()
    call()
    return time.process_time() - begin


def costs(count: int) -> dict[str, float]:
    """The cost of one job among this many: bytes, and seconds of processor time for each action."""
    found = {}
    with EncoderPool(backend="software", engines=1) as pool:
        run: list[Any] = []
        found["run"] = timed(lambda: pool.run([Nothing() for _ in range(count)]).raise_for_errors())
        waiting = [Waiting() for _ in range(4)]
        tasks = [*waiting, *(Nothing() for _ in range(count))]
        found["plan"] = timed(lambda: run.append(pool.start(tasks)))
        waiting[0].inside.wait()

        def cancel() -> None:
            run[0].cancel()
            run[0].wait()

        found["cancel"] = timed(cancel)
        run.clear()
        tracemalloc.start()
        held = pool.start([Nothing() for _ in range(count)])
        held.wait()
        found["bytes"] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return {name: value / count for name, value in found.items()}


def cell(samples: list[float], unit: float) -> str:
    low, middle, high = (one * unit for one in quartiles(samples))
    return f"{middle:.1f} ({low:.1f} to {high:.1f})" if unit > 1 else f"{middle:,.0f} bytes"


def figures(samples: dict[int, dict[str, list[float]]]) -> list[Figure]:
    return [
        Figure(f"{count:,} jobs", name, "bytes" if unit == 1 else "µs", [one * unit for one in steps[name]])
        for count, steps in samples.items()
        for name, unit in UNITS.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=100_000)
    parser.add_argument("--quick", action="store_true", help="a tenth of it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    most = given.most // 10 if given.quick else given.most
    counts = [count for count in (FEWEST, 10_000, 100_000) if count < most] + [most]
    header = machine()
    print(f"{header}\nprocessor time in µs and memory of one job, medians of {given.rounds} rounds (quartiles)\n")
    print(f"| jobs | {' | '.join(UNITS)} |\n" + "|---" * (1 + len(UNITS)) + "|")
    samples = {}
    for count in counts:
        rounds = [costs(count) for _ in range(given.rounds)]
        samples[count] = {name: [one[name] for one in rounds] for name in UNITS}
        print(
            f"| {count:,} | {' | '.join(cell(samples[count][name], unit) for name, unit in UNITS.items())} |",
            flush=True,
        )
    few, many = samples[counts[0]], samples[counts[-1]]
    growth = {name: quartiles(many[name])[1] / quartiles(few[name])[1] for name in UNITS}
    print(f"\none job of {counts[-1]:,} costs, in what one of {counts[0]:,} does: ", end="")
    print(", ".join(f"{name} × {ratio:.2f}" for name, ratio in growth.items()))
    save(given.json, "many_jobs", figures(samples))
    if max(growth.values()) > MOST_GROWTH:
        sys.exit("A job among many costs more than among few.")


if __name__ == "__main__":
    main()
