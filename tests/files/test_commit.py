"""The last step of a job: which file gets its name, which files stay, and what the next run finishes."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from files.runner import SOFTWARE, assert_same_pictures, encode_ranges, job, run
from media_samples import sample
from pdum.nvenc import Cancelled, FileTask, FolderBusy, InvalidConfig, NvencError, Result, SourceUnreadable
from pdum.nvenc._files import commit, overwrite
from pdum.nvenc._files.job import FileJob, refusals
from pdum.nvenc._pool.pool import EncoderPool

pytestmark = pytest.mark.one_abi

SAMPLE = "open-gop"


@pytest.fixture
def source(folder: Path) -> Path:
    return Path(shutil.copy(sample(SAMPLE), folder / "source.mp4"))


def encoded(source: Path, destination: Path, **more: Any) -> FileTask:
    """All ranges of the file are encoded, and nothing is joined yet."""
    task = FileTask(job(source, destination, **more), "software")
    encode_ranges(task, SOFTWARE, task.prepare(1).ranges)
    return task


def at_sync(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Calls a function once the result is verified and its bytes are on the disk."""
    sync = overwrite.sync

    def sync_and_act(path: Path) -> None:
        sync(path)
        action()

    monkeypatch.setattr(commit, "sync", sync_and_act)


# ---- the last look --------------------------------------------------------------------------------------------------


def save_anew(path: Path) -> None:
    """Saves a file as programs do: under another name first, with the old size and times."""
    stat = path.stat()
    part = path.with_name("being saved")
    part.write_bytes(b"x" * stat.st_size)
    os.utime(part, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    part.replace(path)


def change_time(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


@pytest.mark.parametrize("change", [save_anew, change_time, append])
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("names", [1, 2])
def test_a_source_that_changes_while_its_result_is_verified_stays(
    source: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], in_place: bool, names: int
) -> None:
    if names == 2:
        source.with_name("other name.mp4").hardlink_to(source)
    result = source if in_place else source.with_name("result.mp4")
    task = encoded(source, result, in_place=in_place)
    at_sync(monkeypatch, lambda: change(source))
    with pytest.raises(SourceUnreadable, match="was changed while it was encoded"):
        task.finish()
    task.abandon(keep=False)
    expected = Path(shutil.copy2(sample(SAMPLE), source.with_name("expected.mp4")))
    change(expected)
    assert source.read_bytes() == expected.read_bytes()
    assert in_place or not result.exists()


@pytest.mark.parametrize("was_there", [False, True])
def test_a_file_that_appears_under_the_results_name_stays(
    source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, was_there: bool
) -> None:
    result = folder / "result.mp4"
    if was_there:
        result.write_bytes(b"an older result")
    task = encoded(source, result)
    at_sync(monkeypatch, lambda: result.write_bytes(b"precious"))
    with pytest.raises(NvencError, match="Another program wrote, changed or removed"):
        task.finish()
    task.abandon(keep=False)
    assert result.read_bytes() == b"precious"


# ---- several names --------------------------------------------------------------------------------------------------


def full_after(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    """The disk becomes full while the file with several names is written."""

    def copy_a_part(source: Any, target: Any, length: int) -> None:
        data = source.read()
        target.write(data[: int(len(data) * share)])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfileobj", copy_a_part)


@pytest.mark.parametrize("share", [0.001, 0.5, 1.0])
def test_an_overwrite_that_stopped_half_way_is_finished_by_the_next_run(
    source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    other = folder / "other name.mp4"
    other.hardlink_to(source)
    os.utime(source, ns=(1_000_000_000, 2_000_000_123))
    task = encoded(source, source, in_place=True)
    full_after(monkeypatch, share)
    with pytest.raises(NvencError, match=r"No space left on device.*The whole result is in .*keep that file"):
        task.finish()
    task.abandon(keep=False)
    monkeypatch.undo()

    again = FileTask(job(source, source, in_place=True), "software")
    assert list(again.prepare(1).ranges) == []
    assert again.finished().frames == 40
    assert source.samefile(other)
    assert source.stat().st_mtime_ns == 2_000_000_123
    assert_same_pictures(sample(SAMPLE), other)


def test_a_file_that_its_user_wrote_after_a_half_overwrite_is_not_overwritten(
    source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "other name.mp4").hardlink_to(source)
    task = encoded(source, source, in_place=True)
    full_after(monkeypatch, 0.5)
    with pytest.raises(NvencError):
        task.finish()
    task.abandon(keep=False)
    monkeypatch.undo()
    with source.open("rb+") as file:  # the same file: `cp` writes so
        file.write(sample("pyramid").read_bytes())
        file.truncate()
    run(FileTask(job(source, source, in_place=True)))
    assert_same_pictures(sample("pyramid"), source)


def test_a_link_is_followed_to_another_folder(source: Path, tmp_path: Path) -> None:
    """The part file is in the folder of the result, since a rename does not work across file systems."""
    link = tmp_path / "link.mp4"
    link.symlink_to(source)
    task = encoded(link, link, in_place=True)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    task.finish()
    assert link.is_symlink()
    assert_same_pictures(sample(SAMPLE), source)


# ---- cancelling -----------------------------------------------------------------------------------------------------


def test_a_cancel_during_the_last_sync_has_no_effect(source: Path, folder: Path, monkeypatch: Any) -> None:
    """The disk is slow and the run is cancelled: it still reports how the job ended."""
    syncing, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        syncing.set()
        assert go_on.wait(60)

    at_sync(monkeypatch, wait)
    with EncoderPool(backend="software", engines=1) as pool:
        work = pool.start(pool.files([job(source, folder / "result.mp4")]))
        assert syncing.wait(60)
        work.cancel()
        with pytest.raises(TimeoutError):
            work.wait(2.0)  # longer than a run waits for a task that does not react
        go_on.set()
        (result,) = work.wait().results
    assert isinstance(result, Result)
    assert (folder / "result.mp4").is_file()


def test_a_commit_that_fails_after_a_cancel_is_reported_as_a_failure(
    source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder: list[Any] = []

    def cancel_and_fail() -> None:
        holder[0].cancel()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    at_sync(monkeypatch, cancel_and_fail)
    with EncoderPool(backend="software", engines=1) as pool:
        holder.append(pool.start(pool.files([job(source, folder / "result.mp4")])))
        (result,) = holder[0].wait().results
    assert isinstance(result, OSError)
    assert not (folder / "result.mp4").exists()


def test_a_cancel_before_the_commit_ends_the_job(source: Path, folder: Path) -> None:
    task = encoded(source, folder / "result.mp4")
    task.interrupt()
    assert not task.is_committing
    with pytest.raises(Cancelled):
        task.finish()
    task.abandon(keep=False)
    assert not (folder / "result.mp4").exists()


# ---- one destination ------------------------------------------------------------------------------------------------


def test_the_second_job_for_a_destination_is_refused_and_the_first_is_done(source: Path, folder: Path) -> None:
    other = Path(shutil.copy(sample("pyramid"), folder / "other.mp4"))
    (folder / "link").symlink_to(folder)
    result = folder / "result.mp4"
    with EncoderPool(backend="software", engines=2) as pool:
        report = pool.encode_files([job(source, result), job(other, folder / "link" / "result.mp4")])
    first, second = report.results
    assert isinstance(first, Result)
    assert isinstance(second, InvalidConfig)
    assert str(source) in str(second)
    assert_same_pictures(source, result)


def test_names_of_one_file_are_one_destination(tmp_path: Path) -> None:
    file = tmp_path / "a.mkv"
    file.write_bytes(b"x")
    (tmp_path / "hard.mkv").hardlink_to(file)
    (tmp_path / "soft.mkv").symlink_to(file)
    names = ["a.mkv", "hard.mkv", "soft.mkv", "b.mkv", "../" + tmp_path.name + "/b.mkv", "B.mkv"]
    found = refusals([FileJob(source=tmp_path / "source.mp4", destination=tmp_path / name) for name in names])
    assert [refusal is None for refusal in found] == [True, False, False, True, False, True]


def test_a_job_of_another_run_for_the_same_destination_is_refused_and_harms_nothing(source: Path, folder: Path) -> None:
    result = folder / "result.mp4"
    first = encoded(source, result, keep_work=True)
    for keep in (True, False):
        second = FileTask(job(source, result, keep_work=True), "software")
        with pytest.raises(FolderBusy, match="Another job is writing"):
            second.prepare(1)
        second.abandon(keep=keep)
    first.finish()
    assert_same_pictures(source, result)


def test_in_place_with_another_destination_is_refused(source: Path, folder: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"in_place=True replaces .*but the destination is"):
        job(source, folder / "other.mkv", in_place=True)
    assert source.is_file()


# ---- work that stays ----------------------------------------------------------------------------------------------


def test_earlier_work_survives_a_run_that_does_not_get_to_it(source: Path, folder: Path, monkeypatch: Any) -> None:
    result = folder / "result.mp4"
    task = FileTask(job(source, result, keep_work=True), "software")
    task.prepare(1)
    encode_ranges(task, SOFTWARE, [(0, 20)])
    task.abandon(keep=True)

    cancelled = FileTask(job(source, result, keep_work=True), "software")
    monkeypatch.setattr("pdum.nvenc._files.source_task.look_through", _cancelled)
    with pytest.raises(Cancelled):
        cancelled.prepare(1)
    cancelled.abandon(keep=True)
    monkeypatch.undo()

    again = FileTask(job(source, result, keep_work=True), "software")
    assert list(again.prepare(1).ranges) == [(20, 40)]
    again.abandon(keep=False)


def _cancelled(*_: object) -> None:
    raise Cancelled("The job was cancelled.")


def test_a_full_disk_is_named_and_erases_no_finished_piece(
    source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = folder / "result.mp4"

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pdum.nvenc._files.task.join", full)
    with EncoderPool(backend="software", engines=1) as pool:
        with pytest.raises(OSError, match=f"No space left on device: {folder} is on the disk that is mounted at /"):
            pool.encode_file(source, result, codec="h264", keep_work=True)
        monkeypatch.undo()
        assert (folder / ".result.mp4.pdum-work").is_dir()
        events: list[Any] = []
        pool.encode_file(source, result, codec="h264", keep_work=True, on_event=events.append)
    assert not [event for event in events if type(event).__name__ == "PieceStarted"]
