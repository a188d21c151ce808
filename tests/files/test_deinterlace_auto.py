"""deinterlace="auto" touches only what is interlaced, leaves film in telecine alone, and says so."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from files.runner import pictures, planes
from files.test_filters import assert_equal, by_ffmpeg, filtered, times
from media_samples import X264, ffmpeg, sample
from pdum.nvenc import FileTask, Filters
from pdum.nvenc._files.job import job_of
from pdum.nvenc._media.telecine import CYCLE, LOOKED_AT, is_telecined

pytestmark = pytest.mark.one_abi

IN_FIELDS = ("-flags", "+ildct+ilme")
H264 = (*X264, *IN_FIELDS, "-x264-params", "tff=1", "-qp", "0", "-g", "12")
MPEG2 = ("-c:v", "mpeg2video", *IN_FIELDS, "-q:v", "3", "-g", "12", "-bf", "2", "-pix_fmt", "yuv420p")
BWDIF = "bwdif=mode=send_frame:deint=interlaced"
FILM = "24000/1001"
NOTE = "The video is film with repeated fields (telecine)"


@lru_cache(maxsize=1)
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="fields-")


@lru_cache
def clip(graph: str, *codec: str, rate: str = "50", frames: int = 80, suffix: str = ".mkv") -> Path:
    path = Path(_folder().name) / f"{clip.cache_info().misses}{suffix}"
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=size=160x96:rate={rate}", "-vf", f"trim=end_frame={frames},{graph}", *codec,
           path)  # fmt: skip
    return path


@lru_cache
def mixed() -> Path:
    """Ten progressive pictures, and then interlaced ones: the first that are decoded do not tell."""
    parts = [
        clip("null", "-c:v", "mpeg2video", "-q:v", "3", "-g", "12", "-pix_fmt", "yuv420p", rate="25", frames=25),
        clip("interlace", *MPEG2, frames=80),
    ]
    table = Path(_folder().name) / "parts.txt"
    table.write_text("".join(f"file '{part}'\n" for part in parts))
    made = table.with_name("mixed.mkv")
    ffmpeg("-f", "concat", "-safe", "0", "-i", table, "-c", "copy", made)
    return made


def prepared(path: Path, **filters: Any) -> FileTask:
    task = FileTask(job_of(path, path.with_name("r.mkv"), codec="h264", segments=3, filters=Filters(**filters)))
    task.plan = task.prepare(3)  # type: ignore[attr-defined]
    task.abandon(keep=False)
    return task


@pytest.mark.parametrize("segments", [1, 3])
@pytest.mark.parametrize("source", ["h264", "mpeg2", "mixed"])
def test_really_interlaced_pictures_become_what_ffmpeg_makes_of_them(
    folder: Path, tmp_path: Path, source: str, segments: int
) -> None:
    """Two moments in one frame. Versions of FFmpeg differ in the first frame."""
    path = mixed() if source == "mixed" else clip("interlace", *(H264 if source == "h264" else MPEG2))
    told = filtered(path, folder / "result.mkv", segments, deinterlace="auto")
    found = pictures(folder / "result.mkv")
    assert_equal(found, through(BWDIF, path))
    if source == "h264":  # Debian's decoder of MPEG-2 rounds in another way
        wanted = pictures(by_ffmpeg(path, BWDIF, tmp_path))
        assert_equal(found[1:], wanted[1:])
    assert times(folder / "result.mkv") == times(path)
    assert not any("interlaced" in text for text in told.warnings)


def through(graph: str, path: Path) -> list[Any]:
    """The whole file through one of FFmpeg's filters, in the version of PyAV."""
    made: list[Any] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        filters = av.filter.Graph()
        name, _, arguments = graph.partition("=")
        filters.link_nodes(
            filters.add_buffer(template=stream), filters.add(name, arguments), filters.add("buffersink")
        ).configure()
        for frame in [*container.decode(stream), None]:
            filters.vpush(frame)
            with suppress(av.BlockingIOError, av.EOFError):
                while True:
                    out = filters.vpull()
                    made.append(planes(out, out.width, out.height))
    return made


def test_progressive_sources_stay_as_if_there_were_no_filter() -> None:
    task, plain = prepared(sample("open-gop"), deinterlace="auto"), prepared(sample("open-gop"))
    assert task._looked_through_video().filters == Filters()
    assert not task._looked_through_video().runs_on_host
    assert task.plan == plain.plan  # type: ignore[attr-defined]
    assert task._identity() == plain._identity()
    assert task._warnings == []
    assert prepared(sample("open-gop"), deinterlace="always")._looked_through_video().runs_on_host


def test_a_part_without_interlaced_pictures_needs_no_filter() -> None:
    assert prepared(mixed(), deinterlace="auto", trim="-0.9")._looked_through_video().filters.deinterlace == ""
    assert prepared(mixed(), deinterlace="auto", trim="0.5-")._looked_through_video().filters.deinterlace == "auto"


@pytest.mark.parametrize("codec", [H264, MPEG2], ids=["h264", "mpeg2"])
@pytest.mark.parametrize("pattern", ["23", "32", "2332"])
def test_film_in_telecine_is_left_alone_and_said(folder: Path, codec: tuple[str, ...], pattern: str) -> None:
    """The last pattern is another one, in which deinterlacing does no harm that could be helped."""
    source = clip(f"telecine=pattern={pattern}", *codec, rate=FILM, frames=48)
    task = prepared(source, deinterlace="auto")
    is_usual = pattern != "2332"
    assert (task._looked_through_video().filters.deinterlace == "") is is_usual
    assert [text.startswith(NOTE) for text in task._warnings] == [True] * is_usual
    if is_usual and codec is H264:
        filtered(source, folder / "result.mkv", 3, deinterlace="auto")
        assert_equal(pictures(folder / "result.mkv"), pictures(source))


def test_the_filters_that_the_note_names_bring_back_the_film(folder: Path, tmp_path: Path) -> None:
    source = clip("telecine=pattern=23", *H264, rate=FILM, frames=48)
    task = prepared(source, deinterlace="auto")
    (graph,) = (text.split("'")[3] for text in task._warnings)
    told = filtered(source, folder / "result.mkv", vf=graph)
    assert_equal(pictures(folder / "result.mkv"), pictures(by_ffmpeg(source, graph, tmp_path)))
    film = times(clip("null", *X264, "-qp", "0", rate=FILM, frames=48))
    assert times(folder / "result.mkv") == pytest.approx(film, abs=0.0011)
    assert not any("interlaced" in text for text in told.warnings)


# ---- properties ----------------------------------------------------------------------------------------------------


def frame_of(pixels: np.ndarray) -> Any:
    planes = np.full((pixels.shape[0] * 3 // 2, pixels.shape[1]), 128, np.uint8)
    planes[: pixels.shape[0]] = pixels
    return av.VideoFrame.from_ndarray(planes, "yuv420p")


def noise(seed: int, count: int, spread: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).integers(128 - spread, 128 + spread, (count, 32, 48))


def woven(fields: list[int], film: np.ndarray, upper_first: bool) -> list[Any]:
    """Frames of two fields each. The fields are pictures of the film by number, in the order of their times."""
    made = []
    for first, second in zip(fields[::2], fields[1::2], strict=True):
        pixels = film[first].copy()
        pixels[1 if upper_first else 0 :: 2] = film[second][1 if upper_first else 0 :: 2]
        made.append(frame_of(pixels))
    return made


@given(st.integers(0, 2**32 - 1), st.integers(0, CYCLE - 1), st.booleans(), st.integers(0, 3))
def test_telecine_is_recognised_in_any_phase(seed: int, phase: int, upper_first: bool, damage: int) -> None:
    fields = [number for number in range(30) for _ in range(2 + number % 2)][: 2 * (LOOKED_AT + CYCLE)]
    frames = woven(fields, noise(seed, 30), upper_first)[phase : phase + LOOKED_AT]
    random = np.random.default_rng(seed)
    noisy = [frame_of(frame.to_ndarray()[:32] + random.integers(-damage, damage + 1, (32, 48))) for frame in frames]
    assert is_telecined(noisy) is True


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_video_of_thirty_or_sixty_pictures_is_no_telecine(seed: int, interlaced: bool) -> None:
    fields = list(range(2 * LOOKED_AT)) if interlaced else [number // 2 for number in range(2 * LOOKED_AT)]
    assert is_telecined(woven(fields, noise(seed, 2 * LOOKED_AT), upper_first=True)) is False


def test_fields_that_are_repeated_more_often_are_no_telecine() -> None:
    upper = np.cumsum([number % CYCLE not in (0, 1) for number in range(LOOKED_AT)])
    lower = np.cumsum([number % CYCLE not in (2, 3) for number in range(LOOKED_AT)])
    fields = [int(number) for pair in zip(upper, lower, strict=True) for number in pair]
    assert is_telecined(woven(fields, noise(1, LOOKED_AT), upper_first=True)) is False


def test_where_nothing_moves_nothing_can_be_told() -> None:
    assert is_telecined([frame_of(noise(1, 1)[0])] * LOOKED_AT) is None
    assert is_telecined([frame_of(picture) for picture in noise(1, 6)]) is None
