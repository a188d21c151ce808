"""``gop=None``, ``bframes=None`` and ``lookahead=None``: as the preset has it."""

from __future__ import annotations

from typing import Any

import pytest

from control.driver_calls import GPU, HEIGHT, WIDTH, Driver
from control.rows import AV1, HEVC
from frames import nv12
from pdum.nvenc import EncoderConfig, InvalidConfig, NvencEncoder

from simulator import Simulator

INFINITE = 0xFFFF_FFFF
OWN: dict[str, Any] = {"bframes": None, "lookahead": None}
CODECS = pytest.mark.parametrize("codec", [{}, HEVC, AV1], ids=["h264", "hevc", "av1"])


@CODECS
@pytest.mark.parametrize("tuning", ["ll", "hq"])
@pytest.mark.parametrize("preset", ["p1", "p4", "p7"])
def test_it_is_what_the_numbers_would_say(driver: Driver, codec: dict[str, Any], tuning: str, preset: str) -> None:
    own = driver.initialized(**codec, **OWN, tuning=tuning, preset=preset, gop=60)
    numbers = {"bframes": own["config.frameIntervalP"] - 1, "lookahead": own.get("rc.lookaheadDepth", 0)}
    assert driver.initialized(**codec, **numbers, tuning=tuning, preset=preset, gop=60) == own
    if tuning == "ll":
        assert numbers == {"bframes": 0, "lookahead": 0}


def test_hq_is_what_its_name_says(driver: Driver) -> None:
    """The best preset for quality has B-frames; the default of this package is one in, one out."""
    assert driver.initialized(**OWN, tuning="hq", preset="p7")["config.frameIntervalP"] > 1
    assert driver.initialized(tuning="hq", preset="p7")["config.frameIntervalP"] == 1


@pytest.mark.parametrize("gop", [1, 2, 3])
def test_a_short_gop_has_fewer(driver: Driver, gop: int) -> None:
    assert driver.initialized(**OWN, tuning="hq", preset="p7", gop=gop)["config.frameIntervalP"] <= gop


@CODECS
@pytest.mark.parametrize(("tuning", "length"), [("ll", INFINITE), ("ull", INFINITE), ("hq", 250)])
def test_the_length_of_a_group_is_the_presets(driver: Driver, codec: dict[str, Any], tuning: str, length: int) -> None:
    own = driver.initialized(**codec, tuning=tuning, gop=None)
    assert (own["config.gopLength"], own["codec.idrPeriod"]) == (length, length)


def test_all_from_the_preset(driver: Driver) -> None:
    own = driver.initialized(**OWN, tuning="hq", preset="p7", gop=None)
    assert own["config.gopLength"] == 250
    assert own["config.frameIntervalP"] > 1


def test_key_frames_are_those_of_the_presets_group(simulator: Simulator) -> None:
    with simulator.machine(gpus=GPU), NvencEncoder(WIDTH, HEIGHT, tuning="hq", gop=None) as encoder:
        frame = nv12(WIDTH, HEIGHT, 0)
        packets = [packet for number in range(252) for packet in encoder.submit(frame, number)]
    assert [packet.seq for packet in packets if packet.keyframe] == [0, 250]


@CODECS
def test_every_frame_comes_out_as_itself(simulator: Simulator, codec: dict[str, Any]) -> None:
    """The number of held-back frames follows from the preset, so no call waits for a packet that cannot come."""
    with (
        simulator.machine(gpus=GPU),
        NvencEncoder(WIDTH, HEIGHT, tuning="hq", preset="p7", **codec, **OWN) as encoder,
    ):
        packets = [p for number in range(50) for p in encoder.submit(nv12(WIDTH, HEIGHT, number), number)]
        packets += encoder.flush_pipeline()
    assert sorted(packet.seq for packet in packets) == list(range(50))
    assert all(packet.dts <= packet.pts for packet in packets)
    assert [packet.dts for packet in packets] == list(range(packets[0].dts, packets[0].dts + 50))


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"weighted_prediction": True}, "weighted_prediction"),
        ({"intra_refresh_period": 30, "intra_refresh_count": 3, "gop": 0}, "intra_refresh_period"),
        ({"profile": "baseline"}, "baseline"),
        ({"codec": "hevc", "temporal_filter": True}, "temporal_filter"),
    ],
)
def test_settings_that_exclude_b_frames_need_a_number_of_them(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(InvalidConfig, match=word) as caught:
        EncoderConfig(width=WIDTH, height=HEIGHT, tuning="hq", **OWN, **settings)
    assert "bframes=None" in str(caught.value)
