"""A file's task as another process has it: packed, unpacked, and without the index being made again."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from files.runner import SOFTWARE, assert_same_pictures, elsewhere, encode_elsewhere, job
from pdum.nvenc import FileTask, PieceDamaged, Result, SourceUnreadable
from pdum.nvenc._files.source_task import GAVE_UP
from pdum.nvenc._tasks import Remarks

from clips import make_clip

pytestmark = pytest.mark.one_abi

FRAMES = 30


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("source") / "source.mkv", FRAMES)


def test_ranges_of_other_processes_become_the_file(source: Path, folder: Path) -> None:
    task = FileTask(job(source, folder / "result.mkv"), "software")
    assert task.prepare(2).frames == FRAMES
    for first, last in ((0, 12), (12, FRAMES)):
        there = elsewhere(task, SOFTWARE)
        task.adopt(pickle.loads(pickle.dumps(encode_elsewhere(there, SOFTWARE, first, last))))
    result = task.finish()
    assert isinstance(result, Result)
    assert_same_pictures(source, folder / "result.mkv")


@pytest.mark.parametrize("texts", [("one", "one"), ("one", "another")], ids=["the same", "others"])
def test_what_decoders_of_several_machines_gave_up_is_told_once(source: Path, folder: Path, texts: list[str]) -> None:
    task = FileTask(job(source, folder / "told.mp4"), "software")
    task.prepare(1)
    for text in texts:
        task.take_remarks(Remarks(warnings=[f"{GAVE_UP}: {text}"]))
    assert task._all_warnings([]) == (f"{GAVE_UP}: one",)
    task.abandon(keep=False)


def test_paths_for_other_machines_are_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are in another folder, and a mapping of their paths would take ``..`` for a part of the folder."""
    make_clip(folder / "films" / "a.mkv", 12)
    (folder / "work").mkdir()
    monkeypatch.chdir(folder / "work")
    task = FileTask(job(Path("../films/a.mkv"), Path("../films/b.mkv")), "software")
    task.prepare(1)
    work = task.portable_file()
    paths = [work.job.source, work.job.destination, work.folder]
    assert paths == [(folder / "films" / name).resolve() for name in ("a.mkv", "b.mkv", ".b.mkv.pdum-work")]
    task.abandon(keep=False)


def test_another_file_under_the_same_path_is_refused(tmp_path: Path) -> None:
    task = FileTask(job(source := make_clip(tmp_path / "a.mkv", 12), tmp_path / "b.mkv"), "software")
    task.prepare(1)
    packed = pickle.dumps(task.portable())
    os.utime(source, (1, 1))
    with pytest.raises(SourceUnreadable, match="is not the same file on this machine"):
        pickle.loads(packed).make()
    source.unlink()
    with pytest.raises(SourceUnreadable, match="does not exist on this machine"):
        pickle.loads(packed).make()
    task.abandon(keep=False)


def test_a_piece_that_has_changed_on_its_way_is_refused(source: Path, folder: Path) -> None:
    """The storage may show this machine less than the other one has written."""
    task = FileTask(job(source, folder / "result.mkv"), "software")
    task.prepare(1)
    made = encode_elsewhere(elsewhere(task, SOFTWARE), SOFTWARE, 0, FRAMES)
    path = folder / ".result.mkv.pdum-work" / made.kept.name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(PieceDamaged, match="is not as the other machine wrote it"):
        task.adopt(made)
    path.unlink()
    with pytest.raises(PieceDamaged, match="is not there, although another machine has written it"):
        task.adopt(made)
    task.abandon(keep=False)
