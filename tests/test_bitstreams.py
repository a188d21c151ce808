"""The streams of real codecs behind the simulated encoder, checked by FFmpeg's parsers and decoders."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pdum.nvenc import NvencEncoder, Packet

from simulator import Simulator
from streams import DEMUXERS, Format, decode, headers_of, moving_pictures, nal_type, nal_units, nv12, obus, psnr

pytestmark = pytest.mark.one_abi

FORM = Format(256, 144)
MACHINE: dict[str, Any] = {"gpus": {"name": "RTX 4090", "fps_1080p": 0}, "backend": "codec"}
CODECS = ["h264", "hevc", "av1"]
COUNT = 24
PICTURES = moving_pictures(FORM, COUNT)
FRAMES = [np.ascontiguousarray(nv12(planes)) for planes in PICTURES]
FAITHFUL = (
    30.0  # dB: codecs at their usual quantiser reach this with these pictures; a wrong or shifted picture does not
)

Units = list[Packet]


def encode(simulator: Simulator, count: int = COUNT, forced: tuple[int, ...] = (), **settings: Any) -> Units:
    with simulator.machine(**MACHINE), NvencEncoder(FORM.width, FORM.height, **settings) as encoder:
        packets = []
        for number in range(count):
            packets += encoder.submit(FRAMES[number], number, number in forced)
        return packets + encoder.flush_pipeline()


def stream_of(packets: Units) -> bytes:
    return b"".join(packet.data for packet in packets)


def assert_faithful(stream: bytes, codec: str, count: int = COUNT) -> None:
    pictures = decode(stream, codec)
    assert len(pictures) == count
    for number, picture in enumerate(pictures):
        quality = [psnr(PICTURES[other], picture.planes) for other in range(max(0, number - 1), min(count, number + 2))]
        assert quality[min(number, 1)] == max(quality), f"picture {number} looks more like its neighbour"
        assert quality[min(number, 1)] >= FAITHFUL


@pytest.mark.parametrize("tuning", ["ll", "ull", "hq"])
@pytest.mark.parametrize("codec", CODECS)
def test_every_picture_is_decoded(abi: str, simulator: Simulator, codec: str, tuning: str) -> None:
    packets = encode(simulator, codec=codec, tuning=tuning, preset="p1", bitrate=4_000_000)
    assert_faithful(stream_of(packets), codec)


@pytest.mark.parametrize("codec", CODECS)
def test_encode_gives_the_bytes_that_submit_gives(abi: str, simulator: Simulator, codec: str) -> None:
    packets = encode(simulator, count=8, codec=codec)
    with simulator.machine(**MACHINE), NvencEncoder(FORM.width, FORM.height, codec=codec) as encoder:
        units = [encoder.encode(frame) for frame in FRAMES[:8]]
        assert encoder.flush() == b""
    assert units == [packet.data for packet in packets]


@pytest.mark.parametrize(("bframes", "lookahead"), [(1, 0), (2, 0), (3, 4), (0, 6)])
@pytest.mark.parametrize("codec", CODECS)
def test_pictures_out_of_order(abi: str, simulator: Simulator, codec: str, bframes: int, lookahead: int) -> None:
    """Packets decode in the order in which they come out, and pts restores the order of the pictures."""
    packets = encode(
        simulator, codec=codec, tuning="hq", bframes=bframes, lookahead=lookahead, gop=10, bitrate=4_000_000
    )
    assert sorted(packet.seq for packet in packets) == list(range(COUNT))
    assert_faithful(stream_of(packets), codec)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_bframes_are_what_they_are_called(abi: str, simulator: Simulator, codec: str) -> None:
    packets = encode(simulator, codec=codec, tuning="hq", bframes=2, gop=12, bitrate=4_000_000)
    pictures = decode(stream_of(packets), codec)
    by_pts = sorted(packets, key=lambda packet: packet.pts)
    assert [picture.kind == "B" for picture in pictures] == [packet.pic_type == "B" for packet in by_pts]
    assert "B" in {picture.kind for picture in pictures}


@pytest.mark.parametrize("tuning", ["ll", "ull"])
@pytest.mark.parametrize("codec", CODECS)
def test_low_latency_streams_have_no_bframes(abi: str, simulator: Simulator, codec: str, tuning: str) -> None:
    packets = encode(simulator, codec=codec, tuning=tuning, extra_output_delay=3)
    assert [packet.seq for packet in packets] == list(range(COUNT))
    assert "B" not in {picture.kind for picture in decode(stream_of(packets), codec)}


@pytest.mark.parametrize("codec", CODECS)
def test_keyframes_are_the_decoders(abi: str, simulator: Simulator, codec: str) -> None:
    packets = encode(simulator, codec=codec, gop=7, forced=(3, 12))
    keys = [packet.keyframe for packet in packets]
    assert [number for number, key in enumerate(keys) if key] == [0, 3, 10, 12, 19]
    assert [picture.key for picture in decode(stream_of(packets), codec)] == keys
    assert parsed_keys(packets, codec) == keys


def parsed_keys(packets: Units, codec: str) -> list[bool]:
    """FFmpeg's parser divides the stream by itself and describes each access unit."""
    with av.open(io.BytesIO(stream_of(packets)), "r", format=DEMUXERS[codec]) as container:
        found = [unit for unit in container.demux() if unit.size]
        if codec != "av1":  # whose demuxer leaves the delimiters out
            assert [bytes(unit) for unit in found] == [packet.data for packet in packets], "cut where we cut"
        return [unit.is_keyframe for unit in found]


@pytest.mark.parametrize("codec", CODECS)
def test_decoding_can_start_at_every_keyframe(abi: str, simulator: Simulator, codec: str) -> None:
    """Each of them has parameter sets in the stream."""
    packets = encode(simulator, codec=codec, gop=6, forced=(9,))
    starts = [number for number, packet in enumerate(packets) if packet.keyframe]
    assert starts == [0, 6, 9, 15, 21]
    for start in starts:
        assert len(decode(stream_of(packets[start:]), codec)) == COUNT - start


def types_of(data: bytes, codec: str) -> list[int]:
    if codec == "av1":
        return [kind for kind, _ in obus(data)]
    return [nal_type(nal, codec) for nal in nal_units(data)]


PARAMETER_SETS = {"h264": [7, 8], "hevc": [32, 33, 34], "av1": [1]}


@pytest.mark.parametrize("codec", CODECS)
def test_parameter_sets_on_every_idr_and_nowhere_else(abi: str, simulator: Simulator, codec: str) -> None:
    for packet in encode(simulator, codec=codec, gop=5, forced=(7,)):
        sets = [kind for kind in types_of(packet.data, codec) if kind in PARAMETER_SETS[codec]]
        assert sets == (PARAMETER_SETS[codec] if packet.keyframe else [])


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_no_delay_for_reordering_is_signalled(abi: str, simulator: Simulator, tmp_path: Path, codec: str) -> None:
    path = tmp_path / "stream"
    path.write_bytes(stream_of(encode(simulator, count=3, codec=codec)))
    syntax = headers_of(path, codec)
    assert set(syntax.all("bitstream_restriction_flag")) == {1}
    reordered = "max_num_reorder_frames" if codec == "h264" else "sps_max_num_reorder_pics[0]"
    assert set(syntax.all(reordered)) == {0}


@pytest.mark.parametrize("bframes", [1, 3])
def test_reordering_is_signalled_if_there_is_any(abi: str, simulator: Simulator, tmp_path: Path, bframes: int) -> None:
    path = tmp_path / "stream"
    path.write_bytes(stream_of(encode(simulator, codec="h264", tuning="hq", bframes=bframes)))
    assert min(headers_of(path, "h264").all("max_num_reorder_frames")) >= 1


@pytest.mark.parametrize("codec", CODECS)
def test_sequence_header(abi: str, simulator: Simulator, codec: str) -> None:
    with simulator.machine(**MACHINE), NvencEncoder(FORM.width, FORM.height, codec=codec) as encoder:
        header = encoder.sequence_header()
        first = encoder.encode(FRAMES[0])
        assert encoder.sequence_header() == header, "at any time"
    assert type(header) is bytes
    assert types_of(header, codec) == PARAMETER_SETS[codec]
    assert header in first, "what is in band is what it says"


@pytest.mark.parametrize("codec", CODECS)
def test_the_sequence_header_is_extradata(abi: str, simulator: Simulator, codec: str) -> None:
    """A decoder that only got the header decodes a stream without parameter sets."""
    with simulator.machine(**MACHINE), NvencEncoder(FORM.width, FORM.height, codec=codec) as encoder:
        header = encoder.sequence_header()
        units = [encoder.encode(frame).replace(header, b"", 1) for frame in FRAMES]
    decoder: Any = av.CodecContext.create("libdav1d" if codec == "av1" else codec, "r")
    assert not any(kind in PARAMETER_SETS[codec] for unit in units for kind in types_of(unit, codec))
    if codec == "av1":  # whose decoders take it as a part of the stream
        units[0] = header + units[0]
    else:
        decoder.extradata = header
    pictures = [frame for unit in [*units, None] for frame in decoder.decode(av.Packet(unit) if unit else None)]
    assert [(picture.width, picture.height) for picture in pictures] == [(FORM.width, FORM.height)] * COUNT
    luma = pictures[-1].to_ndarray(format="gray")
    assert psnr([luma], [PICTURES[-1][0]]) >= FAITHFUL


@pytest.mark.parametrize("bframes", [0, 2])
@pytest.mark.parametrize("codec", CODECS)
def test_a_muxer_takes_the_packets(abi: str, simulator: Simulator, tmp_path: Path, codec: str, bframes: int) -> None:
    """MP4 with timestamps in units of 1/fps: every picture has its time."""
    settings: dict[str, Any] = {"codec": codec, "tuning": "hq" if bframes else "ll", "bframes": bframes, "fps": 25}
    path = tmp_path / "film.mp4"
    mux(path, codec, encode(simulator, **settings))
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        assert video.codec_context.extradata
        assert (video.width, video.height, video.frames) == (FORM.width, FORM.height, COUNT)
        times = [(frame.pts or 0) * Fraction(frame.time_base or 0) for frame in container.decode(video)]
    assert [time - times[0] for time in times] == [Fraction(number, 25) for number in range(COUNT)]


def mux(path: Path, codec: str, packets: Units) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_mux_stream(codec, rate=25, width=FORM.width, height=FORM.height)
        for unit in packets:
            packet = av.Packet(unit.data)
            packet.stream = stream
            packet.time_base = Fraction(1, 25)
            packet.pts, packet.dts = unit.pts, unit.dts
            packet.is_keyframe = unit.keyframe
            container.mux(packet)


@pytest.mark.parametrize("profile", ["baseline", "main", "high"])
def test_h264_profiles(abi: str, simulator: Simulator, tmp_path: Path, profile: str) -> None:
    path = tmp_path / "stream"
    path.write_bytes(stream_of(encode(simulator, count=3, codec="h264", profile=profile)))
    assert headers_of(path, "h264").first("profile_idc") == {"baseline": 66, "main": 77, "high": 100}[profile]


@pytest.mark.parametrize("codec", CODECS)
def test_the_size_of_the_picture_survives(abi: str, simulator: Simulator, codec: str) -> None:
    """A size that is not a multiple of a block is cropped."""
    width, height = 250, 146
    planes = moving_pictures(Format(width, height), 2)
    with simulator.machine(**MACHINE), NvencEncoder(width, height, codec=codec) as encoder:
        stream = b"".join(encoder.encode(np.ascontiguousarray(nv12(picture))) for picture in planes)
    pictures = decode(stream, codec)
    assert [picture.planes[0].shape for picture in pictures] == [(height, width)] * 2
    assert min(psnr(one, other.planes) for one, other in zip(planes, pictures, strict=True)) >= FAITHFUL


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_lossless(abi: str, simulator: Simulator, codec: str) -> None:
    packets = encode(simulator, count=4, codec=codec, tuning="lossless")
    pictures = decode(stream_of(packets), codec)
    assert [psnr(one, other.planes) for one, other in zip(PICTURES[:4], pictures, strict=True)] == [float("inf")] * 4


@pytest.mark.parametrize("codec", CODECS)
def test_a_live_change_of_bitrate_is_seen_in_the_stream(abi: str, simulator: Simulator, codec: str) -> None:
    with (
        simulator.machine(**MACHINE),
        NvencEncoder(FORM.width, FORM.height, codec=codec, bitrate=6_000_000, gop=0) as encoder,
    ):
        sizes = []
        for bitrate in (6_000_000, 200_000):
            encoder.reconfigure(bitrate=bitrate)
            units = [encoder.submit(frame, n)[0] for n, frame in enumerate(FRAMES)]
            sizes.append(sum(len(unit.data) for unit in units[COUNT // 2 :]))
            assert [unit.keyframe for unit in units[1:]] == [False] * (COUNT - 1)
    assert sizes[1] < sizes[0] / 2


@pytest.mark.parametrize("codec", CODECS)
def test_a_flush_in_the_middle_breaks_nothing(abi: str, simulator: Simulator, codec: str) -> None:
    with (
        simulator.machine(**MACHINE),
        NvencEncoder(FORM.width, FORM.height, codec=codec, tuning="hq", bframes=2, bitrate=4_000_000) as encoder,
    ):
        packets = []
        for number in range(COUNT):
            packets += encoder.submit(FRAMES[number], number)
            if number in (0, 7, 8, 15):
                packets += encoder.flush_pipeline()
        packets += encoder.flush_pipeline()
    assert sorted(packet.seq for packet in packets) == list(range(COUNT))
    assert_faithful(stream_of(packets), codec)
