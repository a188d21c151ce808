"""Trimming and other frame rates choose frames as ffmpeg does, and the other streams keep in time with them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from files.runner import pictures, seconds
from files.test_filters import assert_equal, by_ffmpeg, filtered, times
from media_samples import ffmpeg, sample
from pdum.nvenc import EncoderPool, FileTask, Filters, InvalidConfig
from pdum.nvenc._files.job import job_of
from pdum.nvenc._media.source import index_source

pytestmark = pytest.mark.one_abi

TRIMMED = [
    ("open-gop", {"trim": "0.3-1.2"}, "trim=0.3:1.2"),
    ("variable-rate", {"trim": "0.5-"}, "trim=0.5"),
    ("pyramid", {"trim": "-0.44", "denoise": "medium"}, "atadenoise,trim=end=0.44"),
    ("later-start", {"trim": "0.2-0.6"}, "trim=0.2:0.6"),
]
RATES = [
    ("open-gop", {"fps": 10}, "fps=10"),
    ("variable-rate", {"fps": 30}, "fps=30"),
    ("variable-rate", {"fps": 12.5, "crop": "64:32:8:4"}, "crop=64:32:8:4,fps=12.5"),
    ("ntsc-film", {"fps": "59.94"}, "fps=60000/1001"),
    ("one-frame", {"fps": 100}, "fps=100"),
    ("interlaced", {"fps": 12.5, "deinterlace": "auto", "trim": "0.4-"}, None),
]


@pytest.mark.parametrize("segments", [1, 3])
@pytest.mark.parametrize(("name", "filters", "graph"), TRIMMED)
def test_trimming_is_ffmpegs(
    folder: Path, tmp_path: Path, name: str, filters: dict[str, Any], graph: str, segments: int
) -> None:
    told = filtered(sample(name), folder / "result.mp4", segments, **filters)
    wanted = by_ffmpeg(sample(name), f"{graph},setpts=PTS-STARTPTS", tmp_path)
    assert_equal(pictures(folder / "result.mp4"), pictures(wanted))
    assert times(folder / "result.mp4") == times(wanted)
    assert told.frames == len(times(wanted))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(("name", "filters", "graph"), RATES)
def test_other_rates_are_ffmpegs(
    folder: Path, tmp_path: Path, name: str, filters: dict[str, Any], graph: str | None, suffix: str
) -> None:
    result = folder / f"result{suffix}"
    filtered(sample(name), result, 3, **filters)
    if graph is None:  # the same in one part
        filtered(sample(name), folder / f"wanted{suffix}", **filters)
        assert_equal(pictures(result), pictures(folder / f"wanted{suffix}"))
        assert len(times(result)) == 15
    else:
        wanted = by_ffmpeg(sample(name), graph, tmp_path)
        assert_equal(pictures(result), pictures(wanted))
        assert times(result) == pytest.approx(times(wanted), abs=0.0011)
    rate = Filters(fps=filters["fps"]).rate
    assert rate is not None
    assert times(result) == pytest.approx([number / rate for number in range(len(times(result)))], abs=0.001)
    assert float(index_source(result).rate) == pytest.approx(float(rate), rel=0.01)


def packets(path: Path, kind: str) -> list[tuple[Fraction, Fraction, bytes]]:
    """Of the first stream of a kind: time, duration, bytes."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        unit = Fraction(stream.time_base)
        return [
            (packet.pts * unit, (packet.duration or 0) * unit, bytes(packet))
            for packet in container.demux(stream)
            if packet.size and packet.pts is not None
        ]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(("trim", "first", "last"), [("0.4-1.2", 10, 30), ("0.4-", 10, 40), ("-1.2", 0, 30)])
def test_sound_stays_in_time(folder: Path, trim: str, first: int, last: int, suffix: str) -> None:
    result = folder / f"result{suffix}"
    filtered(sample("sound"), result, trim=trim)
    pictures_of_source = seconds(sample("sound"))
    moved = pictures_of_source[first] - pictures_of_source[0]
    begin = pictures_of_source[first] if first else Fraction(-1)
    end = pictures_of_source[last] if last < 40 else Fraction(100)
    wanted = [(time - moved, data) for time, _, data in packets(sample("sound"), "audio") if begin <= time < end]
    found = [(time, data) for time, _, data in packets(result, "audio")]
    shift = float(seconds(result)[0] - pictures_of_source[0])
    assert [data for _, data in found] == [data for _, data in wanted]
    assert [float(time) - shift for time, _ in found] == pytest.approx([float(time) for time, _ in wanted], abs=0.0011)


SOUND = {
    "aac.mp4": ("-c:a", "aac"),
    "flac.mkv": ("-c:a", "flac"),  # packets of a tenth of a second
    "pcm.mov": ("-c:a", "pcm_s16le"),
    "mp3.avi": ("-c:a", "mp3"),  # with times in units of a packet
    "opus.ts": ("-c:a", "libopus"),
}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("name", SOUND)
def test_sound_that_is_encoded_anew_is_cut_to_the_sample(folder: Path, tmp_path: Path, name: str, suffix: str) -> None:
    """A tone that lasts as long as what is kept is heard from the first picture to the last one."""
    source, result = tmp_path / name, folder / f"result{suffix}"
    tone = "aevalsrc=exprs='if(between(t,0.6,1.5),sin(2*PI*1000*t),0)':s=48000"
    ffmpeg("-f", "lavfi", "-i", "color=size=64x64:rate=25", "-f", "lavfi", "-i", tone, "-t", "2", "-c:v", "mpeg4",
           *SOUND[name], source)  # fmt: skip
    with EncoderPool(backend="software", engines=1) as pool:
        pool.encode_file(source, result, codec="h264", audio=96_000, preset="p1", filters=Filters(trim="0.6-1.5"))
    first, loud = seconds(result)[0], heard(result)
    assert loud[0] == pytest.approx(float(first), abs=0.022)  # an encoder of MP3 has moved it
    assert loud[-1] == pytest.approx(float(first) + 0.9, abs=0.03)  # the codec's frames are as long
    assert np.diff(loud).max() < 0.011


def heard(path: Path) -> list[float]:
    """The beginnings of the hundredths of a second in which there is sound."""
    found = []
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt", "mono", 48_000, frame_size=480)
        for frame in [*container.decode(audio=0), None]:
            found += [
                float(one.time or 0) for one in resampler.resample(frame) if np.abs(one.to_ndarray()).mean() > 0.2
            ]
    return found


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_with_rough_times_is_encoded_anew(folder: Path, tmp_path: Path, suffix: str) -> None:
    """AVI counts sound in packets, which are longer than those of the new codec."""
    source = tmp_path / "source.avi"
    ffmpeg("-f", "lavfi", "-i", "color=size=64x64:rate=25", "-f", "lavfi", "-i", "sine=duration=1", "-t", "1",
           "-c:v", "mpeg4", "-c:a", "mp3", source)  # fmt: skip
    with EncoderPool(backend="software", engines=1) as pool:
        pool.encode_file(source, folder / f"result{suffix}", codec="h264", audio=96_000, preset="p1")
    times = [float(time) for time, _, _ in packets(folder / f"result{suffix}", "audio")]
    assert np.diff(times) == pytest.approx(np.diff(times).mean(), abs=0.0011)


def chapter_time(chapter: Any, end: str) -> float:
    unit = chapter["time_base"]
    return float(chapter[end] * Fraction(unit.numerator, unit.denominator))


def test_subtitles_and_chapters_are_cut(folder: Path) -> None:
    """Subtitles from 0.1 to 0.6 and from 0.7 to 1.2, chapters from 0 to 0.5 and to 1.6."""
    told = filtered(sample("everything"), folder / "result.mkv", trim="0.2-0.8")
    start = seconds(folder / "result.mkv")[0]
    words = [(float(time - start), float(length)) for time, length, _ in packets(folder / "result.mkv", "subtitles")]
    assert np.allclose(words, [(0.0, 0.4), (0.5, 0.1)], atol=0.002)
    with av.open(str(folder / "result.mkv")) as container:
        chapters = [(chapter_time(one, "start"), chapter_time(one, "end")) for one in container.chapters()]
        assert [stream.type for stream in container.streams].count("attachment") == 1
    assert np.allclose(chapters, [(0.0, 0.3), (0.3, 0.6)], atol=0.025)  # Matroska's muxer has moved all streams
    filtered(sample("everything"), folder / "later.mkv", trim="1-")
    with av.open(str(folder / "later.mkv")) as container:
        assert [one["metadata"]["title"] for one in container.chapters()] == ["End"]
    assert not any("chapter" in text for text in told.warnings)


def test_a_trim_beyond_the_end_is_refused_before_anything_is_encoded(folder: Path) -> None:
    task = FileTask(job_of(sample("open-gop"), folder / "result.mp4", codec="h264", filters=Filters(trim="5-6")))
    with pytest.raises(InvalidConfig, match=r"which is 1\.600 seconds long, got trim='5-6'"):
        task.prepare(1)
    task.abandon(keep=False)


def test_only_what_is_kept_is_decoded(folder: Path) -> None:
    """Parts begin at the key frames of what is kept, and the plan knows its length."""
    task = FileTask(job_of(sample("pyramid"), folder / "result.mp4", codec="h264", segments=2,
                           filters=Filters(trim="0.8-1.2", fps=50)))  # fmt: skip
    plan = task.prepare(2)
    assert (plan.frames, plan.fps, round(plan.duration, 6)) == (20, 50, 0.4)
    assert len(plan.ranges) == 2
    task.abandon(keep=False)
