"""Codec strings and parameter sets, compared with FFmpeg's reading of the same streams."""

from __future__ import annotations

import re
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from media_samples import ffmpeg
from mp4_files import boxes, encoded
from pdum.nvenc import InvalidConfig, NvencEncoder
from pdum.nvenc._encoders.bitstreams import parameter_sets
from pdum.nvenc._mp4.bits import without_emulation
from pdum.nvenc._mp4.codec_string import codec_string, describe

from loud import need_module
from simulator import Simulator

pytestmark = pytest.mark.one_abi

TAGS = {"h264": "avc1", "hevc": "hvc1", "av1": "av01"}
RECORDS = {"h264": "avcC", "hevc": "hvcC", "av1": "av1C"}
X264, X265 = ("-c:v", "libx264", "-preset", "veryfast"), ("-c:v", "libx265", "-preset", "ultrafast")
SVT = ("-c:v", "libsvtav1", "-preset", "12")
FAST = "vbv-maxrate=90000:vbv-bufsize=90000"
HDR = ("-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc", "-color_range", "tv")
STREAMS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "h264 baseline": ("h264", (*X264, "-profile:v", "baseline"), "64x48"),
    "h264 main, cropped": ("h264", (*X264, "-profile:v", "main"), "70x50"),
    "h264 high, colour": ("h264", (*X264, *HDR), "64x48"),
    "h264 wide pixels": ("h264", (*X264, "-vf", "setsar=40/33"), "64x48"),
    "h264 odd pixels": ("h264", (*X264, "-vf", "setsar=13/7"), "64x48"),
    "h264 high10": ("h264", (*X264, "-pix_fmt", "yuv420p10"), "64x48"),
    "h264 high422": ("h264", (*X264, "-pix_fmt", "yuv422p"), "70x50"),
    "h264 high444, cropped": ("h264", (*X264, "-pix_fmt", "yuv444p"), "70x50"),
    "h264 matrices": ("h264", (*X264, "-x264-params", "cqm=jvt:8x8dct=1"), "64x48"),
    "h264 fields": ("h264", (*X264, "-flags", "+ilme+ildct", "-x264-params", "tff=1"), "64x56"),
    "h264 grey": ("h264", (*X264, "-pix_fmt", "gray"), "64x48"),
    "hevc main, cropped": ("hevc", (*X265, "-pix_fmt", "yuv420p"), "70x50"),
    "hevc main10, colour": ("hevc", (*X265, "-pix_fmt", "yuv420p10", *HDR), "64x48"),
    "hevc rext 4:4:4": ("hevc", (*X265, "-pix_fmt", "yuv444p"), "70x50"),
    "hevc rext 4:2:2": ("hevc", (*X265, "-pix_fmt", "yuv422p10", "-vf", "setsar=4/3"), "70x50"),
    "hevc high tier": ("hevc", (*X265, "-x265-params", f"level-idc=5:high-tier=1:{FAST}"), "64x48"),
    "hevc matrices": ("hevc", (*X265, "-x265-params", "scaling-list=default:bframes=3:ref=4"), "64x48"),
    "hevc layers": ("hevc", (*X265, "-x265-params", "temporal-layers=3:bframes=4"), "64x48"),
    "av1": ("av1", (*SVT, "-pix_fmt", "yuv420p"), "64x64"),
    "av1 10 bits, colour": ("av1", (*SVT, "-pix_fmt", "yuv420p10", *HDR), "72x66"),
    "av1 of libaom, 4:4:4": ("av1", ("-c:v", "libaom-av1", "-cpu-used", "8", "-pix_fmt", "yuv444p"), "64x64"),
    "av1 of libaom, grey": ("av1", ("-c:v", "libaom-av1", "-cpu-used", "8", "-pix_fmt", "gray"), "64x64"),
    "av1 of libaom, 4:2:2": ("av1", ("-c:v", "libaom-av1", "-cpu-used", "8", "-pix_fmt", "yuv422p10"), "64x64"),
}  # fmt: skip


QUICK = ("h264 main, cropped", "h264 high10", "hevc main10, colour", "hevc layers", "av1 10 bits, colour")
ALL = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in STREAMS]


@pytest.fixture(scope="module", params=ALL)
def stream(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes, Path]:
    """The codec, the header, and an MP4 file of it that FFmpeg wrote."""
    codec, arguments, size = STREAMS[request.param]
    path = tmp_path_factory.mktemp("described") / "stream.mp4"
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s={size}:r=25", "-frames:v", "2", *arguments, "-tag:v", TAGS[codec], path)
    if codec == "av1":
        return codec, record_in(path, codec)[4:], path
    raw = path.with_suffix(".raw")
    ffmpeg("-i", path, "-c", "copy", "-f", codec, raw)
    return codec, parameter_sets(raw.read_bytes(), codec), path


def record_in(path: Path, codec: str) -> bytes:
    (record,) = boxes(path.read_bytes(), "moov", "trak", "mdia", "minf", "stbl", "stsd", TAGS[codec], RECORDS[codec])
    return record


Stream = tuple[str, bytes, Path]


def test_a_description_is_ffmpegs(stream: Stream) -> None:
    codec, header, path = stream
    found = describe(codec, header)
    with need_module("av").open(str(path)) as container:
        video = container.streams.video[0]
        frame = next(container.decode(video))
        context = video.codec_context
        assert (found.width, found.height) == (frame.width, frame.height)
        assert found.bit_depth == frame.format.components[0].bits
        if found.chroma_format:  # grey is decoded to 4:2:0
            assert frame.format.name.replace("yuvj", "yuv").startswith(CHROMA[found.chroma_format])
        ratio = context.sample_aspect_ratio
        assert (found.sample_aspect_ratio or 1) == (Fraction(ratio.numerator, ratio.denominator) if ratio else 1)
        known = (context.color_primaries, context.color_trc, context.colorspace, context.color_range == 2)
        assert (found.colour or (2, 2, 2, False)) == known


CHROMA = {1: "yuv420", 2: "yuv422", 3: "yuv444"}


def test_a_configuration_is_ffmpegs(stream: Stream) -> None:
    """FFmpeg also finds out how slices lie in HEVC (bytes 13 to 15), and keeps messages beside the parameter sets."""
    codec, header, path = stream
    made = describe(codec, header).configuration
    theirs = record_in(path, codec)
    if codec == "hevc":
        assert made[:13] + made[16:21] == theirs[:13] + theirs[16:21]
        assert hevc_arrays(made) == {kind: units for kind, units in hevc_arrays(theirs).items() if kind < 35}
    else:
        assert made == theirs


def hevc_arrays(record: bytes) -> dict[int, list[bytes]]:
    at, found = 23, {}
    for _ in range(record[22]):
        kind, count = record[at] & 0x3F, int.from_bytes(record[at + 1 : at + 3], "big")
        at, units = at + 3, []
        for _ in range(count):
            size = int.from_bytes(record[at : at + 2], "big")
            units.append(record[at + 2 : at + 2 + size])
            at += 2 + size
        found[kind] = units
    assert at == len(record)
    return found


def test_a_codec_string_is_the_one_in_ffmpegs_manifest(stream: Stream, tmp_path: Path) -> None:
    """This FFmpeg has no strings for HEVC."""
    codec, header, path = stream
    ffmpeg("-i", path, "-c", "copy", "-tag:v", TAGS[codec], "-f", "dash", tmp_path / "manifest.mpd")
    (theirs,) = re.findall(r'codecs="([^"]+)"', (tmp_path / "manifest.mpd").read_text())
    ours = codec_string(codec, header)
    assert theirs in {"h264": [ours], "hevc": ["hvc1"], "av1": [ours, ours[:13]]}[codec]


@pytest.mark.parametrize(
    ("profile", "known"),
    [
        ("01 60000000 b00000000000 5d", "hvc1.1.6.L93.B0"),
        ("02 20000000 900000000000 99", "hvc1.2.4.L153.90"),
        ("22 20000000 b00000000000 99", "hvc1.2.4.H153.B0"),
        ("04 08000000 9c0800000000 7b", "hvc1.4.10.L123.9C.8"),
        ("41 60000000 000000000000 5d", "hvc1.A1.6.L93"),
    ],
)
def test_strings_of_hevc(profile: str, known: str) -> None:
    """By the rules of ISO/IEC 14496-15, annex E; the first two are often seen in manifests."""
    old = describe("hevc", encoded("hevc").header)
    before = encoded("hevc").header.split(b"\0\0\0\1")
    escaped = without_emulation(before[2])
    sps = escaped[:3] + bytes.fromhex(profile) + escaped[15:]
    escaped_again = re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", sps)
    found = describe("hevc", b"\0\0\0\1".join([*before[:2], escaped_again, *before[3:]]))
    assert found.codec_string == known
    assert (found.width, found.height) == (old.width, old.height)


def test_known_strings() -> None:
    assert codec_string("h264", bytes.fromhex("0000000167640028acd940780227e5c04400000168ebecb22c")) == "avc1.640028"


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_the_hardwares_header(simulator: Simulator, codec: str) -> None:
    machine: dict[str, Any] = {"gpus": {"name": "RTX 4090", "fps_1080p": 0}, "backend": "codec"}
    with simulator.machine(**machine), NvencEncoder(256, 144, codec=codec, colour="bt709") as encoder:
        found = describe(codec, encoder.sequence_header())
    assert (found.width, found.height, found.bit_depth) == (256, 144, 8)
    assert found.colour == (1, 1, 1, False)


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_a_header_that_is_none(codec: str) -> None:
    for header in (b"", b"\0\0\0\1", b"\x09\x10", b"\x0a", bytes(100)):
        with pytest.raises(InvalidConfig, match=r"^Expected .*, got "):
            codec_string(codec, header)


def test_a_codec_that_is_none() -> None:
    with pytest.raises(InvalidConfig, match=r"^Expected one of h264, hevc, av1, got codec='vp9'\.$"):
        codec_string("vp9", b"")


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@settings(max_examples=40)
@given(some.data())
def test_a_damaged_header_raises_nothing_else(codec: str, chance: Any) -> None:
    header = bytearray(encoded(codec).header)
    for _ in range(chance.draw(some.integers(0, 4))):
        header[chance.draw(some.integers(0, len(header) - 1))] = chance.draw(some.integers(0, 255))
    with suppress(InvalidConfig):
        describe(codec, bytes(header[: chance.draw(some.integers(0, len(header)))]))
