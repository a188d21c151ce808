"""The facts about a source that are known before it is encoded."""

from __future__ import annotations

import struct
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import pytest

from files.runner import SOFTWARE, encode_ranges, job, pictures, run
from media_samples import ffmpeg, sample
from pdum.nvenc import (
    Cancelled,
    EncoderConfig,
    FileJob,
    FileSettings,
    FileTask,
    InvalidConfig,
    SourceUnreadable,
    UnsupportedFeature,
)
from pdum.nvenc._config.quality_scale import DEFAULT, cq_for
from pdum.nvenc._encoders.bitstreams import is_clean
from pdum.nvenc._files import source_task as _task
from pdum.nvenc._files.job import NOT_OF_A_FILE
from pdum.nvenc._files.ranges import cuts
from pdum.nvenc._media import source as _source
from pdum.nvenc._media.decoder import Start
from pdum.nvenc._media.movie_tables import COMPARED, listed_packets
from pdum.nvenc._media.packet_list import PacketList
from pdum.nvenc._media.riff import is_whole_riff
from pdum.nvenc._media.source import Index, _keys, index_source, look_through

pytestmark = pytest.mark.one_abi


def test_frames_hidden_by_an_edit_list_are_none() -> None:
    index = index_source(sample("edit-list"))
    assert index.frames == 27
    assert index.pts[0] == 0
    assert index.keys[0].frame == 0, "the first key frame is hidden, and still needed"


@pytest.mark.parametrize(
    ("name", "keys"), [("open-gop", [0, 12, 24, 36]), ("intra-refresh", [0]), ("ntsc-film", [0, 24])]
)
def test_where_decoding_may_begin(name: str, keys: list[int]) -> None:
    """The beginning of a wave of intra blocks is marked as a key frame, but is not one."""
    index = index_source(sample(name))
    assert [key.frame for key in index.keys] == keys
    assert not index.straight


@pytest.mark.parametrize("name", ["stream", "broken-off-mp4"])
def test_sources_that_are_decoded_without_seeking(name: str) -> None:
    index = index_source(sample(name))
    assert index.straight
    plan = FileTask(job(sample(name), Path("never.mp4")))
    assert plan.source_bytes > 0


def test_times_of_variable_rate() -> None:
    index = index_source(sample("variable-rate"))
    steps = {b - a for a, b in zip(index.pts, list(index.pts)[1:], strict=False)}
    assert len(steps) > 4
    assert index.duration == pytest.approx(1.6, abs=0.05)


def test_a_source_that_breaks_off_says_so() -> None:
    index = index_source(sample("broken-off-mp4"))
    assert index.careful
    assert index.warnings == (f"The source is cut off: 40 frames are announced, {index.frames} are there.",)


@pytest.fixture
def jpegs(folder: Path) -> Path:
    """40 pictures, each for itself."""
    path = folder / "jpegs.mov"
    ffmpeg("-i", sample("ntsc-film"), "-c:v", "mjpeg", "-q:v", "5", path)
    return path


def with_empty_packets(source: Path, path: Path) -> Path:
    """The sizes of three packets are 0 now, and their bytes lie behind the pictures before them."""
    data = bytearray(source.read_bytes())
    begin = data.index(b"stsz") + 16
    for number in (14, 18, 31):
        at = begin + 4 * number
        both = int.from_bytes(data[at - 4 : at], "big") + int.from_bytes(data[at : at + 4], "big")
        data[at - 4 : at + 4] = both.to_bytes(4, "big") + bytes(4)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("compared", [3, COMPARED])
def test_empty_packets_are_no_lost_frames(
    jpegs: Path, folder: Path, compared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some programs write them for pictures that repeat the one before."""
    monkeypatch.setattr(_source, "listed_packets", partial(listed_packets, compared=compared))
    index = index_source(with_empty_packets(jpegs, folder / "empty.mov"))
    assert index.frames == 37
    assert not index.careful
    assert index.warnings == ()


@pytest.mark.parametrize("share", [1, 0.7])
def test_empty_packets_of_avi(jpegs: Path, folder: Path, share: float) -> None:
    """Its header counts them, and its demuxer hides them. FFmpeg writes one for each moment without a picture."""
    whole, path = folder / "whole.avi", folder / "gaps.avi"
    with av.open(str(jpegs)) as source, av.open(str(whole), "w") as output:
        made: Any = output.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(one for one in source.demux(video=0) if one.size):
            packet.pts = packet.dts = 1001 * (number + number // 5)
            packet.time_base, packet.stream = Fraction(1, 24000), made
            output.mux(packet)
    data = whole.read_bytes()
    path.write_bytes(data[: round(len(data) * share)])
    index = index_source(path)
    assert index.frames == 40 if share == 1 else 20 < index.frames < 40
    assert index.careful == (share < 1)
    assert any("cut off" in text for text in index.warnings) == (share < 1)


@pytest.mark.parametrize(
    ("parts", "more", "is_whole"),
    [([12], b"", True), ([12, 8], b"", True), ([12, 8], b"junk", True), ([7], b"", True), ([12, 8], None, False)],
    ids=["one part", "two", "something behind", "odd", "cut off"],
)
def test_parts_of_riff(folder: Path, parts: list[int], more: bytes | None, is_whole: bool) -> None:
    """Large files of AVI have several. ``more``: None, if the last one lacks two bytes."""
    data = b"".join(b"RIFF" + size.to_bytes(4, "little") + bytes(size) for size in parts)
    path = folder / "parts.avi"
    path.write_bytes(data[:-2] if more is None else data + more)
    assert is_whole_riff(path) == is_whole


def test_a_whole_group_that_an_edit_list_hides_is_not_missing(folder: Path) -> None:
    """The file contains and announces it, but the demuxer does not return it."""
    data = bytearray(sample("sound").read_bytes())
    at = data.index(b"elst") + 12
    duration, begin = struct.unpack(">Ii", data[at : at + 8])
    data[at : at + 8] = struct.pack(">Ii", duration - 800, begin + 12_800 * 8 // 10)
    trimmed = folder / "trimmed.mp4"
    trimmed.write_bytes(data)
    index = index_source(trimmed)
    assert index.warnings == ()
    assert not index.careful
    assert not index.straight
    assert index.frames == len(pictures(trimmed)) == 20


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"words, and no video at all\n" * 50, r"damaged or incomplete\)\. Copy"),
    ],
)
def test_files_that_are_not_videos(folder: Path, content: bytes | None, words: str) -> None:
    source = folder / "source.mp4"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(SourceUnreadable, match=words):
        FileTask(job(source, folder / "result.mp4")).prepare(1)


@pytest.mark.parametrize(("box", "entries"), [(b"stts", 0xFFFFFFFF), (b"stts", 0x0FFFFFFF), (b"ctts", 0x0FFFFFF0)])
def test_the_error_of_a_broken_table_of_times_names_its_file(folder: Path, box: bytes, entries: int) -> None:
    """FFmpeg says "Cannot allocate memory" or "End of file", which does not sound like a broken file."""
    data = bytearray(sample("open-gop").read_bytes())
    at = data.index(box) + 8
    data[at : at + 4] = struct.pack(">I", entries)
    source = folder / "broken.mp4"
    source.write_bytes(data)
    with pytest.raises(SourceUnreadable, match=r"broken\.mp4: Not a readable video \(damaged or incomplete\)"):
        FileTask(job(source, folder / "result.mp4")).prepare(1)


def test_a_folder_is_not_a_video(folder: Path) -> None:
    with pytest.raises(SourceUnreadable, match="Not a file"):
        FileTask(job(folder, folder / "result.mp4")).prepare(1)


def test_a_file_with_only_sound_is_not_a_video(folder: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=duration=0.2", folder / "sound.m4a")
    with pytest.raises(SourceUnreadable, match="has no video"):
        FileTask(job(folder / "sound.m4a", folder / "result.mp4")).prepare(1)


@pytest.mark.parametrize(
    "name", ["-dash.mp4", "with:colon.mp4", "line\nbreak.mp4", "emoji \U0001f600 'quotes\".mp4", "x" * 250 + ".mp4"]
)
def test_names_that_others_stumble_over(folder: Path, name: str) -> None:
    source = folder / name
    source.write_bytes(sample("three-frames").read_bytes())
    target = folder / "results" / name
    assert run(FileTask(job(source, target))).frames == 3
    assert target.is_file()


def test_an_interrupted_task_ends_soon(folder: Path) -> None:
    task = FileTask(job(sample("open-gop"), folder / "result.mp4"))
    plan = task.prepare(1)
    encode_ranges(task, SOFTWARE, plan.ranges)
    task.interrupt()
    with pytest.raises(Cancelled):
        next(task.frames(0, SOFTWARE))
    with pytest.raises(Cancelled):
        task.finish()
    task.abandon(keep=False)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "segments", "threads"),
    [("no-times", "auto", 8), ("open-gop", 1, 8), ("open-gop", 2, 4), ("later-start", "auto", 8)],
)
def test_the_decoder_shares_the_cores(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, segments: int | str, threads: int
) -> None:
    """With the decoders of other parts, if there are any."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    task = FileTask(job(sample(name), folder / "result.mp4", segments=segments))
    task.prepare(2)
    assert task._decoder_threads() == threads
    task.abandon(keep=False)


@pytest.mark.parametrize(
    ("kind", "codec", "cores", "good", "frames"),
    [
        (None, "h264", 2, 2.0, 10),
        ("nvenc", "h264", 2, 2.0, 10),
        ("software", "h264", 2, 2.0, 40),  # one x264 keeps eight cores busy
        ("software", "h264", 8, 2.0, 40),
        ("software", "h264", 16, 2.0, 20),
        ("software", "hevc", 1, 2.0, 40),
        ("software", "hevc", 2, 2.0, 20),
        ("software", "hevc", 2, 2.5, 40),
        ("software", "hevc", 8, 2.5, 20),  # and one x265 not four
        ("software", "hevc", 16, 2.5, 10),
        ("software", "hevc", 64, 2.5, 10),
        ("software", "hevc", 2, 9.0, 40),
        ("software", "av1", 2, 2.0, 20),
        ("software", "av1", 8, 2.5, 40),  # nor one SVT-AV1 eight
        ("software", "av1", 16, 2.5, 20),
        ("software", "av1", 64, 2.5, 10),
    ],
)
def test_how_long_ranges_are_to_begin_with(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str | None, codec: str, cores: int, good: float, frames: int
) -> None:
    """One second of video. For software, long enough to be worth a key frame, and so many that no cores are idle."""

    def four_seconds(*given: Any) -> tuple[Index, Start]:
        index, start = look_through(*given)
        return replace(index, rate=Fraction(10)), start

    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr(_task, "look_through", four_seconds)
    monkeypatch.setattr("pdum.nvenc._files.ranges.GOOD_SECONDS", good)
    task = FileTask(job(sample("open-gop"), folder / "result.mp4", codec=codec), kind)
    plan = task.prepare(1)
    task.abandon(keep=False)
    assert (plan.frames, plan.shortest_range, plan.good_range) == (40, 10, frames)


def test_a_part_of_a_group_is_worth_a_slow_codecs_while(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding begins at the key frame before a range: half a group on average, which is slow compared to x264."""
    monkeypatch.setattr(_task, "look_through", lambda *given: _with_one_key(*look_through(*given)))
    shortest = {}
    for kind, codec in (("nvenc", "hevc"), ("software", "h264"), ("software", "hevc"), ("software", "av1")):
        task = FileTask(job(sample("open-gop"), folder / "result.mp4", codec=codec), kind)
        shortest[kind, codec] = task.prepare(1).shortest_range
        task.abandon(keep=False)
    assert list(shortest.values()) == [40, 40, 25, 25]


def _with_one_key(index: Index, start: Start) -> tuple[Index, Start]:
    return replace(index, keys=index.keys[:1]), start


def test_cuts_are_on_key_frames_that_are_near() -> None:
    index = index_source(sample("open-gop"))
    assert cuts(index, 3) == [12, 27]
    assert cuts(index, 1) == []
    assert cuts(index, 1000) == list(range(1, 40))


def test_decoding_does_not_begin_at_a_key_frame_after_later_frames() -> None:
    """Decoding order 0 3 | 2 4: decoding from the key frame 2 never gives 3."""
    packets = PacketList(pts=[0, 3, 2, 4, 5], dts=[None] * 5, durations=[1] * 5, shown=[True] * 5, keys=[0, 2, 4])
    assert [key.frame for key in _keys(packets, [0, 2, 3, 4, 5])] == [0, 4]


def test_a_clean_key_frame_has_only_intra_slices() -> None:
    def unit(kind: int, slice_bits: str) -> bytes:
        return b"\0\0\1" + bytes((kind, int(slice_bits.ljust(8, "0"), 2), 0x80))

    idr, intra, predicted = unit(0x65, "10001000"), unit(0x41, "1" + "0001000"), unit(0x41, "1" + "1")
    assert is_clean("h264", idr + predicted, b"")
    assert is_clean("h264", intra, b"")
    assert not is_clean("h264", predicted, b"")
    assert not is_clean("h264", intra + predicted, b"")
    assert is_clean("hevc", b"", b"")


MARKED = {
    "h264": ("libx264", "-x264-params", "open-gop=1:scenecut=0", "-bf", "2", "-g", "12"),
    "hevc": ("libx265", "-x265-params", "open-gop=0:keyint=10:bframes=3:log-level=none"),
    "hevc-open": ("libx265", "-x265-params", "open-gop=1:keyint=10:bframes=3:log-level=none"),
    "mpeg2": ("mpeg2video", "-bf", "2", "-g", "12"),
    "mpeg4": ("mpeg4", "-bf", "2", "-g", "12"),
    "vp9": ("libvpx-vp9", "-g", "12", "-cpu-used", "8"),
}


@pytest.mark.parametrize("compared", [3, COMPARED], ids=["tables", "packets"])
@pytest.mark.parametrize("codec", MARKED)
def test_a_file_that_marks_all_packets_as_key_frames(
    folder: Path, codec: str, compared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So does one without a list of them. Decoding would begin anywhere, and lose frames."""
    monkeypatch.setattr(_source, "listed_packets", partial(listed_packets, compared=compared))
    whole, marked = folder / "whole.mp4", folder / "marked.mp4"
    ffmpeg("-i", sample("ntsc-film"), "-c:v", *MARKED[codec], whole)
    marked.write_bytes(whole.read_bytes().replace(b"stss", b"free"))
    with av.open(str(marked)) as container:
        packets = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    assert all(packets) or codec in ("h264", "vp9"), "FFmpeg looks at these itself"
    wanted = index_source(whole)
    assert 2 <= len(wanted.keys) <= 5
    assert index_source(marked).keys == wanted.keys


def test_settings_that_cannot_be() -> None:
    with pytest.raises(InvalidConfig, match="audio='loud'"):
        FileSettings(audio="loud")
    with pytest.raises(InvalidConfig, match=r"Unknown encoder setting 'present'\. Did you mean 'preset'"):
        FileSettings(encoder={"present": "p4"})
    with pytest.raises(InvalidConfig, match=r"width cannot be set for a file: .* Filters\(scale=…\)"):
        FileSettings(encoder={"width": 640})
    with pytest.raises(InvalidConfig, match="segments=0"):
        FileJob(source=Path("a.mp4"), destination=Path("b.mp4"), segments=0)
    with pytest.raises(InvalidConfig, match="verify='maybe'"):
        FileJob(source=Path("a.mp4"), destination=Path("b.mp4"), verify="maybe")


@pytest.mark.parametrize("name", NOT_OF_A_FILE)
def test_a_setting_that_would_do_nothing_is_an_error(name: str) -> None:
    with pytest.raises(InvalidConfig, match=f"^{name} cannot be set for a file: ") as caught:
        FileSettings(encoder={name: getattr(EncoderConfig(width=64, height=64), name)})
    assert "EncoderConfig" not in str(caught.value)


def test_fields_of_the_encoder_have_their_own_place() -> None:
    with pytest.raises(TypeError, match=r"takes bitrate as a field of the encoder: encoder=\{'bitrate'"):
        FileSettings(bitrate="5M")  # type: ignore[call-arg]
    with pytest.raises(InvalidConfig, match="width cannot be set for a file"):
        FileSettings(width=640)  # type: ignore[call-arg]
    with pytest.raises(InvalidConfig, match=r"Unknown encoder setting 'gop_size'\. It is called 'gop' here"):
        FileSettings(gop_size=5)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"cq": 30, "bitrate": "5M"}, "bitrate=5M and cq=30 conflict: .*Leave one out, or use max_bitrate"),
        ({"rate_control": "CBR"}, "rate_control='cbr' needs a bitrate. Give bitrate"),
        ({"rate_control": "constqp", "cq": 4}, "rate_control='constqp' needs qp. Give qp"),
    ],
)
def test_rates_of_which_one_would_do_nothing_are_an_error(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidConfig, match=words):
        FileSettings(encoder=given)


DEFAULT_CQ = cq_for(DEFAULT, "h264", "software")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"cq": DEFAULT_CQ}),
        ({"cq": None}, {"cq": DEFAULT_CQ}),
        ({"bitrate": 0}, {"cq": DEFAULT_CQ}),
        ({"max_bitrate": "1M"}, {"cq": DEFAULT_CQ, "max_bitrate": 1_000_000}),
        ({"bitrate": "1M", "max_bitrate": "2M"}, {"cq": None, "bitrate": 1_000_000, "max_bitrate": 2_000_000}),
        ({"rate_control": "cbr", "bitrate": 90_000}, {"cq": None, "bitrate": 90_000, "rate_control": "cbr"}),
        ({"qp": 0}, {"cq": None, "qp": 0}),
        ({"tuning": "lossless"}, {"cq": None, "bitrate": 0}),
    ],
)
def test_every_rate_reaches_the_encoder(folder: Path, given: dict[str, Any], expected: dict[str, Any]) -> None:
    task = FileTask(job(sample("one-frame"), folder / "out.mp4", encoder=given), "software")
    task.prepare(1)
    config = task.config(SOFTWARE)
    task.abandon(keep=False)
    assert {name: getattr(config, name) for name in expected} == expected


def test_a_name_without_a_known_container(folder: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"Expected a name that ends with \.mp4"):
        FileTask(job(sample("one-frame"), folder / "result.xyz")).prepare(1)


def test_the_source_is_not_overwritten_by_chance(folder: Path) -> None:
    source = folder / "source.mp4"
    source.write_bytes(sample("one-frame").read_bytes())
    with pytest.raises(InvalidConfig, match="is the source itself"):
        FileTask(job(source, source)).prepare(1)


@pytest.mark.parametrize("codec", ["auto", "hevc"])
def test_a_source_that_is_too_small_for_a_codec_is_encoded_by_another_or_refused(folder: Path, codec: str) -> None:
    source = folder / "thin.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x99", "-vf", "scale=1:99", "-pix_fmt", "yuv420p", "-frames:v", "3",
           "-c:v", "ffv1", source)  # fmt: skip
    task = FileTask(job(source, folder / "result.mkv", codec=codec, encoder={}), "software")
    if codec == "auto":
        assert run(task).frames == 3
    else:
        with pytest.raises(UnsupportedFeature, match=r"cannot encode 1x99 as hevc\. Choose another codec"):
            task.prepare(1)
        task.abandon(keep=False)
