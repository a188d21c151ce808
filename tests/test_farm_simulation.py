"""The simulation of a large farm against what can be computed by hand."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from benchmarks.farm_simulation import Farm, Model, durations_of, enough_helpers, limits, simulate

pytestmark = pytest.mark.one_abi

FREE = Model(nodes=2, files=200, job_cost=0.0, event_cost=0.0, look=0.0, join=0.0, fixed=0.0)
"""A farm in which nothing costs anything but the encoding."""


def test_one_file_after_the_other() -> None:
    model = replace(FREE, nodes=1, engines=1, files=2, look=0.001, join=0.01, fixed=0.5, speed=10.0)
    found = Farm(model, [100.0, 50.0]).run()
    first = 0.5 + 0.1  # the second is examined meanwhile
    assert found.seconds == pytest.approx(first + 10.0 + 5.0 + 0.5 + 0.5)
    assert found.ideal == pytest.approx(15.0)


@given(nodes=some.integers(1, 8), files=some.integers(1, 300), seed=some.integers(0, 5))
def test_without_costs_it_is_the_schedule_of_the_longest_first(nodes: int, files: int, seed: int) -> None:
    """No schedule of whole files is shorter than the ideal, and this one is at most a third longer than the best."""
    model = replace(FREE, nodes=nodes, files=files)
    durations = durations_of(model, seed)
    found = Farm(model, durations).run()
    least = max(found.ideal, max(durations) / model.speed)
    assert least <= found.seconds * (1 + 1e-9)
    assert found.seconds <= least * (4 / 3 + 1)


@pytest.mark.parametrize("part", ["joining results", "examining sources", "the interpreter"])
def test_the_formulas_say_where_it_breaks(part: str) -> None:
    """With twice as many engines as one part can serve, half of them have nothing to do."""
    costs = {
        "joining results": {"join": 0.05},
        "examining sources": {"look": 0.02},
        "the interpreter": {"job_cost": 2.0},
    }
    model = replace(FREE, spread=0.1, files=4000, helpers=3, **costs[part])  # type: ignore[arg-type]
    most = limits(model)[part]
    assert most == min(limits(model).values())
    model = replace(model, nodes=round(2 * most / model.engines))
    assert simulate(model).engines_busy == pytest.approx(most / model.all_engines, rel=0.1)


def test_enough_helpers_are_enough() -> None:
    model = Model(nodes=40, files=4000, spread=0.3)
    few, many = simulate(model), simulate(replace(model, helpers=enough_helpers(model)))
    assert few.first_to_break == "helpers"
    assert few.ratio > 1.3
    assert many.ratio < 1.1


def test_it_prints_its_tables(root: Path) -> None:
    command = [sys.executable, "benchmarks/farm_simulation.py", "--quick", "--nodes", "1,2", "--helpers", "4"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=True)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("By formula, with engines 3, duration 600")
    assert [line for line in lines if line.startswith("| 2 |")]
