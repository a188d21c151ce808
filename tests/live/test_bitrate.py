"""The bitrate follows the link: no long queue, no swinging to and fro, and back up when the link comes back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.link import Link, Outcome, simulate
from pdum.nvenc._live.bitrate import BitrateController

pytestmark = pytest.mark.one_abi

MBIT = 1_000_000
TENTH = 0.1


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    """A link of 8.5 Mbit/s that has only 1 Mbit/s from the 10th to the 30th second, and a stream of 8 Mbit/s."""
    return simulate(Link(capacity=lambda time: (1 if 10 <= time < 30 else 8.5) * MBIT), 60, highest=8 * MBIT)


def test_a_wide_link_gets_all_it_can_take(outcome: Outcome) -> None:
    assert min(outcome.rates_between(0, 10)) == 8 * MBIT
    assert outcome.worst_queue(1, 10) < 0.05


def test_when_the_link_shrinks_the_queue_is_bounded_and_soon_gone(outcome: Outcome) -> None:
    """What was on its way at the fall fits in a second of the new link, and two seconds later nearly nothing waits."""
    assert outcome.worst_queue(10, 12) < 1.0
    assert outcome.worst_queue(12, 30) < 0.1


def test_it_settles_at_the_new_capacity_and_does_not_swing(outcome: Outcome) -> None:
    rates = outcome.rates_between(14, 30)
    assert min(rates) > 0.7 * MBIT
    assert max(rates) < 1.2 * MBIT
    assert outcome.received(14, 30) > 0.8 * MBIT
    assert outcome.reversals(14, 30, TENTH) <= 4


def test_when_the_link_comes_back_so_does_the_rate(outcome: Outcome) -> None:
    assert min(outcome.rates_between(45, 60)) > 0.95 * 8 * MBIT
    assert outcome.worst_queue(30, 60) < 0.1
    assert outcome.reversals(30, 60, TENTH) <= 1


def test_hardly_a_frame_is_held_back(outcome: Outcome) -> None:
    assert outcome.held_back < 0.04 * outcome.frames


def test_the_same_link_gives_the_same_rates() -> None:
    link = Link(capacity=lambda time: (1 if time >= 2 else 8) * MBIT, loss=0.01, jitter=0.005)
    assert simulate(link, 6) == simulate(link, 6)
    assert simulate(link, 6) != simulate(link, 6, seed=2)


def test_an_outage_is_survived() -> None:
    link = Link(capacity=lambda time: 0 if 5 <= time < 8 else 4 * MBIT)
    outcome = simulate(link, 25, start=2 * MBIT)
    assert min(outcome.rates_between(5, 8)) < MBIT
    assert outcome.worst_queue(10, 25) < 0.15
    assert outcome.received(20, 25) > 0.7 * 4 * MBIT


def test_few_losses_are_the_links_nature_and_many_are_too_much_data() -> None:
    few = simulate(Link(capacity=lambda time: 20 * MBIT, loss=0.01), 20)
    many = simulate(Link(capacity=lambda time: 20 * MBIT, loss=0.2), 20)
    assert min(few.rates_between(5, 20)) > 0.9 * 8 * MBIT
    assert max(many.rates_between(15, 20)) < 0.5 * 8 * MBIT


def test_a_rate_that_the_picture_does_not_use_does_not_rise() -> None:
    """A still picture needs a fifth of it. When it moves again, the rate is what the link was seen to take."""
    link = Link(capacity=lambda time: 1 * MBIT)
    still = simulate(link, 20, start=MBIT // 2, demand=lambda time: 0.2 if time < 10 else 1)
    assert max(still.rates_between(0, 10)) <= MBIT // 2
    assert still.worst_queue(10, 20) < 0.2


@given(
    capacities=st.lists(st.floats(0.5, 10), min_size=2, max_size=2),
    delay=st.floats(0.002, 0.15),
    jitter=st.sampled_from([0, 0.003, 0.01]),
    loss=st.sampled_from([0, 0, 0.005]),
    fps=st.sampled_from([15, 30, 60]),
    seed=st.integers(0, 99),
)
@settings(max_examples=25)
def test_any_link(capacities: list[float], delay: float, jitter: float, loss: float, fps: int, seed: int) -> None:
    """Soon after each change, the queue is short and most of the link is used."""
    link = Link(capacity=lambda time: capacities[time >= 14] * MBIT, delay=delay, jitter=jitter, loss=loss)
    outcome = simulate(link, 28, start=2 * MBIT, fps=fps, seed=seed)
    for end, capacity in zip((14, 28), capacities, strict=True):
        usable = min(capacity, 8) * MBIT
        assert all(100_000 <= rate <= 8 * MBIT for rate in outcome.rates_between(end - 14, end))
        assert outcome.worst_queue(end - 5, end) < 0.5
        assert outcome.received(end - 4, end) > 0.35 * usable
        assert outcome.reversals(end - 9, end, TENTH) <= 6


@pytest.mark.slow
@given(
    capacities=st.lists(st.floats(0.4, 12), min_size=4, max_size=4),
    delay=st.floats(0.002, 0.2),
    jitter=st.sampled_from([0, 0.003, 0.01]),
    loss=st.sampled_from([0, 0, 0.005, 0.01]),
    fps=st.sampled_from([15, 30, 60]),
    seed=st.integers(0, 9999),
)
@settings(max_examples=150)
def test_any_link_at_length(
    capacities: list[float], delay: float, jitter: float, loss: float, fps: int, seed: int
) -> None:
    link = Link(capacity=lambda time: capacities[min(int(time // 15), 3)] * MBIT, delay=delay, jitter=jitter, loss=loss)
    outcome = simulate(link, 60, start=2 * MBIT, fps=fps, seed=seed)
    for part, capacity in enumerate(capacities):
        end = 15 * part + 15
        assert outcome.worst_queue(end - 4, end) < 0.6
        assert outcome.received(end - 4, end) > 0.25 * min(capacity, 8) * MBIT


def test_bounds_hold_and_may_change() -> None:
    controller = BitrateController(100, 1_000, start=400)
    assert controller.bitrate == 400
    controller.set_bounds(500, 2_000)
    assert controller.bitrate == 500
    controller.heard(1.0, bandwidth=10_000)
    assert controller.bitrate == 2_000
    controller.set_bounds(100, 800)
    assert controller.bitrate == 800
    controller.set_bounds(100, 1_000)
    assert controller.bitrate == 1_000, "at the upper bound it stays there"


def test_a_bandwidth_that_the_viewer_reports_is_obeyed() -> None:
    """As REMB of WebRTC, whose viewers measure it: no answers of any other kind come."""
    controller = BitrateController(100_000, 8 * MBIT)
    for reported, expected in ((2 * MBIT, 1.9 * MBIT), (500_000, 475_000), (20 * MBIT, 8 * MBIT), (0, 100_000)):
        controller.sent(1, 1000, 1.0)
        controller.heard(1.0, bandwidth=reported)
        assert controller.bitrate == expected


def test_round_trips_alone_are_enough_to_fall() -> None:
    controller = BitrateController(100_000, 8 * MBIT)
    for number in range(200):
        controller.sent(number, 16_000, number / 60)
        controller.heard(number / 60, rtt=0.04 if number < 100 else 0.3)
    assert controller.bitrate < 4 * MBIT
    assert controller.rtt == 0.3
    assert controller.frames_in_flight(60) is None, "without answers nobody knows what is on its way"


def test_a_lost_packet_twice_told_counts_once() -> None:
    def after(times: int) -> BitrateController:
        controller = BitrateController(100_000, 8 * MBIT)
        for number in range(60):
            controller.sent(number, 16_000, number / 60)
            for _ in range(times if number % 15 == 7 else 0):
                controller.lost(number, number / 60)
            controller.acked(number, number / 60 + 0.01)
        return controller

    assert after(1).bitrate == after(5).bitrate == 8 * MBIT


def test_the_same_losses_lower_the_rate_once() -> None:
    """Ten of the first seventy packets are lost in a row, and none afterwards."""
    controller, rates = BitrateController(100_000, 8 * MBIT), []
    for number in range(180):
        controller.sent(number, 16_000, number / 60)
        if 60 <= number < 70:
            controller.lost(number, number / 60)
        else:
            controller.acked(number, number / 60 + 0.01)
        rates.append(controller.bitrate)
    assert 0.85 * 8 * MBIT < min(rates) < 8 * MBIT


def test_without_any_answer_it_stays_where_it_is() -> None:
    controller = BitrateController(100_000, 8 * MBIT, start=3 * MBIT)
    for number in range(600):
        controller.sent(number, 6_000, number / 60)
    assert controller.bitrate == 3 * MBIT
    assert controller.queue_delay(10.0) is None


def test_packets_that_nobody_answers_for_are_forgotten() -> None:
    controller = BitrateController(100_000, 8 * MBIT)
    for number in range(6_000):
        controller.sent(number, 6_000, number / 60)
    assert len(controller._unheard) <= 601
