"""How a recording gets its index: beside itself, in its room, behind the pictures; and what a full disk does to it."""

from __future__ import annotations

import errno
import os
import resource
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from mp4_files import Encoded, boxes, encoded, packets_of, pictures_of, video_track, written
from pdum.nvenc import NvencError
from pdum.nvenc._mp4 import recording
from pdum.nvenc._mp4.mp4_file import Mp4File
from pdum.nvenc._mp4.repair import repair

pytestmark = pytest.mark.one_abi

STREAM = {"codec": "h264", "tuning": "hq", "bframes": 2, "gop": 12}


def in_room(monkeypatch: pytest.MonkeyPatch, room: int = 1 << 16) -> None:
    """Small files are treated as large ones."""
    monkeypatch.setattr(recording, "LEAST_WITH_ROOM", 0)
    monkeypatch.setattr(recording.Recording.__init__, "__defaults__", (room,))


def kinds(path: Path) -> list[str]:
    data, found, at = path.read_bytes(), [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append(data[at + 4 : at + 8].decode())
        assert size == 1 or size >= 8
        at += size if size != 1 else int.from_bytes(data[at + 8 : at + 16], "big")
    assert at == len(data)
    return found


def test_a_large_recording_has_its_index_in_the_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = encoded(count=64, **STREAM)
    rewritten = written(tmp_path / "rewritten.mp4", stream)
    in_room(monkeypatch)
    sealed = written(tmp_path / "sealed.mp4", stream)
    assert kinds(rewritten) == ["ftyp", "moov", "mdat"]
    assert kinds(sealed) == ["ftyp", "free", "moov", "free", "mdat"]
    assert packets_of(sealed) == packets_of(rewritten)
    assert pictures_of(sealed) == pictures_of(rewritten)


def test_beyond_4_gib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures of this file stand behind a hole of 5 GiB. 64 bits are needed to say where."""
    stream = encoded(count=64, **STREAM)
    in_room(monkeypatch, 5 << 30)
    path = written(tmp_path / "large.mp4", stream)
    assert path.stat().st_size > 5 << 30
    assert path.stat().st_blocks * 512 < 1 << 20
    assert [one.data for one in packets_of(path)] == [
        one.data for one in packets_of(written(tmp_path / "small.mp4", stream, fragmented=True))
    ]
    with path.open("rb") as file:
        assert b"co64" in file.read(1 << 16)


def test_an_index_that_does_not_fit_its_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = encoded(count=64, **STREAM)
    in_room(monkeypatch, 200)
    assert kinds(written(tmp_path / "film.mp4", stream)) == ["ftyp", "moov", "mdat"]


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_no_room_to_write_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index comes last, and nothing is lost."""
    stream = encoded(count=64, **STREAM)
    good = written(tmp_path / "good.mp4", stream)
    monkeypatch.setattr(recording, "write_complete", full)
    path = written(tmp_path / "film.mp4", stream)
    assert kinds(path) == ["ftyp", "free", "mdat", "moov"]
    assert packets_of(path) == packets_of(good)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["film.mp4", "good.mp4"]


def test_a_link_stays_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a relative path is that of the folder in which it was given."""
    stream = encoded(count=64, **STREAM)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link.mp4").symlink_to(tmp_path / "elsewhere" / "film.mp4")
    monkeypatch.chdir(tmp_path)
    file = Mp4File("link.mp4", [video_track(stream)])
    record(file, stream, 64)
    monkeypatch.chdir("/")
    file.close()
    assert (tmp_path / "link.mp4").is_symlink()
    assert [one.name for one in (tmp_path / "elsewhere").iterdir()] == ["film.mp4"]
    assert kinds(tmp_path / "link.mp4") == ["ftyp", "moov", "mdat"]


def test_no_room_for_any_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file stays one of fragments, which can be repaired."""
    stream = encoded(count=64, **STREAM)
    monkeypatch.setattr(recording, "write_complete", full)
    monkeypatch.setattr(recording.Recording, "_put", full)
    with pytest.raises(OSError, match="No space left"):
        written(tmp_path / "film.mp4", stream)
    monkeypatch.undo()
    assert len(pictures_of(tmp_path / "film.mp4")) == 64
    assert repair(tmp_path / "film.mp4", tmp_path / "repaired.mp4").frames == 64


def test_killed_between_any_two_writes_while_it_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before and after each write, all pictures are there."""
    stream = encoded(count=64, **STREAM)
    in_room(monkeypatch)
    path, put, seen = tmp_path / "film.mp4", recording.Recording._put, []

    def looked_at(self: Any, data: bytes, place: int) -> None:
        seen.append(len(packets_of(path)))
        assert "moov" in kinds(path)
        put(self, data, place)
        seen.append(len(packets_of(path)))
        assert "moov" in kinds(path)

    monkeypatch.setattr(recording.Recording, "_put", looked_at)
    written(path, stream)
    assert seen == [64] * 6


def record(file: Mp4File, stream: Encoded, count: int) -> None:
    for number in range(count):
        packet = stream.packets[number % len(stream.packets)]
        file.write(0, packet.data, number, number, packet.keyframe, 1)


def test_a_disk_that_becomes_full_while_recording(tmp_path: Path) -> None:
    """What was written before stays complete, and what comes later is refused."""
    stream = encoded(count=64, **STREAM)
    path = tmp_path / "film.mp4"
    limit = recording.ROOM + 4000
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    file = Mp4File(path, [video_track(stream)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            record(file, stream, 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with pytest.raises(NvencError, match="could not be written, so the file cannot be completed"):
        file.write(0, stream.data[0], 2000, 2000, True)
    with pytest.raises(NvencError, match="could not be written, so the file cannot be completed"):
        file.close()
    file.close()
    report = repair(path, tmp_path / "repaired.mp4")
    assert report.frames >= 25
    assert (report.lost_frames, report.unused_bytes) == (0, 0)


def test_the_index_stays_small(tmp_path: Path) -> None:
    """With B-frames: bytes for each frame, in memory."""
    count = 21_000
    stream = encoded(count=64, **STREAM)
    file = Mp4File(tmp_path / "film.mp4", [video_track(stream, Fraction(1, 1000))])
    order = [0, 2, 1]
    for number in range(count):
        shown = number - number % 3 + order[number % 3]
        file.write(0, b"\0\0\1\x41x", shown, number - 1, number % 12 == 0, 1)
    output: Any = file._output
    index = output._recording.index
    table = index.tables[0]
    arrays = [table._sizes, table._keys, table._chunks, table._chunk_counts, index._starts, index._places]
    arrays += [runs for one in (table._durations, table._offsets) for runs in (one.counts, one.values)]
    assert sum(len(one) * one.itemsize for one in arrays) < 24 * count
    file.close()
    (sizes,) = boxes((tmp_path / "film.mp4").read_bytes(), "moov", "trak", "mdia", "minf", "stbl", "stsz")
    assert int.from_bytes(sizes[8:12], "big") == count
