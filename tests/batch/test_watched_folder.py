"""A watched folder: every new file is noticed, and unchanged files cost nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdum.nvenc._batch import batch as batch_module
from pdum.nvenc._batch.decisions import Decision, decide
from pdum.nvenc._batch.scan import Scan
from pdum.nvenc._batch.settings import BatchSettings
from pdum.nvenc._batch.stable_files import StabilityCheck
from pdum.nvenc._batch.watched_folder import WatchedFolder
from pdum.nvenc._cli import watch
from pdum.nvenc._cli.interruption import Interruption
from pdum.nvenc._cli.output import OutputOptions

pytestmark = pytest.mark.one_abi

OTHERS = 200


def write(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def make_old(root: Path) -> None:
    """Sets times as if nothing had happened there for an hour."""
    for folder, _, _ in os.walk(root):
        before = os.stat(folder).st_mtime - 3600
        os.utime(folder, (before, before))


def test_unchanged_files_are_not_examined(tmp_path: Path) -> None:
    for number in range(OTHERS):
        write(tmp_path / str(number % 4) / f"{number}.mkv")
    make_old(tmp_path)
    folder = WatchedFolder(tmp_path, Scan(recursive=True))
    assert len(folder.changes()) == folder.files_asked == OTHERS
    assert folder.changes() == []
    assert folder.files_asked == OTHERS
    new = write(tmp_path / "2" / "new.mkv")
    assert [one.path for one in folder.changes()] == [new]
    assert folder.files_asked == OTHERS + 1
    assert len(folder.everything()) == OTHERS + 1


def test_a_file_that_takes_anothers_name_is_new(tmp_path: Path) -> None:
    write(tmp_path / "a.mkv")
    folder = WatchedFolder(tmp_path, Scan())
    folder.changes()
    write(tmp_path / "part", b"another").replace(tmp_path / "a.mkv")
    assert [(one.path.name, one.size) for one in folder.changes()] == [("a.mkv", 7)]


def test_a_folder_that_turns_out_to_hold_results_is_left_out(tmp_path: Path) -> None:
    results: set[Path] = set()
    folder = WatchedFolder(tmp_path, Scan(recursive=True, leave_out=results.__contains__))
    write(tmp_path / "small" / "a.mkv")
    assert len(folder.changes()) == 1
    results.add(tmp_path / "small")
    write(tmp_path / "small" / "b.mkv")
    assert folder.changes() == []
    assert folder.everything() == []


NAMES = st.sampled_from(["a.mkv", "b.mp4", "c.txt", ".d.mkv", "x/e.mkv", "x/y/f.mkv", "z/g.mkv", "z/loop"])
ACTIONS = st.lists(st.tuples(st.sampled_from(["write", "replace", "remove", "link", "look"]), NAMES), max_size=30)


def act(root: Path, action: str, name: str) -> None:
    path = root / name
    if action == "remove":
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if action == "write" and not os.path.lexists(path):
        path.write_bytes(b"x")
    elif action == "replace":
        write(root / "new", os.urandom(3)).replace(path)
    elif action == "link" and not os.path.lexists(path):
        path.symlink_to(root)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60, deadline=None)
@given(actions=ACTIONS, recursive=st.booleans())
def test_looks_find_what_a_scan_finds(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, str]], recursive: bool
) -> None:
    root = tmp_path_factory.mktemp("watched")
    scan = Scan(recursive=recursive)
    folder = WatchedFolder(root, scan)
    seen: set[Path] = set()
    for action, name in [*actions, ("look", "")]:
        if action == "look":
            seen.update(one.path for one in folder.changes())
        else:
            act(root, action, name)
    wanted = {one.path: one for one in scan.run([root]).sources}
    assert seen >= wanted.keys()
    # Only a full look finds a file that changed under the same name, or got its old inode again.
    assert {one.path: one for one in folder.everything()} == wanted


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The sources with a decision, in order."""
    found: list[Path] = []

    def counting(placed: Any, *more: Any) -> Decision:
        found.append(placed.source.path)
        return decide(placed, *more)

    monkeypatch.setattr(batch_module, "decide", counting)
    return found


def test_a_look_decides_only_about_new_files(tmp_path: Path, decided: list[Path]) -> None:
    for number in range(OTHERS):
        write(tmp_path / f"{number}.mkv")
    make_old(tmp_path)
    quiet = Interruption(lambda _text: None)
    watcher = watch.Watcher(tmp_path, BatchSettings(), OutputOptions(json=True), StabilityCheck(seconds=3600))
    assert watcher.look(quiet) == OTHERS
    assert len(decided) == OTHERS
    for _ in range(5):
        assert watcher.look(quiet) == OTHERS
    assert len(decided) == OTHERS
    new = write(tmp_path / "new.mkv")
    assert watcher.look(quiet) == OTHERS + 1
    assert decided[OTHERS:] == [new]


@pytest.mark.parametrize("settings", [BatchSettings(in_place=True), BatchSettings(destination="{root}")])
def test_a_change_examines_all_files_that_depend_on_each_other(
    tmp_path: Path, decided: list[Path], settings: BatchSettings
) -> None:
    """Results in the folder of the sources may need names that no source has. Hard links are one file."""
    chosen = BatchSettings(in_place=settings.in_place, destination=settings.destination.format(root=tmp_path))
    write(tmp_path / "a.avi" if not chosen.in_place else tmp_path / "a.mkv")
    watcher = watch.Watcher(tmp_path, chosen, OutputOptions(json=True), StabilityCheck(seconds=3600))
    quiet = Interruption(lambda _text: None)
    watcher.look(quiet)
    before = len(decided)
    write(tmp_path / "b.mp4")
    watcher.look(quiet)
    assert len(decided) > before + (not chosen.in_place) - 1
    assert tmp_path / ("a.mkv" if chosen.in_place else "a.avi") in decided[before:]
