"""A result that could not be written at the end is refused before anything is encoded."""

from __future__ import annotations

import errno
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from files.runner import job, run, seconds
from media_samples import ffmpeg, sample
from pdum.nvenc import EncoderPool, FileTask, InvalidConfig, NvencError, UnsupportedFeature
from pdum.nvenc._media.av import naming_file
from pdum.nvenc._media.containers import container_times
from pdum.nvenc._media.mux import OutputFile, VideoFormat, part_of

pytestmark = pytest.mark.one_abi


@pytest.fixture
def fast(folder: Path) -> Path:
    """Four thousand frames a second."""
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=160x96:rate=4000", "-frames:v", "20", "-pix_fmt", "yuv420p",
           "-c:v", "libx264", "-video_track_timescale", "8000", folder / "fast.mp4")  # fmt: skip
    return folder / "fast.mp4"


def refused(source: Path, destination: Path, **more: Any) -> str:
    """The error that is raised before anything is encoded."""
    task = FileTask(job(source, destination, **more))
    with pytest.raises((UnsupportedFeature, InvalidConfig)) as told:
        task.prepare(1)
    task.abandon(keep=False)
    return str(told.value)


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_frames_too_close_for_the_times_of_a_container(folder: Path, fast: Path, suffix: str) -> None:
    told = refused(fast, folder / f"result{suffix}", codec="av1")
    assert "Frames 0 and 1 are 0.25 ms apart, but times in" in told
    assert "are multiples of 1 ms, so both would have the same. Use .mp4 or .mov." in told


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".ts"])
def test_the_advice_of_the_message_works(folder: Path, fast: Path, suffix: str) -> None:
    run(FileTask(job(fast, folder / f"result{suffix}")))
    found = seconds(folder / f"result{suffix}")
    assert [float(time - found[0]) for time in found] == pytest.approx([n / 4000 for n in range(20)], abs=1e-5)


def test_times_are_rounded_as_long_as_they_differ() -> None:
    assert container_times("matroska", Fraction(1, 2000), [-3, 0, 1, 3]) == [-2, 0, 1, 2]
    with pytest.raises(UnsupportedFeature, match=r"Frames 1 and 2 are 0\.5 ms apart"):
        container_times("matroska", Fraction(1, 2000), [0, 3, 4])


@pytest.mark.parametrize(("suffix", "codec"), [(".webm", "hevc"), (".mov", "av1"), (".ts", "av1")])
def test_a_codec_that_the_container_cannot_hold(folder: Path, suffix: str, codec: str) -> None:
    told = refused(sample("three-frames"), folder / f"result{suffix}", codec=codec)
    assert f"does not work with {codec}: its container" in told
    assert told.endswith("Use .mp4 or .mkv, which hold every codec.")


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".ts", ".m2ts"])
def test_the_codec_is_one_that_the_container_holds(folder: Path, suffix: str) -> None:
    result = folder / f"result{suffix}"
    assert run(FileTask(job(sample("three-frames"), result, codec="auto", encoder={}))).frames == 3


def test_streams_that_cannot_be_written_together(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("no room for fonts")

    monkeypatch.setattr("pdum.nvenc._media.passthrough._attach", refuse)
    told = refused(sample("everything"), folder / "result.mkv")
    assert "cannot hold the other streams of" in told
    assert "no room for fonts. Use .mkv" in told


@pytest.mark.parametrize("name", ["video.h264", "video.ivf"])
def test_a_full_disk_is_named(folder: Path, name: str) -> None:
    part = part_of(folder / name)
    part.symlink_to("/dev/full")
    codec = "av1" if name.endswith("ivf") else "h264"
    video = VideoFormat(codec=codec, header=b"", width=16, height=16, fps=Fraction(25), time_base=Fraction(1, 25))
    with OutputFile(folder / name, video) as output, pytest.raises(OSError, match=f"No space left.*: '{part}'"):
        write(output, 200)


def write(output: OutputFile, packets: int) -> None:
    for number in range(packets):
        output.write(bytes(1000), number, number, True)


def test_ffmpegs_words_come_with_the_file(tmp_path: Path) -> None:
    with (
        pytest.raises(NvencError, match=rf"{tmp_path}/x cannot be written: the data is damaged or incomplete"),
        naming_file(tmp_path / "x"),
    ):
        raise av.error.InvalidDataError(1094995529, "Invalid data found when processing input", "file:.x.part")
    with pytest.raises(OSError, match=rf"No space left on device: '{tmp_path}/x'"), naming_file(tmp_path / "x"):
        av.error.err_check(-errno.ENOSPC, "file:.x.part")


@pytest.mark.parametrize("suffix", [".mp4", ".ivf", ".OBU", ".mkv"])
@pytest.mark.parametrize("letter", ["x", "ä"])
def test_generated_video_under_the_longest_name_that_there_is(tmp_path: Path, suffix: str, letter: str) -> None:
    name = letter * ((255 - len(suffix)) // len(letter.encode())) + suffix
    with EncoderPool(backend="software", engines=1) as pool:
        settings: dict[str, Any] = {"width": 64, "height": 48, "format": "yuv420", "codec": "av1"}
        pool.render_video(grey, 3, destination=tmp_path / name, **settings)
        assert [path.name for path in tmp_path.iterdir()] == [name]
        with pytest.raises(InvalidConfig, match=r"is longer than 255 bytes\. Choose a shorter name"):
            pool.render_video(grey, 3, destination=tmp_path / f"xy{name}", **settings)


def grey(number: int, _: object) -> Any:
    return np.full((72, 64), 100 + number, np.uint8)


@pytest.mark.parametrize(
    ("suffix", "fps", "is_held"), [(".mkv", 1001, False), (".mkv", 1000, True), (".mp4", 4000, True)]
)
def test_generated_video_of_many_frames_a_second(tmp_path: Path, suffix: str, fps: int, is_held: bool) -> None:
    path = tmp_path / f"result{suffix}"
    settings: dict[str, Any] = {"width": 64, "height": 48, "format": "yuv420", "codec": "h264", "fps": fps}
    with EncoderPool(backend="software", engines=1) as pool:
        if is_held:
            pool.render_video(grey, 30, destination=path, **settings)
            assert len(set(seconds(path))) == 30
        else:
            with pytest.raises(
                InvalidConfig, match=r"does not work with 1001 frames a second: times in \.mkv are whole milliseconds"
            ):
                pool.render_video(grey, 30, destination=path, **settings)
