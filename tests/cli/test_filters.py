"""Filters from the command line."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from media_samples import ffmpeg
from pdum.nvenc import Filters
from pdum.nvenc._batch.settings import BatchSettings
from pdum.nvenc._batch.settings_digest import digest_of
from pdum.nvenc._cli import exits
from pdum.nvenc._cli.parser import make_parser
from pdum.nvenc._config.filter_words import BARE
from pdum.nvenc._config.filters import FILTERS

from clips import Tool, events_of, make_clip, parsed

pytestmark = pytest.mark.one_abi

OPTIONS = ("--engine", "software", "-c", "h264", "-p", "p1", "--keep-bigger")


def test_files_are_filtered_and_other_filters_are_another_job(tool: Tool, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4")
    filters = ("--scale", "50%", "--rotate", "90", "--trim", "0-0.4", "--vf", "hflip")
    code, told = tool.encode(clip, *OPTIONS, *filters)
    assert (code, len(events_of("job_finished", told))) == (exits.DONE, 1)
    with av.open(str(tmp_path / "compressed" / "a.mp4")) as container:
        frames = list(container.decode(video=0))
    assert ([(frames[0].width, frames[0].height)], len(frames)) == ([(80, 96)], 10)
    assert events_of("job_finished", tool.encode(clip, *OPTIONS, *filters)[1]) == []
    assert len(events_of("job_finished", tool.encode(clip, *OPTIONS, *filters[:2])[1])) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--scale", "big"), "Expected a height such as '1080p'"),
        (("--trim", "10"), "a start and an end such as '0:10-1:20'"),
        (("--rotate", "45"), "90, 180 or 270 degrees"),
        (("--vf", "hflip,"), "the name of a filter is missing"),
    ],
)
def test_wrong_values_are_wrong_arguments(tool: Tool, tmp_path: Path, arguments: tuple[str, str], told: str) -> None:
    code, _ = tool("encode", tmp_path, *arguments)
    assert code == exits.USAGE
    assert told in tool.err


def test_a_filter_that_does_not_work_leaves_nothing(tool: Tool, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", frames=5)
    code, told = tool.encode(clip, *OPTIONS, "--crop", "640:32:0:0")
    assert code == exits.FAILED
    assert "within the picture of 192x160" in events_of("job_failed", told)[0]["message"]
    assert not (tmp_path / "compressed" / "a.mp4").exists()


def test_a_crop_that_is_found_is_shown_before_and_after(tool: Tool, tmp_path: Path) -> None:
    clip, plain, broken = barred(tmp_path / "a.mp4"), make_clip(tmp_path / "b.mp4", frames=5), tmp_path / "c.mp4"
    broken.write_bytes(b"nothing")
    _, out = tool("encode", "--dry-run", "--json", "--crop", "auto", *OPTIONS, tmp_path)
    rows = parsed(out)
    assert [row["crop"] for row in rows[:2]] == ["192:96:0:32", ""]
    assert "Not a readable video" in rows[2]["why"]
    _, out = tool("encode", "--dry-run", "--crop", "auto", *OPTIONS, clip, plain)
    first, second = out.splitlines()[1:3]
    assert "  encode (crop: 192:96:0:32)  " in first
    assert "  encode (crop: nothing)  " in second
    _, told = tool.encode("--crop", "auto", *OPTIONS, clip)
    assert "The black bars are cropped off: crop=192:96:0:32." in events_of("job_finished", told)[0]["warnings"]
    with av.open(str(tmp_path / "compressed" / "a.mp4")) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (192, 96)
    assert events_of("job_finished", tool.encode("--crop", "auto", *OPTIONS, clip)[1]) == []


def barred(path: Path) -> Path:
    """A clip with bars above and below."""
    make_clip(path.with_suffix(".mkv"), frames=10)
    ffmpeg("-i", path.with_suffix(".mkv"), "-vf", "crop=192:96,pad=192:160:0:32", "-c:v", "libx264", path)
    path.with_suffix(".mkv").unlink()
    return path


@pytest.mark.parametrize("name", ["crop", "deinterlace", "denoise"])
def test_some_filters_need_no_value(tool: Tool, tmp_path: Path, name: str) -> None:
    """Whatever follows them: nothing, an option, or a file."""
    clip = tmp_path / "a.mp4"
    clip.touch()
    settings = []
    for arguments in ((f"--{name}", "-r"), ("-r", f"--{name}"), ("-r", f"--{name}={BARE[name]}"), (f"--{name}", clip)):
        namespace = make_parser().parse_args(["encode", *map(str, arguments), "--", str(clip)])
        assert namespace.paths[0] == str(clip)
        settings.append(getattr(namespace, name))
    assert settings == [BARE[name]] * 4
    assert tool("encode", f"--{name}", "much", clip)[0] == exits.USAGE
    assert f"--{name}: " in tool.err
    assert "got 'much'" in tool.err or "Unknown" in tool.err


def test_each_filter_is_a_setting_and_counts(tmp_path: Path) -> None:
    values = {"scale": "50%", "fps": "30", "crop": "64:32:0:0", "deinterlace": "auto", "denoise": "light",
              "trim": "1-2", "rotate": 90, "vf": "hflip"}  # fmt: skip
    assert tuple(values) == FILTERS
    assert BatchSettings(**values).filters == Filters(**values)  # type: ignore[arg-type]
    digests = {digest_of(BatchSettings(**{name: value})).current for name, value in values.items()}  # type: ignore[arg-type]
    assert len(digests | {digest_of(BatchSettings()).current}) == 9
