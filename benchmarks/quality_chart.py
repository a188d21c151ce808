"""Draws the chart of docs/quality.md: what each encoder's ``cq`` is along the scale of quality."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import measuring

from pdum.nvenc._config.quality_scale import BEST, QUALITIES, TABLES, WORST, cq_for

COLOURS = {"av1": "#7a5195", "hevc": "#2f7ed8", "h264": "#d1802b"}
NAMES = {"av1": "AV1", "hevc": "HEVC", "h264": "H.264"}


def draw(path: Path, measured: Iterable[tuple[str, float, float]]) -> None:
    """``measured``: a codec, a ``cq`` of SVT-AV1, and the codec's ``cq`` with the same score, many of each."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "pdum-nvenc", "font.size": 9}
    import matplotlib.pyplot as plt

    points = [(codec, _quality_of(av1), cq) for codec, av1, cq in measured]
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.6), sharey=True)
    for axis, kind, title in zip(
        axes, ("software", "nvenc"), ("In software: measured", "On NVENC: from publications"), strict=True
    ):
        for codec, colour in COLOURS.items():
            scale = range(BEST, WORST + 1)
            axis.plot(scale, [cq_for(one, codec, kind) for one in scale], color=colour, label=NAMES[codec], lw=1.6)
            if kind == "software":
                _quartiles(axis, [(quality, cq) for name, quality, cq in points if name == codec], colour)
        axis.set(title=title, xlabel="quality (-q)", xlim=(BEST, WORST), xticks=range(4, WORST, 8))
        axis.grid(alpha=0.25)
        axis.legend(frameon=False)
    axes[0].set_ylabel("the encoder's own cq")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def _quality_of(av1: float) -> float:
    """The quality at which SVT-AV1 gets this ``cq``."""
    for (low, low_cq), (high, high_cq) in pairwise(zip(QUALITIES, TABLES["software", "av1"], strict=True)):
        if low_cq <= av1 <= high_cq:
            return low + (av1 - low_cq) / (high_cq - low_cq) * (high - low)
    raise ValueError(f"Expected a cq of SVT-AV1, got {av1}.")


def _quartiles(axis: Any, points: list[tuple[float, float]], colour: str) -> None:
    """Where half of the clips and metrics lie."""
    qualities = sorted({quality for quality, _ in points})
    if qualities:
        all_of = [[cq for at, cq in points if at == quality] for quality in qualities]
        low, _, high = zip(*(measuring.quartiles(one) for one in all_of), strict=True)
        axis.fill_between(qualities, low, high, color=colour, alpha=0.15, lw=0)
