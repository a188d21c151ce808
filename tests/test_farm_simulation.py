"""The simulation of a large farm against what can be computed by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from benchmarks import page
from benchmarks.farm_costs import measured_costs
from benchmarks.farm_simulation import (
    ENGINES_FOR_EACH_HELPER,
    FEWEST_HELPERS,
    MOST_HELPERS,
    Farm,
    Model,
    durations_of,
    enough_helpers,
    limits,
    name_of_row,
    row,
    simulate,
)
from pdum.nvenc._pool import helpers as of_pools
from pdum.nvenc._pool import run

pytestmark = pytest.mark.one_abi

FREE = Model(
    nodes=2, files=200, job_cost=0.0, look_cost=0.0, join_cost=0.0, event_cost=0.0, look=0.0, join=0.0, fixed=0.0
)
"""A farm in which nothing costs anything but the encoding."""


def test_one_file_after_the_other() -> None:
    model = replace(FREE, nodes=1, engines=1, files=2, helpers=1, look=0.001, join=0.01, fixed=0.5, speed=10.0)
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


@pytest.mark.parametrize(
    ("part", "costs"),
    [
        ("each helper", {"join": 0.05}),
        ("each helper", {"look": 0.05}),
        ("each helper", {"look": 0.02, "join": 0.02, "fixed": 1.0}),
        ("the interpreter", {"job_cost": 2.0}),
        ("the interpreter", {"join_cost": 0.003, "helpers": 16}),
    ],
)
def test_the_formulas_say_where_it_breaks(part: str, costs: dict[str, Any]) -> None:
    """With twice as many engines as one part can serve, half of them have nothing to do."""
    model = replace(FREE, spread=0.1, files=4000, **{"helpers": 5, **costs})
    most = limits(model)[part] * (model.all_helpers if part == "each helper" else 1)
    if part == "each helper" and "look" not in costs:
        most *= 4 / 5  # one helper never joins
    model = replace(model, nodes=round(2 * most / model.engines))
    assert simulate(model).engines_busy == pytest.approx(most / model.all_engines, rel=0.1)


def test_enough_helpers_are_enough() -> None:
    model = replace(Model(nodes=40, files=4000, spread=0.3), look_cost=0.0, join_cost=0.0, helpers=3)
    few, many = simulate(model), simulate(replace(model, helpers=enough_helpers(model)))
    assert few.first_to_break == "helpers"
    assert few.ratio > 1.3
    assert many.ratio < 1.1


@pytest.mark.parametrize(("nodes", "helpers"), [(1, 3), (4, 3), (10, 7), (1000, 16)])
def test_helpers_are_as_many_as_a_pool_has(nodes: int, helpers: int) -> None:
    assert Model(nodes=nodes).all_helpers == helpers
    assert (FEWEST_HELPERS, MOST_HELPERS, ENGINES_FOR_EACH_HELPER) == (
        of_pools.HELPERS, run.MOST_HELPERS, run.ENGINES_FOR_EACH_HELPER)  # fmt: skip


@pytest.fixture
def recorded() -> dict[str, dict[tuple[str, str], list[float]]]:
    """The samples of each figure of the parts about farms, by row and column."""
    parts = {name: part for one in page.results(page.RESULTS).values() for name, part in one["parts"].items()}
    return {
        name: {(figure["row"], figure["column"]): figure["samples"] for figure in parts[name]["figures"]}
        for name in ("farm_simulation", "farm_costs")
    }


@pytest.mark.parametrize("nodes", [1, 10])
def test_the_results_are_those_of_today(nodes: int, recorded: dict[str, Any]) -> None:
    model = Model(nodes=nodes, files=1000 * nodes)
    for column, (value, _) in row(model).items():
        assert recorded["farm_simulation"][name_of_row(model, 1), column] == [pytest.approx(value, rel=1e-5)]


def test_the_simulation_takes_the_costs_that_were_measured(recorded: dict[str, Any]) -> None:
    """Rounded, and not of this very machine: half as much or twice as much would be another farm."""
    looking, joining = (
        median(recorded["farm_costs"][name, "a second of video"]) / 1e6
        for name in ("to examine the source", "to join and verify the result")
    )
    assert Model().look_cost == pytest.approx(looking, rel=0.3)
    assert Model().join_cost == pytest.approx(joining, rel=0.3)


def test_it_prints_its_figures_and_keeps_them(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/farm_simulation.py", "--quick", "--nodes", "1,2", "--helpers", "4"]
    kept = tmp_path / "figures.json"
    done = subprocess.run([*command, "--json", kept], cwd=root, capture_output=True, text=True, timeout=60, check=True)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Simulated, with engines 3, duration 600")
    assert [line for line in lines if line.startswith("2 nodes, 100 files, 1 program: the run ")]
    figures = json.loads(kept.read_text())["parts"]["farm_simulation"]["figures"]
    assert {figure["row"] for figure in figures} == {"1 node, 50 files, 1 program", "2 nodes, 100 files, 1 program"}


def test_the_costs_can_be_measured(root: Path) -> None:
    """Some microseconds for each frame."""
    looking, joining = measured_costs(90)
    assert 0 < looking < 1
    assert 0 < joining < 1
