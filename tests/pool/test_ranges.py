"""Every frame is claimed exactly once in any order of claims and steals, and engines of all speeds end together."""

from __future__ import annotations

import heapq
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from pdum.nvenc._pool.ranges import FrameRange, divided, gaps

pytestmark = pytest.mark.one_abi

STEPS = some.lists(
    some.tuples(some.sampled_from(["claim", "steal", "cut"]), some.integers(0, 9), some.integers(1, 20)), max_size=60
)


@given(frames=some.integers(1, 300), steps=STEPS, shortest=some.integers(1, 9))
def test_each_frame_is_claimed_once(frames: int, steps: list[tuple[str, int, int]], shortest: int) -> None:
    ranges = [FrameRange(5, 5 + frames)]
    claimed: list[int] = []
    for what, which, size in steps:
        one = ranges[which % len(ranges)]
        if what == "claim":
            claimed += range(*one.claim(size))
        else:
            other = one.steal(size / 20, shortest) if what == "steal" else one.cut()
            ranges += [other] if other is not None else []
    for one in ranges:
        claimed += range(*one.claim(10**6))
    assert sorted(claimed) == list(range(5, 5 + frames))
    assert all(one.rest == 0 and one.first < one.last for one in ranges)
    ends = sorted((one.first, one.last) for one in ranges)
    assert [first for first, _ in ends[1:]] == [last for _, last in ends[:-1]], "ranges stay in a row"


@given(
    rest=some.integers(1, 200),
    share=some.floats(0, 1),
    shortest=some.integers(1, 50),
    behind=some.integers(0, 30),
    before=some.integers(0, 30),
)
def test_a_stolen_part_is_long_enough_and_no_more_than_its_share(
    rest: int, share: float, shortest: int, behind: int, before: int
) -> None:
    """Of all frames that both still have to do, including the thief's own."""
    one = FrameRange(0, rest)
    other = one.steal(share, shortest, behind, before)
    wanted = min(round((rest + behind + before) * share) - before, rest - 1)
    if other is None:
        assert wanted < shortest
        assert one.rest == rest
    else:
        assert other.rest == wanted >= shortest
        assert one.rest == rest - wanted >= 1


def test_claimed_in_many_threads() -> None:
    ranges = [FrameRange(0, 30_000)]
    claimed: list[list[int]] = [[] for _ in range(4)]

    def work(number: int) -> None:
        for turn in range(10_000):
            one = ranges[(turn * 7 + number) % len(ranges)]
            claimed[number] += range(*one.claim(3))
            if turn % 50 == 0:
                other = one.steal(0.4)
                ranges.extend([other] if other else [])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rest = [frame for one in ranges for frame in range(*one.claim(30_000))]
    assert sorted(sum(claimed, rest)) == list(range(30_000))


@given(
    first=some.integers(0, 50), frames=some.integers(1, 500), parts=some.integers(1, 12), shortest=some.integers(1, 9)
)
def test_divided_equally(first: int, frames: int, parts: int, shortest: int) -> None:
    found = divided(first, first + frames, parts, shortest)
    assert [frame for part in found for frame in range(*part)] == list(range(first, first + frames))
    lengths = [last - begin for begin, last in found]
    assert max(lengths) - min(lengths) <= 1
    assert len(found) == 1 or min(lengths) >= shortest
    assert len(found) <= parts
    assert gaps(found, first + frames) is None


@pytest.mark.parametrize("ranges", [[(0, 0)], [(3, 2)], [(0, 5), (4, 8)], [(5, 8), (0, 5)], [(0, 11)]])
def test_ranges_that_are_none(ranges: list[tuple[int, int]]) -> None:
    assert gaps(ranges, 10) is not None


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        FrameRange(4, 4)


def makespan(frames: int, speeds: list[float], shortest: int) -> float:
    """A software codec takes dozens of frames before its first packet: one that claimed all is far from done."""
    working = {engine: FrameRange(*part) for engine, part in enumerate(divided(0, frames, len(speeds), shortest))}
    queue = [(0.0, engine) for engine in range(len(speeds))]
    end, done = 0.0, 0
    while queue:
        now, engine = heapq.heappop(queue)
        if engine not in working or working[engine].rest == 0:
            richest = max(working.values(), key=lambda one: one.rest)
            stolen = richest.steal(0.5, shortest)
            if stolen is None:
                continue
            working[engine] = stolen
        begin, last = working[engine].claim(1)
        done += last - begin
        end = max(end, now + 1 / speeds[engine])
        heapq.heappush(queue, (now + 1 / speeds[engine], engine))
    assert done == frames
    return end


@settings(max_examples=60)
@given(
    frames=some.integers(100, 2000),
    speeds=some.lists(some.floats(0.2, 5), min_size=1, max_size=8),
    shortest=some.integers(1, 8),
)
def test_engines_of_all_speeds_end_together(frames: int, speeds: list[float], shortest: int) -> None:
    """All end within the time that the slowest engine needs for the smallest part."""
    ideal = frames / sum(speeds)
    assert makespan(frames, speeds, shortest) <= ideal + 2 * shortest / min(speeds) + 1 / min(speeds)
