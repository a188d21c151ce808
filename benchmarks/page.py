"""docs/performance.md and its charts, made from the result files and from nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .charts import draw, lines_of
from .measuring import Figure
from .parts import PARTS, ROOT, Part
from .result_files import Result, describe, figures_of, read
from .written_numbers import median_and_spread

RESULTS = ROOT / "benchmarks" / "results"
PAGE = Path("docs") / "performance.md"
PICTURES = Path("docs") / "images" / "performance"

HEAD = """# Performance

<!-- `python -m benchmarks --page` makes this page from benchmarks/results. Do not edit it. -->

**Nothing here was measured on a hardware encoder.** The encoder is simulated: these figures show what this package and
others cost the host, and how well they keep engines busy. The parts with a GPU have a real CUDA driver and real
kernels.

`python -m benchmarks` measures everything that a machine can, writes the samples to `benchmarks/results`, and makes
this page from them; [Benchmarks](../benchmarks/README.md) says how. A cell has the median, and the quartiles in
brackets. Clients of one table take turns, so compare within a table, not between machines or days. The load is that of
the machine during the measurement: other programs make all figures worse, some more than others.
"""
METHODS = ROOT / "benchmarks" / "methods.md"


@dataclass(frozen=True)
class Measured:
    """One part on one machine."""

    machine: str
    """The name of its file."""
    facts: str
    part: Result


def results(folder: Path) -> dict[str, Result]:
    return {path.stem: read(path) for path in sorted(folder.glob("*.json"))}


def files(folder: Path = RESULTS) -> dict[Path, str]:
    """The page and its pictures, by their paths from the root."""
    found = results(folder)
    made: dict[Path, str] = {}
    told = methods(METHODS.read_text())
    sections = [section(part, told[part.name], measurements(part, found), made) for part in PARTS]
    made[PAGE] = HEAD + "".join(sections)
    return made


def methods(text: str) -> dict[str, str]:
    """Title and method of each part, as the page has them, by the part's name."""
    found = {}
    for told in text.split("\n## ")[1:]:
        name, _, rest = told.partition(": ")
        found[name] = f"\n## {rest.strip()}\n"
    return found


def measurements(part: Part, found: dict[str, Result]) -> list[Measured]:
    return [
        Measured(name, describe(result["machine"]), result["parts"][part.name])
        for name, result in found.items()
        if part.name in result["parts"]
    ]


def section(part: Part, told: str, measured: Sequence[Measured], made: dict[Path, str]) -> str:
    """Empty if no machine has run the part. Adds the pictures to ``made``."""
    if not measured:
        return ""
    lines = [told]
    for one in measured:
        figures = figures_of(one.part)
        lines += [facts_of(one), "", *table(figures), ""]
        if part.chart is not None and lines_of(part.chart, figures):
            picture = PICTURES / f"{part.name}-{one.machine}.svg"
            made[picture] = draw(part.chart, figures)
            lines += [f"![{part.chart.title}]({picture.relative_to('docs')})", ""]
    return "\n".join(lines)


def facts_of(one: Measured) -> str:
    part = one.part
    versions = ", ".join(f"{name} {version}" for name, version in part["versions"].items())
    load = f"load {part['load']}" + (" (this program with a raised priority)" if part["priority"] == "raised" else "")
    return f"{one.facts}, {part['date']}, {load}; {versions}:\n\n```\n{part['command']}\n```"


def table(figures: Sequence[Figure]) -> Iterator[str]:
    rows = dict.fromkeys(figure.row for figure in figures)
    columns: dict[tuple[str, str], Any] = dict.fromkeys((figure.column, figure.unit) for figure in figures)
    cells = {(figure.row, figure.column): median_and_spread(figure.samples) for figure in figures}
    heads = [f"{column}, {unit}" if unit else column for column, unit in columns]
    yield f"| | {' | '.join(heads)} |"
    yield "|---" * (1 + len(heads)) + "|"
    for row in rows:
        yield f"| {row} | {' | '.join(cells.get((row, column), '') for column, _ in columns)} |"


def write(root: Path = ROOT) -> None:
    made = files()
    pictures = root / PICTURES
    if pictures.is_dir():
        for old in set(pictures.glob("*.svg")) - {root / path for path in made}:
            old.unlink()
    for path, text in made.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
