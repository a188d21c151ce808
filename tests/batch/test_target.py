"""The search for a target over many files: what it holds open does not grow with their number."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pdum.nvenc import EncoderPool, FileJob, FileSettings, FileTask
from pdum.nvenc._batch.search import Target
from pdum.nvenc._batch.target import Found, find_all, sample_ranges

from clips import FPS, make_clip
from loud import need_pyav

pytestmark = pytest.mark.one_abi

FRAMES = 400
"""So long that no sample begins at the first frame, where the decoder that has looked at the file would go on."""


def sources_open(folder: Path) -> int:
    """Descriptors of this process that lead to a source."""
    links = []
    for number in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            continue  # the one that listed them
    return sum(link.startswith(f"{folder}/") for link in links)


@pytest.mark.parametrize("wanted", [0.5, 0.99999], ids=["reached", "out of reach"])
def test_files_are_closed_between_the_rounds(tmp_path: Path, wanted: float) -> None:
    need_pyav(18, "scores")
    assert sample_ranges(FRAMES, FPS)[0][0] > 0
    clips = [make_clip(tmp_path / f"{number}.mkv", FRAMES, seed=number) for number in range(3)]
    settings = FileSettings(codec="h264", audio="copy", encoder={"preset": "p1", "rate_control": "vbr", "cq": 28})
    rounds: list[int] = []
    with EncoderPool(backend="software", engines=1) as pool:

        def run(tasks: Sequence[Any]) -> Sequence[Any]:
            results = pool.run(tasks).results
            rounds.append(sources_open(tmp_path))
            return results

        files = [
            FileTask(FileJob(source=clip, destination=tmp_path / "out" / clip.name, settings=settings), "software")
            for clip in clips
        ]
        outcomes = find_all(files, Target(metric="ssim", wanted=wanted), 50, run)
    assert rounds
    assert set(rounds) == {0}
    assert all(isinstance(one, Found) == (wanted < 0.9) for one in outcomes)


def test_a_file_that_fails_in_the_search_is_closed(tmp_path: Path) -> None:
    need_pyav(18, "scores")
    clip = make_clip(tmp_path / "a.mkv", FRAMES)
    settings = FileSettings(codec="h264", audio="copy", encoder={"preset": "p1", "profile": "high444"})
    with EncoderPool(backend="software", engines=1) as pool:
        job = FileJob(source=clip, destination=tmp_path / "out" / clip.name, settings=settings)
        target = Target(metric="nonsense", wanted=1.0)
        (outcome,) = find_all([FileTask(job, "software")], target, 50, lambda tasks: pool.run(tasks).results)
    assert isinstance(outcome, Exception)
    assert sources_open(tmp_path) == 0
