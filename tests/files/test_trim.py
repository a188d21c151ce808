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
from media_samples import sample
from pdum.nvenc import FileTask, Filters, InvalidConfig
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


def test_sound_that_is_encoded_anew_is_trimmed_too(folder: Path) -> None:
    from pdum.nvenc import EncoderPool

    with EncoderPool(backend="software", engines=1) as pool:
        pool.encode_file(sample("sound"), folder / "result.mp4", codec="h264", audio=96_000, preset="p1",
                         filters=Filters(trim="0.4-1.2"))  # fmt: skip
    found = packets(folder / "result.mp4", "audio")
    assert abs(float(found[0][0])) < 0.06
    assert float(found[-1][0] + found[-1][1]) == pytest.approx(0.8, abs=0.06)


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
