"""A worker's range: each granted frame is claimed once, whatever is lost, repeated or late on the way."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as some

from pdum.nvenc._cluster.granted_range import GrantedRange
from pdum.nvenc._cluster.orders import Grant
from pdum.nvenc._pool.ranges import FrameRange

pytestmark = pytest.mark.one_abi


@given(
    frames=some.integers(1, 200),
    first=some.integers(0, 50),
    grants=some.lists(some.integers(1, 40), min_size=1, max_size=12),
    claims=some.lists(some.integers(1, 30), min_size=1, max_size=12),
    stolen=some.integers(0, 100),
)
def test_every_frame_is_claimed_once(
    frames: int, first: int, grants: list[int], claims: list[int], stolen: int
) -> None:
    """The pool's own range and the worker's agree about the end, also if another engine takes a part meanwhile."""
    pools = FrameRange(first, first + frames)
    asked: list[int] = []

    def next_grant(number: int) -> Grant:
        _, until = pools.claim(grants[number % len(grants)])
        return Grant(until=until, is_final=pools.rest == 0)

    worker = GrantedRange(first, first + frames, next_grant(0), lambda: asked.append(1))
    found: list[int] = []
    for turn in range(10 * frames + 10):
        if turn == stolen:
            pools.steal(0.5)
        if worker.claimed == worker.last and not worker.is_final:
            worker.extend(next_grant(turn))
            continue
        begin, end = worker.claim(claims[turn % len(claims)])
        found += range(begin, end)
        if begin == end:
            break
    assert found == list(range(first, pools.last))
    assert worker.last == pools.last


def test_it_asks_before_it_has_nothing_left() -> None:
    asked: list[int] = []
    worker = GrantedRange(0, 100, Grant(until=8, is_final=False), lambda: asked.append(worker.claimed))
    assert [worker.claim(2) for _ in range(3)] == [(0, 2), (2, 4), (4, 6)]
    assert asked == [4, 6]


def test_grants_that_come_twice_or_late_change_nothing() -> None:
    worker = GrantedRange(0, 100, Grant(until=4, is_final=False), lambda: None)
    worker.extend(Grant(until=12, is_final=False))
    worker.extend(Grant(until=4, is_final=False))
    worker.extend(Grant(until=12, is_final=False))
    assert worker.last == 12
    worker.extend(Grant(until=12, is_final=True))
    worker.extend(Grant(until=20, is_final=False))
    assert (worker.last, worker.is_final, worker.claim(99), worker.claim(1)) == (12, True, (0, 12), (12, 12))


def test_a_claim_waits_for_its_grant() -> None:
    worker = GrantedRange(0, 100, Grant(until=1, is_final=False), lambda: asked.set())
    asked = threading.Event()
    worker.claim(1)
    asked.clear()
    claimed: list[tuple[int, int]] = []
    thread = threading.Thread(target=lambda: claimed.append(worker.claim(5)))
    thread.start()
    assert asked.wait(30)
    assert claimed == []
    worker.extend(Grant(until=3, is_final=False))
    thread.join(30)
    assert claimed == [(1, 3)]


def test_a_claim_ends_when_nothing_more_is_wanted() -> None:
    worker = GrantedRange(5, 100, Grant(until=6, is_final=False), lambda: None)
    worker.claim(1)
    claimed: list[tuple[int, int]] = []
    thread = threading.Thread(target=lambda: claimed.append(worker.claim(5)))
    thread.start()
    worker.end_now()
    thread.join(30)
    assert claimed == [(6, 6)]
