"""The search for a quality value on falling curves of every shape, and the samples that it is made with."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

from hypothesis import example, given
from hypothesis import strategies as st

from pdum.nvenc._files.samples import LEAST_FRAMES, SAMPLES, sample_ranges
from pdum.nvenc._files.search import Search

BEST, WORST = 1, 63
TOLERANCE = 0.1


def sought(curve: Callable[[int], float], wanted: float, start: int) -> Search:
    search = Search(wanted=wanted, tolerance=TOLERANCE, best=BEST, worst=WORST, start=start)
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
    search = sought(lambda value: curve[value - BEST], wanted, start)
    good = [value for value in range(BEST, WORST + 1) if curve[value - BEST] >= wanted]
    if not good:
        assert search.reached is None
        return
    found = search.reached
    assert found is not None
    assert curve[found - BEST] >= wanted
    # The highest that reaches it, or one that is hardly better than asked for.
    assert found == good[-1] or curve[found - BEST] - wanted <= TOLERANCE


def test_a_usual_curve_takes_few_tries() -> None:
    for wanted in range(34, 46):
        search = sought(lambda value: 52 - 0.42 * value, float(wanted), 28)
        assert len(search.tried) <= 5


@given(scores=st.dictionaries(st.integers(BEST, WORST), st.floats(0, 100)), wanted=st.floats(10, 60))
@example(scores={1: 0.0, 28: 39.0}, wanted=40.0)
def test_it_ends_on_noise_too_and_its_answer_was_measured(scores: dict[int, float], wanted: float) -> None:
    search = sought(lambda value: scores.get(value, 30.0), wanted, 28)
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
