"""What a batch does with a file that it knows: finished files stay as they are, changed files are encoded again."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pdum.nvenc import FolderBusy, Result
from pdum.nvenc._batch.batch import BatchPlan, describe, plan
from pdum.nvenc._batch.decisions import BIGGER_BEFORE, DONE_BEFORE, ENCODE, EXISTS, Decision
from pdum.nvenc._batch.journal import Journal
from pdum.nvenc._batch.journal_entry import DONE, NAME
from pdum.nvenc._batch.ledger import Ledger, ledger
from pdum.nvenc._batch.settings import BatchSettings
from pdum.nvenc._batch.settings_digest import digest_of
from pdum.nvenc._files.overwrite import Overwrite
from pdum.nvenc._media.spool import WorkFolder

SETTINGS = BatchSettings()
IN_PLACE = BatchSettings(in_place=True)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.mkv"
    path.write_bytes(b"source" * 10)
    return path


def decided(source: Path, settings: BatchSettings = SETTINGS) -> Decision:
    (decision,) = plan([source], settings).decisions
    return decision


def begun(source: Path, settings: BatchSettings = SETTINGS, quality: float | None = None) -> None:
    """The journal of a run that was killed while it worked on the file."""
    with ledger(plan([source], settings)) as book:
        book.begin(book.batch.decisions[0], quality)


def ended(source: Path, settings: BatchSettings = SETTINGS, content: bytes = b"result", kept: bool = True) -> Path:
    with ledger(plan([source], settings)) as book:
        (decision,) = book.batch.decisions
        book.begin(decision)
        if kept:
            write_result(book, decision, content)
        book.end(decision, len(content), kept)
        return decision.placement.destination


def write_result(book: Ledger, decision: Decision, content: bytes = b"result") -> None:
    """Writes a result like a commit: first under another name, which the journal records. In place, times stay."""
    destination = decision.placement.destination
    part = destination.with_name("part")
    part.write_bytes(content)
    if destination == decision.source:
        os.utime(part, ns=(decision.placement.source.mtime_ns, decision.placement.source.mtime_ns))
    book.announce(decision, size_and_time(part))
    part.replace(destination)


def size_and_time(path: Path) -> tuple[int, int]:
    return path.stat().st_size, path.stat().st_mtime_ns


def test_a_new_file_is_encoded_and_a_plan_changes_nothing(source: Path) -> None:
    assert decided(source).action == ENCODE
    assert os.listdir(source.parent) == ["a.mkv"]


def test_a_finished_file_is_done_once(source: Path) -> None:
    ended(source)
    assert decided(source).action == DONE_BEFORE
    assert list(describe(plan([source], SETTINGS))) == ["1 file already done; skipped."]


@pytest.mark.parametrize("settings", [SETTINGS, IN_PLACE])
def test_finished_but_not_yet_written_down(source: Path, settings: BatchSettings) -> None:
    """The run was killed between the rename and the journal's last line. The line before that says what was planned."""
    begun(source, settings)
    assert decided(source, settings).action == ENCODE
    with ledger(plan([source], settings)) as book:
        write_result(book, book.batch.decisions[0])
    decision = decided(source, settings)
    assert (decision.action, decision.recovered) == (DONE_BEFORE, True)
    with ledger(plan([source], settings)):
        pass
    entry = Journal.read(decision.placement.folder).entry(source)
    assert entry is not None
    assert entry.result == DONE
    again = decided(source, settings)
    assert (again.action, again.recovered) == (DONE_BEFORE, False)


def test_finished_over_an_older_result_but_not_yet_written_down(source: Path) -> None:
    ended(source)
    other = replace(SETTINGS, quality=20)
    begun(source, other)
    assert decided(source, other).action == ENCODE, "what lies there is the older result"
    with ledger(plan([source], other)) as book:
        write_result(book, book.batch.decisions[0], b"newer result")
    assert decided(source, other).action == DONE_BEFORE


@pytest.mark.parametrize("settings", [SETTINGS, IN_PLACE])
def test_a_changed_source_is_done_again_and_describe(source: Path, settings: BatchSettings) -> None:
    ended(source, settings)
    source.write_bytes(b"something else and longer than before" * 3)
    decision = decided(source, settings)
    assert decision.action == ENCODE
    assert "source has changed" in decision.why
    assert any("again" in line for line in describe(plan([source], settings)))


def test_changed_settings_do_it_again_and_are_describe(source: Path) -> None:
    ended(source)
    decision = decided(source, replace(SETTINGS, quality=20))
    assert decision.action == ENCODE
    assert "other settings" in decision.why


@pytest.mark.parametrize(
    "same",
    [
        {"engine": "software"},
        {"engines": 1},
        {"gpu": (0,)},
        {"segments": 3},
        {"verify": "full"},
        {"smaller_than": 0.5},
        {"keep_bigger": True},
        {"recursive": True},
    ],
)
def test_settings_that_do_not_affect_results_repeat_nothing(source: Path, same: dict[str, object]) -> None:
    ended(source)
    assert decided(source, replace(SETTINGS, **same)).action == DONE_BEFORE  # type: ignore[arg-type]


def test_a_result_that_is_gone_is_made_again(source: Path) -> None:
    ended(source).unlink()
    assert decided(source).action == ENCODE
    assert "deleted" in decided(source).why


def test_a_changed_result_is_not_replaced(source: Path) -> None:
    ended(source).write_bytes(b"tagged by its user")
    assert decided(source).action == EXISTS
    assert decided(source, replace(SETTINGS, quality=20)).action == EXISTS
    assert decided(source, replace(SETTINGS, overwrite=True)).action == ENCODE


def test_a_file_of_somebody_else_is_not_replaced(source: Path) -> None:
    other = source.parent / "compressed" / "a.mkv"
    other.parent.mkdir()
    other.write_bytes(b"precious")
    assert decided(source).action == EXISTS
    assert any("skipped" in line and "--overwrite" in line for line in describe(plan([source], SETTINGS)))
    assert decided(source, replace(SETTINGS, overwrite=True)).action == ENCODE


@pytest.mark.parametrize("settings", [SETTINGS, IN_PLACE])
def test_a_bigger_result_is_remembered_until_the_threshold_allows_it(source: Path, settings: BatchSettings) -> None:
    strict = replace(settings, smaller_than=0.5)
    ended(source, strict, content=b"x" * 50, kept=False)
    assert decided(source, strict).action == BIGGER_BEFORE
    assert decided(source, replace(settings, smaller_than=0.8)).action == BIGGER_BEFORE
    assert decided(source, replace(settings, smaller_than=0.9)).action == ENCODE
    assert decided(source, replace(strict, keep_bigger=True)).action == ENCODE
    assert decided(source, replace(strict, quality=20)).action == ENCODE


def test_failed_files_are_tried_again(source: Path) -> None:
    with ledger(plan([source], SETTINGS)) as book:
        (decision,) = book.batch.decisions
        book.begin(decision)
        book.fail(decision, "the disk was full")
    assert decided(source).action == ENCODE
    assert decided(source).why == "it failed before"


def test_a_file_that_failed_after_its_result_got_its_name_is_done(source: Path) -> None:
    """The journal itself could not be written, because the disk was full."""
    with ledger(plan([source], SETTINGS)) as book:
        (decision,) = book.batch.decisions
        book.begin(decision)
        write_result(book, decision)
        book.fail(decision, "the disk was full")
    assert decided(source).action == DONE_BEFORE


def test_a_result_in_place_is_recognised(source: Path) -> None:
    ended(source, IN_PLACE)
    assert decided(source, IN_PLACE).action == DONE_BEFORE
    # A copy from elsewhere under the same name is another source.
    os.utime(source, ns=(1, 1))
    assert decided(source, IN_PLACE).action == ENCODE


@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize("change", [{}, {"quality": 20}])
@pytest.mark.parametrize("announced", [False, True])
def test_a_users_file_at_the_place_of_a_missing_result_stays(
    source: Path, failed: bool, change: dict[str, object], announced: bool
) -> None:
    """It is neither replaced nor mistaken for the result."""
    with ledger(plan([source], SETTINGS)) as book:
        (decision,) = book.batch.decisions
        book.begin(decision)
        if announced:
            book.announce(decision, (6, 1))
        if failed:
            book.fail(decision, "the disk was full")
    decision.placement.destination.write_bytes(b"a user's own file")
    settings = replace(SETTINGS, **change)  # type: ignore[arg-type]
    assert decided(source, settings).action == EXISTS
    with ledger(plan([source], settings)):
        pass
    assert decided(source, settings).action == EXISTS
    assert decided(source, replace(settings, overwrite=True)).action == ENCODE


def test_a_users_own_file_that_was_to_be_replaced_is_left_alone_by_the_next_run(source: Path) -> None:
    """--overwrite is for one run: that run failed, and its user's file is still there."""
    destination = decided(source).placement.destination
    destination.parent.mkdir()
    destination.write_bytes(b"a user's own file")
    begun(source, replace(SETTINGS, overwrite=True))
    assert decided(source).action == EXISTS


def half_replaced(source: Path, share: float, new: bytes = b"the result " * 50_000) -> None:
    """The state after a run was killed while it wrote the result into a file with several names."""
    source.write_bytes(b"the source " * 100_000)
    stat = source.stat()
    os.link(source, source.with_name("other name"))
    work = WorkFolder(source)
    work.path.mkdir()
    work.part.write_bytes(new)
    os.utime(work.part, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with ledger(plan([source], IN_PLACE)) as book:
        (decision,) = book.batch.decisions
        book.begin(decision)
        book.announce(decision, size_and_time(work.part))
    Overwrite(target=source, part=work.part, result=Result(destination=str(source), frames=1, size=len(new))).save()
    assert decided(source, IN_PLACE).action == ENCODE, "until its first byte is overwritten"
    with open(source, "rb+") as file:
        file.write(new[: int(len(new) * share)])
    os.utime(source, ns=(1, stat.st_mtime_ns + 1_000_000))


@pytest.mark.parametrize("share", [0.001, 0.5, 1.0])
def test_a_file_with_several_names_that_was_half_replaced_is_replaced_to_the_end(source: Path, share: float) -> None:
    """A rename would lose the file's other names, so it is overwritten, and that can be interrupted."""
    new = b"the result " * 50_000
    half_replaced(source, share, new)
    mtime = WorkFolder(source).part.stat().st_mtime_ns
    assert decided(source, IN_PLACE).action == DONE_BEFORE
    with ledger(plan([source], IN_PLACE)):
        pass
    assert source.read_bytes() == source.with_name("other name").read_bytes() == new
    assert source.stat().st_mtime_ns == mtime
    assert sorted(os.listdir(source.parent)) == [NAME, "a.mkv", "other name"]
    assert decided(source, IN_PLACE).action == DONE_BEFORE


def test_a_disk_that_is_still_full_is_reported_and_the_part_file_stays(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    half_replaced(source, 0.5)
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with ledger(plan([source], IN_PLACE)) as book:
        assert book.batch.decisions == ()
        (trouble,) = book.batch.troubles
    assert "No space left on device" in trouble.reason
    monkeypatch.undo()
    with ledger(plan([source], IN_PLACE)):
        pass
    assert source.read_bytes() == b"the result " * 50_000


def test_a_source_that_changed_meanwhile_is_not_a_partial_result(source: Path) -> None:
    half_replaced(source, 0.5)
    source.write_bytes(b"something that its user wrote")
    assert decided(source, IN_PLACE).action == ENCODE


def test_the_quality_that_a_search_found_is_found_again(source: Path) -> None:
    settings = replace(SETTINGS, target="xpsnr=40")
    begun(source, settings, quality=31)
    with ledger(plan([source], settings)) as book:
        assert book.found_quality(book.batch.decisions[0]) == 31
    other = replace(settings, target="xpsnr=41")
    with ledger(plan([source], other)) as book:
        assert book.found_quality(book.batch.decisions[0]) is None


def test_a_plan_that_has_aged_is_decided_again_under_the_lock(source: Path) -> None:
    old = plan([source], SETTINGS)
    ended(source)
    with ledger(old) as book:
        assert [one.action for one in book.batch.decisions] == [DONE_BEFORE]


def test_two_runs_of_one_folder(source: Path) -> None:
    with ledger(plan([source], SETTINGS)), pytest.raises(FolderBusy), ledger(plan([source], SETTINGS)):
        pass
    with ledger(plan([source], SETTINGS)):
        pass


def test_a_torn_journal_only_loses_its_last_line(source: Path) -> None:
    folder = ended(source).parent
    text = (folder / NAME).read_bytes()
    (folder / NAME).write_bytes(text[:-10])
    assert decided(source).action == DONE_BEFORE, "by what was begun, and what lies there"


def test_a_moved_tree_is_still_done(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    (old / "a.mkv").write_bytes(b"source")
    ended(old / "a.mkv")
    old.rename(tmp_path / "new")
    assert decided(tmp_path / "new" / "a.mkv").action == DONE_BEFORE


def test_the_digest_is_of_every_setting_that_makes_the_result() -> None:
    assert digest_of(SETTINGS) == digest_of(BatchSettings())
    for change in (
        {"codec": "hevc"},
        {"preset": "p7"},
        {"quality": 27},
        {"audio": "none"},
        {"lossless": True},
        {"target": "ssim=0.98"},
        {"gop": 30},
        {"bframes": 0},
        {"encoder": {"bit_depth": 10}},
    ):
        assert digest_of(replace(SETTINGS, **change)) != digest_of(SETTINGS)


def test_the_plan_counts(tmp_path: Path) -> None:
    for name in ("a.mkv", "b.mkv", "c.txt"):
        (tmp_path / name).write_bytes(b"x")
    batch: BatchPlan = plan([tmp_path, tmp_path / "none"], SETTINGS)
    assert (len(batch.with_action(ENCODE)), batch.ignored, len(batch.troubles)) == (2, 1, 1)


def test_a_folder_that_cannot_be_written_to_stops_no_other(tmp_path: Path) -> None:
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.mkv").write_bytes(b"source")
    (tmp_path / "x" / "compressed").write_bytes(b"a file where the folder should be")
    settings = replace(SETTINGS, recursive=True)
    with ledger(plan([tmp_path], settings)) as book:
        assert [one.source for one in book.batch.with_action(ENCODE)] == [tmp_path / "y" / "a.mkv"]
        (trouble,) = book.batch.troubles
    assert trouble.source == tmp_path / "x" / "a.mkv"
    assert "compressed" in trouble.reason


def test_more_folders_than_a_process_may_have_files_open(tmp_path: Path) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        for number in range(300):
            folder = tmp_path / str(number)
            folder.mkdir()
            (folder / "a.mkv").write_bytes(b"source")
        with ledger(plan([tmp_path], replace(SETTINGS, recursive=True))) as book:
            assert len(book.batch.with_action(ENCODE)) == 300
            assert book.batch.troubles == ()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
