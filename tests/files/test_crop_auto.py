"""crop="auto" finds black bars as ffmpeg's cropdetect does, and crops nothing that is a picture in any frame."""

from __future__ import annotations

import re
import subprocess
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from files.runner import pictures
from files.test_filters import assert_equal, by_ffmpeg, filtered, look
from media_samples import X264, X265, ffmpeg
from pdum.nvenc import FileTask, Filters
from pdum.nvenc._files.job import job_of
from pdum.nvenc._media.black_bars import joined, lit_area, without_bars
from pdum.nvenc._media.filter_chain import UPRIGHT, area_as_shown
from pdum.nvenc._media.look import Look

from loud import need_program

pytestmark = pytest.mark.one_abi

LETTERBOX, PILLARBOX, BOTH, ODD = "160:128:0:16", "224:96:32:0", "208:144:24:24", "170:113:5:9"
TEN_BITS = (*X265, "-pix_fmt", "yuv420p10le", "-x265-params", "keyint=4:log-level=none")
FIELDS = ("-flags", "+ildct+ilme", *X264, "-x264-params", "tff=1")
BARS: dict[str, tuple[str, tuple[str, ...]]] = {
    "letterbox": (f"pad={LETTERBOX}", (*X264, "-g", "4")),
    "pillarbox": (f"pad={PILLARBOX}", (*X264, "-g", "4")),
    "both": (f"pad={BOTH}", (*X264, "-g", "4")),
    "odd": (f"pad={ODD}:eval=init,crop=170:112", (*X264, "-g", "4")),
    "ten-bit": (f"pad={LETTERBOX}", TEN_BITS),
    "one-key-frame": (f"pad={BOTH}", (*X264, "-g", "999")),
    "none": ("null", (*X264, "-g", "4")),
    "black": ("drawbox=color=black:t=fill", (*X264, "-g", "4")),
}
"""The filters that make bars, and the codec."""


@lru_cache(maxsize=1)
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="bars-")


@lru_cache
def clip(graph: str, *codec: str, suffix: str = ".mkv", frames: int = 56) -> Path:
    """Moving test images with bars around them."""
    path = Path(_folder().name) / f"{clip.cache_info().misses}{suffix}"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=160x96:rate=25", "-frames:v", str(frames), "-vf", graph,
           *(codec or (*X264, "-g", "4")), path)  # fmt: skip
    return path


def prepared(path: Path) -> FileTask:
    task = FileTask(job_of(path, path.with_name("result.mkv"), codec="h264", filters=Filters(crop="auto"), segments=3))
    task.prepare(3)
    task.abandon(keep=False)
    return task


def found(path: Path) -> str:
    """The crop that is found for a file."""
    return prepared(path)._looked_through_video().filters.crop


def by_cropdetect(path: Path) -> str:
    program = need_program("ffmpeg", "ffmpeg")
    told = subprocess.run(
        [program, "-nostdin", "-i", path, "-vf", "cropdetect=limit=24/255:round=2:skip=0:reset=0", "-f", "null", "-"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return str(re.findall(r"crop=(\S+)", told.stderr)[-1])


@pytest.mark.parametrize("name", ["letterbox", "pillarbox", "both", "odd", "ten-bit", "one-key-frame", "none"])
def test_what_is_found_is_what_cropdetect_finds(name: str) -> None:
    graph, codec = BARS[name]
    wanted = by_cropdetect(clip(graph, *codec))
    assert found(clip(graph, *codec)) == ("" if name == "none" else wanted)
    assert name != "none" or wanted == "160:96:0:0"


@pytest.mark.parametrize("segments", [1, 3])
def test_the_bars_are_gone_and_the_picture_is_whole(folder: Path, tmp_path: Path, segments: int) -> None:
    source = clip(f"pad={BOTH}", *X264, "-qp", "0", "-g", "4")
    told = filtered(source, folder / "result.mkv", segments, crop="auto")
    assert_equal(pictures(folder / "result.mkv"), pictures(by_ffmpeg(source, "crop=160:96:24:24", tmp_path)))
    assert "The black bars are cropped off: crop=160:96:24:24." in told.warnings


def test_without_bars_nothing_is_filtered() -> None:
    """The same job as without a filter: the GPU's decoder may be used, and earlier pieces fit."""
    source = clip("null")
    task = FileTask(job_of(source, source.with_name("result.mkv"), codec="h264", filters=Filters(crop="auto")))
    plain = FileTask(job_of(source, source.with_name("result.mkv"), codec="h264"))
    identities = []
    for one in (task, plain):
        one.prepare(1)
        identities.append(one._identity())
        assert not one._looked_through_video().runs_on_host
        assert one._warnings == []
        one.abandon(keep=False)
    assert identities[0] == identities[1]


def test_the_same_crop_is_the_same_job(folder: Path) -> None:
    """Pieces of an interrupted job are taken up, whether a crop was found or named."""
    source, identities = clip(f"pad={BOTH}"), []
    for crop in ("auto", "160:96:24:24", "auto", "160:96:24:20"):
        task = FileTask(job_of(source, folder / "result.mkv", codec="h264", filters=Filters(crop=crop)))
        task.prepare(1)
        identities.append(task._identity()["settings"])
        task.abandon(keep=False)
    assert identities[0] == identities[1] == identities[2] != identities[3]


def test_a_black_video_is_not_cropped() -> None:
    task = prepared(clip(*("drawbox=color=black:t=fill",)))
    assert task._looked_through_video().filters.crop == ""
    assert task._warnings == ["crop='auto' crops nothing: all frames that were looked at are black."]


def test_a_light_in_the_dark_is_not_the_whole_picture() -> None:
    task = prepared(clip("drawbox=color=black:t=fill,drawbox=x=60:y=40:w=30:h=20:color=white:t=fill"))
    assert task._looked_through_video().filters.crop == ""
    assert "only 30x20 pixels of 160x96 are not black, which looks like a dark video" in task._warnings[0]


@pytest.mark.parametrize("codec", [(*X264, "-g", "4"), (*X264, "-g", "999")], ids=["key-frames", "one-key-frame"])
def test_one_scene_without_bars_is_enough(codec: tuple[str, ...]) -> None:
    """A dark scene hides where the picture ends, and a film may have scenes of different shapes."""
    dark = "drawbox=color=black:t=fill:enable='lt(t,1.4)'"
    source = clip(
        f"{dark},pad={LETTERBOX},drawbox=y=8:h=112:w=160:color=gray:t=fill:enable='between(t,1.6,1.9)'", *codec
    )
    assert found(source) == "160:112:0:8"


def test_only_what_is_kept_counts() -> None:
    source = clip(f"pad={LETTERBOX},drawbox=y=8:h=112:w=160:color=gray:t=fill:enable='gt(t,1.6)'")
    for trim, wanted in (("", "160:112:0:8"), ("-1.2", "160:96:0:16"), ("1.8-", "160:112:0:8")):
        task = FileTask(job_of(source, source.with_name("result.mkv"), filters=Filters(crop="auto", trim=trim)))
        task.prepare(1)
        assert task._looked_through_video().filters.crop == wanted
        task.abandon(keep=False)


@pytest.mark.parametrize("bits", [8, 10])
def test_dark_grey_is_black_in_limited_range_alone(bits: int) -> None:
    """Level 18 is nearly black where black is 16, and a dark grey where it is 0."""
    pixels = np.full((48, 64), 18)
    pixels[8:40] = 120
    areas = [lit_area(frame_of(pixels << (bits - 8), bits), full_range) for full_range in (False, True)]
    assert [(area.top, area.bottom) for area in areas if area is not None] == [(8, 40), (0, 48)]


def test_interlaced_pictures_keep_their_fields() -> None:
    """A field of 4:2:0 has lines of colour at every fourth line of the picture."""
    source = clip("pad=160:128:0:14", *FIELDS)
    task = prepared(source)
    assert task._looked_through_video().filters.crop == "160:92:0:16"
    whole = FileTask(job_of(source, source.with_name("r.mkv"), filters=Filters(crop="auto", deinterlace="auto")))
    whole.prepare(1)
    assert whole._looked_through_video().filters.crop == "160:96:0:14"
    whole.abandon(keep=False)


def test_a_video_on_its_side_is_cropped_as_it_is_shown(folder: Path, tmp_path: Path) -> None:
    source = clip("pad=160:120:0:16", *X264, suffix=".mp4")
    turned = tmp_path / "turned.mp4"
    ffmpeg("-i", source, "-c", "copy", "-metadata:s:v", "rotate=90", turned)
    told = filtered(turned, folder / "result.mp4", crop="auto")
    assert_equal(pictures(folder / "result.mp4"), pictures(by_ffmpeg(turned, "crop=96:160:16:0", tmp_path)))
    assert look(folder / "result.mp4")["size"] == (96, 160)
    assert "The black bars are cropped off: crop=96:160:16:0." in told.warnings


# ---- properties ----------------------------------------------------------------------------------------------------

BORDER = st.integers(0, 20)


def frame_of(pixels: np.ndarray, bits: int) -> Any:
    height, width = pixels.shape
    planes = np.full((height * 3 // 2, width), 128 << (bits - 8), np.uint16)
    planes[:height] = pixels
    if bits == 8:
        return av.VideoFrame.from_ndarray(planes.astype(np.uint8), "yuv420p")
    return av.VideoFrame.from_ndarray(planes, "yuv420p10le")


@given(BORDER, BORDER, BORDER, BORDER, st.sampled_from([8, 10]), st.integers(0, 2**32 - 1))
def test_no_picture_is_lost_and_no_bar_is_left(
    left: int, top: int, right: int, bottom: int, bits: int, seed: int
) -> None:
    """Noisy bars of any widths. Only a line that is half a step wide may go with them."""
    random = np.random.default_rng(seed)
    width, height = 64, 48
    pixels = random.integers(16, 22, (height, width))
    pixels[top : height - bottom, left : width - right] = random.integers(
        50, 200, (height - bottom - top, width - right - left)
    )
    area = lit_area(frame_of(pixels << (bits - 8), bits), full_range=False)
    assert area is not None
    assert (area.left, area.top, area.right, area.bottom) == (left, top, width - right, height - bottom)
    cropped = without_bars(area, width, height)
    assert all(side % 2 == 0 for side in (cropped.left, cropped.top, cropped.width, cropped.height))
    assert 0 <= cropped.left - left <= 1
    assert 0 <= cropped.top - top <= 1
    assert 0 <= area.width - cropped.width <= 2
    assert 0 <= area.height - cropped.height <= 2


def test_stars_in_a_dark_sky_are_no_bar() -> None:
    """A line that is black on average has a picture all the same if some of its pixels are bright. One may be noise."""
    pixels = np.full((48, 640), 16)
    pixels[8:40] = 120
    pixels[2, 100:104], pixels[44, 300:302] = 200, 200
    area = lit_area(frame_of(pixels, 8), full_range=False)
    assert area is not None
    assert (area.top, area.bottom) == (2, 40)


@given(st.lists(st.tuples(st.integers(0, 63), st.integers(0, 47)), min_size=1, max_size=6))
def test_frames_together_show_what_each_shows(corners: list[tuple[int, int]]) -> None:
    frames = []
    for x, y in corners:
        pixels = np.full((48, 64), 16)
        pixels[y : y + 8, x : x + 8] = 200
        frames.append(frame_of(pixels, 8))
    whole = joined(lit_area(frame, full_range=False) for frame in frames)
    assert whole is not None
    for x, y in corners:
        assert whole.left <= x
        assert whole.top <= y
        assert whole.right >= min(x + 8, 64)
        assert whole.bottom >= min(y + 8, 48)


@pytest.mark.parametrize(
    "form", ["yuv420p", "yuv444p", "nv12", "gray", "yuyv422", "rgb24", "gbrp", "p010le", "yuv422p12le"]
)
def test_pictures_of_any_format(form: str) -> None:
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[8:40, 12:52] = 160
    area = lit_area(av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format=form), full_range=False)
    assert area is not None
    assert (area.left, area.top, area.width, area.height) == (12, 8, 40, 32)


@pytest.mark.parametrize(("turns", "graph"), UPRIGHT.items(), ids=str)
def test_an_area_is_the_same_before_and_behind_a_turn(
    tmp_path: Path, turns: tuple[int, int, int, int], graph: str
) -> None:
    matrix = (turns[0], turns[1], 0, turns[2], turns[3], 0, 0, 0, 1 << 30)
    shape = Look(
        width=160, height=96, codec="h264", pix_fmt="yuv420p", chroma="420", depth=8, exact=True, matrix=matrix
    )
    source = clip("null", *X264, "-qp", "0", frames=2)
    (tmp_path / "one").mkdir()
    turned = by_ffmpeg(source, f"{graph},crop={area_as_shown(shape, 64, 32, 10, 20)}", tmp_path)
    cropped = by_ffmpeg(source, f"crop=64:32:10:20,{graph}", tmp_path / "one")
    assert_equal(pictures(turned), pictures(cropped))
