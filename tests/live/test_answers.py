"""What viewers answer: lost packets, requests for key frames, acknowledgements, round trips, bandwidths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from live.viewer import HEIGHT, WIDTH, assert_shows, grey, seen, stream
from pdum.nvenc import EncoderClosed, InvalidConfig, LiveEncoder, LivePacket
from pdum.nvenc._live import live_encoder, packet_stream
from pdum.nvenc._live.losses import InFlight, KeyFrames

from simulator import Simulator

CARD: dict[str, Any] = {"format": "nv12", "keyframe_spacing": 0, "preset": "p1", "backend": "nvenc"}
PROCESSOR: dict[str, Any] = {**CARD, "backend": "software"}


class Clock:
    """The seconds that the encoder sees."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (live_encoder, packet_stream):
        monkeypatch.setattr(module, "monotonic", clock)
    return clock


def keys(packets: list[LivePacket]) -> list[int]:
    return [packet.seq for packet in packets if packet.keyframe]


def levels(count: int) -> list[int]:
    return [40 + 12 * number for number in range(count)]


@pytest.mark.parametrize("late", [1, 2, 3])
def test_a_card_repairs_a_loss_without_a_key_frame(simulator: Simulator, late: int) -> None:
    """A viewer without the lost packets shows the very pictures that all others show, from the repair on."""
    pictures = [grey(level) for level in levels(14)]
    with simulator.machine(gpus=["RTX 4090"], backend="codec"), LiveEncoder(**CARD) as live:
        packets = stream(live, pictures[: 6 + late])
        for seq in range(6, 6 + late):
            live.lost(seq)
            live.lost(seq)
        packets += stream(live, pictures[6 + late :])
        assert live.statistics.repaired == late
    assert keys(packets) == [0]
    viewer = seen(packet for packet in packets if not 6 <= packet.seq < 6 + late)
    assert viewer[-(8 - late) :] == seen(packets)[-(8 - late) :]


def test_a_loss_from_long_ago_takes_a_key_frame(simulator: Simulator) -> None:
    """The card keeps five pictures. A repeated report, or one from before the key frame, causes no other key frame."""
    with simulator.machine(gpus=["RTX 4090"], backend="codec"), LiveEncoder(**CARD) as live:
        packets = stream(live, [grey(50)] * 8)
        live.lost(1)
        packets += stream(live, [grey(50)])
        for seq in (1, 2, 7):
            live.lost(seq)
        packets += stream(live, [grey(50)] * 3)
    assert keys(packets) == [0, 8]


def test_a_lost_key_frame_is_made_again(place: dict[str, Any]) -> None:
    with LiveEncoder(**place) as live:
        packets = stream(live, [grey(50)] * 2)
        live.lost(0)
        packets += stream(live, [grey(50)] * 2)
        live.lost(2)
        live.lost(0)
        packets += stream(live, [grey(50)] * 2)
    assert keys(packets) == [0, 2, 4]
    assert [packet.seq for packet in packets if packet.codec] == [0, 2, 4], "who has lost one does not know the codec"


def test_a_codec_that_was_told_and_lost_is_told_again(place: dict[str, Any]) -> None:
    """Even if somebody else has got a key frame since, which did not tell it."""
    with LiveEncoder(**place) as live:
        packets = stream(live, [grey(50), grey(50, 256, 192)])
        live.request_keyframe()
        packets += stream(live, [grey(50, 256, 192)])
        for _ in range(2):
            live.lost(1)
            packets += stream(live, [grey(50, 256, 192)])
    assert keys(packets) == [0, 1, 2, 3]
    assert [packet.seq for packet in packets if packet.codec] == [0, 1, 3]


@pytest.mark.parametrize("backend", ["nvenc", "software"])
@given(
    lost=st.sets(st.integers(0, 23), max_size=8),
    late=st.integers(0, 6),
    resized=st.sets(st.integers(1, 23), max_size=2),
    joined=st.sets(st.integers(1, 23), max_size=2),
)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_lost_the_picture_becomes_right(
    simulator: Simulator, backend: str, lost: set[int], late: int, resized: set[int], joined: set[int]
) -> None:
    """A viewer who misses packets, and tells so some frames later, shows in the end what all others show."""
    sizes = [(WIDTH, HEIGHT), (256, 192)]
    packets: list[LivePacket] = []
    with (
        simulator.machine(gpus=["RTX 4090"], backend="codec"),
        LiveEncoder(**{**CARD, "backend": backend}, max_size=(256, 192)) as live,
    ):
        for number in range(24 + late + 6):
            for seq in [seq for seq in lost if seq + late + 1 == number]:
                live.lost(seq)
            if number in joined:
                live.request_keyframe()
            size = sizes[sum(one <= number for one in resized) % 2]
            packets += live.submit(grey(40 + 5 * number, *size))
    assert [packet.seq for packet in packets] == list(range(24 + late + 6))
    assert seen(packet for packet in packets if packet.seq not in lost)[-5:] == seen(packets)[-5:]


@pytest.mark.one_abi
@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_the_processor_repairs_by_a_key_frame_once(codec: str) -> None:
    with LiveEncoder(codec=codec, **PROCESSOR) as live:
        packets = stream(live, [grey(50)] * 4)
        for _ in range(3):
            live.lost(2)
            live.lost(3)
            packets += stream(live, [grey(50)])
    assert keys(packets) == [0, 4]


def test_a_card_without_invalidation_makes_a_key_frame(simulator: Simulator) -> None:
    gpu = {"name": "RTX 4090", "caps": {"SUPPORT_REF_PIC_INVALIDATION": 0}}
    with simulator.machine(gpus=[gpu], backend="codec"), LiveEncoder(**CARD) as live:
        packets = stream(live, [grey(50)] * 4)
        live.lost(3)
        packets += stream(live, [grey(50)] * 2)
    assert keys(packets) == [0, 4]


def test_a_wave_of_intra_blocks_repairs_all_but_the_beginning(simulator: Simulator) -> None:
    wave: dict[str, Any] = {"intra_refresh_period": 10, "intra_refresh_count": 5}
    with simulator.machine(gpus=["RTX 4090"], backend="codec"), LiveEncoder(**CARD, **wave) as live:
        packets = stream(live, [grey(50)] * 4)
        live.lost(3)
        packets += stream(live, [grey(50)] * 2)
        assert live.statistics.repaired == 1
        live.lost(0)
        packets += stream(live, [grey(50)])
    assert keys(packets) == [0, 6]


def test_a_new_size_heals_what_was_lost_before(place: dict[str, Any]) -> None:
    with LiveEncoder(**place) as live:
        packets = stream(live, [grey(50)] * 3)
        live.lost(2)
        packets += stream(live, [grey(50, 256, 192)] * 2)
        live.lost(1)
        packets += stream(live, [grey(50, 256, 192)])
        assert live.statistics.repaired == 0
    assert keys(packets) == [0, 3]


def test_key_frames_that_come_anyway_count(place: dict[str, Any]) -> None:
    """The key frames of a gop repair earlier losses, and serve viewers who have just joined."""
    with LiveEncoder(gop=4, **place) as live:
        packets = stream(live, [grey(50)] * 5)
        live.lost(3)
        packets += stream(live, [grey(50)])
        live.lost(4)
        packets += stream(live, [grey(50)] * 2)
    assert keys(packets) == [0, 4, 6]


def test_packets_that_were_never_sent_cannot_be_lost(place: dict[str, Any]) -> None:
    with LiveEncoder(**place) as live:
        live.lost(0)
        packets = stream(live, [grey(50)] * 2)
        live.lost(2)
        live.lost(10**6)
        packets += stream(live, [grey(50)] * 2)
    assert keys(packets) == [0]


def test_very_many_losses_take_one_key_frame(place: dict[str, Any]) -> None:
    with LiveEncoder(**place) as live:
        packets = stream(live, [grey(50)] * 2)
        for seq in range(1, 1_000):
            live.lost(seq)
        packets += stream(live, [grey(50)] * 2)
    assert keys(packets) == [0, 2]


def test_too_many_in_flight_drop_frames_before_they_are_encoded(place: dict[str, Any], clock: Clock) -> None:
    """No number is missing, and what is shown afterwards is right."""
    with LiveEncoder(max_in_flight=3, **place) as live:
        packets = stream(live, [grey(level) for level in levels(6)])
        assert [packet.seq for packet in packets] == [0, 1, 2]
        live.feedback(acked=1)
        packets += stream(live, [grey(200)] * 3)
        assert [packet.seq for packet in packets] == [0, 1, 2, 3, 4]
        live.lost(4)
        packets += stream(live, [grey(100)] * 2)
        assert live.statistics.held_back == live.statistics.dropped == 3 + 1 + 1
        assert live.statistics.in_flight == 3
    assert [packet.seq for packet in packets] == [0, 1, 2, 3, 4, 5]
    assert_shows(packets, [(WIDTH, HEIGHT, level) for level in [*levels(3), 200, 200, 100]])


@pytest.mark.one_abi
def test_no_answer_for_long_or_a_new_viewer_makes_room(clock: Clock) -> None:
    with LiveEncoder(max_in_flight=2, **PROCESSOR) as live:
        assert len(stream(live, [grey(50)] * 5)) == 2
        clock.now += 3
        assert len(stream(live, [grey(50)] * 5)) == 2
        live.request_keyframe()
        assert len(stream(live, [grey(50)] * 5)) == 2


@pytest.mark.one_abi
def test_a_round_trip_bounds_what_is_in_flight(clock: Clock) -> None:
    """Without max_in_flight: nothing does before the first answer."""
    with LiveEncoder(fps=50, **PROCESSOR) as live:
        assert len(stream(live, [grey(50)] * 30)) == 30
        clock.now += 0.1
        live.feedback(acked=29)
        most = len(stream(live, [grey(50)] * 30))
        assert 0.1 * 50 < most < 0.25 * 50


@pytest.mark.one_abi
def test_requests_in_a_row_wait_for_the_spacing(clock: Clock) -> None:
    with LiveEncoder(**{**PROCESSOR, "keyframe_spacing": 0.5}) as live:
        packets = stream(live, [grey(50)])
        for _ in range(12):
            clock.now += 0.125
            live.request_keyframe()
            packets += stream(live, [grey(50)])
    assert keys(packets) == [0, 4, 8, 12]


def rates_of(live: LiveEncoder, bandwidths: list[int], clock: Clock) -> list[tuple[int, int, bool]]:
    """The rate, the number of encoders and whether there was a key frame, after each report."""
    found = []
    for bandwidth in bandwidths:
        clock.now += 10
        live.feedback(bandwidth=bandwidth)
        (packet,) = live.submit(grey(50))
        found.append((live.statistics.bitrate, live.statistics.opened, packet.keyframe))
    return found


def test_a_card_changes_its_rate_while_it_runs(simulator: Simulator, clock: Clock) -> None:
    with simulator.machine(gpus=["RTX 4090"], backend="echo"), LiveEncoder(bitrate=8_000_000, **CARD) as live:
        live.submit(grey(50))
        reports = [2_000_000, 1_000_000, 1_005_000, 50_000_000]
        expected = [1_900_000, 950_000, 950_000, 8_000_000]
        assert rates_of(live, reports, clock) == [(rate, 1, False) for rate in expected]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.one_abi
def test_the_processor_changes_its_rate_live_where_the_codec_can(codec: str, clock: Clock) -> None:
    """x264 can. For x265, another encoder begins with a key frame, for large changes alone."""
    with LiveEncoder(codec=codec, bitrate=8_000_000, **PROCESSOR) as live:
        live.submit(grey(50))
        found = rates_of(live, [2_000_000, 1_600_000, 50_000_000], clock)
    if codec == "h264":
        assert found == [(1_900_000, 1, False), (1_520_000, 1, False), (8_000_000, 1, False)]
    else:
        assert found == [(1_900_000, 2, True), (1_900_000, 2, False), (8_000_000, 3, True)]


def test_a_card_without_live_rates_gets_another_encoder_seldom(simulator: Simulator, clock: Clock) -> None:
    gpu = {"name": "RTX 4090", "caps": {"SUPPORT_DYN_BITRATE_CHANGE": 0, "SUPPORT_CUSTOM_VBV_BUF_SIZE": 0}}
    with simulator.machine(gpus=[gpu], backend="echo"), LiveEncoder(bitrate=8_000_000, **CARD) as live:
        live.submit(grey(50))
        assert rates_of(live, [2_000_000], clock) == [(1_900_000, 2, True)]
        live.feedback(bandwidth=500_000)
        assert not live.submit(grey(50))[0].keyframe, "a key frame in each moment would be worse"


def test_the_rate_follows_acknowledgements_alone(simulator: Simulator, clock: Clock) -> None:
    """A link on which each packet takes longer than the one before."""
    with simulator.machine(gpus=["RTX 4090"], backend="echo"), LiveEncoder(bitrate=8_000_000, **CARD) as live:
        sent: list[tuple[float, int]] = []
        for number in range(120):
            clock.now += 1 / 60
            sent += [(clock.now, packet.seq) for packet in live.submit(grey(50))]
            delay = 0.03 if number < 60 else 0.4
            while sent and clock.now - sent[0][0] >= delay:
                live.feedback(acked=sent.pop(0)[1])
            if number == 59:
                assert live.statistics.bitrate == 8_000_000
        assert live.statistics.bitrate < 6_000_000
        assert live.statistics.rtt == pytest.approx(0.4, abs=0.05)
        assert live.statistics.queue_delay == pytest.approx(0.37, abs=0.05)
        assert live.statistics.held_back > 0


@pytest.mark.one_abi
@pytest.mark.parametrize("fields", [{"qp": 30}, {"cq": 30}], ids=str)
def test_a_stream_without_a_rate_is_not_steered(fields: dict[str, Any]) -> None:
    with LiveEncoder(**PROCESSOR, **fields) as live:
        packets = stream(live, [grey(50)] * 2)
        live.feedback(bandwidth=1_000)
        packets += stream(live, [grey(50)])
        assert live.statistics.bitrate == 0
    assert keys(packets) == [0]
    with pytest.raises(InvalidConfig, match="bitrate=1000 does not work with qp, cq"):
        LiveEncoder(bitrate=1000, **fields)


@pytest.mark.one_abi
def test_wrong_answers_are_told() -> None:
    live = LiveEncoder(**PROCESSOR)
    wrong: list[tuple[Callable[[], None], str]] = [
        (lambda: live.feedback(rtt=-1), "got rtt=-1"),
        (lambda: live.feedback(rtt=float("nan")), "got rtt=nan"),
        (lambda: live.feedback(bandwidth="fast"), "got bandwidth='fast'"),  # type: ignore[arg-type]
        (lambda: live.feedback(acked=1.5), "got acked=1.5"),  # type: ignore[arg-type]
        (lambda: live.lost("last"), "got seq='last'"),  # type: ignore[arg-type]
    ]
    for call, text in wrong:
        with pytest.raises(InvalidConfig, match=text):
            call()
    live.feedback(acked=10**6, rtt=0, bandwidth=1)
    live.lost(10**6)
    live.close()
    with pytest.raises(EncoderClosed):
        live.feedback(acked=1)


@pytest.mark.one_abi
def test_what_is_in_flight_is_forgotten_after_a_while() -> None:
    window = InFlight(2.0)
    for number in range(1_000):
        window.sent(number, number / 10)
    assert len(window._sent) <= 21
    assert window.count(99.95) <= 20


@pytest.mark.one_abi
def test_key_frames_are_due_once() -> None:
    key_frames = KeyFrames(spacing=1.0)
    assert not key_frames.is_due(0.0)
    key_frames.request()
    assert key_frames.is_due(0.0)
    key_frames.made(5, 0.0)
    assert not key_frames.is_due(9.0)
    key_frames.request()
    assert not key_frames.is_due(0.5)
    key_frames.request(is_urgent=True)
    assert key_frames.is_due(0.5)
    key_frames.came_out(7, 0.5)
    assert key_frames.is_due(0.5), "it does not mend what was reported later"
    key_frames.made(9, 0.5)
    key_frames.request()
    key_frames.came_out(12, 0.7)
    assert not key_frames.is_due(9.0), "who has joined begins with that one"
    key_frames.came_out(11, 0.8)
    assert key_frames.is_healed(11)
    assert not key_frames.is_healed(12)


@pytest.mark.one_abi
def test_a_key_frame_heals_what_is_older() -> None:
    key_frames = KeyFrames(spacing=1.0)
    assert not key_frames.is_healed(0)
    key_frames.made(5, 0.0)
    assert key_frames.is_healed(4)
    assert not key_frames.is_healed(5)
