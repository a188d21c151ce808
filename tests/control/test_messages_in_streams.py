"""Data of pictures, found in the bitstream by FFmpeg: SEI messages, metadata OBUs, HDR's static data, time codes."""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path
from typing import Any
from uuid import UUID

import av
import pytest

from control.coded import CODECS, decoded, encode, stream_of, syntax_of
from pdum.nvenc import ContentLight, MasteringDisplay, Metadata, Packet, PictureOptions, Sei, TimeCode
from side_data import side_data

from loud import need_program
from simulator import Simulator
from streams import DEMUXERS, decode, nal_type, nal_units, obus

pytestmark = pytest.mark.one_abi

UUID_BYTES = UUID("086f3693-b7b3-4f2c-9653-21492feee5b8").bytes
CAPTION = bytes((0xFC, 0x94, 0x2C, 0xFD, 0x80, 0x80))
DISPLAY = MasteringDisplay(min_luminance=0.005, max_luminance=1000)
LIGHT = ContentLight(1000, 400)


def ffprobe(packets: list[Packet], codec: str, folder: Path) -> list[dict[str, Any]]:
    """Each frame with its side data, read by Debian's ffprobe."""
    program = need_program("ffprobe", "ffmpeg")
    path = folder / "stream"
    path.write_bytes(stream_of(packets))
    run = subprocess.run(
        [program, "-v", "error", "-f", DEMUXERS[codec], "-show_frames", "-of", "json", str(path)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    frames: list[dict[str, Any]] = json.loads(run.stdout)["frames"]
    return frames


def sei_payloads(packet: Packet, codec: str) -> list[tuple[int, bytes]]:
    """Types and payloads of an access unit's SEI messages, read by our own parser."""
    kind, header = (6, 1) if codec == "h264" else (39, 2)
    found = []
    for nal in nal_units(packet.data):
        if nal_type(nal, codec) != kind:
            continue
        body = nal[header:].replace(b"\0\0\3", b"\0\0")
        numbers = []
        for _ in range(2):
            number = 0
            while body[0] == 255:
                number, body = number + 255, body[1:]
            numbers.append(number + body[0])
            body = body[1:]
        found.append((numbers[0], body[: numbers[1]]))
    return found


# SEI messages


@pytest.mark.parametrize("bframes", [0, 2])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_user_data_is_on_its_picture(abi: str, simulator: Simulator, codec: str, bframes: int) -> None:
    """Only on that picture, even if pictures are coded out of order."""
    options = {
        number: PictureOptions(sei=[Sei.user_data(UUID(bytes=UUID_BYTES), f"picture {number}".encode())])
        for number in (0, 3, 4)
    }
    tuning = "hq" if bframes else "ll"
    frames = decoded(encode(simulator, codec=codec, options=options, tuning=tuning, bframes=bframes), codec)
    told = {number: side_data(frame).get("SEI_UNREGISTERED") for number, frame in enumerate(frames)}
    assert {number: data for number, data in told.items() if data is not None} == {
        number: UUID_BYTES + f"picture {number}".encode() for number in options
    }


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_closed_captions(simulator: Simulator, codec: str) -> None:
    packets = encode(simulator, count=3, codec=codec, options={1: PictureOptions(sei=[Sei.captions(CAPTION)])})
    told = [side_data(frame).get("A53_CC") for frame in decoded(packets, codec)]
    assert told == [None, CAPTION, None]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_messages_of_any_type_keep_type_order_and_bytes(simulator: Simulator, codec: str) -> None:
    messages = [(300, b"far"), (5, UUID_BYTES + b"\0\0\0\1\0\0\3"), (255, b""), (47, bytes(range(256)) * 3)]
    options = PictureOptions(sei=[Sei(*message) for message in messages])
    packets = encode(simulator, count=2, codec=codec, options={1: options})
    assert [sei_payloads(packet, codec) for packet in packets] == [[], messages]


# HDR


def chromaticities(data: bytes) -> list[float]:
    """An AVMasteringDisplayMetadata: ten rationals, then whether primaries and luminance are there."""
    numbers = struct.unpack("20i2i", data[:88])
    assert numbers[20:] == (1, 1)
    return [num / den for num, den in zip(numbers[:20:2], numbers[1:20:2], strict=True)]


@pytest.mark.parametrize("codec", CODECS)
def test_hdr_is_side_data_of_every_idr(abi: str, simulator: Simulator, codec: str) -> None:
    packets = encode(
        simulator, count=7, codec=codec, gop=3, colour="hdr10", format="nv12", mastering_display=DISPLAY,
        content_light=LIGHT,
    )  # fmt: skip
    frames = decoded(packets, codec)
    told = [side_data(frame) for frame in frames]
    assert frames[0].color_trc == 16
    wanted = [*DISPLAY.red, *DISPLAY.green, *DISPLAY.blue, *DISPLAY.white, 0.005, 1000]
    for number in (0, 3, 6):
        assert frames[number].key_frame
        found = chromaticities(told[number]["MASTERING_DISPLAY_METADATA"])
        assert found == pytest.approx(wanted, abs=1e-4)
        assert struct.unpack("2I", told[number]["CONTENT_LIGHT_LEVEL"][:8]) == (1000, 400)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_hdr_messages_are_only_in_idrs(abi: str, simulator: Simulator, codec: str) -> None:
    packets = encode(
        simulator, count=7, codec=codec, gop=4, tuning="hq", bframes=1, mastering_display=DISPLAY, content_light=LIGHT
    )
    for packet in packets:
        kinds = [kind for kind, _ in sei_payloads(packet, codec)]
        assert kinds == ([137, 144] if packet.keyframe else [])
    assert sum(packet.keyframe for packet in packets) == 2


@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_ffprobe_sees_hdr(simulator: Simulator, tmp_path: Path, codec: str) -> None:
    """ffprobe is what most people use. Debian's version does not read this from H.264."""
    packets = encode(simulator, count=2, codec=codec, mastering_display=DISPLAY, content_light=LIGHT)
    first = ffprobe(packets, codec, tmp_path)[0]
    found = {one["side_data_type"]: one for one in first["side_data_list"]}
    display, light = found["Mastering display metadata"], found["Content light level metadata"]
    ratio = {name: eval_ratio(value) for name, value in display.items() if "/" in str(value)}
    assert ratio["red_x"] == pytest.approx(0.708, abs=1e-4)
    assert ratio["white_point_y"] == pytest.approx(0.329, abs=1e-4)
    assert (ratio["max_luminance"], ratio["min_luminance"]) == pytest.approx((1000, 0.005), abs=1e-4)
    assert (light["max_content"], light["max_average"]) == (1000, 400)


def eval_ratio(text: str) -> float:
    numerator, denominator = text.split("/")
    return int(numerator) / int(denominator)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_hdr_messages_in_the_parsers_words(simulator: Simulator, tmp_path: Path, codec: str) -> None:
    packets = encode(simulator, count=1, codec=codec, mastering_display=DISPLAY, content_light=LIGHT)
    syntax = syntax_of(packets, codec, tmp_path)
    names = [f"display_primaries_{axis}[{number}]" for number in range(3) for axis in "xy"]
    points = [coordinate for point in (DISPLAY.green, DISPLAY.blue, DISPLAY.red) for coordinate in point]
    assert [syntax.first(name) for name in names] == [round(point * 50_000) for point in points]
    assert syntax.first("max_display_mastering_luminance") == 10_000_000
    assert syntax.first("min_display_mastering_luminance") == 50
    assert syntax.first("max_content_light_level") == 1000
    assert syntax.first("max_pic_average_light_level") == 400


# Intra refresh


@pytest.mark.parametrize(("codec", "name"), [("h264", "recovery_frame_cnt"), ("hevc", "recovery_poc_cnt")])
def test_each_wave_of_intra_blocks_is_a_recovery_point(
    abi: str, simulator: Simulator, tmp_path: Path, codec: str, name: str
) -> None:
    """It tells a decoder that starts there after how many pictures it has a whole one."""
    settings: dict[str, Any] = {"codec": codec, "gop": 0, "intra_refresh_period": 5, "intra_refresh_count": 3}
    packets = encode(simulator, count=12, options={7: PictureOptions(force_idr=True)}, **settings)
    # A wave begins 5 pictures after an IDR, unless another IDR comes first.
    assert [packet.seq for packet in packets if 6 in dict(sei_payloads(packet, codec))] == [5]
    syntax = syntax_of(packets, codec, tmp_path)
    assert syntax.all(name) == [2]
    assert syntax.all("exact_match_flag") == [1]
    without = encode(simulator, count=12, codec=codec, gop=0)
    assert not any(sei_payloads(packet, codec) for packet in without)


# AV1


def test_metadata_obus_stand_before_their_frame(simulator: Simulator) -> None:
    options = {1: PictureOptions(metadata=[Metadata(31, b"private"), Metadata.captions(CAPTION)])}
    packets = encode(simulator, count=3, codec="av1", options=options)
    for number, packet in enumerate(packets):
        units = list(obus(packet.data))
        found = [payload for kind, payload in units if kind == 5]
        if number != 1:
            assert found == []
            continue
        assert found[0] == b"\x1fprivate\x80"
        assert found[1].startswith(b"\x04\xb5\x00\x31GA94\x03\x42\xff" + CAPTION)
        assert [kind for kind, _ in units].index(5) < max(at for at, (kind, _) in enumerate(units) if kind in (3, 6))
    assert len(decode(stream_of(packets), "av1")) == 3


def test_av1_captions_are_side_data(simulator: Simulator) -> None:
    options = {1: PictureOptions(metadata=[Metadata.captions(CAPTION)])}
    frames = decoded(encode(simulator, count=3, codec="av1", options=options), "av1")
    assert [side_data(frame).get("A53_CC") for frame in frames] == [None, CAPTION, None]


# Time codes


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_time_codes_are_side_data(abi: str, simulator: Simulator, codec: str) -> None:
    options = {
        0: PictureOptions(time_code=TimeCode(10, 20, 30, 4)),
        1: PictureOptions(time_code=TimeCode(23, 59, 59, 24)),
        2: PictureOptions(time_code=TimeCode(0, 0, 0, 0)),
    }
    packets = encode(simulator, count=4, codec=codec, fps=25, time_code=True, options=options)
    told = [side_data(frame).get("S12M_TIMECODE") for frame in decoded(packets, codec)]
    assert [smpte(data) for data in told[:3] if data] == [(10, 20, 30, 4), (23, 59, 59, 24), (0, 0, 0, 0)]
    none = told[3] is None or told[3][:4] == bytes(4)  # FFmpeg says so of HEVC by a count of none
    assert none == (codec == "hevc" or abi != "12.1"), "a picture without one has none, but for H.264 with 12.1"


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("drop", [False, True])
def test_drop_frame_time_codes_are_side_data(abi: str, simulator: Simulator, codec: str, drop: bool) -> None:
    """In the word, bit 30 is the drop-frame flag. FFmpeg believes H.264's only with a counting type of 2 to 6."""
    options = {0: PictureOptions(time_code=TimeCode(0, 1, 0, 2, drop_frame=drop))}
    packets = encode(simulator, count=1, codec=codec, fps="30000/1001", time_code=True, options=options)
    data = side_data(decoded(packets, codec)[0])["S12M_TIMECODE"]
    _, word = struct.unpack("2I", data[:8])
    can_be_told = codec == "hevc" or abi == "13.1"
    assert bool(word >> 30 & 1) == (drop and can_be_told)
    assert smpte(data) == (0, 1, 0, 2)


def smpte(data: bytes) -> tuple[int, ...]:
    """SMPTE 12-1: a count, then words of binary coded decimals."""
    count, word = struct.unpack("2I", data[:8])
    assert count == 1

    def number(shift: int, mask: int) -> int:
        byte = word >> shift & mask
        return int((byte >> 4) * 10 + (byte & 15))

    return number(0, 0x3F), number(8, 0x7F), number(16, 0x7F), number(24, 0x3F)


@pytest.mark.parametrize(("codec", "sei"), [("h264", 1), ("hevc", 136)])
def test_time_codes_in_the_parsers_words(simulator: Simulator, tmp_path: Path, codec: str, sei: int) -> None:
    options = {0: PictureOptions(time_code=TimeCode(10, 20, 30, 17, drop_frame=True))}
    packets = encode(simulator, count=1, codec=codec, fps=25, time_code=True, options=options)
    syntax = syntax_of(packets, codec, tmp_path)
    assert [kind for kind, _ in sei_payloads(packets[0], codec)] == [sei]
    suffix = "" if codec == "h264" else "[0]"
    names = ("hours_value", "minutes_value", "seconds_value", "n_frames", "cnt_dropped_flag", "full_timestamp_flag")
    assert tuple(syntax.first(name + suffix) for name in names) == (10, 20, 30, 17, 1, 1)
    if codec == "hevc":
        assert syntax.first("counting_type[0]") == 4, "numbers are dropped from the count"


def test_streams_without_time_codes_have_none(simulator: Simulator) -> None:
    for codec in ("h264", "hevc"):
        packets = encode(simulator, count=2, codec=codec)
        assert [sei_payloads(packet, codec) for packet in packets] == [[], []]


def test_a_time_code_of_av1(simulator: Simulator) -> None:
    options = {0: PictureOptions(time_code=TimeCode(10, 20, 30, 4))}
    (packet,) = encode(simulator, count=1, codec="av1", fps=25, options=options)
    (payload,) = [payload for kind, payload in obus(packet.data) if kind == 5]
    value = int.from_bytes(payload[1:6], "big")
    assert payload[0] == 5
    assert (value >> 6 & 31, value >> 11 & 63, value >> 17 & 63, value >> 23 & 511) == (10, 20, 30, 4)


# Forced pictures


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_forced_intra_picture_is_not_an_idr(simulator: Simulator, codec: str) -> None:
    options = {2: PictureOptions(force_intra=True), 4: PictureOptions(force_idr=True)}
    packets = encode(simulator, count=6, codec=codec, gop=0, options=options)
    assert [packet.pic_type for packet in packets] == ["IDR", "P", "I", "P", "IDR", "P"]
    pictures = decode(stream_of(packets), codec)
    assert "".join(picture.kind for picture in pictures) == "IPIPIP"
    assert [packet.keyframe for packet in packets] == [number in (0, 4) for number in range(6)]


def test_pyav_is_new_enough() -> None:
    """Its FFmpeg knows HDR in H.264 since version 7."""
    assert av.library_versions["libavcodec"][0] >= 61
