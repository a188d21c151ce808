"""The figures of the page on quality, from encodes whose matches are known, and the chart."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import page, quality_chart
from benchmarks.measuring import Figure
from benchmarks.quality_figures import Encode, of_presets, of_the_scale, row_of_tables
from benchmarks.result_files import figures_of
from pdum.nvenc._config.quality_scale import TABLES

pytestmark = pytest.mark.one_abi

AHEAD = {"av1": 0, "hevc": 5, "h264": 8}
"""How many steps of CRF each encoder's pictures are worse than those of SVT-AV1 at the same number."""
PARTS = {"av1": 1.0, "hevc": 1.5, "h264": 2.0}
"""The size at the same score, beside SVT-AV1's."""
STEP = 0.93


def encode(clip: str, codec: str, cq: float, preset: str = "p4", size: float = 1.0) -> Encode:
    steps = cq + AHEAD[codec]
    return Encode(
        clip, codec, cq, round(1e9 * PARTS[codec] * size * STEP**steps), seconds=PARTS[codec] * 2,
        scores={"xpsnr": 60 - steps / 2, "ssim": 30 - steps / 4}, preset=preset,
    )  # fmt: skip


@pytest.fixture
def cells() -> dict[tuple[str, str], list[float]]:
    encodes = [encode(clip, codec, cq) for clip in "abc" for codec in AHEAD for cq in range(1, 64, 2)]
    return {(row, column): samples for row, column, _, samples in of_the_scale(encodes)}


def test_a_match_has_the_same_score(cells: dict[tuple[str, str], list[float]]) -> None:
    for crf in (21, 33, 51):
        row = f"SVT-AV1 at {crf}"
        for column, value in (("x265", crf - 5), ("x264", crf - 8), ("size of x265", 1.5), ("size of x264", 2.0),
                              ("time of x264", 2.0), ("size of x265 beside x264", 0.75)):  # fmt: skip
            assert cells[row, column] == pytest.approx([value] * 6, rel=1e-6), (row, column)


def test_a_step_saves_what_it_saves(cells: dict[tuple[str, str], list[float]]) -> None:
    assert cells["each step of SVT-AV1", "saved by a step"] == pytest.approx([7.0] * 3, abs=0.01)


def test_what_has_no_match_is_left_out(cells: dict[tuple[str, str], list[float]]) -> None:
    """SVT-AV1 at 3 looks better than anything of the others."""
    assert not [row for row, _ in cells if row == "SVT-AV1 at 3"]
    assert row_of_tables([("SVT-AV1 at 21", "x265", "CRF", [16.0]), ("SVT-AV1 at 23", "x265", "CRF", [18.0])], "x265",
                         (3, 22)) == [None, 17.0]  # fmt: skip


def test_presets_are_compared_at_the_same_score() -> None:
    small = [encode("a", "h264", cq, "p6", size=0.8) for cq in (19, 22, 25)]
    found = list(of_presets([encode("a", "h264", cq) for cq in (19, 22, 25)] + small))
    assert [(row, column) for row, column, _, _ in found] == [
        (f"H.264, {preset}", column) for preset in ("p4", "p6") for column in ("size", "processor time")
    ]
    assert [samples[0] for *_, samples in found] == pytest.approx([1.0, 1.0, 0.8, 1.0])


# --- what was recorded ---


def recorded(name: str) -> list[Figure]:
    parts: list[dict[str, Any]] = [
        one["parts"][name] for one in page.results(page.RESULTS).values() if name in one["parts"]
    ]
    return figures_of(parts[0])


@pytest.mark.parametrize(("encoder", "codec"), [("x265", "hevc"), ("x264", "h264")])
def test_the_scale_is_near_what_was_measured(encoder: str, codec: str) -> None:
    """It is of more clips than those that are measured now, so the quartiles are further apart than the medians."""
    cells = [(one.row, one.column, one.unit, one.samples) for one in recorded("quality_scale")]
    measured = row_of_tables(cells, encoder, TABLES["software", "av1"])
    pairs = [(one, other) for one, other in zip(TABLES["software", codec], measured, strict=True) if other is not None]
    assert len(pairs) > 10
    assert [scale for scale, found in pairs] == [pytest.approx(found, abs=2) for scale, found in pairs]


def test_the_chart_has_a_band_between_the_quartiles() -> None:
    figures = [
        Figure(f"SVT-AV1 at {crf}", "x265", "CRF", [crf - 9.0, crf - 5.0, crf - 1.0], "") for crf in (20, 30, 40)
    ]
    drawn = ElementTree.fromstring(quality_chart.draw("Title", figures))
    (band,) = (one for one in drawn.iter() if one.tag.endswith("polygon"))
    lines = [one for one in drawn.iter() if one.tag.endswith("polyline")]
    assert len(lines) == 6
    corners = [tuple(map(float, one.split(","))) for one in str(band.get("points")).split()]
    assert len(corners) == 6
    # The upper corner of the picture is its zero, so a greater value is nearer to it.
    assert [low[1] - high[1] for low, high in zip(corners[:3], corners[:2:-1], strict=True)] == pytest.approx(
        [4 * quality_chart.HEIGHT / 63] * 3, abs=0.11)  # fmt: skip
