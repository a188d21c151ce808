"""Everything except the video is copied from the source, or there is a warning."""

from __future__ import annotations

import struct
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from files.runner import job, run, seconds
from media_samples import sample
from pdum.nvenc import FileTask
from side_data import side_data

from loud import need_program

pytestmark = pytest.mark.one_abi


def encoded(name: str, result: Path, **more: Any) -> tuple[str, ...]:
    """Encodes the sample; the warnings."""
    return run(FileTask(job(sample(name), result, **more))).warnings


def payloads(path: Path, kind: str) -> list[list[bytes]]:
    """The packets of each stream of a kind."""
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        found: dict[int, list[bytes]] = {stream.index: [] for stream in streams}
        for packet in container.demux(streams):
            if packet.size:
                found[packet.stream.index].append(bytes(packet))
    return list(found.values())


def streams(path: Path) -> list[tuple[str, str, str | None, str | None, int]]:
    """Kind, codec, language, title and disposition of each."""
    with av.open(str(path)) as container:
        return [
            (
                stream.type,
                stream.codec_context.name if stream.codec_context else "",
                stream.metadata.get("language"),
                stream.metadata.get("title", stream.metadata.get("name")),
                stream.disposition.value,
            )
            for stream in container.streams
            if stream.type != "attachment"
        ]


def test_matroska_keeps_everything(folder: Path) -> None:
    source, result = sample("everything"), folder / "result.mkv"
    assert encoded("everything", result) == ()
    assert streams(result) == streams(source)
    for kind in ("audio", "subtitle"):
        assert payloads(result, kind) == payloads(source, kind)
    with av.open(str(source)) as before, av.open(str(result)) as after:
        assert after.chapters() == before.chapters()
        assert len(after.chapters()) == 2
        kept = {key: value for key, value in before.metadata.items() if key.lower() != "encoder"}
        assert {key: after.metadata.get(key) for key in kept} == kept
        attached: Any = next(stream for stream in after.streams if stream.type == "attachment")
        original: Any = next(stream for stream in before.streams if stream.type == "attachment")
        assert (attached.name, attached.mimetype, attached.data) == ("font.ttf", "font/ttf", original.data)


def test_mp4_keeps_what_it_can_and_warns_of_the_rest(folder: Path) -> None:
    source, result = sample("everything"), folder / "result.mp4"
    warnings = " ".join(encoded("everything", result))
    found = streams(result)
    assert [stream[:3] for stream in found[1:5]] == [
        ("audio", "aac", "eng"),
        ("audio", "flac", "deu"),
        ("subtitle", "mov_text", "und"),
        ("subtitle", "mov_text", "fra"),
    ]
    kept = [stream[3] for stream in found[:3]]
    assert (kept == ["The picture", None, "Kommentar"]) != ("titles Kommentar, The picture" in warnings)  # PyAV 18, 17
    assert [stream[4] for stream in found[1:3]] == [stream[4] for stream in streams(source)[1:3]]
    assert payloads(result, "audio") == payloads(source, "audio")
    assert "font.ttf) is dropped: mp4 holds no attachments" in warnings
    assert "Stream 3 (subtitle, srt) is kept as plain text" in warnings
    texts = [[data[2:].decode() for data in stream if len(data) > 2] for stream in payloads(result, "subtitle")]
    assert texts == [["First words", "Äußerst wenig"]] * 2
    with av.open(str(result)) as container:
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["Begin", "End"]
        assert container.metadata["title"] == "A film of tests"


LATIN = {b"A film of tests": b"A f\xeflm of tests", b"Kommentar": b"Komm\xe9ntar", b"Begin": b"B\xe9gin"}


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_text_that_is_not_utf8_keeps_its_bytes(folder: Path, suffix: str) -> None:
    """Titles of the file, of a stream and of a chapter, as old programs wrote them."""
    data = sample("everything").read_bytes()
    for word, written in LATIN.items():
        assert word in data
        data = data.replace(word, written)
    source, result = folder / "latin.mkv", folder / f"result{suffix}"
    source.write_bytes(data)
    report = run(FileTask(job(source, result)))
    made = result.read_bytes()
    told = " ".join(report.warnings)
    told.encode()  # warnings can be written anywhere
    if suffix == ".mkv":
        assert [written in made for written in LATIN.values()] == [True, True, True]
        assert not told
    else:
        assert b"A f\xeflm of tests" in made  # in MPEG-TS it is the name of the service
        assert ("Komm\ufffdntar" in told) != (b"Komm\xe9ntar" in made)


def test_subtitles_go_back_into_matroska(folder: Path) -> None:
    told = " ".join(encoded("everything", folder / "first.mp4"))
    task = FileTask(job(folder / "first.mp4", folder / "second.mkv"))
    warnings = run(task).warnings
    with av.open(str(folder / "second.mkv")) as container:
        assert ("title" in container.streams[2].metadata) != ("titles" in told)
    assert [stream[:2] for stream in streams(folder / "second.mkv")[3:]] == [("subtitle", "srt")] * 2
    assert [data.decode() for data in payloads(folder / "second.mkv", "subtitle")[0]] == [
        "First words",
        "Äußerst wenig",
    ]
    assert len(warnings) == 2, "one for each, none for the track that holds MP4's chapters"


def test_sound_is_copied_with_its_times(folder: Path) -> None:
    source, result = sample("sound"), folder / "result.mp4"
    assert encoded("sound", result) == ()
    assert payloads(result, "audio") == payloads(source, "audio")
    for kind in ("audio", "video"):
        assert first_time(result, kind) == first_time(source, kind)


def first_time(path: Path, kind: str) -> Fraction:
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        packets = [packet for packet in container.demux(stream) if packet.pts is not None]
        return Fraction(min(packet.pts or 0 for packet in packets)) * Fraction(stream.time_base or 0)


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "aac"), (".mkv", "opus")])
def test_sound_is_encoded_if_a_rate_is_given(folder: Path, suffix: str, codec: str) -> None:
    result = folder / f"result{suffix}"
    encoded("everything", result, audio=64_000)
    with av.open(str(result)) as container:
        first, second = container.streams.audio
        assert [stream.codec_context.codec.canonical_name for stream in (first, second)] == [codec] * 2
        assert [stream.metadata.get("language") for stream in (first, second)] == ["eng", "deu"]
        length = sum(frame.samples for frame in container.decode(first)) / (first.codec_context.sample_rate or 1)
    assert length == pytest.approx(1.6, abs=0.06)


def test_sound_that_the_container_cannot_hold_is_encoded_with_a_warning(folder: Path) -> None:
    warnings = encoded("everything", folder / "result.webm", codec="av1")
    assert "Stream 1 (audio, aac, eng) is encoded as libopus, since webm cannot hold it." in warnings
    with av.open(str(folder / "result.webm")) as container:
        assert [stream.codec_context.codec.canonical_name for stream in container.streams.audio] == ["opus"] * 2


def test_no_sound_if_none_is_wanted(folder: Path) -> None:
    encoded("everything", folder / "result.mkv", audio="none")
    assert not [stream for stream in streams(folder / "result.mkv") if stream[0] == "audio"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_the_rotation(folder: Path, suffix: str) -> None:
    result = folder / f"result{suffix}"
    assert encoded("turned", result) == ()
    assert matrix_of(result) == matrix_of(sample("turned"))
    assert matrix_of(result) is not None


def matrix_of(path: Path) -> tuple[int, ...] | None:
    with av.open(str(path)) as container:
        frame: Any = next(container.decode(video=0))
        matrix = side_data(frame).get("DISPLAYMATRIX")
        return struct.unpack("<9i", matrix) if matrix else None


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_the_shape_of_pixels(folder: Path, suffix: str, codec: str) -> None:
    if (suffix, codec) == (".mov", "av1"):
        return  # which QuickTime's container has no name for
    result = folder / f"result{suffix}"
    assert encoded("wide-pixels", result, codec=codec) == ()
    wanted = Fraction(16, 11)
    with av.open(str(result)) as container:
        assert float(container.streams.video[0].sample_aspect_ratio or 1) == pytest.approx(float(wanted), rel=0.01)
    assert Fraction(*map(int, probed(result, "sample_aspect_ratio").split(":"))) == pytest.approx(wanted, rel=0.01)


def probed(path: Path, entry: str) -> str:
    """The output of Debian's ffprobe, as an independent reader."""
    command = [need_program("ffprobe", "ffmpeg"), "-v", "error", "-select_streams", "v:0", "-show_entries"]
    run = subprocess.run([*command, f"stream={entry}", "-of", "csv=p=0", path], capture_output=True, text=True)
    return run.stdout.strip().rstrip(",")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_an_odd_size_is_cropped_by_the_container(folder: Path, suffix: str) -> None:
    result = folder / f"result{suffix}"
    (warning,) = encoded("odd", result)
    assert warning.startswith("159x95 is encoded as 160x96")
    data = result.read_bytes()
    if suffix == ".mp4":
        at = data.index(b"clap") + 4
        width, per_width, height, per_height = struct.unpack(">4I", data[at : at + 16])
        assert (width / per_width, height / per_height) == (159, 95)
    else:
        assert b"\x54\xaa\x81\x01" in data
        assert b"\x54\xdd\x81\x01" in data


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_hdr10_is_in_the_stream_and_in_the_container(folder: Path, suffix: str, codec: str) -> None:
    result = folder / f"result{suffix}"
    assert encoded("hdr10", result, codec=codec) == ()
    assert hdr_of(result) == hdr_of(sample("hdr10"))
    data = result.read_bytes()
    if suffix == ".mp4":
        assert b"mdcv" in data
        assert b"clli" in data
    else:
        assert b"\x55\xd0" in data
    wanted = ("bt2020", "smpte2084", "bt2020nc", "tv")
    entries = ("color_primaries", "color_transfer", "color_space", "color_range")
    assert tuple(probed(result, entry) for entry in entries) == wanted


def test_hdr10_of_a_single_frame_is_kept(folder: Path) -> None:
    with av.open(str(sample("hdr10"))) as container, av.open(str(folder / "one.mkv"), "w") as one:
        made = one.add_stream_from_template(container.streams.video[0])
        packet = next(container.demux(container.streams.video[0]))
        packet.stream = made
        one.mux(packet)
    warnings = run(FileTask(job(folder / "one.mkv", folder / "result.mp4", codec="hevc"))).warnings
    assert warnings == ()
    data = (folder / "result.mp4").read_bytes()
    assert b"mdcv" in data
    assert b"clli" in data


def hdr_of(path: Path) -> dict[str, list[float]]:
    with av.open(str(path)) as container:
        side: dict[str, bytes] = {}
        for _, frame in zip(range(2), container.decode(video=0), strict=False):  # PyAV 19's first one lacks the light
            side |= side_data(frame)
        numbers = struct.unpack("<22i", side["MASTERING_DISPLAY_METADATA"][:88])
        light = struct.unpack("<2I", side["CONTENT_LIGHT_LEVEL"][:8])
        found = {"display": [numbers[at] / numbers[at + 1] for at in range(0, 20, 2)], "light": list(light)}
        return {name: [round(value, 4) for value in values] for name, values in found.items()}


def test_full_range_stays_full(folder: Path) -> None:
    encoded("full-range", folder / "result.mp4")
    assert probed(folder / "result.mp4", "color_range") == "pc"


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("name", ["ntsc-film", "edit-list", "variable-rate", "later-start", "pyramid", "three-frames"])
def test_times_are_the_sources_own(folder: Path, name: str, suffix: str) -> None:
    result = folder / f"result{suffix}"
    encoded(name, result, encoder={"preset": "p4", "bframes": 3})
    assert seconds(result) == seconds(sample(name))


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
@pytest.mark.parametrize("name", ["ntsc-film", "edit-list", "variable-rate", "later-start", "pyramid", "sound"])
def test_times_in_milliseconds(folder: Path, name: str, suffix: str) -> None:
    result = folder / f"result{suffix}"
    codec = "av1" if suffix == ".webm" else "hevc"
    encoded(name, result, codec=codec, encoder={"preset": "p4", "bframes": 3 if codec == "hevc" else 0})
    wanted = [int(time * 1000 + Fraction(1, 2)) for time in seconds(sample(name))]
    assert [time * 1000 for time in seconds(result)] == wanted


@pytest.mark.parametrize(("name", "what"), [("turned", "rotation"), ("wide-pixels", "shape of pixels")])
def test_a_warning_names_what_a_transport_stream_cannot_hold(folder: Path, name: str, what: str) -> None:
    assert encoded(name, folder / "result.ts") == (f"The {what} is lost: mpegts cannot hold it.",)


def test_a_transport_stream_moves_everything_alike(folder: Path) -> None:
    encoded("sound", folder / "result.ts", encoder={"preset": "p4", "bframes": 3})
    moved = [a - b for a, b in zip(seconds(folder / "result.ts"), seconds(sample("sound")), strict=True)]
    assert len(set(moved)) == 1
    sound = first_time(folder / "result.ts", "audio") - first_time(sample("sound"), "audio")
    assert float(sound) == pytest.approx(float(moved[0]), abs=1e-4)


def test_times_of_a_raw_stream_are_made_of_its_rate(folder: Path) -> None:
    (warning,) = encoded("stream", folder / "result.mp4")
    assert "computed from its frame rate" in warning
    assert seconds(folder / "result.mp4") == [Fraction(number, 25) for number in range(40)]


@pytest.mark.parametrize("name", ["interlaced", "interlaced-mpeg2"])
def test_interlaced_sources_are_named(folder: Path, name: str) -> None:
    assert any("interlaced" in warning for warning in encoded(name, folder / "result.mp4"))


def test_apples_players_get_the_tag_that_they_know(folder: Path) -> None:
    encoded("open-gop", folder / "result.mp4", codec="hevc")
    assert probed(folder / "result.mp4", "codec_tag_string") == "hvc1"


def test_a_cover_stays_one(folder: Path) -> None:
    from media_samples import ffmpeg

    ffmpeg(
        "-i",
        sample("open-gop"),
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=64x64:rate=25:duration=0.04",
        "-map",
        "0",
        "-map",
        "1:v",
        "-c:v:0",
        "copy",
        "-c:v:1",
        "png",
        "-frames:v:1",
        "1",
        "-disposition:v:1",
        "attached_pic",
        folder / "cover.mp4",
    )
    run(FileTask(job(folder / "cover.mp4", folder / "result.mp4")))
    run(FileTask(job(folder / "cover.mp4", folder / "result.mkv")))
    for name in ("result.mp4", "result.mkv"):
        with av.open(str(folder / name)) as container:
            (cover,) = (one for one in container.streams.video if one.disposition.value & 1 << 10)
            assert cover.codec_context.name == "png"
