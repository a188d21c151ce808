"""Temporal layers in streams of real codecs: a decoder that gets only the lower ones shows their pictures unharmed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bit_reader import BitReader
from control.coded import encode, planes_of, stream_of, syntax_of
from pdum.nvenc import Layers, Packet

from simulator import Simulator
from streams import decode, nal_type, nal_units, worst_psnr

pytestmark = pytest.mark.one_abi

FAITHFUL = 30.0  # dB
PREFIX, SEI = 14, 6
SCALABILITY = 24
PATTERNS = {2: [0, 1], 3: [0, 2, 1, 2], 4: [0, 3, 2, 3, 1, 3, 2, 3]}


def named_layer(packet: Packet, codec: str) -> int:
    """The layer that the stream itself says."""
    if codec == "av1":
        (layer,) = {layer for kind, layer in layers_of_obus(packet.data) if kind in (3, 6)}
        return layer
    units = nal_units(packet.data)
    if codec == "hevc":
        (layer,) = {(nal[1] & 7) - 1 for nal in units if nal_type(nal, codec) < 32}
        return layer
    (layer,) = {nal[3] >> 5 for nal in units if nal_type(nal, codec) == PREFIX}
    return layer


def layers_of_obus(unit: bytes) -> list[tuple[int, int]]:
    """The type and the temporal layer of each OBU. libaom leaves the name of the lowest layer out."""
    found, at = [], 0
    while at < len(unit):
        header, extended = unit[at], bool(unit[at] & 4)
        found.append((header >> 3 & 15, unit[at + 1] >> 5 if extended else 0))
        at += 1 + extended
        size = shift = 0
        while True:
            size |= (unit[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if not unit[at - 1] & 0x80:
                break
        at += size
    return found


@pytest.mark.parametrize(("codec", "count"), [("h264", 2), ("h264", 4), ("hevc", 3), ("av1", 2), ("av1", 3)])
def test_upper_layers_may_be_left_out(abi: str, simulator: Simulator, codec: str, count: int) -> None:
    if abi == "12.1" and codec != "h264":
        return  # refused: test_fields.py
    packets = encode(simulator, codec=codec, layers=count, gop=8, qp=24)
    pattern = (PATTERNS[count] * 8)[:8] + (PATTERNS[count] * 8)[:4]  # anew at the second IDR
    assert [packet.temporal_layer for packet in packets] == pattern
    assert [named_layer(packet, codec) for packet in packets] == pattern
    sources = planes_of("nv12", 12)
    for highest in range(count):
        kept = [packet for packet in packets if packet.temporal_layer <= highest]
        pictures = decode(stream_of(kept), codec)
        assert len(pictures) == len(kept)
        assert worst_psnr([sources[packet.pts] for packet in kept], pictures) > FAITHFUL


def test_a_lower_layer_is_needed(simulator: Simulator) -> None:
    """The pictures above are not simply independent of all others."""
    packets = encode(simulator, codec="h264", layers=2, gop=0, qp=24)
    without = [packet for packet in packets if packet.temporal_layer == 1 or packet.keyframe]
    sources = [planes_of("nv12", 12)[packet.pts] for packet in without]
    assert worst_psnr(sources, decode(stream_of(without), "h264")) < FAITHFUL


@pytest.mark.parametrize(
    ("layers", "has_prefixes"), [(Layers(2, prefixes=False), False), (Layers(2, "hierarchical"), False), (2, True)]
)
def test_prefixes_of_h264(simulator: Simulator, layers: Any, has_prefixes: bool) -> None:
    for packet in encode(simulator, count=4, layers=layers, slices=2):
        kinds = [nal_type(nal, "h264") for nal in nal_units(packet.data)]
        slices = [number for number, kind in enumerate(kinds) if kind in (1, 5)]
        assert len(slices) == 2
        assert all((kinds[number - 1] == PREFIX) == has_prefixes for number in slices)


def test_the_message_about_all_layers(simulator: Simulator) -> None:
    packets = encode(simulator, count=4, layers=Layers(3, scalability_info=True), gop=2, fps=30)
    for packet in packets:
        messages = [nal for nal in nal_units(packet.data) if nal_type(nal, "h264") == SEI and nal[1] == SCALABILITY]
        assert len(messages) == packet.keyframe
        for message in messages:
            assert layers_in(message[3:].replace(b"\0\0\3", b"\0\0")) == [(0, 7.5), (1, 15.0), (2, 30.0)]


def layers_in(payload: bytes) -> list[tuple[int, float]]:
    """The layers of scalability_info (G.13.1.1 of H.264), each with its rate."""
    bits = BitReader(payload)
    bits.u(3)
    found = []
    for number in range(bits.ue() + 1):
        assert bits.ue() == number
        assert bits.u(6) == number  # the priority
        bits.u(8)
        layer = bits.u(3)
        assert bits.u(5) == 0
        assert bits.u(1) == 1  # the rate is there
        assert bits.u(6) == 0
        assert bits.u(1) == 1  # it may be shown
        assert bits.u(2) == 0
        found.append((layer, bits.u(16) / 256))
        assert (bits.ue(), bits.ue()) == (0, 0)
    return found


def test_headers_count_the_layers(abi: str, simulator: Simulator, tmp_path: Path) -> None:
    """Read by FFmpeg. H.264's say that numbers of pictures may be missing."""
    gaps = syntax_of(encode(simulator, count=2, layers=2), "h264", tmp_path)
    assert set(gaps.all("gaps_in_frame_num_allowed_flag")) == {1}
    if abi == "12.1":
        return
    sub_layers = syntax_of(encode(simulator, count=2, codec="hevc", layers=3), "hevc", tmp_path)
    for name in ("vps_max_sub_layers_minus1", "sps_max_sub_layers_minus1"):
        assert set(sub_layers.all(name)) == {2}
    points = syntax_of(encode(simulator, count=2, codec="av1", layers=3), "av1", tmp_path)
    assert set(points.all("operating_points_cnt_minus_1")) == {2}


def test_streams_without_layers_name_none(simulator: Simulator) -> None:
    packets = encode(simulator, count=3, codec="h264")
    assert [packet.temporal_layer for packet in packets] == [0, 0, 0]
    assert not np.any([nal_type(nal, "h264") == PREFIX for packet in packets for nal in nal_units(packet.data)])
