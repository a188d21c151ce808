"""The search for a target over many files: the number of open files does not grow."""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pdum.nvenc import Cancelled, EncoderPool, FileJob, FileSettings, FileTask, Plan, Result
from pdum.nvenc._batch import target
from pdum.nvenc._batch.batch import ledger, plan
from pdum.nvenc._batch.search import Target
from pdum.nvenc._batch.settings import BatchSettings
from pdum.nvenc._batch.target import Found, find_all, sample_ranges
from pdum.nvenc._cli import running
from pdum.nvenc._cli.interruption import Interruption
from pdum.nvenc._cli.output import OutputOptions, RunOutput

from clips import FPS, make_clip
from loud import need_pyav

pytestmark = pytest.mark.one_abi

FRAMES = 400
"""Long enough that no sample begins at the first frame, where the decoder of the header would continue."""


def sources_open(folder: Path) -> int:
    """The descriptors of this process that are open on a source."""
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


class File:
    """Stands for a file's task with the index that it keeps."""

    def __init__(self, number: int) -> None:
        self.number = number


def test_few_files_are_searched_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each keeps an index of megabytes until its search is over. The order of files stays."""
    monkeypatch.setattr(target, "AT_ONCE", 5)
    alive: weakref.WeakSet[File] = weakref.WeakSet()
    rounds: list[int] = []
    done = Result(destination="", frames=1, size=1)

    def make(number: int) -> Any:
        file = File(number)
        alive.add(file)
        return file

    def run(tasks: Sequence[Any]) -> Sequence[Any]:
        rounds.append(len(alive))
        assert len(tasks) <= 5
        for task in tasks:
            number = task._file.number
            task.plan, task.codec = Plan(frames=number + 1, ranges=()), "h264"
            task.score, task.size, task.frames_sampled = 60.0 - task.quality - number % 7 * 0.5, 10, 10
        return [OSError("gone") if task._file.number == 3 else done for task in tasks]

    outcomes = find_all((make(number) for number in range(40)), Target(metric="xpsnr", wanted=30.0), 28, run)
    assert max(rounds) <= 5
    assert not alive
    assert len(rounds) > 40 // 5
    assert isinstance(outcomes[3], OSError)
    found = {number: one for number, one in enumerate(outcomes) if isinstance(one, Found)}
    assert {number: one.quality for number, one in found.items()} == {
        number: 30 - math.ceil(number % 7 * 0.5) for number in range(40) if number != 3
    }
    assert {number: one.size for number, one in found.items()} == {number: number + 1 for number in found}


def test_a_search_begins_no_file_after_an_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are left: each round of them would be a run that ends at once."""
    for number in range(9):
        (tmp_path / f"{number}.mkv").write_bytes(b"x")
    begun: list[Any] = []
    interruption = Interruption(lambda _text: None)

    def interrupted_search(files: Iterable[Any], *_more: Any) -> list[Exception]:
        outcomes: list[Exception] = []
        for number, _ in enumerate(files):
            interruption.code = 130 * (number == 2)
            outcomes.append(Cancelled("The job was cancelled."))
        return outcomes

    monkeypatch.setattr(running, "find_all", interrupted_search)
    output = RunOutput.of(OutputOptions(json=True))
    with ledger(plan([tmp_path], BatchSettings(target="xpsnr=40"))) as book:
        found: Any = running._found(book, begun.append, None, output, interruption)  # type: ignore[arg-type]
    assert len(begun) == 3
    assert found == []
