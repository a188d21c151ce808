"""The figures of the documentation: the pages are what the results say, and comparisons tell changes from noise."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks import comparison, page, result_files
from benchmarks.charts import draw
from benchmarks.measuring import FORM, Figure
from benchmarks.parts import NEEDS, PARTS, Chart
from benchmarks.written_numbers import median_and_spread, number

from event_streams import HOSTILE_NAMES

pytestmark = pytest.mark.one_abi

MACHINE = {"processor": "A processor", "cores": 2, "system": "Linux x86_64", "python": "CPython 3.11.7"}


def part(*figures: dict[str, Any]) -> dict[str, Any]:
    return {
        "date": "2026-11-28", "load": 0.5, "priority": "usual", "command": "python benchmarks/a.py",
        "versions": {"pdum-nvenc": "0.1.0"}, "figures": list(figures),
    }  # fmt: skip


def figure(samples: list[float], *, row: str = "ours", better: str = "less", unit: str = "µs") -> dict[str, Any]:
    return {"row": row, "column": "a frame", "unit": unit, "samples": samples, "better": better}


def result(*figures: dict[str, Any], name: str = "client_cost") -> dict[str, Any]:
    return {"form": FORM, "machine": MACHINE, "parts": {name: part(*figures)}}


def benchmarks(root: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *map(str, arguments)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)


# --- the page ---


def test_the_pages_are_what_the_results_say(root: Path) -> None:
    made = page.files()
    assert {path for path in made if (root / path).read_text() != made[path]} == set()
    pictures = {path.name for path in made if path.suffix == ".svg"}
    assert {path.name for path in (root / page.PICTURES).glob("*")} == pictures


def test_a_median_of_the_results_is_on_the_page(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(result(figure([3.25, 3.5, 3.75]))))
    made = page.files(tmp_path)
    assert "| ours | 3.50 (3.38 to 3.62) |" in made[page.PAGE]
    assert "load 0.5; pdum-nvenc 0.1.0" in made[page.PAGE]
    assert "A processor, 2 cores, CPython 3.11.7, 2026-11-28" in made[page.PAGE]


def test_each_machine_has_its_own_table(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.json").write_text(json.dumps(result(figure([1.0]))))
    assert page.files(tmp_path)[page.PAGE].count("| ours | 1.00 |") == 2


def test_each_part_has_a_script_and_a_text(root: Path) -> None:
    told = page.methods(page.METHODS.read_text())
    assert list(told) == [one.name for one in PARTS]
    assert {one.script for one in PARTS if not (root / "benchmarks" / one.script).is_file()} == set()
    assert {need for one in PARTS for need in one.needs} <= set(NEEDS)


def test_a_part_is_run_and_recorded(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "results.json"
    target.write_text(json.dumps(result(figure([1.0]))))
    done = benchmarks(root, "--quick", "--only", "import_time", "--json", target)
    assert done.returncode == 0, done.stdout + done.stderr
    parts = json.loads(target.read_text())["parts"]
    assert list(parts) == ["client_cost", "import_time"], "the recorded figures of others stay"
    alone = [
        one for one in parts["import_time"]["figures"] if (one["row"], one["column"]) == ("import alone", "processor")
    ]
    assert [(one["unit"], one["better"], len(one["samples"])) for one in alone] == [("ms", "less", 5)]
    told = re.search(r"import alone +([\d.]+) ms of the processor", done.stdout)
    assert told, done.stdout
    # The samples are rounded, too, so that their text may differ in the last digit.
    assert float(told[1]) == pytest.approx(sorted(alone[0]["samples"])[2], abs=0.0101)


def test_an_unknown_part_is_named(root: Path) -> None:
    done = benchmarks(root, "--only", "import_tme")
    assert done.returncode == 1
    assert "import_tme" in done.stderr
    assert "import_time" in done.stderr


def test_nothing_to_measure_is_said(root: Path, tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    without_driver = {**os.environ, "NVSIM_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "benchmarks", "--only", "pool", "--json", str(found)]
    done = subprocess.run(command, cwd=root, env=without_driver, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "left out: pool (needs the simulated driver)" in done.stdout
    assert "Nothing was measured" in done.stdout
    assert not found.exists()


# --- numbers and charts ---


@given(st.floats(-1e9, 1e9))
@example(123.4)
@example(12.34)
@example(1.234)
@example(0.1234)
def test_numbers_keep_what_counts(value: float) -> None:
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=0.006, abs=0.0006)


def test_a_single_sample_has_no_spread() -> None:
    assert median_and_spread([4.0]) == "4.00"


@pytest.mark.parametrize("kind", ["bars", "dots"])
def test_marks_are_where_the_figures_are(kind: Any) -> None:
    figures = [Figure("a", "x", "µs", [10.0]), Figure("b", "x", "µs", [20.0]), Figure("c", "x", "µs", [40.0])]
    drawn = ElementTree.fromstring(draw(Chart("x", "Title", kind), figures))
    if kind == "bars":
        widths = [float(one.get("width", 0)) for one in drawn.iter() if one.tag.endswith("rect")][1:]
        assert [width / widths[0] for width in widths] == pytest.approx([1, 2, 4], rel=0.01)
    else:
        places = [float(one.get("cx", 0)) for one in drawn.iter() if one.tag.endswith("circle")]
        assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=0.2)


def test_names_may_hold_anything() -> None:
    figures = [Figure(name, "x", "µs", [1.0]) for name in HOSTILE_NAMES if name.isprintable()]
    assert figures
    drawn = ElementTree.fromstring(draw(Chart("x", "<&>"), figures))
    assert {figure.row for figure in figures} <= {one.text for one in drawn.iter()}


def test_long_names_stay_inside_the_picture() -> None:
    name = "pdum.nvenc encode, device frame, interface made anew each time"
    drawn = ElementTree.fromstring(draw(Chart("x", "Title"), [Figure(name, "x", "µs", [1.0])]))
    (label,) = (one for one in drawn.iter() if one.text == name)
    assert float(label.get("x", 0)) > 7 * len(name)


# --- comparisons ---


def changed(before: list[float], after: list[float], better: str = "less") -> str:
    (change,) = comparison.changes(result(figure(before, better=better)), result(figure(after, better=better)))
    return "noise" if not change.is_real else "worse" if change.is_worse else "better"


@pytest.mark.parametrize(
    ("after", "less", "more"),
    [
        ([1.30, 1.31, 1.32], "worse", "better"),
        ([0.70, 0.71, 0.72], "better", "worse"),
        ([1.0, 1.01, 1.02], "noise", "noise"),
    ],
)
def test_a_change_has_a_direction(after: list[float], less: str, more: str) -> None:
    before = [0.99, 1.0, 1.01]
    assert (changed(before, after), changed(before, after, "more")) == (less, more)


def test_overlapping_quartiles_are_noise() -> None:
    assert changed([1.0, 2.0, 3.0, 4.0], [1.5, 3.0, 3.5, 4.5]) == "noise"


def test_few_samples_need_a_larger_change() -> None:
    assert changed([1.0], [1.1]) == "noise"
    assert changed([1.0], [1.2]) == "worse"
    assert changed([0.0], [1.0]) == "worse"


@given(seed=st.integers(0, 10_000), spread=st.floats(0.001, 0.2))
def test_the_same_distribution_again_is_noise(seed: int, spread: float) -> None:
    """Not always: quartiles of few samples may miss each other by chance. That is rare with so many."""
    chance = random.Random(seed)
    before, after = ([chance.gauss(1, spread) for _ in range(40)] for _ in range(2))
    assert changed(before, after) == "noise"


@given(seed=st.integers(0, 10_000), factor=st.floats(1.3, 10))
def test_a_change_beyond_the_spread_is_found(seed: int, factor: float) -> None:
    chance = random.Random(seed)
    before = [chance.gauss(1, 0.03) for _ in range(7)]
    assert changed(before, [sample * factor for sample in before]) == "worse"
    assert changed([sample * factor for sample in before], before) == "better"


def test_the_command_says_what_got_worse(root: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    one.write_text(json.dumps(result(figure([1.0, 1.01, 1.02]), figure([5.0, 5.1], row="gone"))))
    two.write_text(json.dumps(result(figure([2.0, 2.02, 2.04]))))
    worse, better = benchmarks(root, "--compare", one, two), benchmarks(root, "--compare", two, one)
    assert (worse.returncode, better.returncode) == (1, 0)
    assert "worse: client_cost: ours, a frame: 1.01 µs (1.00 to 1.02) became 2.02 µs" in worse.stdout
    assert "missing in the second: client_cost: gone, a frame" in worse.stdout
    assert "better: client_cost: ours, a frame" in better.stdout


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"form": 1, "parts": {"a": 3}}',
        '{"form": 1, "machine": {}, "parts": {}}',
        '{"form": 99, "parts": {}}',
    ],
)
def test_what_is_no_result_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(SystemExit, match=r"Expected a result file.*x\.json"):
        result_files.read(path)


def test_different_machines_are_told_apart() -> None:
    other = {**result(figure([1.0])), "machine": {**MACHINE, "cores": 16}}
    assert next(comparison.report(result(figure([1.0])), other)).startswith("Different machines")
