"""A long scan is reported once a second. A short one is not reported."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdum.nvenc._batch.batch import plan, scan_for
from pdum.nvenc._batch.known_journals import KnownJournals
from pdum.nvenc._batch.scan_progress import ScanProgress
from pdum.nvenc._batch.settings import BatchSettings
from pdum.nvenc._batch.watched_folder import WatchedFolder
from pdum.nvenc.events import Scanning

pytestmark = pytest.mark.one_abi


@given(st.lists(st.floats(0, 3), max_size=40))
def test_at_most_once_a_second_and_never_in_the_first_one(steps: list[float]) -> None:
    told: list[Scanning] = []
    now = 100.0
    progress = ScanProgress(tell=told.append, clock=lambda: now)
    for number, step in enumerate(steps):
        now += step
        before = len(told)
        progress.update(number)
        last = told[before - 1].at if before else 0.0
        assert (len(told) > before) == (now - 100.0 - last >= 1.0 - 1e-9) or abs(now - 100.0 - last - 1.0) < 1e-6
    assert all(later.at - earlier.at > 1.0 - 1e-6 for earlier, later in pairwise(told))


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    for name in ("a/1.mkv", "a/2.mkv", "a/notes.txt", "b/3.mkv"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def test_all_videos_are_counted_and_then_compared(videos: Path) -> None:
    seen: list[tuple[int, int]] = []
    plan([videos], BatchSettings(recursive=True), lambda found, checked: seen.append((found, checked)))
    assert seen == sorted(seen)
    assert {found for found, checked in seen if not checked} >= {1, 2, 3}
    assert [pair for pair in seen if pair[1]] == [(3, 1), (3, 2), (3, 3)]


def test_names_that_are_no_videos_take_their_time_too(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.txt").write_bytes(b"x")
    seen: list[int] = []
    plan([tmp_path], BatchSettings(), lambda found, _checked: seen.append(found))
    assert seen == [0] * 5


def test_a_watched_folder_counts_its_videos(videos: Path) -> None:
    seen: list[int] = []
    folder = WatchedFolder(videos, scan_for(BatchSettings(recursive=True), KnownJournals()))
    folder.everything(seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 3
    folder.everything()
    assert seen[-1] == 3
