"""Our MP4 files compared with FFmpeg's, from the same packets."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from mp4_files import (
    Encoded,
    boxes,
    encoded,
    ffprobe,
    packets_of,
    pictures_of,
    stream_copy,
    video_track,
    written,
)
from pdum.nvenc import InvalidConfig, NvencError
from pdum.nvenc._media.mux import ContainerWriter, VideoFormat, decode_times
from pdum.nvenc._mp4.mp4_file import Mp4File

from streams import obus

pytestmark = pytest.mark.one_abi

RATE = Fraction(25)
SEI = 6  # the first byte of such a message in H.264
STREAMS: dict[str, dict[str, Any]] = {
    "h264": {"codec": "h264", "gop": 10},
    "h264 with B-frames": {"codec": "h264", "tuning": "hq", "bframes": 2, "gop": 12},
    "hevc with B-frames": {"codec": "hevc", "tuning": "hq", "bframes": 3, "gop": 12},
    "av1": {"codec": "av1", "gop": 10},
}


@pytest.fixture(scope="module", params=STREAMS)
def stream(request: pytest.FixtureRequest) -> Encoded:
    return encoded(count=64, **STREAMS[request.param])


@pytest.fixture(params=[False, True], ids=["complete", "fragmented"])
def fragmented(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def by_ffmpeg(path: Path, stream: Encoded, **more: Any) -> Path:
    video = VideoFormat(
        codec=stream.codec, header=stream.header, width=stream.width, height=stream.height,
        fps=RATE, time_base=1 / RATE, **more,
    )  # fmt: skip
    writer = ContainerWriter(path, "mp4", video)
    for packet in stream.packets:
        writer.write(packet.data, packet.pts, packet.dts, packet.keyframe, 1)
    writer.close()
    return path


def test_times_key_frames_and_pictures_are_those_in_ffmpegs_file(
    stream: Encoded, fragmented: bool, tmp_path: Path
) -> None:
    ours = written(tmp_path / "ours.mp4", stream, fragmented=fragmented)
    theirs = by_ffmpeg(tmp_path / "theirs.mp4", stream)
    found = packets_of(ours)
    assert [one[:3] for one in found] == [one[:3] for one in packets_of(theirs)]
    assert [one[:3] for one in found] == [(one.pts / RATE, one.dts / RATE, one.keyframe) for one in stream.packets]
    assert pictures_of(ours) == pictures_of(theirs)


def test_streams_look_the_same_to_ffprobe(stream: Encoded, fragmented: bool, tmp_path: Path) -> None:
    ours = written(tmp_path / "ours.mp4", stream, fragmented=fragmented)
    theirs = by_ffmpeg(tmp_path / "theirs.mp4", stream)
    (mine,), (other,) = (ffprobe(path, "-show_streams", "-count_packets")["streams"] for path in (ours, theirs))
    different = {"bit_rate", "time_base", "duration_ts", "start_pts", "tags", "nb_frames", "extradata_size"}
    different |= {"sample_aspect_ratio", "display_aspect_ratio"}  # PyAV writes 1:1 where nothing is said
    assert {key: value for key, value in mine.items() if key not in different} == {
        key: value for key, value in other.items() if key not in different
    }
    if not fragmented:
        assert mine["nb_frames"] == other["nb_frames"]


def test_every_bit_of_the_stream_comes_back(stream: Encoded, fragmented: bool, tmp_path: Path) -> None:
    """Copied back out by FFmpeg, which puts the parameter sets where they were."""
    path = written(tmp_path / "film.mp4", stream, fragmented=fragmented)
    raw = stream_copy(path, tmp_path / {"h264": "film.h264", "hevc": "film.hevc", "av1": "film.obu"}[stream.codec])
    before, after = b"".join(stream.data), raw.read_bytes()
    if stream.codec == "av1":
        assert list(obus(after)) == list(obus(before))
    else:
        assert units_of(after) == units_of(before)


def units_of(data: bytes) -> list[bytes]:
    """The messages first: FFmpeg puts H.264's parameter sets behind them."""
    units = [unit.rstrip(b"\0") for unit in data.split(b"\0\0\1")[1:]]
    return sorted(units, key=lambda unit: unit[0] != SEI)


def test_a_copy_by_ffmpeg_has_the_same_packets(stream: Encoded, fragmented: bool, tmp_path: Path) -> None:
    path = written(tmp_path / "film.mp4", stream, fragmented=fragmented)
    assert packets_of(stream_copy(path, tmp_path / "copy.mp4")) == packets_of(path)


def test_the_index_comes_first(tmp_path: Path) -> None:
    path = written(tmp_path / "film.mp4", encoded("h264"))
    data = path.read_bytes()
    assert data[4:8] == b"ftyp"
    assert 0 < data.find(b"moov") < data.find(b"mdat")
    assert list(tmp_path.iterdir()) == [path]


def test_while_it_is_written_the_file_can_be_played(fragmented: bool, tmp_path: Path) -> None:
    stream = encoded("h264", 64, gop=10)
    path = tmp_path / "film.mp4"
    with Mp4File(path, [video_track(stream)], fragmented=fragmented) as file:
        for number, packet in enumerate(stream.packets):
            file.write(0, packet.data, packet.pts, packet.dts, packet.keyframe, 1)
            if number >= 31:
                assert number - 50 <= len(pictures_of(path)) <= number


def test_a_file_object_need_only_write(stream: Encoded, fragmented: bool, tmp_path: Path) -> None:
    class Pipe:
        def __init__(self) -> None:
            self.data = b""

        def write(self, data: Any) -> int:
            taken = bytes(data[:1000])  # as raw files may
            self.data += taken
            return len(taken)

    pipe: Any = Pipe()
    written(pipe, stream, fragmented=fragmented)
    assert pipe.data == written(tmp_path / "film.mp4", stream, fragmented=fragmented).read_bytes()


@given(some.data())
@settings(max_examples=60)
def test_any_times(chance: Any) -> None:
    """FFmpeg reads the times that were written, in any order of coding, at any rate, from any beginning."""
    stream = encoded("h264", 12)
    steps = chance.draw(some.lists(some.integers(1, 1000), min_size=12, max_size=12))
    start = chance.draw(some.sampled_from([0, 0, 1, 7, 100_000]))
    shown = list(accumulate([start, *steps[:-1]]))
    order = chance.draw(reordered(12))
    base = chance.draw(
        some.sampled_from([Fraction(1, 25), Fraction(1001, 30_000), Fraction(1, 90_000), Fraction(1, 7)])
    )
    keys = [True, *chance.draw(some.lists(some.booleans(), min_size=11, max_size=11))]
    pts = [shown[place] for place in order]
    dts = decode_times(pts)
    file = io.BytesIO()
    fragmented = chance.draw(some.booleans())
    with Mp4File(file, [video_track(stream, base)], fragmented=fragmented) as made:
        for packet, shown_at, decoded_at, key in zip(stream.packets, pts, dts, keys, strict=True):
            made.write(0, packet.data, shown_at, decoded_at, key, steps[-1])
    file.seek(0)
    found = packets_of(file)
    assert [one.pts for one in found] == [time * base for time in pts]
    assert [one.dts for one in found] == [time * base for time in dts]
    if not fragmented:  # FFmpeg looks for itself whether an H.264 picture is a key frame
        listed = boxes(file.getvalue(), "moov", "trak", "mdia", "minf", "stbl", "stss")
        numbers = [number for number, key in enumerate(keys, 1) if key]
        assert listed == ([] if all(keys) else [struct.pack(f">{2 + len(numbers)}I", 0, len(numbers), *numbers)])


@some.composite
def reordered(draw: Any, count: int) -> list[int]:
    """Places in order of display, listed in order of coding: the first stays first, groups are led by their last."""
    made = [0]
    while len(made) < count:
        size = min(draw(some.integers(1, 4)), count - len(made))
        group = list(range(len(made), len(made) + size))
        made += [group[-1], *draw(some.permutations(group[:-1]))]
    return made


@pytest.mark.parametrize("ratio", [Fraction(4, 3), Fraction(40, 33), Fraction(1, 2), None])
def test_the_aspect_ratio(tmp_path: Path, ratio: Fraction | None) -> None:
    path = tmp_path / "film.mp4"
    stream = encoded("h264")
    with Mp4File(path, [video_track(stream, sample_aspect_ratio=ratio)]) as file:
        file.write(0, stream.data[0], 0, 0, True, 1)
    (found,) = ffprobe(path, "-show_entries", "stream=sample_aspect_ratio,width,height")["streams"]
    assert found.get("sample_aspect_ratio") == (f"{ratio.numerator}:{ratio.denominator}" if ratio else None)
    assert (found["width"], found["height"]) == (64, 48)


def test_an_empty_file_is_a_file(tmp_path: Path, fragmented: bool) -> None:
    with Mp4File(tmp_path / "film.mp4", [video_track(encoded("h264"))], fragmented=fragmented):
        pass
    assert b"moov" in (tmp_path / "film.mp4").read_bytes()
    assert len(ffprobe(tmp_path / "film.mp4", "-show_streams")["streams"]) == 1
    assert packets_of(tmp_path / "film.mp4") == []


def test_how_long_the_last_picture_lasts(tmp_path: Path, fragmented: bool) -> None:
    """It lasts as long as its duration says, or as long as the previous one."""
    stream = encoded("h264", 12, gop=1)
    for times, last, seconds in (([0], 5, 0.2), ([0], 0, 0.04), ([0, 3], 0, 0.24), ([0, 3], 25, 1.12)):
        path = tmp_path / "film.mp4"
        with Mp4File(path, [video_track(stream)], fragmented=fragmented) as file:
            for number, time in enumerate(times):
                file.write(0, stream.data[number], time, time, True, last if time == times[-1] else 1)
        (found,) = ffprobe(path, "-show_entries", "stream=duration")["streams"]
        assert float(found["duration"]) == pytest.approx(seconds)


def test_the_table_of_key_frames_at_the_end(tmp_path: Path, stream: Encoded) -> None:
    """Players seek by it in a fragmented file."""
    data = written(tmp_path / "film.mp4", stream, fragmented=True).read_bytes()
    (table,) = boxes(data, "mfra", "tfra")
    (count,) = struct.unpack(">I", table[12:16])
    rows = list(struct.iter_unpack(">QQBBB", table[16:]))
    assert len(rows) == count
    assert len(rows) >= 2
    times = {one.pts for one in stream.packets if one.keyframe}
    late = -min(one.dts for one in stream.packets)
    for time, place, *numbers in rows:
        assert data[place + 4 : place + 8] == b"moof"
        assert time / 400 - late in times
        assert numbers == [1, 1, 1]
    assert int.from_bytes(data[-4:], "big") == len(data) - data.rfind(b"mfra") + 4


def test_what_is_refused(tmp_path: Path) -> None:
    stream = encoded("h264", 12, gop=1)
    track = video_track(stream)
    with pytest.raises(InvalidConfig, match=r"Expected a list of tracks"):
        Mp4File(tmp_path / "film.mp4", track)  # type: ignore[arg-type]
    with (tmp_path / "text").open("w") as text, pytest.raises(InvalidConfig, match="Open it with mode 'wb'"):
        Mp4File(text, [track])  # type: ignore[arg-type]
    with Mp4File(tmp_path / "film.mp4", [track]) as file:
        with pytest.raises(TypeError, match="Expected the bytes of a packet, got 'text'"):
            file.write(0, "text", 0, 0, True)  # type: ignore[arg-type]
        with pytest.raises(InvalidConfig, match="got track=VideoTrack"):
            file.write(track, stream.data[0], 0, 0, True)  # type: ignore[arg-type]
        for wrong in (b"", b"\0\0\0\1", stream.data[0][4:], len(stream.data[0]).to_bytes(4, "big") + stream.data[0]):
            with pytest.raises(InvalidConfig, match="Expected a packet with a picture in NAL units in Annex B's form"):
                file.write(0, wrong, 0, 0, True)
        file.write(0, memoryview(stream.data[0]), 0, 0, True)  # type: ignore[arg-type]
        file.write(0, bytearray(stream.data[1]), 1, 1, True)  # type: ignore[arg-type]
    with pytest.raises(NvencError, match=r"The file is closed\. Make a new one\."):
        file.write(0, stream.data[0], 2, 2, True)
    assert len(pictures_of(tmp_path / "film.mp4")) == 2
