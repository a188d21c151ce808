"""The search for a quality value on falling curves of every shape, and pictures compared by FFmpeg's filters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdum.nvenc import EncoderFailed
from pdum.nvenc._batch.quality import MOST_DECIBELS, compare
from pdum.nvenc._batch.search import TOLERANCE, Search, Target
from pdum.nvenc._batch.target import LEAST_FRAMES, SAMPLES, sample_ranges

from loud import need_pyav

BEST, WORST = 1, 63


def sought(curve: Callable[[int], float], target: Target, start: int) -> Search:
    search = Search(target=target, best=BEST, worst=WORST, start=start)
    for _ in range(20):
        value = search.next_value
        if value is None:
            return search
        assert BEST <= value <= WORST
        assert value not in search.tried, "each value is tried once"
        search.add_score(value, curve(value))
    raise AssertionError(f"no end: {search.tried}")


falling = st.lists(st.floats(0.0, 3.0), min_size=WORST, max_size=WORST).map(
    lambda steps: [60.0 - total for total in accumulate(steps)]
)


@given(curve=falling, wanted=st.floats(10.0, 60.0), start=st.integers(BEST, WORST))
def test_any_falling_curve(curve: list[float], wanted: float, start: int) -> None:
    target = Target(metric="xpsnr", wanted=wanted)
    search = sought(lambda value: curve[value - BEST], target, start)
    good = [value for value in range(BEST, WORST + 1) if curve[value - BEST] >= wanted]
    if not good:
        assert search.reached is None
        return
    found = search.reached
    assert found is not None
    assert curve[found - BEST] >= wanted
    # The highest that reaches it, or one that is hardly better than asked for.
    assert found == good[-1] or curve[found - BEST] - wanted <= TOLERANCE["xpsnr"]


def test_a_usual_curve_takes_few_tries() -> None:
    for wanted in range(34, 46):
        search = sought(lambda value: 52 - 0.42 * value, Target(metric="xpsnr", wanted=float(wanted)), 28)
        assert len(search.tried) <= 5


@given(scores=st.dictionaries(st.integers(BEST, WORST), st.floats(0, 100)), wanted=st.floats(10, 60))
@example(scores={1: 0.0, 28: 39.0}, wanted=40.0)
def test_it_ends_on_noise_too_and_its_answer_was_measured(scores: dict[int, float], wanted: float) -> None:
    search = sought(lambda value: scores.get(value, 30.0), Target(metric="xpsnr", wanted=wanted), 28)
    if search.reached is not None:
        assert search.tried[search.reached] >= wanted


@given(frames=st.integers(1, 500_000), fps=st.floats(1, 240))
def test_samples_lie_in_the_video_and_apart(frames: int, fps: float) -> None:
    ranges = sample_ranges(frames, fps)
    ends = [0, *(place for part in ranges for place in part), frames]
    assert ends == sorted(ends)
    assert all(first < last for first, last in ranges)
    total = sum(last - first for first, last in ranges)
    assert total <= max(2 * SAMPLES * max(LEAST_FRAMES, round(1.5 * fps)), 1)
    assert ranges == [(0, frames)] or len(ranges) == SAMPLES


# ---- pictures ------------------------------------------------------------------------------------------------------


def pictures(noise: int, count: int = 6, form: str = "yuv420p", seed: int = 0) -> Iterator[Any]:
    av = need_pyav(18, "scores")
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:144, :160]
    for number in range(count):
        plane = (x + 2 * y + 5 * number) % 200 + 20
        luma = np.clip(plane + random.integers(-noise, noise + 1, plane.shape), 0, 255)
        picture = np.full((216, 160), 128, np.uint8)
        picture[:144] = luma
        frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
        yield frame if form == "yuv420p" else frame.reformat(format=form)


@pytest.mark.parametrize(("metric", "best"), [("xpsnr", MOST_DECIBELS), ("ssim", 1.0)])
def test_equal_pictures_have_the_best_score_and_noise_lowers_it(metric: str, best: float) -> None:
    scores = [compare(metric, pictures(0), pictures(noise)) for noise in (0, 1, 4, 16, 64)]
    assert scores[0] == best
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == len(scores)


@pytest.mark.parametrize("metric", ["xpsnr", "ssim"])
def test_layouts_make_no_difference(metric: str) -> None:
    assert compare(metric, pictures(0, form="nv12"), pictures(3)) == pytest.approx(
        compare(metric, pictures(0), pictures(3)), abs=1e-4
    )


def test_ssim_is_what_a_formula_says_of_two_flat_pictures() -> None:
    """SSIM of flat pictures is (2ab + c) / (a² + b² + c) with c = (0.01 × 255)². Luma is 4 parts of 6."""
    av = need_pyav(18, "scores")

    def flat(value: int) -> Iterator[Any]:
        picture = np.full((216, 160), 128, np.uint8)
        picture[:144] = value
        yield av.VideoFrame.from_ndarray(picture, "yuv420p")

    a, b, c = 100, 120, (0.01 * 255) ** 2
    luma = (2 * a * b + c) / (a * a + b * b + c)
    assert compare("ssim", flat(a), flat(b)) == pytest.approx((4 * luma + 2) / 6, abs=1e-3)


@pytest.mark.parametrize(("originals", "results"), [(5, 6), (6, 5), (0, 3), (3, 0)])
def test_a_picture_too_many_or_too_few_gives_no_score(originals: int, results: int) -> None:
    with pytest.raises(EncoderFailed, match="pictures"):
        compare("ssim", pictures(0, originals), pictures(0, results))
