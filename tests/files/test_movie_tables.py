"""The packets that an MP4's tables list are those that reading the file shows, or the tables are not believed."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_samples import SAMPLES, ffmpeg, sample
from pdum.nvenc import SourceUnreadable
from pdum.nvenc._media import movie_tables
from pdum.nvenc._media import source as _source
from pdum.nvenc._media.decoder import open_source, video_stream
from pdum.nvenc._media.movie_tables import COMPARED, listed_packets
from pdum.nvenc._media.packet_list import PacketList, demuxed_packets
from pdum.nvenc._media.source import index_source

pytestmark = pytest.mark.one_abi

TABLES = (b"stts", b"ctts", b"stss", b"stsc", b"stsz", b"stco", b"elst")
LISTED = [name for name, made in SAMPLES.items() if made.suffix == ".mp4" and made.frames > 3 and "broken" not in name]


def both_ways(path: Path, compared: int = 3) -> tuple[PacketList | None, PacketList]:
    """What the tables say, and what reading the file shows."""
    with open_source(path) as container:
        stream = video_stream(container, path)
        listed = listed_packets(path, container, stream, compared=compared)
        return listed, demuxed_packets(container, stream, lambda: None)


@pytest.mark.parametrize("name", LISTED)
def test_tables_list_what_reading_the_file_shows(name: str) -> None:
    for compared in (1, 3, 6):
        listed, read = both_ways(sample(name), compared)
        assert listed == read


@pytest.mark.parametrize(
    "arguments",
    [
        ("-c", "copy", "a.mov"),
        ("-c:v", "rawvideo", "-pix_fmt", "yuv420p", "-s", "32x16", "sizes-all-equal.mov"),
        ("-c:v", "mjpeg", "-q:v", "5", "every-one-is-a-key.mov"),
        ("-c", "copy", "-video_track_timescale", "90000", "other-clock.mp4"),
        ("-c", "copy", "-use_editlist", "0", "no-edit-list.mp4"),
        ("-c", "copy", "-movflags", "negative_cts_offsets", "negative-offsets.mp4"),
        ("-c", "copy", "-movflags", "faststart", "index-first.mp4"),
    ],
    ids=lambda arguments: arguments[-1],
)
def test_tables_of_other_files(folder: Path, arguments: tuple[str, ...]) -> None:
    path = folder / arguments[-1]
    ffmpeg("-i", sample("sound"), *arguments[:-1], path)
    listed, read = both_ways(path)
    assert listed == read


def test_places_of_eight_bytes(folder: Path) -> None:
    """Large files have them. The tables come last here, so that they may grow without moving anything."""
    data = sample("ntsc-film").read_bytes()
    path = folder / "long-places.mp4"
    path.write_bytes(_with_long_places(data))
    listed, read = both_ways(path)
    assert listed == read
    assert len(read.pts) == SAMPLES["ntsc-film"].frames


@pytest.mark.parametrize("edits", [[(800, 1024), (600, 12800)], [(400, -1), (1000, 1024)], [(500, 9000)]])
def test_edit_lists_of_several_parts(folder: Path, edits: list[tuple[int, int]]) -> None:
    path = folder / "edited.mp4"
    path.write_bytes(_with_edits(sample("open-gop").read_bytes(), edits))
    listed, read = both_ways(path)
    assert listed in (None, read)


@settings(max_examples=150)
@given(st.data())
def test_broken_tables_are_not_believed(data: st.DataObject) -> None:
    whole = bytearray(sample("sound").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        table = data.draw(st.sampled_from([kind for kind in TABLES if kind in whole]))
        at = whole.index(table) + 8 + data.draw(st.integers(0, 40))
        whole[at] = data.draw(st.sampled_from([0, 1, 2, 0x7F, 0xFF]))
    path = sample("sound").with_name("broken-tables.mp4")
    path.write_bytes(whole)
    try:
        listed, read = both_ways(path)
    except SourceUnreadable:
        return  # FFmpeg does not open it
    assert listed in (None, read)


@pytest.mark.parametrize("name", ["pyramid", "stream", "later-start", "vp9", "broken-off-mp4"])
def test_other_containers_and_files_that_are_cut_off_are_read(name: str) -> None:
    assert both_ways(sample(name))[0] is None


def test_fragments_are_read(folder: Path) -> None:
    path = folder / "fragments.mp4"
    ffmpeg("-i", sample("open-gop"), "-c", "copy", "-movflags", "frag_keyframe+empty_moov", path)
    listed, read = both_ways(path)
    assert listed in (None, read)


@pytest.fixture(scope="module")
def long_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    ffmpeg("-stream_loop", str(4 * COMPARED // SAMPLES["sound"].frames), "-i", sample("sound"), "-c", "copy", path)
    return path


def test_a_long_file_is_not_read_for_its_index(long_source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> PacketList:
        raise AssertionError("the file is read")

    read = both_ways(long_source)[1]
    with monkeypatch.context() as patched:
        patched.setattr(_source, "demuxed_packets", never)
        index = index_source(long_source)
    monkeypatch.setattr(_source, "listed_packets", lambda *_: None)
    assert index == index_source(long_source)
    assert index.frames == sum(read.shown) > 4 * COMPARED


def test_a_tail_that_differs_from_the_tables_is_noticed(long_source: Path, folder: Path) -> None:
    """The file ends within its last packets, as after an interrupted copy that was extended by zeros."""
    moov_first, cut = folder / "index-first.mp4", folder / "cut.mp4"
    ffmpeg("-i", long_source, "-c", "copy", "-movflags", "faststart", moov_first)
    cut.write_bytes(moov_first.read_bytes()[:-4000])
    assert both_ways(moov_first, COMPARED)[0] is not None
    assert both_ways(cut, COMPARED)[0] is None


@pytest.mark.parametrize("place", [0, 2, -1, -3])
def test_offsets_that_differ_at_either_end_are_not_believed(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    read_offsets = movie_tables._display_offsets

    def with_one_wrong(*given: Any) -> list[int]:
        offsets = read_offsets(*given)
        offsets[place] += 1
        return offsets

    monkeypatch.setattr(movie_tables, "_display_offsets", with_one_wrong)
    assert both_ways(sample("open-gop"))[0] is None


def test_numbers_of_a_broken_table_are_checked_before_memory_is_taken() -> None:
    with pytest.raises(movie_tables._Differs):
        movie_tables._sizes(struct.pack(">III", 0, 4, 1_000_000), most=3_999_999)
    with pytest.raises(movie_tables._Differs):
        movie_tables._repeated([1, 2], [5, 1_000_000], total=10)
    with pytest.raises(movie_tables._Differs):
        movie_tables._repeated([1, 2], [-5, 15], total=10)


def _with_long_places(data: bytes) -> bytes:
    at = data.index(b"stco") - 4
    size, count = struct.unpack(">I", data[at : at + 4])[0], struct.unpack(">I", data[at + 12 : at + 16])[0]
    places = struct.unpack(f">{count}I", data[at + 16 : at + 16 + 4 * count])
    body = struct.pack(f">II{count}Q", 0, count, *places)
    table = struct.pack(">I4s", 8 + len(body), b"co64") + body
    made = bytearray(data[:at] + table + data[at + size :])
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        place = made.index(kind) - 4
        (old,) = struct.unpack(">I", made[place : place + 4])
        made[place : place + 4] = struct.pack(">I", old + len(table) - size)
    assert data.index(b"mdat") < at, "nothing that is referred to moves"
    return bytes(made)


def _with_edits(data: bytes, edits: list[tuple[int, int]]) -> bytes:
    at = data.index(b"elst") - 4
    (size,) = struct.unpack(">I", data[at : at + 4])
    body = struct.pack(">II", 0, len(edits)) + b"".join(struct.pack(">Iihh", *edit, 1, 0) for edit in edits)
    table = struct.pack(">I4s", 8 + len(body), b"elst") + body
    made = bytearray(data[:at] + table + data[at + size :])
    for kind in (b"moov", b"trak", b"edts"):
        place = made.index(kind) - 4
        (old,) = struct.unpack(">I", made[place : place + 4])
        made[place : place + 4] = struct.pack(">I", old + len(table) - size)
    return bytes(made)
