"""The times of frames and packets, for all rates, times and orders of coding."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdum.nvenc import InvalidConfig, Packet
from pdum.nvenc._config.settings import frame_rate
from pdum.nvenc._writer.times import TICKS_A_SECOND, FrameTimes, PacketTimes, fine_time_base

pytestmark = pytest.mark.one_abi

RATES: Any = st.one_of(
    st.sampled_from([24, 25, 30, 60, 23.976, 29.97, 59.94, "30000/1001", 0.5, 1, 240, 1000]),
    st.fractions(min_value=Fraction(1, 20), max_value=1000, max_denominator=1001),
)


def rate_of(fps: Any) -> Fraction:
    return Fraction(*frame_rate(fps))


@given(RATES)
def test_a_frame_lasts_a_whole_number_of_short_ticks(fps: Any) -> None:
    rate = rate_of(fps)
    base = fine_time_base(rate)
    assert (1 / rate / base).denominator == 1
    assert base <= Fraction(1, TICKS_A_SECOND)


@given(RATES, st.integers(1, 500))
def test_without_times_there_is_no_drift(fps: Any, count: int) -> None:
    times = FrameTimes(rate_of(fps))
    found = [times.next() for _ in range(count)]
    assert [tick * times.base for tick in found] == [number / rate_of(fps) for number in range(count)]


@given(RATES, st.floats(-1e6, 1e9), st.lists(st.floats(0.001, 100), min_size=1, max_size=30))
def test_given_times_are_kept(fps: Any, first: float, steps: list[float]) -> None:
    times = FrameTimes(rate_of(fps))
    moments = [first]
    for step in steps:
        moments.append(moments[-1] + step)
    found = [times.next(time=moment) * times.base for moment in moments]
    for one, moment in zip(found, moments, strict=True):
        assert abs(one - (Fraction(moment) - Fraction(first))) <= times.base / 2


@given(st.lists(st.integers(-5, 40), min_size=2, max_size=20))
def test_times_that_do_not_rise_are_refused_and_change_nothing(pts: list[int]) -> None:
    times = FrameTimes(Fraction(30))
    kept: list[int] = []
    for one in pts:
        before = times.now
        try:
            times.next(pts=one)
        except InvalidConfig:
            assert kept
            assert one <= kept[-1]
            assert times.now == before
        else:
            assert not kept or one > kept[-1]
            kept.append(one)


@given(st.integers(0, 4), st.integers(1, 40), st.lists(st.integers(1, 9), min_size=40, max_size=40))
def test_packets_are_decoded_in_order_and_before_they_are_shown(bframes: int, count: int, steps: list[int]) -> None:
    """B-frames come after the picture that they look ahead to, as encoders give them."""
    order: list[int] = [0]
    while len(order) < count:
        ahead = min(order[-1] if len(order) == 1 else max(order), count - 1)
        following = min(ahead + bframes + 1, count - 1)
        order += [following, *range(ahead + 1, following)]
    delay = 1 if bframes else 0
    packets = [Packet(seq, b"", False, seq, place - delay) for place, seq in enumerate(order)]
    shown = [0]
    for step in steps[: count - 1]:
        shown.append(shown[-1] + step)
    times = PacketTimes(5)
    for number, ticks in enumerate(shown):
        times.add(number, ticks)
    found = [times.take(packet) for packet in packets]
    assert [pts for pts, _, _ in found] == [shown[seq] for seq in order]
    assert all(dts <= pts for pts, dts, _ in found)
    assert all(one < other for (_, one, _), (_, other, _) in pairwise(found))
    assert len(times._times) <= bframes + 3
