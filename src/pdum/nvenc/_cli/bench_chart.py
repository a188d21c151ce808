"""The chart of ``pdum-nvenc bench``: frames a second for each codec and preset, as a PNG."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._errors import InvalidConfig
from .._text import visible
from .._view.settings_line import CODECS
from .._whole_file import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0f766e", "#0369a1", "#7e22ce", "#b45309", "#475569", "#be185d")
INK, SOFT, LINE = "#1b2430", "#5d6b7d", "#e1e7ee"
WIDTH = 0.8
"""The width of all bars of one preset together."""
WIDEST = 0.4
MOST_BARS_WITH_NUMBERS = 24


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What was measured of one engine, or of several together; ``engine`` names it."""

    engine: str
    codec: str
    preset: str
    fps: float


def draw(results: Sequence[Speed], path: str | os.PathLike[str], title: str = "Frames a second") -> None:
    """One part for each codec, a group of bars for each preset, a colour for each engine. Needs matplotlib."""
    if not results:
        raise InvalidConfig("A chart needs at least one result.")
    from matplotlib.figure import Figure

    codecs = list(dict.fromkeys(one.codec for one in results))
    engines = list(dict.fromkeys(one.engine for one in results))
    figure = Figure(figsize=(max(5.0, 4.2 * len(codecs)), 4.4), dpi=150, layout="constrained", facecolor="white")
    axes = figure.subplots(1, len(codecs), sharey=True, squeeze=False)[0]
    for axis, codec in zip(axes, codecs, strict=True):
        _part(axis, codec, [one for one in results if one.codec == codec], engines)
    axes[0].set_ylabel("frames a second", color=SOFT)
    lines = "\n".join(map(visible, title.splitlines()))
    figure.suptitle(lines, color=INK, fontsize=12, fontweight="bold", x=0.01, ha="left", parse_math=False)
    handles, labels = axes[0].get_legend_handles_labels()
    legend = figure.legend(
        handles, labels, loc="outside lower left", ncols=min(3, len(engines)), frameon=False, labelcolor=INK
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    with whole_file(path) as part:
        figure.savefig(part, format="png")


def _part(axis: Axes, codec: str, results: Sequence[Speed], engines: Sequence[str]) -> None:
    presets = sorted({one.preset for one in results})
    width = min(WIDEST, WIDTH / len(engines))
    for number, engine in enumerate(engines):
        found = {one.preset: one.fps for one in results if one.engine == engine}
        places = [place + (number + 0.5 - len(engines) / 2) * width for place in range(len(presets))]
        heights = [found.get(preset, 0.0) for preset in presets]
        bars: Any = axis.bar(
            places, heights, width * 0.92, color=COLOURS[number % len(COLOURS)], label=visible(engine), zorder=2
        )
        if len(presets) * len(engines) <= MOST_BARS_WITH_NUMBERS:
            said = [f"{height:.0f}" if height >= 10 else f"{height:.1f}" if height else "" for height in heights]
            axis.bar_label(bars, said, padding=2, fontsize=7, color=SOFT)
    axis.set_xticks(range(len(presets)), [visible(preset) for preset in presets], parse_math=False)
    axis.set_title(CODECS.get(codec, visible(codec)), color=INK, fontsize=11, loc="left", parse_math=False)
    axis.grid(axis="y", color=LINE, zorder=0)
    axis.tick_params(colors=SOFT, length=0)
    axis.margins(y=0.12)
    axis.set_xlim(-0.6, len(presets) - 0.4)
    for side in axis.spines.values():
        side.set_visible(False)
