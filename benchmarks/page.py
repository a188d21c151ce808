"""docs/performance.md, its charts and the figures of other pages, made from the result files and from nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import charts, places, quality_chart
from .measuring import Figure
from .parts import PARTS, PERFORMANCE, ROOT, Chart, Part
from .result_files import Result, describe, figures_of, read
from .written_numbers import median_and_spread

RESULTS = ROOT / "benchmarks" / "results"
DOCS = Path("docs")
PAGE = DOCS / PERFORMANCE
PICTURES = DOCS / "images" / "performance"

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
ELSEWHERE = """
## Figures on other pages

The same command writes these from the same results:

"""
METHODS = ROOT / "benchmarks" / "methods.md"


@dataclass(frozen=True)
class Measured:
    """One part on one machine."""

    machine: str
    """The name of its file."""
    facts: str
    part: Result


@dataclass(frozen=True)
class Section:
    """What a page says of one part."""

    title: str
    text: str

    @property
    def whole(self) -> str:
        """With its heading; empty if there is nothing to say."""
        return f"\n## {self.title}\n\n{self.text}" if self.text else ""


def results(folder: Path) -> dict[str, Result]:
    return {path.stem: read(path) for path in sorted(folder.glob("*.json"))}


def files(folder: Path = RESULTS, root: Path = ROOT) -> dict[Path, str]:
    """The pages with figures and the pictures, by their paths from the root."""
    found = results(folder)
    made: dict[Path, str] = {}
    told = methods(METHODS.read_text())
    sections = {part.name: section(part, told[part.name], measurements(part, found), made) for part in PARTS}
    here = [sections[part.name].whole for part in PARTS if part.page == PERFORMANCE]
    links = [f"- [{sections[part.name].title}]({part.page})\n" for part in PARTS if part.page != PERFORMANCE]
    made[PAGE] = HEAD + "".join(here) + ELSEWHERE + "".join(links)
    for path in sorted((root / DOCS).glob("*.md")):
        text = path.read_text()
        if places.names(text):
            made[DOCS / path.name] = places.fill(text, lambda name: sections[name].text)
    return made


def methods(text: str) -> dict[str, tuple[str, str]]:
    """Title and method of each part, by the part's name."""
    found = {}
    for told in text.split("\n## ")[1:]:
        heading, _, method = told.partition("\n")
        name, _, title = heading.partition(": ")
        found[name] = title, f"{method.strip()}\n"
    return found


def measurements(part: Part, found: dict[str, Result]) -> list[Measured]:
    return [
        Measured(name, describe(result["machine"]), result["parts"][part.name])
        for name, result in found.items()
        if part.name in result["parts"]
    ]


def section(part: Part, told: tuple[str, str], measured: Sequence[Measured], made: dict[Path, str]) -> Section:
    """Without text if no machine has run the part. Adds the pictures to ``made``."""
    title, method = told
    if not measured:
        return Section(title, "")
    lines = [method]
    for one in measured:
        figures = figures_of(one.part)
        lines += [facts_of(one), "", *table(figures), ""]
        if part.chart is not None and has_marks(part.chart, figures):
            picture = PICTURES / f"{part.name}-{one.machine}.svg"
            made[picture] = draw(part.chart, figures)
            lines += [f"![{part.chart.title}]({picture.relative_to('docs')})", ""]
    return Section(title, "\n".join(lines))


def has_marks(chart: Chart, figures: Sequence[Figure]) -> bool:
    return chart.kind == "scale" or bool(charts.lines_of(chart, figures))


def draw(chart: Chart, figures: Sequence[Figure]) -> str:
    return quality_chart.draw(chart.title, figures) if chart.kind == "scale" else charts.draw(chart, figures)


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
    made = files(root=root)
    pictures = root / PICTURES
    if pictures.is_dir():
        for old in set(pictures.glob("*.svg")) - {root / path for path in made}:
            old.unlink()
    for path, text in made.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
