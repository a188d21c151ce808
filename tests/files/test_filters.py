"""Filters give what ffmpeg gives, wherever the source is cut, and leave times and the facts of the container right."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from files.runner import HARDWARE, SOFTWARE, Planes, pictures, run, seconds
from media_samples import ffmpeg, sample
from pdum.nvenc import EncoderPool, FileJob, FileSettings, FileTask, Filters, InvalidConfig, Result

from simulator import Simulator

pytestmark = pytest.mark.one_abi

MACHINE: dict[str, Any] = {"gpus": {"name": "RTX 5090", "fps_1080p": 0}, "backend": "codec"}
SCALED = "flags=bicubic+accurate_rnd+full_chroma_int"
EXACT = [
    ("open-gop", {"crop": "64:32:8:4"}, "crop=64:32:8:4"),
    ("ten-bit", {"crop": (64, 32, 8, 4)}, "crop=64:32:8:4"),
    ("open-gop", {"crop": "62:32"}, "crop=62:32:48:32"),
    ("open-gop", {"rotate": 90}, "transpose=clock"),
    ("hdr10", {"rotate": 180}, "hflip,vflip"),
    ("4:4:4", {"rotate": -90}, "transpose=cclock"),
    ("turned", {"crop": "64:32:8:4"}, "crop=64:32:8:4"),
    ("turned", {"rotate": 270}, "transpose=cclock"),
    ("open-gop", {"deinterlace": "auto"}, "null"),
    ("open-gop", {"denoise": "medium"}, "atadenoise"),
]
DEINTERLACED = [
    ("interlaced", "auto", "bwdif=mode=send_frame:deint=interlaced"),
    ("open-gop", "always", "bwdif=mode=send_frame"),
]
SCALES = [
    ("open-gop", {"scale": "50%"}, f"scale=80:48:{SCALED}"),
    ("turned", {"scale": "x80"}, f"scale=48:80:{SCALED}"),
    ("ten-bit", {"scale": (240, 144)}, f"scale=240:144:{SCALED}"),
    ("full-range", {"scale": "80x48"}, f"scale=80:48:{SCALED}"),
    ("odd", {"scale": "50%", "rotate": 90}, f"transpose=clock,scale=48:80:{SCALED}"),
]


def filtered(source: Path, result: Path, segments: int = 1, engine: Any = SOFTWARE, **filters: Any) -> Result:
    """The whole file without loss, in this many parts."""
    settings = FileSettings(
        codec="hevc", encoder={"tuning": "lossless", "preset": "p1", "gop": 10}, filters=Filters(**filters)
    )

    def cut(frames: int) -> Sequence[tuple[int, int]]:
        edges = [frames * part // segments for part in range(segments + 1)]
        return [(first, last) for first, last in pairwise(edges) if last > first]

    return run(FileTask(FileJob(source=source, destination=result, settings=settings)), engine, cut)


def by_ffmpeg(source: Path, graph: str, folder: Path, *codec: str) -> Path:
    """Frames as ffmpeg's filters make them."""
    made = folder / "wanted.mkv"
    ffmpeg("-i", source, "-vf", graph, "-an", "-sn", "-fps_mode", "passthrough", "-enc_time_base", "1/90000",
           *(codec or ("-c:v", "ffv1")), made)  # fmt: skip
    return made


def assert_equal(found: list[Planes | None], wanted: list[Planes | None], off: int = 0) -> None:
    assert len(found) == len(wanted)
    for number, (a, b) in enumerate(zip(found, wanted, strict=True)):
        for one, other in zip(a or [], b or [], strict=True):
            assert one.shape == other.shape
            assert np.abs(one.astype(int) - other.astype(int)).max() <= off, f"frame {number} differs"


@pytest.mark.parametrize("segments", [1, 3])
@pytest.mark.parametrize(("name", "filters", "graph"), EXACT, ids=str)
def test_the_same_samples_as_ffmpeg(
    folder: Path, tmp_path: Path, name: str, filters: dict[str, Any], graph: str, segments: int
) -> None:
    filtered(sample(name), folder / "result.mkv", segments, **filters)
    assert_equal(pictures(folder / "result.mkv"), pictures(by_ffmpeg(sample(name), graph, tmp_path)))
    assert times(folder / "result.mkv") == times(sample(name))


@pytest.mark.parametrize(("name", "filters", "graph"), SCALES, ids=str)
def test_scaling_is_ffmpegs(folder: Path, tmp_path: Path, name: str, filters: dict[str, Any], graph: str) -> None:
    """Versions of FFmpeg round in different ways, by one step of the samples."""
    filtered(sample(name), folder / "result.mkv", 3, **filters)
    codec = ("-c:v", "libx264", "-qp", "0") if name == "full-range" else ()  # ffv1 would make its range limited
    assert_equal(pictures(folder / "result.mkv"), pictures(by_ffmpeg(sample(name), graph, tmp_path, *codec)), off=1)
    assert times(folder / "result.mkv") == times(sample(name))


@pytest.mark.parametrize(("name", "how", "graph"), DEINTERLACED)
def test_deinterlacing_is_ffmpegs(folder: Path, tmp_path: Path, name: str, how: str, graph: str) -> None:
    """Frame for frame, in any parts. Versions of FFmpeg differ at the upper edge of the first frame."""
    told = filtered(sample(name), folder / "result.mkv", 3, deinterlace=how)
    found, wanted = pictures(folder / "result.mkv"), pictures(by_ffmpeg(sample(name), graph, tmp_path))
    assert_equal([[plane[4:] for plane in found[0] or []]], [[plane[4:] for plane in wanted[0] or []]])
    assert_equal(found[1:], wanted[1:])
    assert times(folder / "result.mkv") == times(sample(name))
    assert not any("interlaced" in text for text in told.warnings)


def test_denoising_brings_pictures_nearer_to_those_without_noise(folder: Path, tmp_path: Path) -> None:
    """The stronger, the nearer, if nothing moves. In moving pictures, even the strongest leaves edges as they are."""
    clean, noisy = tmp_path / "clean.mkv", tmp_path / "noisy.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=160x96:rate=25", "-vf", "trim=end_frame=1,loop=24:1:0,setpts=N/25/TB",
           "-pix_fmt", "yuv420p", "-c:v", "ffv1", clean)  # fmt: skip
    ffmpeg("-i", clean, "-vf", "noise=alls=6:allf=t", "-c:v", "ffv1", noisy)
    wanted, errors = pictures(clean), []
    for level in ("", "light", "medium", "strong"):
        filtered(noisy, folder / "result.mkv", denoise=level)
        found = pictures(folder / "result.mkv")
        errors.append(np.mean([np.abs(a[0].astype(int) - b[0]).mean() for a, b in zip(found, wanted, strict=True)]))  # type: ignore[index]
    assert errors == sorted(errors, reverse=True)
    assert errors[3] < errors[0] / 2


def times(path: Path) -> list[float]:
    """Of all frames, from the first one."""
    found = seconds(path)
    return [round(float(time - found[0]), 3) for time in found]


def look(path: Path) -> dict[str, Any]:
    """What a container says of its video."""
    from pdum.nvenc._media.source import index_source

    found = index_source(path).look
    return {
        "size": (found.width, found.height),
        "aspect": found.sample_aspect_ratio,
        "turned": found.matrix is not None,
        "colour": found.colour,
        "hdr": (found.mastering_display, found.content_light),
    }


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_hdr_metadata_and_colour_stay(folder: Path, suffix: str) -> None:
    filtered(sample("hdr10"), folder / f"result{suffix}", scale="50%", crop="80:96:0:0", denoise="light")
    source, found = look(sample("hdr10")), look(folder / f"result{suffix}")
    assert found == {**source, "size": (40, 48)}
    assert found["hdr"][0] is not None


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("filters", "size", "aspect"),
    [
        ({"scale": "50%"}, (80, 48), Fraction(16, 11)),
        ({"scale": "160x48"}, (160, 48), Fraction(8, 11)),
        ({"crop": "64:96:0:0"}, (64, 96), Fraction(16, 11)),
        ({"rotate": 90}, (96, 160), Fraction(11, 16)),
    ],
)
def test_the_picture_keeps_its_shape(
    folder: Path, filters: dict[str, Any], size: tuple[int, int], aspect: Fraction, suffix: str
) -> None:
    """Pixels that are not square stay so, and an exact size makes some that show the picture as before."""
    filtered(sample("wide-pixels"), folder / f"result{suffix}", **filters)
    found = look(folder / f"result{suffix}")
    assert found["size"] == size
    assert found["aspect"] == pytest.approx(aspect, abs=0.01)  # Matroska has whole numbers for the size on the screen


def test_rotation_for_players_stays_unless_a_filter_has_to_do_with_it(folder: Path) -> None:
    filtered(sample("turned"), folder / "denoised.mp4", denoise="light")
    assert look(folder / "denoised.mp4") == look(sample("turned"))
    filtered(sample("turned"), folder / "smaller.mp4", scale="50%")
    assert look(folder / "smaller.mp4")["size"] == (48, 80)
    assert not look(folder / "smaller.mp4")["turned"]


@pytest.mark.parametrize(
    ("size", "scale", "wanted"),
    [
        ((3840, 1600), "1080p", (1920, 800)),
        ((2160, 3840), "1080p", (1080, 1920)),
        ((1280, 720), "1080p", (1280, 720)),
        ((1280, 720), "480", (854, 480)),
        ((3840, 2160), "fhd", (1920, 1080)),
        ((4096, 2160), "4k", (3840, 2026)),
        ((1001, 501), "50%", (500, 250)),
        ((1920, 1080), "1280x", (1280, 720)),
        ((1920, 1080), "-2:720", (1280, 720)),
        ((1920, 1080), "640x640", (640, 640)),
    ],
)
def test_sizes(size: tuple[int, int], scale: str, wanted: tuple[int, int]) -> None:
    from pdum.nvenc._media.filter_chain import Shape, scaled

    target = Filters(scale=scale).target_size
    assert target is not None
    assert scaled(Shape(width=size[0], height=size[1], aspect=None, matrix=None), target) == wanted


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_hardware_gets_filtered_frames(simulator: Simulator, folder: Path, codec: str) -> None:
    settings = FileSettings(codec=codec, encoder={"tuning": "lossless"}, filters=Filters(crop="160:64:0:8", rotate=180))
    task = FileTask(FileJob(source=sample("open-gop"), destination=folder / "result.mkv", settings=settings))
    with simulator.machine(**MACHINE):
        run(task, HARDWARE)
    filtered(sample("open-gop"), folder / "wanted.mkv", crop="160:64:0:8", rotate=180)
    assert_equal(pictures(folder / "result.mkv"), pictures(folder / "wanted.mkv"))


def test_a_pool_divides_a_file_behind_filters(folder: Path) -> None:
    with EncoderPool(backend="software", engines=2) as pool:
        pool.encode_file(sample("sound"), folder / "result.mp4", segments=4, codec="h264", tuning="lossless",
                         preset="p1", filters=Filters(scale="50%", denoise="light"))  # fmt: skip
    filtered(sample("sound"), folder / "wanted.mkv", scale="50%", denoise="light")
    assert_equal(pictures(folder / "result.mp4"), pictures(folder / "wanted.mkv"))
    with av.open(str(folder / "result.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]


@pytest.mark.parametrize(
    ("filters", "mixes"), [({"scale": "50%"}, True), ({"crop": "64:32:8:2"}, True), ({"crop": "64:32:8:4"}, False)]
)
def test_interlaced_pictures_that_a_filter_mixes_are_told_of(
    folder: Path, filters: dict[str, Any], mixes: bool
) -> None:
    """In 4:2:0, a crop that begins two lines further down gives each field the colour of the other one."""
    told = filtered(sample("interlaced"), folder / "result.mkv", **filters)
    assert any("deinterlace='auto'" in text for text in told.warnings) is mixes


def test_a_crop_beyond_the_picture_is_refused_before_anything_is_encoded(folder: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"within the picture of 160x96, got crop='640:32:8:4'.* 648x36"):
        filtered(sample("open-gop"), folder / "result.mkv", crop="640:32:8:4")


def test_pieces_of_other_filters_are_not_taken_up(folder: Path) -> None:
    """An interrupted job with other filters is another job."""
    identities = []
    for filters in (Filters(), Filters(scale="50%"), Filters(scale="80x48"), Filters(rotate=90)):
        settings = FileSettings(filters=filters)
        task = FileTask(FileJob(source=sample("open-gop"), destination=folder / "result.mkv", settings=settings))
        task.prepare(1)
        identities.append(task._identity()["settings"])
        task.abandon(keep=False)
    assert len(set(identities)) == 4
