"""Charts of the figures, as SVG: one horizontal bar or dot for each figure, with its quartiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from .measuring import Figure, quartiles
from .parts import Chart
from .written_numbers import number

PLOT, RIGHT, LEAST_LABELS = 420, 110, 160
LINE, HEAD, FOOT = 26, 56, 16
LETTER = 7.6
"""The width of one, which keeps labels inside the picture."""
OURS, OTHERS, INK, FAINT = "#3f7d20", "#7a8699", "#1c2430", "#d7dce3"
FONT = "font-family='system-ui, sans-serif'"


@dataclass(frozen=True)
class Line:
    label: str
    figure: Figure | None = None
    """None: a heading."""


def draw(chart: Chart, figures: Sequence[Figure]) -> str:
    lines = lines_of(chart, figures)
    left = max(LEAST_LABELS, round(max(len(line.label) for line in lines) * LETTER) + 20)
    width = max(left + PLOT + RIGHT, round(len(chart.title) * 9) + 40)
    found = [line.figure for line in lines if line.figure is not None]
    height = HEAD + LINE * len(lines) + FOOT
    place = scale_of(chart, found, left)
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' viewBox='0 0 {width} {height}' "
        f"role='img' {FONT} font-size='14'>",
        f"<title>{escape(chart.title)}</title>",
        f"<rect width='{width}' height='{height}' rx='8' fill='#ffffff'/>",
        f"<text x='20' y='32' font-size='16' font-weight='600' fill='{INK}'>{escape(chart.title)}</text>",
        f"<line x1='{left}' x2='{left}' y1='{HEAD}' y2='{height - FOOT}' stroke='{FAINT}'/>",
    ]
    for number_of_line, line in enumerate(lines):
        parts += draw_line(line, HEAD + LINE * number_of_line + LINE / 2, left, place, chart.kind == "dots")
    return "\n".join([*parts, "</svg>", ""])


def lines_of(chart: Chart, figures: Sequence[Figure]) -> list[Line]:
    chosen = [figure for figure in figures if chart.rows in figure.row]
    if chart.column:
        return [Line(figure.row, figure) for figure in chosen if figure.column == chart.column]
    lines: list[Line] = []
    for row in dict.fromkeys(figure.row for figure in chosen):
        lines += [Line(row), *(Line(figure.column, figure) for figure in chosen if figure.row == row)]
    return lines


def scale_of(chart: Chart, figures: Sequence[Figure], left: int) -> Callable[[float], float]:
    """From a value to its place in the picture."""
    most = max(quartiles(figure.samples)[2] for figure in figures)
    if chart.kind == "bars":
        return lambda value: left + PLOT * max(value, 0.0) / most
    least = min(quartiles(figure.samples)[0] for figure in figures)
    low, high = math.log10(least) - 0.05, math.log10(most)
    return lambda value: left + PLOT * (math.log10(value) - low) / (high - low)


def draw_line(line: Line, y: float, left: int, place: Callable[[float], float], dots: bool) -> list[str]:
    if line.figure is None:
        return [f"<text x='20' y='{y + 5:.0f}' font-weight='600' fill='{INK}'>{escape(line.label)}</text>"]
    low, middle, high = quartiles(line.figure.samples)
    colour = OURS if is_ours(line.label) else OTHERS
    begin, end = place(low), place(high)
    mark = (
        f"<circle cx='{place(middle):.1f}' cy='{y:.0f}' r='5' fill='{colour}'/>"
        if dots
        else f"<rect x='{left}' y='{y - 8:.0f}' width='{place(middle) - left:.1f}' height='16' fill='{colour}'/>"
    )
    return [
        f"<text x='{left - 10}' y='{y + 5:.0f}' text-anchor='end' fill='{INK}'>{escape(line.label)}</text>",
        mark,
        f"<line x1='{begin:.1f}' x2='{end:.1f}' y1='{y:.0f}' y2='{y:.0f}' stroke='{INK}' stroke-width='1.5'/>",
        f"<text x='{max(end, place(middle)) + 10:.1f}' y='{y + 5:.0f}' fill='{INK}'>{number(middle)}</text>",
    ]


def is_ours(label: str) -> bool:
    return not any(
        word in label for word in ("PyAV", "PyNv", "ffmpeg", "C++", "memmove", "copyto", "semaphore", "mutex")
    )
