"""The chart of docs/quality.md: what each encoder's ``cq`` is along the scale of quality, and what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from itertools import pairwise

from pdum.nvenc._config.quality_scale import BEST, QUALITIES, TABLES, WORST, cq_for

from .charts import FAINT, FONT, INK
from .measuring import Figure, quartiles
from .quality_figures import ENCODERS, NAMES

COLOURS = {"av1": "#7a5195", "hevc": "#2f7ed8", "h264": "#d1802b"}
PANELS = {"software": "cq in software: measured", "nvenc": "cq on NVENC: from publications"}
WIDTH, HEIGHT = 340, 280
LEFT, TOP, GAP, BOTTOM, RIGHT = 60, 90, 60, 50, 20
LEGEND_LINE = 20
TICKS = range(0, WORST + 1, 8)

Place = Callable[[float, float], tuple[float, float]]
"""From a quality and a ``cq`` to a place in the picture."""


def draw(title: str, figures: Sequence[Figure]) -> str:
    """``figures``: rows that end with a CRF of SVT-AV1, and the CRFs of others with the same score."""
    width, height = LEFT + 2 * WIDTH + GAP + RIGHT, TOP + HEIGHT + BOTTOM
    lines = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' viewBox='0 0 {width} {height}' "
        f"role='img' {FONT} font-size='13'>",
        f"<title>{escape(title)}</title>",
        f"<rect width='{width}' height='{height}' rx='8' fill='#ffffff'/>",
        f"<text x='20' y='32' font-size='16' font-weight='600' fill='{INK}'>{escape(title)}</text>",
    ]
    for number, kind in enumerate(PANELS):
        left = LEFT + number * (WIDTH + GAP)
        lines += [*_panel(kind, left), *_bands(figures, _places(left)) * (kind == "software"), *_curves(kind, left)]
    return "\n".join([*lines, "</svg>", ""])


def _places(left: float) -> Place:
    return lambda quality, cq: (
        left + WIDTH * (quality - BEST) / (WORST - BEST),
        TOP + HEIGHT * (1 - cq / WORST),
    )


def _panel(kind: str, left: float) -> Iterator[str]:
    """The frame, with its ticks and names."""
    place = _places(left)
    for tick in TICKS:
        (_, y), (x, _) = place(BEST, tick), place(max(tick, BEST), 0)
        yield f"<line x1='{left}' x2='{left + WIDTH}' y1='{y:.1f}' y2='{y:.1f}' stroke='{FAINT}'/>"
        yield f"<text x='{left - 8}' y='{y + 4:.1f}' text-anchor='end' fill='{INK}'>{tick}</text>"
        yield f"<text x='{x:.1f}' y='{TOP + HEIGHT + 18}' text-anchor='middle' fill='{INK}'>{max(tick, BEST)}</text>"
    yield f"<text x='{left}' y='{TOP - 14}' font-weight='600' fill='{INK}'>{PANELS[kind]}</text>"
    yield f"<text x='{left + WIDTH / 2}' y='{TOP + HEIGHT + 38}' text-anchor='middle' fill='{INK}'>quality (-q)</text>"


def _curves(kind: str, left: float) -> Iterator[str]:
    place = _places(left)
    for number, (codec, colour) in enumerate(COLOURS.items()):
        points = _joined(place(quality, cq_for(quality, codec, kind)) for quality in range(BEST, WORST + 1))
        yield f"<polyline points='{points}' fill='none' stroke='{colour}' stroke-width='2'/>"
        yield f"<text x='{left + 12}' y='{TOP + 20 + LEGEND_LINE * number}' fill='{colour}'>{NAMES[codec]}</text>"


def _bands(figures: Sequence[Figure], place: Place) -> list[str]:
    """Where half of the clips and metrics lie."""
    bands = []
    for codec, column in ENCODERS.items():
        found = [(_quality_of(_crf(one)), quartiles(one.samples)) for one in figures if one.column == column]
        edge = [place(at, low) for at, (low, _, _) in found] + [place(at, high) for at, (_, _, high) in found[::-1]]
        bands += [f"<polygon points='{_joined(iter(edge))}' fill='{COLOURS[codec]}' opacity='0.18'/>"] * bool(found)
    return bands


def _crf(figure: Figure) -> float:
    return float(figure.row.rpartition(" ")[2])


def _quality_of(av1: float) -> float:
    """The quality at which SVT-AV1 gets this ``cq``."""
    for (low, low_cq), (high, high_cq) in pairwise(zip(QUALITIES, TABLES["software", "av1"], strict=True)):
        if low_cq <= av1 <= high_cq:
            return low + (av1 - low_cq) / (high_cq - low_cq) * (high - low)
    raise ValueError(f"Expected a cq of SVT-AV1, got {av1}.")


def _joined(points: Iterator[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
