"""The software engine: the same calls, settings and streams as the hardware's."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from pdum.nvenc import (
    Colour,
    ContentLight,
    EncoderClosed,
    EncoderConfig,
    FilmGrain,
    InvalidConfig,
    InvalidFrame,
    MasteringDisplay,
    NvencEncoder,
    Packet,
    References,
    SoftwareEncoder,
    UnsupportedFeature,
)
from pdum.nvenc._config.coding import ONLY_IN
from pdum.nvenc._encoders import software_options as software_options_module
from pdum.nvenc._encoders.software_frames import array_layout
from pdum.nvenc._encoders.software_options import LEAST_SIZE, software_options
from side_data import side_data

from simulator import Simulator
from streams import decode, nal_type, nal_units, obus

pytestmark = pytest.mark.one_abi

WIDTH, HEIGHT = 96, 64
CODECS = ["h264", "hevc", "av1"]
PARAMETER_SETS = {"h264": [7, 8], "hevc": [32, 33, 34], "av1": [1]}
PLANAR = {"nv12": 8, "p010": 10, "yuv420": 8, "yuv444": 8, "yuv444_10": 10, "nv16": 8, "p210": 10}
IN_AV1 = ("nv12", "p010", "yuv420")


def config(codec: str = "h264", **more: Any) -> EncoderConfig:
    return EncoderConfig(width=WIDTH, height=HEIGHT, codec=codec, **{"preset": "p1", "format": "yuv420", **more})


def picture(form: str, number: int) -> Any:
    """Noise in the layout of a format. Bits that no encoder reads are zero."""
    shape, kind = array_layout(form, WIDTH, HEIGHT)
    most = {"uint8": 1 << 8, "uint16": 1 << 16, "uint32": 1 << 32}[kind]
    noise = np.random.default_rng(number).integers(0, most, shape, dtype=kind)
    return noise & 0xFFC0 if kind == "uint16" else noise


def encode(encoder: SoftwareEncoder | NvencEncoder, pictures: list[Any], forced: tuple[int, ...] = ()) -> list[Packet]:
    packets = [
        packet for number, frame in enumerate(pictures) for packet in encoder.submit(frame, number, number in forced)
    ]
    return packets + encoder.flush_pipeline()


def expected(form: str, array: Any) -> list[Any]:
    """The decoded planes, as 8 or 10 bits."""
    array = array >> 6 if array.dtype == np.uint16 else array
    luma, rest = array[:HEIGHT], array[HEIGHT:].reshape(-1)
    if form in ("nv12", "p010", "nv16", "p210"):
        return [luma, rest[0::2], rest[1::2]]
    return [luma, rest[: rest.size // 2], rest[rest.size // 2 :]]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("form", PLANAR)
def test_without_loss_what_went_in_comes_out(form: str, codec: str) -> None:
    if codec == "av1" and (form not in IN_AV1 or form == "p010"):
        with pytest.raises(UnsupportedFeature, match=r"SVT-AV1 (encodes only 4:2:0|does not keep exactly)"):
            SoftwareEncoder(config(codec, format=form, tuning="lossless"))
        return
    pictures = [picture(form, number) for number in range(6)]
    with SoftwareEncoder(config(codec, format=form, tuning="lossless")) as encoder:
        stream = b"".join(packet.data for packet in encode(encoder, pictures, (3,)))
    decoded = decode(stream, codec)
    assert len(decoded) == len(pictures)
    for one, other in zip(pictures, decoded, strict=True):
        for plane, wanted in zip(other.planes, expected(form, one), strict=True):
            assert np.array_equal(plane.reshape(-1), wanted.reshape(-1))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("form", ["argb", "abgr", "ayuv", "argb10", "abgr10"])
def test_packed_formats_have_their_channels_in_place(form: str, codec: str) -> None:
    if form == "ayuv" and codec == "av1":
        return  # 4:4:4
    shape, kind = array_layout(form, WIDTH, HEIGHT)
    frame = np.zeros(shape, kind)
    if form == "argb10":
        frame[:] = 1023 << 20  # red
    elif form == "abgr10":
        frame[:] = 1023
    else:
        frame[:] = {"argb": (0, 0, 255, 0), "abgr": (255, 0, 0, 0), "ayuv": (240, 90, 81, 0)}[form]
    with SoftwareEncoder(config(codec, format=form, cq=10)) as encoder:
        luma, blue, red = decode(b"".join(packet.data for packet in encode(encoder, [frame])), codec)[0].planes
    shift = 2 if luma.dtype == np.uint16 else 0
    assert [int(plane.mean()) >> shift for plane in (luma, blue, red)] == pytest.approx([81, 90, 240], abs=3)


@pytest.mark.parametrize(("colour", "luma"), [("bt601", 81), ("bt709", 63), ("bt2020", 74)])
def test_rgb_is_converted_by_the_given_matrix(colour: str, luma: int) -> None:
    red = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    red[..., 0] = 255
    with SoftwareEncoder(config("h264", format="rgb", colour=colour, cq=10)) as encoder:
        if colour == "bt2020" and int(av.__version__.partition(".")[0]) < 18:
            with pytest.raises(UnsupportedFeature, match="needs PyAV 18"):
                encoder.submit(red, 0)
            return
        planes = decode(b"".join(packet.data for packet in encode(encoder, [red])), "h264")[0].planes
    assert int(planes[0].mean()) == pytest.approx(luma, abs=2)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("bframes", "lookahead"), [(0, 0), (2, 0), (3, 8)])
def test_each_frame_comes_out_once_under_its_own_number(codec: str, bframes: int, lookahead: int) -> None:
    seqs = [7, -3, 2**62, 0, 12, 5, 6, 100, 101, 102, 103, 90]
    told = config(codec, preset="p4", tuning="hq", bframes=bframes, lookahead=lookahead, cq=30)
    with SoftwareEncoder(told) as encoder:
        packets = []
        for place, seq in enumerate(seqs):
            packets += encoder.submit(picture("yuv420", place), seq)
        assert encoder.in_flight == len(seqs) - len(packets)
        packets += encoder.flush_pipeline()
        assert encoder.in_flight == 0
    assert sorted(packet.seq for packet in packets) == sorted(seqs)
    assert [seqs[packet.pts] for packet in packets] == [packet.seq for packet in packets]
    decoding = [packet.dts for packet in packets]
    assert decoding == sorted(set(decoding))
    assert all(packet.dts <= packet.pts for packet in packets)


@pytest.mark.parametrize("slices", [None, 2])
@pytest.mark.parametrize("tuning", ["hq", "lossless"])
def test_x264s_threads_have_pictures_of_their_own(tuning: str, slices: int | None) -> None:
    """They do not share a picture by slices, which cost bytes and leave cores idle."""
    large = EncoderConfig(
        width=64, height=256, codec="h264", preset="p1", format="yuv420", tuning=tuning, slices=slices
    )
    with SoftwareEncoder(large, threads=3) as encoder:
        packets = encode(encoder, [np.full((384, 64), number, np.uint8) for number in range(8)])
    found = [sum(1 <= nal_type(nal, "h264") <= 5 for nal in packet.data.split(b"\0\0\1")[1:]) for packet in packets]
    assert found == [slices or 1] * 8


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("tuning", ["ll", "ull"])
def test_low_latency_holds_nothing_back(codec: str, tuning: str) -> None:
    with SoftwareEncoder(config(codec, tuning=tuning), threads=3) as encoder:
        for number in range(6):
            assert [packet.seq for packet in encoder.submit(picture("yuv420", number), number)] == [number]


@pytest.mark.parametrize("codec", CODECS)
def test_groups_are_closed_and_begin_at_forced_frames(codec: str) -> None:
    told = config(codec, preset="p4", tuning="hq", gop=8, bframes=0 if codec == "av1" else 2, cq=20)
    with SoftwareEncoder(told) as encoder:
        packets = encode(encoder, [picture("yuv420", number) for number in range(20)], (5,))
    starts = sorted(packet.seq for packet in packets if packet.keyframe)
    assert starts == [0, 5, 13]
    for start in starts:
        place = next(place for place, packet in enumerate(packets) if packet.seq == start)
        stream = b"".join(packet.data for packet in packets[place:])
        assert len(decode(stream, codec)) == 20 - start


@pytest.mark.parametrize("codec", CODECS)
def test_parameter_sets_are_on_each_key_frame_and_are_the_header(codec: str) -> None:
    with SoftwareEncoder(config(codec, gop=4, cq=20)) as encoder:
        header = encoder.sequence_header()
        packets = encode(encoder, [picture("yuv420", number) for number in range(9)])
        assert encoder.sequence_header() == header
    assert sum(packet.keyframe for packet in packets) == 3
    for packet in packets:
        kinds = types_of(packet.data, codec)
        found = [kind for kind in kinds if kind in PARAMETER_SETS[codec]]
        assert found == (PARAMETER_SETS[codec] if packet.keyframe else [])
        assert (header in packet.data) == packet.keyframe


def types_of(data: bytes, codec: str) -> list[int]:
    if codec == "av1":
        return [kind for kind, _ in obus(data)]
    units = nal_units(data.replace(b"\0\0\0\1", b"\0\0\1").replace(b"\0\0\1", b"\0\0\0\1"))
    return [nal_type(unit, codec) for unit in units]


@pytest.mark.parametrize("codec", CODECS)
def test_after_a_flush_it_goes_on_with_an_idr(codec: str) -> None:
    with SoftwareEncoder(config(codec, tuning="lossless")) as encoder:
        assert encoder.flush_pipeline() == []
        first = encode(encoder, [picture("yuv420", number) for number in range(3)])
        second = encode(encoder, [picture("yuv420", number) for number in range(3, 5)])
    assert [packet.keyframe for packet in (first[0], second[0])] == [True, True]
    assert sorted(packet.pts for packet in first + second) == [0, 1, 2, 3, 4]
    assert len(decode(b"".join(packet.data for packet in first + second), codec)) == 5


@pytest.mark.parametrize("codec", CODECS)
def test_a_lazy_flush_gives_the_same_while_another_stream_begins(codec: str) -> None:
    slow = config(codec, cq=20, preset="p4", tuning="hq")
    pictures = [picture("yuv420", number) for number in range(12)]
    with SoftwareEncoder(slow, 1) as lazy, SoftwareEncoder(slow, 1) as eager:
        for encoder in (lazy, eager):
            assert list(encoder.flush_lazily()) == []
        first = [packet for seq, one in enumerate(pictures) for packet in lazy.submit(one, seq)]
        coming = lazy.flush_lazily()
        assert lazy.in_flight == 0
        first += [next(coming)]
        second = encode(lazy, pictures[:5])
        first += coming
        wanted = encode(eager, pictures), encode(eager, pictures[:5])
    for found, other in zip((first, second), wanted, strict=True):
        assert [(one.seq, one.data, one.pts, one.dts) for one in found] == [
            (one.seq, one.data, one.pts, one.dts) for one in other
        ]


def test_x264_writes_the_same_bytes_each_time() -> None:
    """Its AVX-512 code reads past the end of a row, unless that is a multiple of 8 macroblocks."""
    settings = EncoderConfig(width=192, height=160, codec="h264", preset="p4", format="yuv420", tuning="hq", cq=20,
                             bframes=3)  # fmt: skip
    random = np.random.default_rng(1)
    pictures = [random.integers(0, 256, (240, 192), dtype=np.uint8) for _ in range(12)]
    streams = set()
    for _ in range(30):
        with SoftwareEncoder(settings, threads=1) as encoder:
            streams.add(b"".join(packet.data for packet in encode(encoder, pictures)))
    assert len(streams) == 1


@pytest.mark.parametrize(
    ("flags", "width", "asm"),
    [
        ("sse2 avx2 fma avx512f avx512dq", 192, "avx2"),
        ("sse2 avx2 fma avx512f avx512dq", 1920, None),
        ("sse2 avx2 fma avx512f avx512dq", 1918, None),
        ("sse2 avx2 fma", 192, None),
    ],
)
def test_x264_does_not_use_avx512_for_some_widths(
    monkeypatch: pytest.MonkeyPatch, flags: str, width: int, asm: str | None
) -> None:
    monkeypatch.setattr(software_options_module, "processor_flags", lambda: frozenset(flags.split()))
    settings = EncoderConfig(width=width, height=160, codec="h264", format="yuv420")
    assert software_options(settings, 1).params.get("asm") == asm


def test_the_encoder_works_after_an_abandoned_lazy_flush() -> None:
    with SoftwareEncoder(config(cq=20, preset="p4", tuning="hq")) as encoder:
        for number in range(12):
            encoder.submit(picture("yuv420", number), number)
        assert next(encoder.flush_lazily()).seq == 0
        packets = encode(encoder, [picture("yuv420", number) for number in range(3)])
    assert sorted(packet.seq for packet in packets) == [0, 1, 2]
    assert packets[0].keyframe


def test_frames_of_pyav_are_taken_and_left_as_they_were() -> None:
    frame = av.VideoFrame.from_ndarray(picture("yuv420", 1), "yuv420p")
    frame.pts, frame.time_base, frame.pict_type = 77, Fraction(1, 1000), 3
    with SoftwareEncoder(config(tuning="lossless")) as encoder:
        (unit,) = encoder.submit(frame, 5) + encoder.flush_pipeline()
    assert (frame.pts, frame.time_base, frame.pict_type) == (77, Fraction(1, 1000), 3)
    assert unit.keyframe
    assert np.array_equal(decode(unit.data, "h264")[0].planes[0], picture("yuv420", 1)[:HEIGHT])


def test_encode_and_flush_give_the_bytes() -> None:
    pictures = [picture("yuv420", number) for number in range(4)]
    with SoftwareEncoder(config(cq=20), threads=1) as one, SoftwareEncoder(config(cq=20), threads=1) as other:
        joined = b"".join(one.encode(frame) for frame in pictures) + one.flush()
        assert joined == b"".join(packet.data for packet in encode(other, pictures))


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (np.zeros((HEIGHT, WIDTH), np.uint8), r"an array of shape \(96, 96\).*got shape \(64, 96\)"),
        (np.zeros((HEIGHT * 3 // 2, WIDTH), np.uint16), "type uint8.*type uint16"),
        (av.VideoFrame(WIDTH + 2, HEIGHT, "yuv420p"), "Expected a frame of 96x64, got 98x64"),
        ("words", "shape"),
    ],
)
def test_frames_that_do_not_fit(frame: Any, words: str) -> None:
    with SoftwareEncoder(config(cq=20)) as encoder:
        with pytest.raises(InvalidFrame, match=words):
            encoder.submit(frame, 0)
        assert encoder.in_flight == 0
        assert encode(encoder, [picture("yuv420", 0)]), "it stays usable"


def test_a_closed_encoder_takes_nothing() -> None:
    encoder = SoftwareEncoder(config())
    encoder.close()
    encoder.close()
    for call in (lambda: encoder.submit(picture("yuv420", 0), 0), encoder.flush_pipeline, encoder.sequence_header):
        with pytest.raises(EncoderClosed):
            call()


def test_a_setting_that_the_codec_refuses_is_an_error_of_ours() -> None:
    with pytest.raises(InvalidConfig, match="libsvtav1 refuses these settings for pictures of 20000x64"):
        SoftwareEncoder(EncoderConfig(width=20_000, height=64, codec="av1"))


@pytest.mark.parametrize(("codec", "least"), LEAST_SIZE.items())
def test_a_picture_that_is_too_small_for_the_codec_is_refused_in_our_words(codec: str, least: int) -> None:
    even = least + least % 2
    for size in ((even, 64), (64, even)):
        with SoftwareEncoder(EncoderConfig(width=size[0], height=size[1], codec=codec, format="yuv420")) as encoder:
            (packet,) = encode(encoder, [np.zeros((size[1] * 3 // 2, size[0]), np.uint8)])
        assert decode(packet.data, codec)[0].planes[0].shape == size[::-1]
        if least > 2:
            smaller = tuple(side - 2 if side == even else side for side in size)
            with pytest.raises(InvalidConfig, match=r"takes no picture smaller than \d+x\d+. Use codec='h264'"):
                SoftwareEncoder(EncoderConfig(width=smaller[0], height=smaller[1], codec=codec, format="yuv420"))


@pytest.mark.parametrize("codec", CODECS)
def test_colour_and_hdr_are_in_the_stream(codec: str) -> None:
    display = MasteringDisplay(max_luminance=4000.0, min_luminance=0.005)
    told = config(codec, format="p010", colour="hdr10", mastering_display=display, content_light=ContentLight(900, 300))
    with SoftwareEncoder(told) as encoder:
        packets = encode(encoder, [picture("p010", number) for number in range(2)])
    decoder: Any = av.CodecContext.create("libdav1d" if codec == "av1" else codec, "r")
    frames = [frame for packet in packets for frame in decoder.decode(av.Packet(packet.data))] + decoder.decode(None)
    first = frames[0]
    assert (first.color_primaries, first.color_trc, first.colorspace, first.color_range) == (9, 16, 9, 1)
    side = side_data(first)
    assert np.frombuffer(side["CONTENT_LIGHT_LEVEL"][:8], np.uint32).tolist() == [900, 300]
    numbers = np.frombuffer(side["MASTERING_DISPLAY_METADATA"][:80], np.int32)
    values = numbers[0::2] / numbers[1::2]
    points = [*display.red, *display.green, *display.blue, *display.white]
    assert values.tolist() == pytest.approx([*points, 0.005, 4000.0], abs=1e-4)


@pytest.mark.parametrize("codec", CODECS)
def test_full_range_is_signalled(codec: str) -> None:
    told = config(codec, colour=Colour(full_range=True), cq=20)
    with SoftwareEncoder(told) as encoder:
        packets = encode(encoder, [picture("yuv420", 0)])
    decoder: Any = av.CodecContext.create("libdav1d" if codec == "av1" else codec, "r")
    frames = decoder.decode(av.Packet(packets[0].data)) + decoder.decode(None)
    assert frames[0].color_range == 2


@pytest.mark.parametrize("codec", CODECS)
def test_quality_and_rate_do_what_they_are_called(codec: str) -> None:
    smooth = [np.full((HEIGHT * 3 // 2, WIDTH), 90, np.uint8) + (picture("yuv420", n) >> 2) for n in range(12)]

    def size(**more: Any) -> int:
        with SoftwareEncoder(config(codec, tuning="hq", **more)) as encoder:
            return sum(len(packet.data) for packet in encode(encoder, smooth))

    assert size(cq=10) > size(cq=30) > size(cq=50)
    assert size(qp=10) > size(qp=40)
    assert size(bitrate=2_000_000) > size(bitrate=100_000)


@pytest.mark.parametrize(
    ("settings", "unmapped"),
    [
        ({}, ()),
        ({"multipass": "full", "lookahead": 16, "spatial_aq": 8, "bframes": 3, "tuning": "hq"}, ("multipass",)),
        ({"split_encode": "off", "codec": "hevc", "strict_gop": True}, ("strict_gop", "split_encode")),
        ({"codec": "av1", "bframes": 3, "tuning": "hq", "temporal_aq": True}, ("bframes", "temporal_aq")),
        ({"qp": (20, 22, 24)}, ("qp of P and B",)),
        ({"slices": ("bytes", 1400)}, ("slices",)),
    ],
)
def test_settings_that_the_codec_lacks_are_named(settings: dict[str, Any], unmapped: tuple[str, ...]) -> None:
    with SoftwareEncoder(config(**settings)) as encoder:
        assert encoder.unmapped == unmapped


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("tuning", ["ll", "hq"])
def test_all_presets_are_taken(codec: str, tuning: str) -> None:
    names = [software_options(config(codec, preset=f"p{n}", tuning=tuning), 0).options["preset"] for n in range(1, 8)]
    speeds = ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"]
    assert names == speeds if codec != "av1" else [int(name) for name in names] == sorted(map(int, names))[::-1]
    for preset in ("p1", "p7"):
        with SoftwareEncoder(config(codec, preset=preset, tuning=tuning, cq=30)) as encoder:
            assert len(encode(encoder, [picture("yuv420", number) for number in range(2)])) == 2


REFUSED: dict[str, Any] = {
    "statistics": "picture",
    "reconstruction": True,
    "sub_frames": True,
    "stereo": True,
    "attempts": 2,
}
"""Settings for which there is nothing to give, or which change what a frame is. They are refused."""

NOT_VARIED = {
    *REFUSED,
    *("width", "height", "codec", "chroma", "bit_depth"),  # what the stream is
    *("intra_refresh_period", "intra_refresh_count", "single_slice_refresh"),  # which go together only
    *("max_width", "max_height", "gpu_id", "cuda_context", "extra_output_delay", "copy"),  # of the GPU and its memory
}


def test_every_field_is_mapped_or_named() -> None:
    """Each setting that differs from its default changes the codec's options, or is named as unmapped."""
    values: dict[str, Any] = {
        "preset": "p6", "tuning": "ull", "profile": "main", "level": "5.1", "tier": "high", "format": "p010",
        "colour": "bt2020", "fps": 50, "gop": 12, "rate_control": "vbr", "bitrate": 10**6, "qp": 20,
        "min_qp": 5, "max_qp": 40, "initial_qp": 20, "cq": 20, "multipass": "full", "lookahead": 9,
        "lookahead_level": 1, "spatial_aq": True, "temporal_aq": True, "low_delay_key_frame_scale": 2,
        "strict_gop": True, "nonref_p": True, "weighted_prediction": True, "bframes": 2, "b_ref_mode": "off",
        "adaptive_i": True, "adaptive_b": True, "temporal_filter": True, "unidirectional_b": True, "slices": 2,
        "split_encode": "off", "time_code": True, "vbv_initial_delay": 10**5, "content_light": ContentLight(9, 8),
        "mastering_display": MasteringDisplay(), "long_term_references": 2, "motion_hints": 1,
        "reference_frames": 6, "qp_map": "delta", "picture_types": "manual", "max_bitrate": 2 * 10**6,
        "vbv_size": 4 * 10**5, "aud": True, "filler_data": True, "sample_aspect": (64, 45), "entropy": "cavlc",
        "transform_8x8": False, "deblocking": False, "constrained_intra": True, "chroma_qp_offset": 3,
        "references": References(l0=2), "tiles": (2, 1), "layers": 2,
        "film_grain": FilmGrain.of_strength(9), "monochrome": True,
        "interlaced": "top", "alpha": True,
    }  # fmt: skip
    assert values.keys() | NOT_VARIED == set(EncoderConfig.names())
    with_others: dict[str, dict[str, Any]] = {
        "lookahead_level": {"lookahead": 8}, "temporal_filter": {"bframes": 4}, "unidirectional_b": {"bframes": 2},
        "adaptive_i": {"lookahead": 8}, "adaptive_b": {"lookahead": 8, "bframes": 2}, "b_ref_mode": {"bframes": 2},
        "low_delay_key_frame_scale": {"bitrate": 10**6, "rate_control": "cbr"},
        "vbv_initial_delay": {"vbv_size": 10**6}, "max_bitrate": {"bitrate": 10**6, "rate_control": "vbr"},
        "vbv_size": {"bitrate": 10**6, "rate_control": "cbr"},
        "alpha": {"format": "argb"},
        "filler_data": {"bitrate": 10**6, "rate_control": "cbr"},
    }  # fmt: skip
    for codec in CODECS:
        base: dict[str, Any] = {"tuning": "hq", "codec": codec}
        for name, value in values.items():
            if (codec, name) in {("h264", "tier"), ("h264", "split_encode"), ("av1", "slices"), ("hevc", "profile")}:
                continue  # which the configuration itself refuses, or which is the default
            if codec not in ONLY_IN.get(name, CODECS):
                continue  # which the configuration itself refuses
            if (codec, name) == ("av1", "profile") or name == "rate_control":
                continue  # the only value, which is also the default
            others = {**base, **with_others.get(name, {})}
            given = False if name == "adaptive_i" else value
            told = software_options(config(**{**others, name: given}), 0)
            assert told != software_options(config(**others), 0), f"{codec}: {name}"


@pytest.mark.parametrize("name", REFUSED)
def test_what_only_hardware_tells_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedFeature) as caught:
        SoftwareEncoder(config("hevc", slices=2, **{name: REFUSED[name]}))
    assert f"{name}={REFUSED[name]!r}" in str(caught.value)
    assert "NvencEncoder" in str(caught.value)


def test_the_same_calls_give_the_hardwares_order(simulator: Simulator) -> None:
    """Seqs, key frames and presentation places are those of the hardware's encoder."""
    pictures = [np.full((144 * 3 // 2, 192), 9 * number, np.uint8) for number in range(12)]
    told = EncoderConfig(width=192, height=144, format="yuv420", gop=5, preset="p1")
    with simulator.machine(gpus={"name": "RTX 4090", "fps_1080p": 0}), NvencEncoder(told) as hardware:
        wanted = encode(hardware, pictures, (7,))
    with SoftwareEncoder(told) as software:
        found = encode(software, pictures, (7,))
    assert [(one.seq, one.keyframe, one.pts) for one in found] == [(one.seq, one.keyframe, one.pts) for one in wanted]


def test_a_forked_child_gets_an_error() -> None:
    encoder = SoftwareEncoder(config())
    encoder._made_in = os.getpid() + 1
    with pytest.raises(EncoderClosed, match="forked"):
        encoder.flush_pipeline()


@pytest.mark.parametrize(("tuning", "keys"), [("ll", [0]), ("hq", [0, 250])])
def test_without_a_number_a_group_is_as_long_as_on_hardware(tuning: str, keys: list[int]) -> None:
    picture = np.full((64 * 3 // 2, 64), 90, np.uint8)
    with SoftwareEncoder(64, 64, preset="p1", tuning=tuning, gop=None) as encoder:
        packets = [packet for number in range(252) for packet in encoder.submit(picture, number)]
        packets += encoder.flush_pipeline()
    assert [packet.seq for packet in packets if packet.keyframe] == keys


@pytest.mark.parametrize("codec", CODECS)
def test_after_a_lost_packet_the_next_frame_is_an_idr(codec: str) -> None:
    pictures = [np.full((144 * 3 // 2, 192), 9 * number, np.uint8) for number in range(4)]
    with SoftwareEncoder(EncoderConfig(width=192, height=144, format="yuv420", codec=codec, gop=0)) as encoder:
        packets = [*encoder.submit(pictures[0], 0), *encoder.submit(pictures[1], 1)]
        assert encoder.lost(1) is False
        for number in (2, 3):
            packets += encoder.submit(pictures[number], number)
        packets += encoder.flush_pipeline()
        assert [packet.seq for packet in packets if packet.keyframe] == [0, 2]
        with pytest.raises(TypeError):
            encoder.lost("1")  # type: ignore[arg-type]
    with pytest.raises(EncoderClosed):
        encoder.lost(1)


def test_x264_changes_its_bitrate_while_it_runs() -> None:
    """Noise, of which each rate leaves as much as it takes. There is one key frame, at the beginning."""
    settings = config(format="nv12", fps=30, gop=0, bitrate=800_000, rate_control="cbr", vbv_size=80_000)
    with SoftwareEncoder(settings) as encoder:

        def rate(first: int) -> float:
            pictures = [picture("nv12", number) for number in range(first, first + 60)]
            packets = [packet for number, one in enumerate(pictures) for packet in encoder.submit(one, number)]
            assert [packet.seq for packet in packets if packet.keyframe] == ([0] if first == 0 else [])
            return sum(8 * len(packet.data) for packet in packets[20:]) * 30 / 40

        before = rate(0)
        assert encoder.set_bitrate(200_000)
        assert encoder.config.bitrate == 200_000
        assert rate(60) < 0.5 * before
        assert not encoder.set_bitrate(900_000), "more than the buffer was made for"
        assert encoder.set_bitrate(800_000)
        assert rate(120) > 0.7 * before


@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_other_codecs_do_not_change_theirs(codec: str) -> None:
    with SoftwareEncoder(config(codec, bitrate=800_000, rate_control="cbr")) as encoder:
        assert not encoder.set_bitrate(200_000)
        assert encoder.config.bitrate == 800_000


def test_without_a_rate_there_is_none_to_change() -> None:
    with SoftwareEncoder(config(qp=30)) as encoder:
        assert not encoder.set_bitrate(200_000)
    with pytest.raises(EncoderClosed):
        encoder.set_bitrate(200_000)


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_the_priority_of_the_thread_stays(codec: str) -> None:
    """SVT-AV1 changes it if the process may."""
    before = os.sched_getscheduler(0), os.sched_getparam(0).sched_priority
    with SoftwareEncoder(config(codec)) as encoder:
        encoder.sequence_header()
        assert (os.sched_getscheduler(0), os.sched_getparam(0).sched_priority) == before
