"""Tracks of MP4 with several descriptions, as editors write them that join videos: headers change in mid-file, and the
packets do not repeat them. Each decoder has the processor's pictures, wherever it begins."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from decoder.test_files import forget
from decoder.videos import Kind, assert_same, by_processor, intact, laid_out, make, on_host
from files import runner
from pdum.nvenc import DecodedFrame, decode
from pdum.nvenc._media import decode as _decode
from pdum.nvenc._media import hardware_decode
from pdum.nvenc._media.decode import frames_from
from pdum.nvenc._media.decoder import Decoding, open_source
from pdum.nvenc._media.further_decoders import FurtherDecoders
from pdum.nvenc._media.gpu_decoder import StreamDecoder
from pdum.nvenc._media.movie_tables import listed_packets
from pdum.nvenc._media.source import index_source
from pdum.nvenc._media.stream_headers import LENGTH_OF_LENGTHS, HevcUnits
from pdum.nvenc._media.stretches import Stretches
from pdum.nvenc._mp4.movie_reader import child

from simulator import Machine

pytestmark = pytest.mark.one_abi

TRACK = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
GOP = {"g": "30", "preset": "veryfast"}
RECOVERY_POINTS = "open-gop=1:cabac=0:scenecut=0:b-adapt=0:b-pyramid=none:bframes=1:weightp=0"
OTHER_HEVC = "log-level=error:ctu=16:no-sao=1:ref=2:weightp=0:signhide=0:keyint=30:bframes=2:open-gop=0"
CASES = {
    "h264": (
        Kind("described", count=60, options=GOP),
        Kind("described-by-others", count=60, options=GOP | {"x264-params": "cabac=0:8x8dct=0:ref=4:weightp=0"}),
    ),
    "hevc": (
        Kind("described", "libx265", count=60, size=(192, 160), options=GOP),
        Kind("described-by-others", "libx265", count=60, size=(192, 160), options=GOP | {"x265-params": OTHER_HEVC}),
    ),
    "hevc-sizes": (
        Kind("described", "libx265", count=60, size=(192, 160), options=GOP),
        Kind("described-larger", "libx265", count=60, size=(320, 192), options=GOP),
    ),
}


@pytest.fixture(autouse=True)
def _nothing_is_known_of_other_files() -> None:
    forget()


def descriptions(path: Path) -> bytes:
    data = path.read_bytes()
    at = data.index(b"moov") - 4
    moov = data[at + 8 : at + int.from_bytes(data[at : at + 4], "big")]
    return child(moov, "trak", "mdia", "minf", "stbl", "stsd")[8:]


def table(kind: bytes, *rows: Sequence[int]) -> bytes:
    body = struct.pack(">II", 0, len(rows)) + b"".join(struct.pack(f">{len(row)}I", *row) for row in rows)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def replaced(data: bytes, made: bytes) -> bytes:
    """The file with another table. Its tables come last, so that nothing moves that they refer to."""
    at = data.index(made[4:8]) - 4
    (size,) = struct.unpack(">I", data[at : at + 4])
    whole = bytearray(data[:at] + made + data[at + size :])
    for kind in TRACK:
        place = whole.index(kind) - 4
        (old,) = struct.unpack(">I", whole[place : place + 4])
        whole[place : place + 4] = struct.pack(">I", old + len(made) - size)
    return bytes(whole)


def joined(path: Path, *parts: Path) -> Path:
    """One track with the packets of all of them. Each keeps its own description."""
    counts, now = [], 0
    with av.open(str(path), "w") as output:
        made: Any = None
        for part in parts:
            with av.open(str(part)) as source:
                made = made or output.add_stream_from_template(source.streams.video[0])
                packets: list[Any] = [packet for packet in source.demux(video=0) if packet.size]
                later = now - packets[0].dts
                for packet in packets:
                    packet.pts, packet.dts, packet.stream = packet.pts + later, packet.dts + later, made
                    now = packet.dts + packet.duration
                    output.mux(packet)
                counts.append(len(packets))
    with av.open(str(path)) as written:
        places: list[Any] = [packet.pos for packet in written.demux(video=0) if packet.size]
    entries = b"".join(map(descriptions, parts))
    head = struct.pack(">II", 0, len(parts))
    stsd = struct.pack(">I4s", 8 + len(head) + len(entries), b"stsd") + head + entries
    begins = [1 + sum(counts[:number]) for number in range(len(parts))]
    stsc = table(b"stsc", *[(begin, 1, number + 1) for number, begin in enumerate(begins)])
    data = path.read_bytes()
    assert data.index(b"mdat") < data.index(b"moov")
    for made_table in (stsd, stsc, table(b"stco", *[(place,) for place in places])):
        data = replaced(data, made_table)
    path.write_bytes(data)
    return path


def behind_its_first_group(source: Path, folder: Path) -> Path:
    """It begins with a key frame before which FFmpeg's filter puts no headers."""
    path = folder / "later.mp4"
    with av.open(str(source)) as whole, av.open(str(path), "w") as output:
        made = output.add_stream_from_template(whole.streams.video[0])
        packets = [packet for packet in whole.demux(video=0) if packet.size]
        key = [packet.pts for packet in packets if packet.is_keyframe][1]
        for packet in packets:
            if packet.pts is not None and key is not None and packet.pts >= key:
                packet.stream = made
                output.mux(packet)
    return path


@pytest.fixture(params=CASES)
def source(request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> Path:
    first, other = (make(folder, kind) for kind in CASES[request.param])
    return joined(tmp_path / "joined.mp4", first, other, first)


def test_the_parts_have_their_own_headers(source: Path, request: pytest.FixtureRequest) -> None:
    """So that what follows tells something."""
    with av.open(str(source)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    changed = [number for number, packet in enumerate(packets) if packet.has_sidedata("new_extradata")]
    assert changed[-2:] == [60, 120]
    assert len(packets) == len(by_processor(source)) == 180


def test_a_decoder_takes_new_headers(machine: Machine, source: Path) -> None:
    assert_same(on_host(intact(decode(source))), by_processor(source))


def test_decoding_may_begin_in_any_part(machine: Machine, source: Path) -> None:
    wanted, index = by_processor(source), index_source(source)
    for first in (0, 47, 75, 100, 130, 179):
        decoding = Decoding(1, on_gpu=hardware_decode.decoder_on(runner.HARDWARE, source))
        frames = list(frames_from(source, index, first, decoding))
        assert all(isinstance(frame, DecodedFrame) for frame in frames)
        assert_same(on_host(frames), wanted[first:])


@pytest.mark.parametrize("by_chip", [True, False], ids=["gpu", "processor"])
@pytest.mark.parametrize("order", [range(6), reversed(range(6))], ids=["forwards", "backwards"])
def test_a_decoder_takes_stretches_of_any_part(
    machine: Machine, source: Path, by_chip: bool, order: Iterable[int]
) -> None:
    """If it goes on with another one of the same part, nothing tells its headers once more."""
    wanted, index = by_processor(source), index_source(source)
    stretches = Stretches(index)
    assert len(stretches) == 6
    on_gpu = hardware_decode.decoder_on(runner.HARDWARE, source) if by_chip else None
    decoder = FurtherDecoders(source, index, on_gpu, 0).open_decoder()
    assert decoder is not None
    for stretch in (stretches[number] for number in order):
        frames = decoder.frames(stretch)
        found = on_host(frames) if by_chip else [(frame.pts, laid_out(frame)) for frame in frames]
        assert_same(found, wanted[stretch.first : stretch.last])
    decoder.close()


def test_tables_do_not_tell_which_packets_have_new_headers(source: Path) -> None:
    with open_source(source) as container:
        assert listed_packets(source, container, container.streams.video[0], compared=3) is None
    assert index_source(source).changes_headers


@pytest.mark.parametrize(("first", "back"), [(90, (1,)), (60, (-1.2, 0))], ids=["before", "behind"])
def test_headers_of_packets_that_are_passed_over(
    machine: Machine, source: Path, first: int, back: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeking may end at another key frame than the one that is wanted, and the container tells of new headers once."""
    monkeypatch.setattr(_decode, "SEEK_BACK", back)
    decoding = Decoding(1, on_gpu=hardware_decode.decoder_on(runner.HARDWARE, source))
    frames = list(islice(frames_from(source, index_source(source), first, decoding), 30))
    assert_same(on_host(intact(frames)), by_processor(source)[first : first + 30])


def test_headers_before_a_key_frame_that_is_none_to_filters(machine: Machine, folder: Path, tmp_path: Path) -> None:
    """FFmpeg's filter of H.264 puts them only before those behind which nothing refers to what was before."""
    whole = make(folder, Kind("open", count=90, options=GOP | {"x264-params": RECOVERY_POINTS}))
    path = joined(tmp_path / "joined.mp4", make(folder, CASES["h264"][0]), behind_its_first_group(whole, tmp_path))
    found = on_host(decode(path))[-60:]
    for (_, picture), (_, wanted) in zip(found, by_processor(whole)[-60:], strict=True):
        np.testing.assert_array_equal(picture, wanted)


@pytest.mark.parametrize("source", ["hevc"], indirect=True)
def test_an_empty_packet_does_not_bring_the_first_headers_back(machine: Machine, source: Path) -> None:
    """It ends a stream, and the next one begins with headers."""
    with open_source(source) as container:
        stream = container.streams.video[0]
        decoder, packets = StreamDecoder(stream), [packet for packet in container.demux(stream) if packet.size]
        assert packets[90].is_keyframe
        packets.insert(90, av.Packet())
        found = on_host(intact(frame for packet in [*packets, av.Packet()] for frame in decoder.frames(packet)))
        decoder.close()
    assert_same(found, by_processor(source))


def test_damage_behind_new_headers_is_told() -> None:
    """As by FFmpeg's filter, which knows the first headers alone."""
    units = HevcUnits(bytes(LENGTH_OF_LENGTHS) + b"\1\0")
    with pytest.raises(ValueError, match="longer than its packet"):
        units.filter(av.Packet(b"\0\2ab\0\3ab"))
    assert [bytes(one) for one in units.filter(av.Packet(b"\0\2ab\0\1c"))] == [b"\0\0\0\1ab\0\0\0\1c"]
