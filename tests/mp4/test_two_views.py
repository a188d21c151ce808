"""MV-HEVC in files: what their descriptions say of two views, and that FFmpeg reads both from them."""

from __future__ import annotations

import functools
from fractions import Fraction
from pathlib import Path

import pytest

from mp4_files import boxes, encoded, written
from pdum.nvenc import InvalidConfig, Packet
from pdum.nvenc._media.mux import ContainerWriter, VideoFormat
from pdum.nvenc.mp4 import Fragments, Mp4File, VideoTrack, repair
from stereo_streams import (
    COUNT,
    HEIGHT,
    WIDTH,
    annex_b,
    arrays,
    assert_same_views,
    layer_of,
    sets_of_second_layer,
    stream_of,
    views,
    views_in,
    with_sets,
)

from simulator import Simulator
from streams import nal_type, nal_units

pytestmark = pytest.mark.one_abi

ENTRY = ("moov", "trak", "mdia", "minf", "stbl", "stsd", "hvc1")
DISPLAYS = bytes.fromhex("4e01b004040d002080")
"""3D reference displays information, as Apple's encoder has it too: view 0 is the left one, view 1 the right one."""


@functools.lru_cache(maxsize=1)
def shared_sets() -> tuple[bytes, tuple[Packet, ...]]:
    """The second layer of the simulated driver uses the parameter sets of the first."""
    header, packets = stream_of(Simulator(), gop=3)
    return header, tuple(packets)


def own_sets() -> list[bytes]:
    return sets_of_second_layer(shared_sets()[0])


def with_own_sets(packet: Packet) -> bytes:
    return with_sets(packet.data, own_sets()) if packet.keyframe else packet.data


class Stream:
    """``where``: what has the second layer's parameter sets: ``"header"``, ``"packets"``, ``"both"``, or nothing."""

    def __init__(self, where: str) -> None:
        header, packets = shared_sets()
        self.where = where
        self.header = header + (annex_b(own_sets()) if where in ("header", "both") else b"")
        self.data = [with_own_sets(one) if where in ("packets", "both") else one.data for one in packets]
        self.keys = [packet.keyframe for packet in packets]

    @property
    def track(self) -> VideoTrack:
        return VideoTrack(codec="hevc", header=self.header, width=WIDTH, height=HEIGHT, time_base=Fraction(1, 25))

    def write(self, path: Path, *, fragmented: bool = False) -> bytes:
        with Mp4File(path, [self.track], fragmented=fragmented) as file:
            for number, (data, is_key) in enumerate(zip(self.data, self.keys, strict=True)):
                file.write(0, data, number, number, is_key, 1)
        return path.read_bytes()

    def write_by_ffmpeg(self, path: Path, container: str) -> bytes:
        video = VideoFormat(
            codec="hevc", header=self.header, width=WIDTH, height=HEIGHT, fps=Fraction(25), time_base=Fraction(1, 25),
            stereo=True,
        )  # fmt: skip
        writer = ContainerWriter(path, container, video)
        for number, (data, is_key) in enumerate(zip(self.data, self.keys, strict=True)):
            writer.write(data, number, number, is_key, 1)
        writer.close()
        return path.read_bytes()


@pytest.fixture(params=["nothing", "header", "packets", "both"])
def stream(request: pytest.FixtureRequest) -> Stream:
    return Stream(request.param)


@pytest.mark.parametrize("fragmented", [False, True])
def test_the_description_has_the_layers_apart_and_says_what_the_eyes_see(
    tmp_path: Path, stream: Stream, fragmented: bool
) -> None:
    data = stream.write(tmp_path / "video.mp4", fragmented=fragmented)
    (first,), further = boxes(data, *ENTRY, "hvcC"), boxes(data, *ENTRY, "lhvC")
    found = arrays(first, 22)
    assert list(found) == [32, 33, 34, 39]
    assert found[39] == [DISPLAYS]
    assert all(len(units) == 1 and layer_of(units[0]) == 0 for units in found.values())
    assert len(further) == (stream.where != "nothing")
    for record in further:
        assert [unit for units in arrays(record, 5).values() for unit in units] == own_sets()
        assert record[:5] == bytes((1, 0xF0, 0, 0xFC, 0xC0 | first[21]))
    (eyes,) = boxes(data, *ENTRY, "vexu", "eyes")
    assert (boxes(eyes, "stri"), boxes(eyes, "hero")) == ([b"\0\0\0\0\3"], [b"\0\0\0\0\1"])


@pytest.mark.parametrize("fragmented", [False, True])
def test_ffmpeg_shows_both_views_as_of_the_bare_stream(tmp_path: Path, stream: Stream, fragmented: bool) -> None:
    path = tmp_path / "video.mp4"
    stream.write(path, fragmented=fragmented)
    found = views_in(path)
    assert len(found) == COUNT
    assert_same_views(found, views(stream.data))


def test_samples_hold_everything_but_the_parameter_sets(tmp_path: Path, stream: Stream) -> None:
    data = stream.write(tmp_path / "video.mp4")
    (media,) = boxes(data, "mdat")
    found, at = [], 0
    while at < len(media):
        size = int.from_bytes(media[at : at + 4], "big")
        found.append(media[at + 4 : at + 4 + size])
        at += 4 + size
    given = [unit for packet in stream.data for unit in nal_units(packet)]
    assert found == [unit for unit in given if nal_type(unit, "hevc") not in (32, 33, 34)]


@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_ffmpegs_muxer_writes_the_same_description(tmp_path: Path, stream: Stream, container: str) -> None:
    ours, theirs = stream.write(tmp_path / "ours.mp4"), stream.write_by_ffmpeg(tmp_path / "theirs", container)
    assert boxes(theirs, *ENTRY, "vexu") == boxes(ours, *ENTRY, "vexu")
    assert arrays(boxes(theirs, *ENTRY, "hvcC")[0], 22) == arrays(boxes(ours, *ENTRY, "hvcC")[0], 22)
    assert boxes(theirs, *ENTRY, "lhvC") == boxes(ours, *ENTRY, "lhvC")
    assert_same_views(views_in(tmp_path / "theirs"), views(stream.data))


def test_an_init_segment_before_any_packet_has_the_views_if_the_track_says_so() -> None:
    header = shared_sets()[0]
    for stereo, expected in ((True, 1), (None, 0), (False, 0)):
        track = VideoTrack(
            codec="hevc", header=header, width=WIDTH, height=HEIGHT, time_base=Fraction(1, 25), stereo=stereo
        )
        segment = Fragments([track]).init_segment()
        assert len(boxes(segment, *ENTRY, "vexu")) == expected


def test_sets_that_come_after_the_init_segment_stay_in_the_stream() -> None:
    stream = Stream("packets")
    fragments = Fragments([stream.track])
    fragments.init_segment()
    fragments.add(0, stream.data[0], 0, 0, True, 1)
    media = fragments.take()
    assert all(unit in media for unit in own_sets())


def test_a_repaired_file_still_has_both_views(tmp_path: Path, stream: Stream) -> None:
    data = stream.write(tmp_path / "killed.mp4", fragmented=True)
    repair(tmp_path / "killed.mp4", tmp_path / "whole.mp4")
    whole = (tmp_path / "whole.mp4").read_bytes()
    for kind in ("hvcC", "lhvC", "vexu"):
        assert boxes(whole, *ENTRY, kind) == boxes(data, *ENTRY, kind)
    assert_same_views(views_in(tmp_path / "whole.mp4"), views(stream.data))


def test_streams_with_one_view_say_nothing_of_views(tmp_path: Path) -> None:
    data = written(tmp_path / "video.mp4", encoded(codec="hevc")).read_bytes()
    assert boxes(data, *ENTRY, "hvcC")
    assert not boxes(data, *ENTRY, "lhvC")
    assert not boxes(data, *ENTRY, "vexu")


def test_only_hevc_has_two_views() -> None:
    with pytest.raises(InvalidConfig, match=r"stereo=True.*codec='h264'.*HEVC"):
        VideoTrack(codec="h264", header=b"", width=16, height=16, time_base=Fraction(1, 25), stereo=True)
