"""The choice of a quality value: the highest that reaches a target, or one whose result is small enough."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from math import exp, log

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdum.nvenc import InvalidConfig, TargetOutOfReach
from pdum.nvenc._config.targets import Target, byte_count
from pdum.nvenc._files.quality_choice import NEAR_ENOUGH, ROOM, QualityChoice, Tried

pytestmark = pytest.mark.one_abi
WORST = 51


def chosen(choice: QualityChoice, try_value: Callable[[int], Tried]) -> int:
    """Raises what the choice raises."""
    for _ in range(40):
        value = choice.next_value
        if value is None:
            return choice.chosen()
        assert 1 <= value <= WORST
        assert value not in choice.tried, "each value is tried once"
        choice.add(value, try_value(value))
    raise AssertionError(f"no end: {choice.tried}")


sizes = st.lists(st.floats(0.0, 0.5), min_size=WORST, max_size=WORST).map(
    lambda falls: [max(1, round(exp(log(1e9) - fall))) for fall in accumulate(falls)]
)
"""The sizes for the values from 1 on: they fall, in any steps."""


@given(curve=sizes, most=st.integers(1000, 10**10), start=st.integers(1, WORST))
@example(curve=[1000] * WORST, most=1000, start=28)
def test_the_lowest_value_whose_size_fits(curve: list[int], most: int, start: int) -> None:
    choice = QualityChoice(target=None, max_size=most, start=start, worst=WORST)
    good = [value for value in range(start, WORST + 1) if curve[value - 1] <= ROOM * most]
    if not good:
        with pytest.raises(TargetOutOfReach, match="cannot be as small as"):
            chosen(choice, lambda value: Tried(size=curve[value - 1]))
        return
    found = chosen(choice, lambda value: Tried(size=curve[value - 1]))
    assert found in good
    assert found == good[0] or log(ROOM * most / curve[found - 1]) <= NEAR_ENOUGH, "or hardly smaller than it may be"


@pytest.mark.parametrize("part", [0.9, 0.7, 0.5, 0.25, 0.1])
def test_a_size_takes_few_tries(part: float) -> None:
    """The size of this file halves every seven values."""
    choice = QualityChoice(target=None, max_size=round(1e9 * part), start=20, worst=WORST)
    chosen(choice, lambda value: Tried(size=round(1e9 * 2 ** ((20 - value) / 7))))
    assert len(choice.tried) <= 4


@given(curve=sizes, start=st.integers(1, WORST))
def test_a_file_that_is_small_enough_keeps_the_quality_asked_for(curve: list[int], start: int) -> None:
    choice = QualityChoice(target=None, max_size=10**10, start=start, worst=WORST)
    assert chosen(choice, lambda value: Tried(size=curve[value - 1])) == start
    assert list(choice.tried) == [start]


@given(curve=sizes, wanted=st.floats(30, 60), most=st.integers(1000, 10**10))
def test_a_size_goes_before_a_score(curve: list[int], wanted: float, most: int) -> None:
    """The scores of this file are 62 - value. The result is the one of the target unless that is too large."""
    choice = QualityChoice(target=Target(metric="xpsnr", wanted=wanted), max_size=most, start=28, worst=WORST)

    def try_value(value: int) -> Tried:
        return Tried(size=curve[value - 1], score=62.0 - value)

    for_score = max(value for value in range(1, WORST + 1) if 62.0 - value >= wanted)
    good = [value for value in range(for_score, WORST + 1) if curve[value - 1] <= ROOM * most]
    if not good:
        with pytest.raises(TargetOutOfReach, match="cannot be as small as"):
            chosen(choice, try_value)
        return
    found = chosen(choice, try_value)
    assert 62.0 - found <= wanted + 0.1 + 1.0
    assert curve[found - 1] <= ROOM * most
    if good[0] == for_score:
        assert 62.0 - found >= wanted


def test_a_target_out_of_reach() -> None:
    choice = QualityChoice(target=Target(metric="ssim", wanted=0.99), max_size=0, start=28, worst=WORST)
    with pytest.raises(TargetOutOfReach, match=r"ssim 0\.99 cannot be reached: the best quality value gives 0\.97"):
        chosen(choice, lambda value: Tried(size=1, score=0.97 - value / 1000 + 1 / 1000))


@given(low=st.integers(1, 40), fall=st.floats(0.03, 0.3), excess=st.floats(1.001, 4.0))
def test_a_correction_follows_the_sizes_that_were_seen(low: int, fall: float, excess: float) -> None:
    """A result that is larger than predicted by some factor is larger by it with the corrected value too."""
    choice = QualityChoice(target=None, max_size=1_000_000, start=low, worst=WORST)
    for value in (low, low + 6):
        choice.add(value, Tried(size=round(2_000_000 * exp(-fall * (value - low)))))
    value = low + 6
    actual = round(1_000_000 * excess)
    corrected = choice.corrected(value, actual)
    if corrected is None or corrected == WORST:
        return
    assert corrected > value
    assert actual * exp(-fall * (corrected - value)) <= 1_000_000
    assert choice.predicted(corrected) < choice.predicted(value)
    assert choice.corrected(WORST, actual) is None


# ---- what people write ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("500M", 500_000_000),
        ("500m", 500_000_000),
        ("500MB", 500_000_000),
        ("1.5 GB", 1_500_000_000),
        ("700MiB", 700 * 2**20),
        ("2gib", 2 * 2**30),
        ("25000000", 25_000_000),
        (25e6, 25_000_000),
        (0, 0),
        ("", 0),
    ],
)
def test_sizes(given: object, wanted: int) -> None:
    assert byte_count("max_size", given) == wanted


@pytest.mark.parametrize("given", ["5", "-1M", "500X", "M", "1e6", True, -5, "5i", float("nan"), [], "9" * 30])
def test_what_is_no_size(given: object) -> None:
    with pytest.raises(InvalidConfig, match="Expected a size such as '500M'"):
        byte_count("max_size", given)


@pytest.mark.parametrize(
    ("given", "text"),
    [("xpsnr=40", "xpsnr=40"), ("VMAF=95", "vmaf=95"), ("ssim:0.98", "ssim=0.98"), ("vmaf = 95.5", "vmaf=95.5")],
)
def test_targets(given: str, text: str) -> None:
    assert Target.of(given).text == text
    assert Target.of(text) == Target.of(given)


@pytest.mark.parametrize("given", ["95", "vmaf", "vmaf=", "vmaf=101", "psnr=40", "ssim=1", "xpsnr=nan", ""])
def test_what_is_no_target(given: str) -> None:
    with pytest.raises(InvalidConfig, match="Expected 'vmaf=95'"):
        Target.of(given)
