"""What killed recorders leave becomes complete files."""

from __future__ import annotations

import errno
import functools
import io
import os
import signal
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from mp4_files import Encoded, boxes, encoded, packets_of, pictures_of, stream_copy, video_track, written
from pdum.nvenc import FolderMissing, SourceUnreadable
from pdum.nvenc._mp4.boxes import box, full_box
from pdum.nvenc._mp4.fragments import Fragments
from pdum.nvenc._mp4.mp4_file import Mp4File
from pdum.nvenc._mp4.repair import repair
from pdum.nvenc._mp4.tracks import AudioTrack

pytestmark = pytest.mark.one_abi

STREAMS: dict[str, dict[str, Any]] = {
    "h264 with B-frames": {"codec": "h264", "tuning": "hq", "bframes": 2, "gop": 12},
    "hevc": {"codec": "hevc", "gop": 10},
    "av1": {"codec": "av1", "gop": 10},
}


@pytest.fixture(scope="module", params=STREAMS)
def stream(request: pytest.FixtureRequest) -> Encoded:
    return encoded(count=64, **STREAMS[request.param])


SOUND = AudioTrack(codec="pcm", rate=8000, channels=1, language="eng")

AAC = AudioTrack(codec="aac", rate=8000, channels=1, description=b"\x15\x88")


def fill(file: Mp4File, stream: Encoded, sound: bool) -> None:
    for number, packet in enumerate(stream.packets):
        file.write(0, packet.data, packet.pts, packet.dts, packet.keyframe, 1)
        if sound:
            file.write(1, bytes((number, 1)) * 320, 320 * number, 320 * number, True)


def left_by_a_killed_recorder(path: Path, stream: Encoded, sound: bool = False) -> Path:
    """Everything is written, but the file was not completed."""
    file = Mp4File(path, [video_track(stream), *([SOUND] if sound else [])])
    fill(file, stream, sound)
    for one in file._inputs:
        one.settle()
    file._end_fragment()
    file.abandon()
    return path


@pytest.mark.parametrize("sound", [False, True])
def test_a_repaired_file_is_the_one_that_close_would_have_made(tmp_path: Path, stream: Encoded, sound: bool) -> None:
    part = left_by_a_killed_recorder(tmp_path / "film.part", stream, sound)
    with Mp4File(tmp_path / "closed.mp4", [video_track(stream), *([SOUND] if sound else [])]) as file:
        fill(file, stream, sound)
    before = part.read_bytes()
    report = repair(part, tmp_path / "film.mp4")
    assert (tmp_path / "film.mp4").read_bytes() == (tmp_path / "closed.mp4").read_bytes()
    assert (report.frames, report.lost_frames, report.unused_bytes) == (64, 0, 0)
    assert report.text == f"{tmp_path / 'film.mp4'}: 64 frames, 2.6 s{' and 2.6 s of sound' if sound else ''}."
    assert part.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["closed.mp4", "film.mp4", "film.part"]


def test_a_fragmented_file_becomes_a_complete_one(tmp_path: Path, stream: Encoded) -> None:
    fragmented = written(tmp_path / "fragmented.mp4", stream, fragmented=True)
    assert repair(fragmented, tmp_path / "film.mp4").unused_bytes == 0
    assert (tmp_path / "film.mp4").read_bytes() == written(tmp_path / "closed.mp4", stream).read_bytes()


@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_cut_off_at_any_byte(tmp_path: Path, codec: str) -> None:
    """All frames that are complete come back, and no other; everything else is an error that says what is wrong."""
    stream = encoded(codec, 4, gop=2)
    whole = io.BytesIO()
    made = Mp4File(whole, [video_track(stream)], fragmented=True)
    for packet in stream.packets:
        made.write(0, packet.data, packet.pts, packet.dts, packet.keyframe, 1)
        if packet.pts == 2:
            made._end_fragment()
    made.close()
    data = whole.getvalue()
    whole.seek(0)
    expected = [one.data for one in packets_of(whole)]
    ends = [data.find(sample) + len(sample) for sample in expected]
    for cut in range(len(data)):
        (tmp_path / "cut").write_bytes(data[:cut])
        complete = sum(end <= cut for end in ends)
        if not complete:
            with pytest.raises(SourceUnreadable, match=r"cut (is not an MP4|has no (index|complete))"):
                repair(tmp_path / "cut", tmp_path / "film.mp4", overwrite=True)
            continue
        report = repair(tmp_path / "cut", tmp_path / "film.mp4", overwrite=True)
        assert report.frames == complete
        (media,) = boxes((tmp_path / "film.mp4").read_bytes(), "mdat")
        assert media == b"".join(expected[:complete])
    assert len(pictures_of(tmp_path / "film.mp4")) == 4


def test_sound_that_is_cut_off(tmp_path: Path) -> None:
    """A packet of which a byte is missing is left out."""
    whole = io.BytesIO()
    with Mp4File(
        whole, [AudioTrack(codec="aac", rate=8000, channels=1, description=b"\x15\x88")], fragmented=True
    ) as file:
        for number in range(3):
            file.write(0, bytes((number + 1,)) * 50, 1024 * number, 1024 * number, True, 1024)
    data = whole.getvalue()
    for missing in (0, 1, 49, 50, 51):
        (tmp_path / "cut").write_bytes(data[: len(data) - missing])
        report = repair(tmp_path / "cut", tmp_path / "film.mp4", overwrite=True)
        complete = (150 - missing) // 50
        assert len(packets_of(tmp_path / "film.mp4", "audio")) == complete
        assert report.frames == 0
        assert report.sound_seconds == pytest.approx(complete * 0.128)


def with_defaults(samples: int, offset: int) -> bytes:
    """A file that says only once how long and how large samples are, and which of them are key frames."""
    init = Fragments([AAC]).init_segment()
    at = init.find(b"trex")
    init = init[: at + 16] + struct.pack(">3I", 1024, 50, 0) + init[at + 28 :]
    track = full_box("tfhd", 0, 0x20000, struct.pack(">I", 1)) + full_box("tfdt", 0, 0, bytes(4))
    moof = box("moof", box("traf", track, full_box("trun", 0, 1, struct.pack(">Ii", samples, offset))))
    return init + moof + box("mdat", bytes(range(150)))


def test_defaults_for_the_whole_file(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(with_defaults(3, 8 + 8 + 16 + 16 + 20 + 8))
    repair(tmp_path / "part", tmp_path / "film.mp4")
    found = packets_of(tmp_path / "film.mp4", "audio")
    assert [one.data for one in found] == [bytes(range(at, at + 50)) for at in (0, 50, 100)]
    assert [float(one.pts * 8000) for one in found] == [0, 1024, 2048]


@pytest.mark.parametrize(("samples", "offset"), [(0xFFFFFFFF, 76), (3, -100_000)])
def test_fragments_that_cannot_be(tmp_path: Path, samples: int, offset: int) -> None:
    """Billions of samples, which would take all memory; samples before the beginning of the file."""
    (tmp_path / "part").write_bytes(with_defaults(samples, offset))
    with pytest.raises(SourceUnreadable, match="has no complete frame in it"):
        repair(tmp_path / "part", tmp_path / "film.mp4")


def test_zeros_and_rubbish_after_the_end(tmp_path: Path, stream: Encoded) -> None:
    """A file system may leave them after a crash of the machine."""
    part = left_by_a_killed_recorder(tmp_path / "film.part", stream)
    repair(part, tmp_path / "good.mp4")
    good, size = (tmp_path / "good.mp4").read_bytes(), part.stat().st_size
    for rubbish in (bytes(5000), b"\xff" * 100, b"\0\0\0\x20moof" + bytes(10), b"\0\0\0\x10moof" + bytes(8)):
        with part.open("rb+") as file:
            file.truncate(size)
            file.seek(size)
            file.write(rubbish)
        assert repair(part, tmp_path / "film.mp4", overwrite=True).unused_bytes >= len(rubbish) - 16
        assert (tmp_path / "film.mp4").read_bytes() == good


def test_zeros_instead_of_the_last_pictures(tmp_path: Path, stream: Encoded) -> None:
    part = left_by_a_killed_recorder(tmp_path / "film.part", stream)
    size = part.stat().st_size
    with part.open("rb+") as file:
        file.truncate(size - 150)
        file.truncate(size)
    report = repair(part, tmp_path / "film.mp4")
    assert report.lost_frames > 0
    assert report.frames + report.lost_frames == 64
    assert f"{report.lost_frames} more at the end are incomplete and not included." in report.text
    assert len(pictures_of(tmp_path / "film.mp4")) == report.frames


DAMAGE = some.sampled_from([b"\0", b"\xff", b"\xff\xff\xff\xff", b"\0\0\0\x08", b"\1"]) | some.binary(max_size=3)


@settings(max_examples=100)
@given(some.data())
def test_any_damage_is_told_or_survived(tmp_path_factory: pytest.TempPathFactory, chance: Any) -> None:
    """No other error, no end of memory, no endless loop."""
    folder = tmp_path_factory.getbasetemp()
    data = bytearray(fragments_with_sound())
    for _ in range(chance.draw(some.integers(1, 6))):
        at, new = chance.draw(some.integers(0, len(data) - 1) | some.integers(0, 1600)), chance.draw(DAMAGE)
        data[at : at + len(new)] = new
    (folder / "damaged").write_bytes(data)
    with suppress(SourceUnreadable):
        assert repair(folder / "damaged", folder / "repaired.mp4", overwrite=True).frames <= 12


@pytest.mark.parametrize("kind", ["mvhd", "tkhd", "mdhd", "trex", "mfhd", "tfhd", "tfdt", "trun"])
def test_damage_in_each_box(tmp_path: Path, kind: str) -> None:
    """Each number of the first box of the kind becomes the largest one, and 0."""
    data = fragments_with_sound()
    start = data.find(kind.encode())
    size = int.from_bytes(data[start - 4 : start], "big")
    for at in range(start - 4, start + size - 4, 4):
        for new in (b"\xff" * 4, bytes(4)):
            (tmp_path / "damaged").write_bytes(data[:at] + new + data[at + 4 :])
            with suppress(SourceUnreadable):
                assert repair(tmp_path / "damaged", tmp_path / "film.mp4", overwrite=True).frames <= 12


@functools.lru_cache
def fragments_with_sound() -> bytes:
    stream, file = encoded("h264", 12, tuning="hq", bframes=2), io.BytesIO()
    with Mp4File(file, [video_track(stream), SOUND], fragmented=True) as made:
        for number, packet in enumerate(stream.packets):
            made.write(0, packet.data, packet.pts, packet.dts, packet.keyframe, 1)
            made.write(1, bytes((number, 1)) * 32, 32 * number, 32 * number, True)
            if number == 6:
                made._end_fragment()
    return file.getvalue()


def test_fragments_of_ffmpeg_are_understood(tmp_path: Path, stream: Encoded) -> None:
    theirs = tmp_path / "theirs.mp4"
    flags = "frag_keyframe+empty_moov+default_base_moof"
    stream_copy(written(tmp_path / "ours.mp4", stream), theirs, "-movflags", flags)
    report = repair(theirs, tmp_path / "film.mp4")
    assert report.frames == 64
    assert [one.data for one in packets_of(tmp_path / "film.mp4")] == [one.data for one in packets_of(theirs)]
    assert pictures_of(tmp_path / "film.mp4") == pictures_of(theirs)


def test_what_cannot_be_repaired(tmp_path: Path) -> None:
    complete = written(tmp_path / "complete.mp4", encoded("h264"))
    cases = {
        "text": (b"No film at all, but a text.", "is not an MP4 file"),
        "empty": (b"", "is not an MP4 file"),
        "complete": (complete.read_bytes(), "is a complete MP4 file already. There is nothing to repair"),
        "cut": (complete.read_bytes()[:-10], "was complete once, and its end is cut off"),
        "no index": (b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x10mdat12345678", "has no index and no fragments"),
        "damaged": (complete.read_bytes()[:60] + bytes(100), "has no index and no fragments"),
    }
    for name, (data, told) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SourceUnreadable, match=told):
            repair(tmp_path / name, tmp_path / "film.mp4")
    assert not (tmp_path / "film.mp4").exists()


def test_no_file_is_replaced_without_being_asked(tmp_path: Path) -> None:
    part = left_by_a_killed_recorder(tmp_path / "film.part", encoded("h264", 40))
    (tmp_path / "film.mp4").write_bytes(b"dear")
    with pytest.raises(FileExistsError):
        repair(part, tmp_path / "film.mp4")
    assert (tmp_path / "film.mp4").read_bytes() == b"dear"
    repair(part, tmp_path / "film.mp4", overwrite=True)
    assert len(packets_of(tmp_path / "film.mp4")) == 40


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    part = left_by_a_killed_recorder(tmp_path / "film.part", encoded("h264", 40))
    with pytest.raises(FolderMissing, match=r"^The folder .*/none does not exist\. Create it first\.$"):
        repair(part, tmp_path / "none" / "film.mp4")


def test_a_file_that_appears_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = left_by_a_killed_recorder(tmp_path / "film.part", encoded("h264", 40))

    def write(*_: object) -> None:
        (tmp_path / "film.mp4").write_bytes(b"dear")

    monkeypatch.setattr("pdum.nvenc._mp4.repair.write_complete", write)
    with pytest.raises(FileExistsError):
        repair(part, tmp_path / "film.mp4")
    assert (tmp_path / "film.mp4").read_bytes() == b"dear"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mp4", "film.part"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    part = left_by_a_killed_recorder(tmp_path / "film.part", encoded("h264", 40))
    monkeypatch.setattr("pdum.nvenc._mp4.repair.write_complete", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*film\.mp4'"):
        repair(part, tmp_path / "film.mp4")
    assert list(tmp_path.iterdir()) == [part]


RECORDER = """
import sys
from fractions import Fraction
from itertools import count
from mp4_files import encoded, video_track
from pdum.nvenc._mp4.boxes import box, full_box
from pdum.nvenc._mp4.fragments import Fragments
from pdum.nvenc._mp4.mp4_file import Mp4File
stream = encoded("h264", 40, gop=10)
file = Mp4File(sys.argv[1], [video_track(stream)])
for number in count():
    packet = stream.packets[number % 40]
    file.write(0, packet.data, number, number, packet.keyframe, 1)
    if number == 400:
        print("recording", flush=True)
"""


def test_a_recorder_that_is_really_killed(tmp_path: Path) -> None:
    part = tmp_path / "film.part"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", RECORDER, str(part)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as recorder:
        assert recorder.stdout is not None
        assert recorder.stdout.readline() == "recording\n"
        recorder.send_signal(signal.SIGKILL)
    report = repair(part, tmp_path / "film.mp4")
    assert report.frames >= 350
    assert len(pictures_of(tmp_path / "film.mp4")) == report.frames
