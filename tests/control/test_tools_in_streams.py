"""The tools of the codecs and what else is in a stream, found there by FFmpeg's parsers and decoders."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from control.coded import CODECS, encode, planes_of, stream_of, syntax_of
from pdum.nvenc import Packet

from simulator import Simulator
from streams import DEMUXERS, decode, nal_type, nal_units, psnr

pytestmark = pytest.mark.one_abi

TOOLS: dict[str, dict[str, Any]] = {
    "h264": {
        "entropy": "cavlc",
        "transform_8x8": False,
        "deblocking": False,
        "constrained_intra": True,
        "chroma_qp_offset": -3,
    },
    "hevc": {"deblocking": False, "constrained_intra": True, "chroma_qp_offset": (5, -4)},
}
# The syntax element of each tool, its value by default, and its value with the setting.
SHOWN = {
    "h264": [
        ("entropy_coding_mode_flag", 1, 0),
        ("transform_8x8_mode_flag", 1, 0),
        ("disable_deblocking_filter_idc", 0, 1),
        ("constrained_intra_pred_flag", 0, 1),
        ("chroma_qp_index_offset", 0, -3),
    ],
    "hevc": [
        ("pps_deblocking_filter_disabled_flag", 0, 1),
        ("constrained_intra_pred_flag", 0, 1),
        ("pps_cb_qp_offset", 0, 5),
        ("pps_cr_qp_offset", 0, -4),
    ],
}


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_tools_are_in_the_headers(simulator: Simulator, tmp_path: Path, codec: str) -> None:
    """At a quantiser from which on x264 filters at all."""
    plain, packets = (encode(simulator, count=2, codec=codec, qp=30, **more) for more in ({}, TOOLS[codec]))
    without, syntax = (syntax_of(one, codec, tmp_path) for one in (plain, packets))
    for element, default, wanted in SHOWN[codec]:
        # Both codecs leave elements out that stand for 0.
        assert set(without.all(element) or [0]) == {default}, element
        assert set(syntax.all(element) or [0]) == {wanted}, element
    assert len(decode(stream_of(packets), codec)) == 2


@pytest.mark.parametrize(("codec", "kind"), [("h264", 9), ("hevc", 35)])
def test_each_picture_begins_with_a_delimiter(simulator: Simulator, codec: str, kind: int) -> None:
    for packet in encode(simulator, count=3, codec=codec, aud=True):
        kinds = [nal_type(nal, codec) for nal in nal_units(packet.data)]
        assert kinds[0] == kind
        assert kinds.count(kind) == 1
    for packet in encode(simulator, count=3, codec=codec, aud=False):
        assert kind not in [nal_type(nal, codec) for nal in nal_units(packet.data)]


@pytest.mark.parametrize("codec", CODECS)
def test_filler_data_keeps_the_bitrate(simulator: Simulator, codec: str) -> None:
    """Far more bits than the pictures need. They are decoded as without the filler data."""
    rate: dict[str, Any] = {"codec": codec, "bitrate": 6_000_000, "rate_control": "cbr"}
    filled, plain = encode(simulator, count=6, filler_data=True, **rate), encode(simulator, count=6, **rate)
    share = 6_000_000 // 8 // 30
    assert all(share - 8 <= len(packet.data) for packet in filled)
    assert sum(len(packet.data) for packet in plain) < 6 * share
    pictures = [decode(stream_of(packets), codec) for packets in (filled, plain)]
    assert len(pictures[0]) == 6
    for one, other in zip(*pictures, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one.planes, other.planes, strict=True))


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_the_shape_of_samples(simulator: Simulator, codec: str) -> None:
    assert shape_of(encode(simulator, count=2, codec=codec, sample_aspect="64:45"), codec) == Fraction(64, 45)
    assert shape_of(encode(simulator, count=2, codec=codec), codec) in (None, Fraction(1))


def shape_of(packets: list[Packet], codec: str) -> Fraction | None:
    with av.open(io.BytesIO(stream_of(packets)), "r", format=DEMUXERS[codec]) as container:
        video = container.streams.video[0]
        assert len(list(container.decode(video))) == 2
        return video.codec_context.sample_aspect_ratio


def test_the_render_size_of_av1(simulator: Simulator, tmp_path: Path) -> None:
    packets = encode(simulator, count=2, codec="av1", sample_aspect=(3, 2))
    syntax = syntax_of(packets, "av1", tmp_path)
    assert set(syntax.all("render_and_frame_size_different")) == {1}
    assert set(syntax.all("render_width_minus_1")) == {256 * 3 // 2 - 1}
    assert set(syntax.all("render_height_minus_1")) == {144 - 1}


def test_tiles_of_av1(simulator: Simulator, tmp_path: Path) -> None:
    packets = encode(simulator, count=2, codec="av1", tiles=(2, 2))
    syntax = syntax_of(packets, "av1", tmp_path)
    assert set(syntax.all("tile_cols_log2")) == {1}
    assert set(syntax.all("tile_rows_log2")) == {1}
    assert len(decode(stream_of(packets), "av1")) == 2


@pytest.mark.parametrize(("codec", "form"), [("h264", "nv12"), ("h264", "p010"), ("hevc", "nv12"), ("av1", "nv12")])
def test_a_stream_without_colour(simulator: Simulator, tmp_path: Path, abi: str, codec: str, form: str) -> None:
    if abi == "12.1" and (codec, form) == ("h264", "p010"):
        return  # refused: test_fields.py
    caps = {"SUPPORT_MONOCHROME": 1}
    packets = encode(simulator, 3, caps=caps, codec=codec, format=form, monochrome=True, qp=24)
    syntax = syntax_of(packets, codec, tmp_path)
    element, value = ("mono_chrome", 1) if codec == "av1" else ("chroma_format_idc", 0)
    assert set(syntax.all(element)) == {value}
    for source, picture in zip(planes_of(form, 3), decode(stream_of(packets), codec), strict=True):
        assert psnr(source[:1], picture.planes[:1], 10 if form == "p010" else 8) > 30
        for plane in picture.planes[1:]:  # which FFmpeg adds for H.264
            assert len(np.unique(plane)) == 1
