"""Frames in, packets out: numbers, time stamps, key frames, sizes, and the processor where there is no card."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from live.viewer import HEIGHT, WIDTH, assert_shows, grey, rgb, seen, stream
from pdum.nvenc import (
    EncoderClosed,
    InvalidConfig,
    InvalidFrame,
    LiveEncoder,
    LivePacket,
    NoEncoder,
    UnsupportedFeature,
)
from pdum.nvenc._encoders import opening
from pdum.nvenc._encoders.notices import SOFTWARE_ENCODES

from simulator import Simulator

LEVELS = (30, 90, 150, 210)


def keys(packets: list[LivePacket]) -> list[int]:
    return [packet.seq for packet in packets if packet.keyframe]


def test_each_frame_becomes_a_packet_at_once(place: dict[str, Any]) -> None:
    with LiveEncoder(**place) as live:
        packets = []
        for number, level in enumerate(LEVELS):
            (packet,) = live.submit(grey(level), 1_000 + number)
            packets.append(packet)
        assert live.flush() == []
    assert [(one.seq, one.timestamp, one.width, one.height) for one in packets] == [
        (n, 1_000 + n, WIDTH, HEIGHT) for n in range(4)
    ]
    assert keys(packets) == [0]
    assert [one.codec for one in packets[1:]] == [None] * 3
    assert str(packets[0].codec).startswith("avc1.")
    assert_shows(packets, [(WIDTH, HEIGHT, level) for level in LEVELS])


@pytest.mark.one_abi
@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_every_codec_on_the_processor(codec: str) -> None:
    with LiveEncoder(codec=codec, backend="software", format="nv12", preset="p1") as live:
        packets = stream(live, map(grey, LEVELS))
    assert keys(packets) == [0]
    assert_shows(packets, [(WIDTH, HEIGHT, level) for level in LEVELS])


def test_rgb_by_its_shape_and_any_size(place: dict[str, Any]) -> None:
    """Both layouts, an alpha channel, floats, and odd sizes, which lose a row or a column."""
    del place["format"]
    pictures = [
        rgb(200),
        np.moveaxis(rgb(200), -1, 0),
        np.concatenate([rgb(200), np.zeros((HEIGHT, WIDTH, 1), np.uint8)], axis=2),
        rgb(200).astype(np.float32) / 255,
        rgb(200).astype(np.float64) / 255,
        rgb(200, WIDTH + 1, HEIGHT + 1),
        np.moveaxis(rgb(200, WIDTH + 1, HEIGHT + 1), -1, 0),
    ]
    with LiveEncoder(**place) as live:
        packets = stream(live, pictures)
        assert live.statistics.opened == 1
    assert keys(packets) == [0]
    assert_shows(packets, [(WIDTH, HEIGHT, 16 + round(200 * 219 / 255))] * len(pictures))


@pytest.mark.parametrize("form", ["abgr", "bgra"])
def test_images_that_the_engine_converts_need_no_colour(simulator: Simulator, form: str) -> None:
    with simulator.machine(), LiveEncoder(format=form) as encoder:
        assert encoder.submit(np.zeros((128, 192, 4), np.uint8), 0)


def test_another_size_begins_with_a_key_frame(place: dict[str, Any]) -> None:
    sizes = [(WIDTH, HEIGHT)] * 2 + [(320, 180)] * 2 + [(WIDTH, HEIGHT)] + [(384, 256)] * 2
    with LiveEncoder(max_size=(320, 192), **place) as live:
        packets = stream(live, (grey(100, *size) for size in sizes))
        opened = live.statistics.opened
        assert live.statistics.resized == 3
    assert keys(packets) == [0, 2, 4, 5]
    assert [packet.codec is not None for packet in packets] == [packet.keyframe for packet in packets]
    assert_shows(packets, [(*size, 100) for size in sizes])
    assert opened == (2 if place["backend"] == "nvenc" else 4), "a card changes its size while it runs"


def test_a_pipeline_keeps_its_packets_over_a_change_of_size(place: dict[str, Any]) -> None:
    levels = [30, 60, 90, 120, 150, 180]
    sizes = [(WIDTH, HEIGHT)] * 3 + [(WIDTH, HEIGHT + 32)] * 3
    with LiveEncoder(pipeline_depth=2, **place) as live:
        packets = stream(live, (grey(level, *size) for level, size in zip(levels, sizes, strict=True)))
    assert [(one.seq, one.timestamp) for one in packets] == [(n, n) for n in range(6)]
    assert_shows(packets, [(*size, level) for level, size in zip(levels, sizes, strict=True)])


def test_a_card_without_live_changes_gets_another_encoder(simulator: Simulator) -> None:
    gpu = {"name": "RTX 4090", "caps": {"SUPPORT_DYN_RES_CHANGE": 0}, "session_limit": 1}
    with simulator.machine(gpus=[gpu], backend="codec"), LiveEncoder((320, 192), format="nv12") as live:
        packets = stream(live, [grey(100), grey(100, 320, 192)])
        assert live.statistics.opened == 2
    assert keys(packets) == [0, 1]


def test_requests_for_key_frames_are_joined(place: dict[str, Any]) -> None:
    with LiveEncoder(**place) as live:
        packets = stream(live, [grey(50)] * 2)
        for _ in range(5):
            live.request_keyframe()
        packets += stream(live, [grey(50)] * 3)
    assert keys(packets) == [0, 2]
    assert packets[2].codec is None, "the viewers know it"
    assert live.codec_string == packets[0].codec


def test_a_viewer_that_joins_at_a_key_frame_sees_the_same(place: dict[str, Any]) -> None:
    with LiveEncoder(**place) as live:
        packets = stream(live, map(grey, LEVELS))
        live.request_keyframe()
        packets += stream(live, map(grey, LEVELS))
        joined = replace(packets[4], codec=live.codec_string)
    assert_shows([joined, *packets[5:]], [(WIDTH, HEIGHT, level) for level in LEVELS])


def test_without_hardware_the_processor_encodes_and_says_so(simulator: Simulator) -> None:
    opening._said.clear()
    with simulator.machine(gpus=[]), LiveEncoder(format="nv12", preset="p1") as live:
        with pytest.warns(RuntimeWarning, match="Encoding in software, which is much slower"):
            packets = live.submit(grey(80))
        assert seen(packets + live.submit(grey(80)))
        assert live.statistics.backend == "software"
        assert live.notices[0].startswith(SOFTWARE_ENCODES)
    with simulator.machine(gpus=[]), LiveEncoder(format="nv12", preset="p1") as live:
        assert live.submit(grey(80)), "it was said once"
    with simulator.machine(gpus=[]), LiveEncoder(format="nv12", backend="nvenc") as live, pytest.raises(NoEncoder):
        live.submit(grey(80))


def test_a_frame_that_is_refused_changes_nothing(place: dict[str, Any]) -> None:
    """The key frame that was asked for is still to come, and no number is missing."""
    with LiveEncoder(**place) as live:
        packets = stream(live, [grey(50)])
        live.request_keyframe()
        shapes = [(128, 192, 7), (2, 192, 192), (0, 192), (3, 1)]
        for wrong in ("a text", *(np.zeros(shape, np.uint8) for shape in shapes)):
            with pytest.raises(InvalidFrame):
                live.submit(wrong)
        with pytest.raises(InvalidFrame, match=r"whole number of microseconds, got timestamp='now'"):
            live.submit(grey(50), "now")  # type: ignore[arg-type]
        packets += stream(live, [grey(50)])
    assert [packet.seq for packet in packets] == keys(packets) == [0, 1]


@pytest.mark.one_abi
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"codec": "vp9"}, "Unknown codec 'vp9'"),
        ({"backend": "cpu"}, "Unknown backend 'cpu'"),
        ({"width": 640}, "width does not work with LiveEncoder: it follows from the frames"),
        ({"bframes": 2}, "bframes=2 does not work with LiveEncoder"),
        ({"codec": "hevc", "stereo": True}, "stereo=True does not work with LiveEncoder"),
        ({"max_size": 640}, r"Expected a pair, as in max_size=\(1920, 1080\), got max_size=640"),
        ({"max_in_flight": 0}, "got max_in_flight=0"),
        ({"prset": "p1"}, "Unknown encoder setting 'prset'. Did you mean 'preset'"),
    ],
    ids=str,
)
def test_wrong_settings_are_told_before_the_first_frame(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidConfig, match=text):
        LiveEncoder(**arguments)


def test_a_size_that_the_card_refuses_leaves_the_stream_usable(simulator: Simulator) -> None:
    with simulator.machine(gpus=["RTX 4090"], backend="codec"), LiveEncoder(format="nv12") as live:
        packets = stream(live, [grey(50)])
        with pytest.raises((UnsupportedFeature, InvalidConfig)):
            live.submit(grey(50, 16, 16))
        packets += stream(live, [grey(50)])
    assert_shows(packets, [(WIDTH, HEIGHT, 50)] * 2)


def test_after_close_it_is_closed(place: dict[str, Any]) -> None:
    live = LiveEncoder(**place)
    live.submit(grey(50))
    live.close()
    live.close()
    for use in (lambda: live.submit(grey(50)), live.request_keyframe, live.flush, lambda: live.lost(0)):
        with pytest.raises(EncoderClosed):
            use()
    assert live.statistics.encoded == 1


@pytest.mark.one_abi
def test_no_number_of_frames_means_no_key_frames_of_its_own() -> None:
    from pdum.nvenc._live.settings import LiveSettings

    def group(**fields: Any) -> int | None:
        live = LiveSettings(
            max_size=None, codec="h264", fps=30, bitrate=0, min_bitrate=0, start_bitrate=0, pipeline_depth=0, gpu_id=0,
            fields={"tuning": "hq", **fields},
        )  # fmt: skip
        return live.config(640, 360).gop

    assert [group(), group(gop=None), group(gop=60)] == [0, 0, 60]


@pytest.mark.one_abi
@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_a_slow_viewer_is_spared_the_upper_layers(simulator: Simulator, codec: str) -> None:
    levels = [30, 60, 90, 120, 150, 180, 210]
    with (
        simulator.machine(gpus=["RTX 5090"], backend="codec"),
        LiveEncoder(codec=codec, backend="nvenc", format="nv12", layers=3) as live,
    ):
        packets = stream(live, map(grey, levels))
    assert [packet.temporal_layer for packet in packets] == [0, 2, 1, 2, 0, 2, 1]
    for highest in range(3):
        kept = [packet for packet in packets if packet.temporal_layer <= highest]
        assert_shows(kept, [(WIDTH, HEIGHT, levels[packet.seq]) for packet in kept])
