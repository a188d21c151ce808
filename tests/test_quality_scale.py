"""The scale of quality rises and falls with every encoder's own, and stays within its range."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdum.nvenc import EncoderConfig, InvalidConfig
from pdum.nvenc._config.quality_scale import BEST, QUALITIES, TABLES, WORST, cq_for

pytestmark = pytest.mark.one_abi

ENCODERS = st.sampled_from([(codec, kind) for kind in ("nvenc", "software") for codec in ("h264", "hevc", "av1")])
EVERY_QUALITY = st.floats(BEST, WORST)


@given(encoder=ENCODERS, one=EVERY_QUALITY, other=EVERY_QUALITY)
def test_a_higher_quality_value_is_never_a_lower_cq(encoder: tuple[str, str], one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert cq_for(low, *encoder) <= cq_for(high, *encoder)


@given(encoder=ENCODERS, quality=EVERY_QUALITY)
def test_every_encoder_takes_its_cq(encoder: tuple[str, str], quality: float) -> None:
    codec, kind = encoder
    config = EncoderConfig(width=320, height=180, codec=codec, tuning="hq", cq=cq_for(quality, codec, kind))
    assert config.settings()["cq_256ths"] > 0


@given(quality=EVERY_QUALITY)
def test_the_scale_is_that_of_av1_on_nvenc(quality: float) -> None:
    assert cq_for(quality, "av1", "nvenc") == pytest.approx(quality, abs=0.005)


@given(codec=st.sampled_from(("h264", "hevc")), kind=st.sampled_from(("nvenc", "software")))
def test_whole_values_are_different_settings(codec: str, kind: str) -> None:
    """A search over whole values never tries one setting twice."""
    values = [cq_for(quality, codec, kind) for quality in range(BEST, WORST + 1)]
    assert len(set(values)) == len(values)


def test_each_table_covers_the_scale() -> None:
    assert (QUALITIES[0], QUALITIES[-1]) == (BEST, WORST)
    assert {len(table) for table in TABLES.values()} == {len(QUALITIES)}


@pytest.mark.parametrize("wrong", [0, 0.99, 63.5, -1, float("nan"), True, "28", None])
def test_values_outside_the_scale_are_refused(wrong: Any) -> None:
    with pytest.raises(InvalidConfig, match=r"Expected a quality from 1 \(best\) to 63, got quality="):
        cq_for(wrong, "hevc", "nvenc")


def test_the_page_on_quality_has_the_same_values() -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "quality.md").read_text(encoding="utf-8")
    rows = [re.findall(r"[\d.]+", line) for line in page.splitlines() if re.fullmatch(r"\|( [\d.]+ \|){7}", line)]
    assert len(rows) > 8
    for quality, *values in rows:
        encoders = [(codec, kind) for kind in ("nvenc", "software") for codec in ("av1", "hevc", "h264")]
        assert [float(value) for value in values] == [cq_for(float(quality), *encoder) for encoder in encoders]
