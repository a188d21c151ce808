"""The effects of settings that a software codec can show, found in the bitstream by FFmpeg's parsers and decoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from control.coded import CODECS, WIDTH, decoded, encode, planes_of, stream_of, syntax_of
from control.driver_calls import GPU
from pdum.nvenc import Colour, NvencEncoder, UnsupportedFeature

from simulator import Simulator
from streams import Syntax, decode, nal_type, nal_units, psnr, worst_psnr

pytestmark = pytest.mark.one_abi

FAITHFUL = 30.0  # dB


def quantisers(syntax: Syntax, codec: str) -> list[int]:
    """The type of each slice or frame, from its header."""
    if codec == "av1":
        return syntax.all("base_q_idx")
    initial = syntax.first("pic_init_qp_minus26" if codec == "h264" else "init_qp_minus26")
    return [26 + initial + delta for delta in syntax.all("slice_qp_delta")]


# Rate control


@pytest.mark.parametrize("qp", [12, 30, 44])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_one_constant_quantiser(simulator: Simulator, tmp_path: Path, codec: str, qp: int) -> None:
    packets = encode(simulator, codec=codec, qp=qp)
    assert quantisers(syntax_of(packets, codec, tmp_path), codec) == [qp] * 12
    assert {packet.frame_avg_qp for packet in packets} == {qp}


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_quantisers_of_i_p_and_b(abi: str, simulator: Simulator, tmp_path: Path, codec: str) -> None:
    packets = encode(simulator, codec=codec, tuning="hq", bframes=2, gop=6, qp=(18, 23, 29))
    wanted = {"IDR": 18, "I": 18, "P": 23, "B": 29}
    assert quantisers(syntax_of(packets, codec, tmp_path), codec) == [wanted[packet.pic_type] for packet in packets]
    assert {packet.pic_type for packet in packets} == {"IDR", "P", "B"}


@pytest.mark.parametrize("qp", [40, 200])
def test_a_quantiser_of_av1(simulator: Simulator, tmp_path: Path, qp: int) -> None:
    packets = encode(simulator, codec="av1", qp=qp)
    found = quantisers(syntax_of(packets, "av1", tmp_path), "av1")
    assert len(found) == 12
    assert all(abs(one - qp) <= 4 for one in found), "libaom has 64 steps for AV1's 256"


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_bounds_of_quantisers(simulator: Simulator, tmp_path: Path, codec: str) -> None:
    high = encode(simulator, codec=codec, bitrate=200_000, max_qp=(24, 25, 26))
    assert max(quantisers(syntax_of(high, codec, tmp_path), codec)) <= 25
    low = encode(simulator, codec=codec, bitrate=50_000_000, min_qp=33)
    assert min(quantisers(syntax_of(low, codec, tmp_path), codec)) == 33


@pytest.mark.parametrize("codec", CODECS)
def test_a_better_quality_is_closer(simulator: Simulator, codec: str) -> None:
    qualities = []
    for cq in (15.0, 30.5, 45.25):
        packets = encode(simulator, codec=codec, tuning="hq", cq=cq)
        qualities.append(worst_psnr(planes_of("nv12", 12), decode(stream_of(packets), codec)))
    assert qualities == sorted(qualities, reverse=True)
    assert qualities[0] > qualities[2] + 2


@pytest.mark.parametrize("form", ["nv12", "yuv444"])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_lossless_pictures_come_back_bit_for_bit(simulator: Simulator, codec: str, form: str) -> None:
    packets = encode(simulator, count=5, codec=codec, tuning="lossless", format=form, gop=3)
    pictures = decode(stream_of(packets), codec)
    assert len(pictures) == 5
    for wanted, found in zip(planes_of(form, 5), pictures, strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(wanted, found.planes, strict=True))


# Structure


@pytest.mark.parametrize("gop", [1, 4, 5, 0])
@pytest.mark.parametrize("codec", CODECS)
def test_distance_of_idrs(simulator: Simulator, codec: str, gop: int) -> None:
    packets = encode(simulator, codec=codec, gop=gop)
    keys = [number for number, picture in enumerate(decode(stream_of(packets), codec)) if picture.key]
    assert keys == list(range(0, 12, gop or 12))


@pytest.mark.parametrize("bframes", [0, 1, 3])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_bframes_between_anchors(simulator: Simulator, codec: str, bframes: int) -> None:
    packets = encode(simulator, count=13, codec=codec, tuning="hq", bframes=bframes, gop=0)
    kinds = "".join(picture.kind for picture in decode(stream_of(packets), codec))
    assert kinds == "I" + ("B" * bframes + "P") * (12 // (bframes + 1))


@pytest.mark.parametrize(
    ("slices", "count"),
    [(4, 4), (("count", 3), 3), (("rows", 2), 5), (("macroblocks", 40), 4), (("bytes", 400), None)],
    ids=str,
)
def test_slices_of_h264(simulator: Simulator, slices: Any, count: int | None) -> None:
    """A picture of 16 by 9 macroblocks."""
    packets = encode(simulator, count=4, codec="h264", slices=slices, qp=20)
    for packet in packets:
        parts = [nal for nal in nal_units(packet.data) if nal_type(nal, "h264") in (1, 5)]
        if count is not None:
            assert len(parts) == count
        else:
            assert len(parts) > 1
            assert max(map(len, parts)) <= 400
    assert len(decode(stream_of(packets), "h264")) == 4


def test_slices_of_hevc(simulator: Simulator) -> None:
    packets = encode(simulator, count=4, codec="hevc", slices=2)
    for packet in packets:
        assert len([nal for nal in nal_units(packet.data) if nal_type(nal, "hevc") < 32]) == 2


# Samples

SAMPLES: list[tuple[str, str, str]] = [
    *(("h264", form, pixels) for form, pixels in (("nv12", "yuv420p"), ("yuv444", "yuv444p"), ("ayuv", "yuv444p"))),
    ("h264", "p010", "yuv420p10le"),
    ("h264", "nv16", "yuv422p"),
    ("hevc", "nv12", "yuv420p"),
    ("hevc", "yuv420", "yuv420p"),
    ("hevc", "p010", "yuv420p10le"),
    ("hevc", "yuv444", "yuv444p"),
    ("hevc", "yuv444_10", "yuv444p10le"),
    ("hevc", "p210", "yuv422p10le"),
    ("av1", "nv12", "yuv420p"),
    ("av1", "p010", "yuv420p10le"),
]


@pytest.mark.parametrize(("codec", "form", "pixels"), SAMPLES)
def test_depth_and_chroma(abi: str, simulator: Simulator, codec: str, form: str, pixels: str) -> None:
    settings: dict[str, Any] = {"codec": codec, "format": form}
    if abi == "12.1" and (form in ("nv16", "p210") or (codec == "h264" and form == "p010")):
        with pytest.raises(UnsupportedFeature):
            encode(simulator, count=1, **settings)
        return
    packets = encode(simulator, count=4, bitrate=8_000_000, **settings)
    assert {frame.format.name for frame in decoded(packets, codec)} == {pixels}
    depth = 10 if pixels.endswith("10le") else 8
    assert worst_psnr(planes_of(form, 4), decode(stream_of(packets), codec), depth) > FAITHFUL


@pytest.mark.parametrize("codec", CODECS)
def test_ten_bits_from_eight(abi: str, simulator: Simulator, codec: str) -> None:
    if abi == "12.1" and codec != "av1":
        with pytest.raises(UnsupportedFeature, match=r"12\.1"):
            encode(simulator, count=1, codec=codec, bit_depth=10)
        return
    packets = encode(simulator, count=3, codec=codec, bit_depth=10, bitrate=8_000_000)
    frames = decoded(packets, codec)
    assert {frame.format.name for frame in frames} == {"yuv420p10le"}
    for wanted, found in zip(planes_of("nv12", 3), decode(stream_of(packets), codec), strict=True):
        assert psnr([plane.astype(np.uint16) << 2 for plane in wanted], found.planes, 10) > FAITHFUL


@pytest.mark.parametrize(
    ("codec", "settings", "idc"),
    [
        ("h264", {"profile": "baseline"}, 66),
        ("h264", {"profile": "main"}, 77),
        ("h264", {"profile": "high"}, 100),
        ("h264", {"format": "yuv444"}, 244),
        ("hevc", {"profile": "main"}, 1),
        ("hevc", {"profile": "main10", "format": "p010"}, 2),
        ("hevc", {"format": "yuv444"}, 4),
        ("av1", {"profile": "main"}, 0),
    ],
    ids=str,
)
def test_profiles(simulator: Simulator, tmp_path: Path, codec: str, settings: dict[str, Any], idc: int) -> None:
    syntax = syntax_of(encode(simulator, count=2, codec=codec, **settings), codec, tmp_path)
    name = {"h264": "profile_idc", "hevc": "general_profile_idc", "av1": "seq_profile"}[codec]
    assert set(syntax.all(name)) == {idc}


@pytest.mark.parametrize(("codec", "level", "idc"), [("h264", "4.2", 42), ("hevc", "5.1", 153)])
def test_levels(simulator: Simulator, tmp_path: Path, codec: str, level: str, idc: int) -> None:
    tier: dict[str, Any] = {} if codec == "h264" else {"tier": "high"}
    syntax = syntax_of(encode(simulator, count=2, codec=codec, level=level, **tier), codec, tmp_path)
    assert set(syntax.all("level_idc" if codec == "h264" else "general_level_idc")) == {idc}
    if codec == "hevc":
        assert set(syntax.all("general_tier_flag")) == {1}


# Colour

COLOURS = [
    ("bt601", (6, 6, 6, 0)),
    ("bt709", (1, 1, 1, 0)),
    ("hdr10", (9, 16, 9, 0)),
    ("hlg", (9, 18, 9, 0)),
    (Colour(primaries="smpte432", transfer="srgb", matrix="bt709", full_range=True), (12, 13, 1, 1)),
    ("unspecified", (2, 2, 2, 0)),
]


@pytest.mark.parametrize(("colour", "numbers"), COLOURS, ids=str)
@pytest.mark.parametrize("codec", CODECS)
def test_colours_are_in_the_stream(
    simulator: Simulator, tmp_path: Path, codec: str, colour: Any, numbers: tuple[int, int, int, int]
) -> None:
    packets = encode(simulator, count=2, codec=codec, colour=colour)
    (frame, *_) = decoded(packets, codec)
    # As FFmpeg counts ranges: 1 limited, 2 full.
    assert (frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range) == (
        *numbers[:3],
        numbers[3] + 1,
    )
    names = {
        "av1": ("color_primaries", "transfer_characteristics", "matrix_coefficients", "color_range"),
        "h264": ("colour_primaries", "transfer_characteristics", "matrix_coefficients", "video_full_range_flag"),
        "hevc": ("colour_primaries", "transfer_characteristics", "matrix_coefficients", "video_full_range_flag"),
    }[codec]
    syntax = syntax_of(packets, codec, tmp_path)
    if codec != "av1" or colour != "unspecified":
        assert tuple(syntax.first(name) for name in names) == numbers


@pytest.mark.parametrize(("height", "matrix"), [(720, 1), (718, 6)])
def test_colour_is_never_left_to_chance(simulator: Simulator, height: int, matrix: int) -> None:
    """By default the stream says BT.709 from 720 lines on, and BT.601 below."""
    for codec in CODECS:
        with simulator.machine(gpus=GPU, backend="codec"), NvencEncoder(WIDTH, height, codec=codec) as encoder:
            data = encoder.submit(np.full((height * 3 // 2, WIDTH), 128, np.uint8), 0)
        assert decoded(data, codec)[0].colorspace == matrix


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("form", ["argb", "abgr"])
def test_rgb_carries_the_matrix_that_the_engine_uses(abi: str, simulator: Simulator, codec: str, form: str) -> None:
    """A red picture that is decoded and converted back with that matrix is red."""
    red = np.zeros((144, WIDTH, 4), np.uint8)
    red[..., 2 if form == "argb" else 0] = 220
    with (
        simulator.machine(gpus=GPU, backend="codec"),
        NvencEncoder(WIDTH, 144, codec=codec, format=form, bitrate=5_000_000) as encoder,
    ):
        packets = encoder.submit(red, 0)
    (frame,) = decoded(packets, codec)
    assert (frame.colorspace, frame.color_range) == (5, 1), "BT.601 in limited range"
    back = frame.reformat(format="rgb24").to_ndarray().reshape(-1, 3).mean(axis=0)
    assert np.abs(back - (220, 0, 0)).max() < 6
