"""Filters from the command line."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from pdum.nvenc import Filters
from pdum.nvenc._batch.settings import BatchSettings
from pdum.nvenc._batch.settings_digest import digest_of
from pdum.nvenc._cli import exits
from pdum.nvenc._config.filters import FILTERS

from clips import Tool, events_of, make_clip

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


def test_each_filter_is_a_setting_and_counts(tmp_path: Path) -> None:
    values = {"scale": "50%", "fps": "30", "crop": "64:32:0:0", "deinterlace": "auto", "denoise": "light",
              "trim": "1-2", "rotate": 90, "vf": "hflip"}  # fmt: skip
    assert tuple(values) == FILTERS
    assert BatchSettings(**values).filters == Filters(**values)  # type: ignore[arg-type]
    digests = {digest_of(BatchSettings(**{name: value})).current for name, value in values.items()}  # type: ignore[arg-type]
    assert len(digests | {digest_of(BatchSettings()).current}) == 9
