"""Init segments and media segments, as bytes."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from mp4_files import boxes, encoded, packets_of, video_track
from pdum.nvenc import InvalidConfig, NvencError
from pdum.nvenc._mp4.codec_string import codec_string
from pdum.nvenc._mp4.fragments import Fragments
from pdum.nvenc._mp4.tracks import AudioTrack

pytestmark = pytest.mark.one_abi

PCM = AudioTrack(codec="pcm", rate=8000, channels=1)


@given(some.data())
@settings(max_examples=30)
def test_segments_of_any_length_are_one_stream(chance: Any) -> None:
    stream = encoded("h264", 12, tuning="hq", bframes=2)
    fragments = Fragments([video_track(stream), PCM])
    first = 100 * chance.draw(some.integers(0, 3))
    made = []
    if chance.draw(some.booleans()):
        made.append(fragments.init_segment())
    for packet in stream.packets:
        fragments.add(0, packet.data, first + packet.pts, first + packet.dts, packet.keyframe, duration=1)
        if chance.draw(some.booleans()):
            made = made or [fragments.init_segment()]
            made.append(fragments.take())
    made = made or [fragments.init_segment()]
    made += [fragments.take(), fragments.take()]
    assert made[-1] == b""
    found = packets_of(io.BytesIO(b"".join(made)))
    times = [one.pts for one in found]
    shift = times[0] - Fraction(first, 25)  # FFmpeg shows everything later if composition offsets are negative
    assert [time - shift for time in times] == [Fraction(first + one.pts, 25) for one in stream.packets]
    assert shift in (0, Fraction(-min(0, first + stream.packets[0].dts), 25), Fraction(1, 25))
    assert [one.keyframe for one in found] == [one.keyframe for one in stream.packets]
    numbers = [struct.unpack(">4xI", body)[0] for one in made[1:] for body in boxes(one, "moof", "mfhd")]
    assert numbers == list(range(1, len(numbers) + 1))


def test_each_frame_at_once() -> None:
    """A segment for each picture, which has exactly the picture's time."""
    stream = encoded("h264", 12)
    fragments = Fragments([video_track(stream)])
    init = fragments.init_segment()
    assert init == Fragments([video_track(stream)]).init_segment()
    segments = []
    for packet in stream.packets:
        fragments.add(0, packet.data, packet.pts, packet.dts, packet.keyframe, duration=1)
        segments.append(fragments.take())
    for number, segment in enumerate(segments):
        (time,) = boxes(segment, "moof", "traf", "tfdt")
        assert struct.unpack(">4xQ", time)[0] == number * 400
        assert [one.keyframe for one in packets_of(io.BytesIO(init + segment))] == [number == 0]


def test_a_segment_that_begins_with_a_key_frame_says_so() -> None:
    stream = encoded("h264", 12, gop=6)
    fragments = Fragments([video_track(stream)])
    for packet in stream.packets:
        fragments.add(0, packet.data, packet.pts, packet.dts, packet.keyframe)
    (run,) = boxes(fragments.take(), "moof", "traf", "trun")
    flags = int.from_bytes(run[:4], "big") & 0xFFFFFF
    assert flags & 0x400, "two key frames: each sample has its flags"
    listed = [values[1] for values in struct.iter_unpack(">II", run[12:])]
    assert [number for number, flag in enumerate(listed) if not flag & 0x10000] == [0, 6]


def test_the_mime_type() -> None:
    stream = encoded("h264", 12)
    sound = AudioTrack(codec="aac", rate=48_000, channels=2, description=b"\x11\x90")
    video = video_track(stream)
    assert video.codec_string == codec_string("h264", stream.header)
    assert Fragments([video]).mime_type == f'video/mp4; codecs="{video.codec_string}"'
    assert Fragments([sound, video]).mime_type == f'video/mp4; codecs="mp4a.40.2, {video.codec_string}"'
    assert Fragments([sound]).mime_type == 'audio/mp4; codecs="mp4a.40.2"'
    assert replace(sound, description=b"\xf9\x40\0").codec_string == "mp4a.40.42"


def test_brands() -> None:
    stream = encoded("h264", 12)
    assert boxes(Fragments([video_track(stream)]).init_segment(), "ftyp") == [b"iso6\0\0\2\0iso6mp41cmfcavc1"]
    assert b"cmfc" not in Fragments([video_track(stream), PCM]).init_segment()


def test_what_is_refused() -> None:
    stream = encoded("h264", 12)
    data = stream.data[0]
    with pytest.raises(InvalidConfig, match="at least one track"):
        Fragments([])
    with pytest.raises(InvalidConfig, match=r"Expected VideoTrack and AudioTrack objects, got 'h264'\."):
        Fragments(["h264"])  # type: ignore[list-item]
    with pytest.raises(InvalidConfig, match="got codec='vp9'"):
        video_track(replace(stream, codec="vp9"))
    with pytest.raises(InvalidConfig, match=r"Expected a Fraction above 0, got time_base=0\.04"):
        video_track(stream, 0.04)  # type: ignore[arg-type]
    with pytest.raises(InvalidConfig, match=r"Expected H\.264 parameter sets"):
        Fragments([video_track(replace(stream, header=b""))])
    fragments = Fragments([video_track(stream), PCM])
    fragments.add(0, data, 5, 5, True)
    with pytest.raises(NvencError, match=r"Expected decode times that rise, got dts=5"):
        fragments.add(0, data, 6, 5, True)
    with pytest.raises(InvalidConfig, match="Expected a packet with a picture in NAL units"):
        fragments.add(0, b"\0\0\0\x01", 7, 7, True)
    with pytest.raises(InvalidConfig, match="Expected PCM in whole samples of 2 bytes, got 3 bytes"):
        fragments.add(1, b"abc", 0, 0, True)
    with pytest.raises(TypeError):
        fragments.add(0, data, 8.5, 8, True)  # type: ignore[arg-type]
    with pytest.raises(InvalidConfig, match=r"Expected a track from 0 to 1, got track=2\."):
        fragments.add(2, data, 9, 9, True)
    with pytest.raises(NvencError, match=r"Expected less than 429496 s between two frames"):
        fragments.add(0, data, 20_000_000, 20_000_000, True)
