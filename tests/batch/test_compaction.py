"""Compaction of the journal: it gets short again, loses nothing that counts, and is valid at any instant."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import compaction_runner
from pdum.nvenc import FolderBusy
from pdum.nvenc._batch import compaction
from pdum.nvenc._batch.journal import Journal
from pdum.nvenc._batch.journal_entry import BEGUN, BIGGER, DONE, FAILED, NAME, Entry
from pdum.nvenc._batch.journal_file import NEW, JournalFile

pytestmark = pytest.mark.one_abi

SOURCES = 10
RUNS = compaction.FEW_LINES // SOURCES * 2
HEADER = {"journal": 1, "kind": "outputs"}


def line(source: str = "a.mkv", **more: Any) -> bytes:
    record = {"source": source, "output": source, "result": DONE, "settings": "0" * 16, "identity": [1, 2]}
    return json.dumps({**record, **more}).encode() + b"\n"


def header(**more: Any) -> bytes:
    return json.dumps({**HEADER, **more}).encode() + b"\n"


def write_long(folder: Path, *more: bytes) -> Path:
    """A journal as many runs leave it, with further lines at its end."""
    path = folder / NAME
    lines = [line(f"{source}.mkv", size=run) for run in range(RUNS) for source in range(SOURCES)]
    path.write_bytes(b"".join([header(), *lines, *more]))
    return path


def reopened(folder: Path) -> None:
    Journal.open(folder, "outputs").close()


def state_of(folder: Path) -> tuple[Any, ...]:
    journal = Journal.read(folder)
    return list(journal.entries.items()), journal.kind, list(journal.notices)


def test_a_journal_of_many_runs_gets_short_again(tmp_path: Path) -> None:
    path = write_long(tmp_path)
    before = state_of(tmp_path)
    reopened(tmp_path)
    assert len(path.read_bytes().splitlines()) == SOURCES + 1
    assert state_of(tmp_path) == before
    assert [one.name for one in tmp_path.iterdir()] == [NAME]


def test_it_never_gets_much_longer_than_what_it_knows(tmp_path: Path) -> None:
    for _ in range(5):
        for run in range(0, RUNS, 50):
            journal = Journal.open(tmp_path, "outputs")
            for source in range(SOURCES):
                journal.record(Entry(source=str(source), output=str(source), result=DONE, settings="0",
                                     identity=(run, 0)))  # fmt: skip
            journal.close()
    reopened(tmp_path)
    assert len((tmp_path / NAME).read_bytes().splitlines()) <= compaction.FEW_LINES + SOURCES * 2


@pytest.mark.parametrize("count", [compaction.FEW_LINES - 1, compaction.FEW_LINES * 3])
def test_a_journal_that_is_short_or_mostly_needed_stays_as_it_is(tmp_path: Path, count: int) -> None:
    """The first has outdated lines alone, the second has none but a few."""
    is_long = count > compaction.FEW_LINES
    lines = [line(f"{number if is_long else 0}.mkv") for number in range(count - 1)] + [line("0.mkv")]
    (tmp_path / NAME).write_bytes(header() + b"".join(lines[: count - 1]))
    before = (tmp_path / NAME).read_bytes(), (tmp_path / NAME).stat().st_ino
    reopened(tmp_path)
    assert ((tmp_path / NAME).read_bytes(), (tmp_path / NAME).stat().st_ino) == before


UNKNOWN = [b'{"note": "of a later version", "source": "0.mkv"}', b'{"source": "x", "identity": [1]}', b"{}"]


def test_what_this_version_does_not_know_is_kept(tmp_path: Path) -> None:
    """Fields of known lines, and whole lines, byte for byte."""
    future = line("0.mkv", result=BEGUN, made=[7, 8], colour="green")
    path = write_long(tmp_path, *(one + b"\n" for one in UNKNOWN), future)
    reopened(tmp_path)
    lines = path.read_bytes().splitlines()
    assert [one for one in lines if one in UNKNOWN] == UNKNOWN
    assert future.rstrip() in lines
    assert len(lines) == 1 + SOURCES + len(UNKNOWN)


def test_a_job_under_way_keeps_what_is_known_of_it(tmp_path: Path) -> None:
    """The next run recognises its own files by the old result and by the announced one."""
    write_long(tmp_path, line("0.mkv", result=BEGUN, before=[5, 6], made=[7, 8], found_quality=30))
    reopened(tmp_path)
    assert Journal.read(tmp_path).entries["0.mkv"] == Entry(
        source="0.mkv", output="0.mkv", result=BEGUN, settings="0" * 16, identity=(1, 2), before=(5, 6), made=(7, 8),
        quality=30,
    )  # fmt: skip


def test_a_torn_line_spoils_nothing(tmp_path: Path) -> None:
    path = write_long(tmp_path, line("0.mkv", size=99), line("torn.mkv")[:-20])
    journal = Journal.open(tmp_path, "outputs")
    journal.record(Entry(source="new", output="new", result=DONE, settings="0", identity=(1, 2)))
    journal.close()
    assert len(path.read_bytes().splitlines()) == SOURCES + 2
    found = Journal.read(tmp_path).entries
    assert found["0.mkv"].size == 99
    assert found.keys() == {*(f"{number}.mkv" for number in range(SOURCES)), "new"}


def test_a_journal_of_a_later_version_stays_as_it_is(tmp_path: Path) -> None:
    path = write_long(tmp_path, header(journal=2))
    before = path.read_bytes()
    reopened(tmp_path)
    assert path.read_bytes() == before


names = st.sampled_from(["a", "b", "../c", "d e\udcff"])
results = st.sampled_from([BEGUN, BIGGER, DONE, FAILED])
known_lines = st.builds(lambda source, output, result, size: line(source, output=output, result=result, size=size),
                        names, st.sampled_from(["x", "y", "../outside"]), results, st.integers(0, 9))  # fmt: skip
lines = st.lists(
    known_lines | st.sampled_from([*(one + b"\n" for one in UNKNOWN), b"[]\n", b"no json\n", b"\n", b"\xff\n",
                                   header(kind="in place"), header()]),
    max_size=12,
)  # fmt: skip


@given(written=lines, cut=st.integers(0, 30))
def test_what_is_read_is_the_same_before_and_after(written: list[bytes], cut: int) -> None:
    text = b"".join(written)
    text = text[: len(text) - cut]
    short = compaction.compacted(text)
    before, after = Journal(folder=Path("/x")), Journal(folder=Path("/x"))
    before.take(text)
    after.take(short)
    assert list(after.entries.items()) == list(before.entries.items())
    assert (after.kind, list(after.notices)) == (before.kind, list(before.notices))
    assert compaction.compacted(short) == short
    assert short.endswith(b"\n") or not short


# ---- at any instant --------------------------------------------------------------------------------------------------


def test_a_kill_at_any_instant_leaves_a_valid_journal(tmp_path: Path) -> None:
    """In processes of their own, which are small: forking this one hundreds of times would cost half a minute."""
    text = b"".join([header(), *(line("a.mkv", size=size) for size in range(5)), line("b.mkv"), line("c.mkv")[:-9]])
    (tmp_path / NAME).write_bytes(text)
    wanted = compaction_runner.told_by(tmp_path)
    command = [sys.executable, compaction_runner.__file__, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) > 40, "the steps of compaction were stopped at"
    assert set(told) == {wanted}
    assert compaction_runner.told_by(tmp_path) == wanted
    assert [one.name for one in tmp_path.iterdir()] == [NAME], "what a killed run left is gone"
    assert len((tmp_path / NAME).read_bytes().splitlines()) == 3


@pytest.mark.parametrize("name", ["open", "write", "fsync", "replace", "fchown", "fchmod", "unlink"])
def test_a_compaction_that_fails_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The journal stays long, and the run goes on with it."""
    path = write_long(tmp_path)
    (tmp_path / NEW).write_text("what a killed run left")
    before, real, failed = state_of(tmp_path), getattr(os, name), []

    def failing(*arguments: Any, **more: Any) -> Any:
        if name != "open" or str(arguments[0]).endswith(NEW):
            failed.append(name)
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(f"pdum.nvenc._batch.journal_file.os.{name}", failing)
        journal = Journal.open(tmp_path, "outputs")
    assert failed
    assert state_of(tmp_path) == before
    assert len(path.read_bytes().splitlines()) == RUNS * SOURCES + 1
    journal.record(Entry(source="new", output="new", result=DONE, settings="0", identity=(1, 2)))
    journal.close()
    assert "new" in Journal.read(tmp_path).entries
    reopened(tmp_path)
    assert len(path.read_bytes().splitlines()) == SOURCES + 2


def test_a_full_disk_half_way_through_leaves_the_old_journal_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_long(tmp_path)
    before, real = state_of(tmp_path), os.write

    def write_a_part(file: int, data: bytes) -> int:
        if len(data) <= 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr("pdum.nvenc._batch.journal_file.os.write", write_a_part)
        reopened(tmp_path)
    assert state_of(tmp_path) == before
    assert [one.name for one in tmp_path.iterdir()] == [NAME]


# ---- the lock --------------------------------------------------------------------------------------------------------


def test_the_new_file_is_locked_before_it_has_the_name(tmp_path: Path) -> None:
    write_long(tmp_path)
    journal = Journal.open(tmp_path, "outputs")
    assert len((tmp_path / NAME).read_bytes().splitlines()) == SOURCES + 1
    with pytest.raises(FolderBusy):
        Journal.open(tmp_path, "outputs")
    journal.close()


def test_a_run_that_waited_with_the_old_file_takes_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has opened the journal that another run replaces before it can lock it."""
    write_long(tmp_path)
    real, is_first = fcntl.flock, [True]

    def after_another_run(file: int, how: int) -> None:
        if is_first:
            is_first.clear()
            reopened(tmp_path)
        real(file, how)

    monkeypatch.setattr("pdum.nvenc._batch.journal_file.fcntl.flock", after_another_run)
    journal = Journal.open(tmp_path, "outputs")
    journal.record(Entry(source="new", output="new", result=DONE, settings="0", identity=(1, 2)))
    with pytest.raises(FolderBusy):
        Journal.open(tmp_path, "outputs")
    journal.close()
    assert "new" in Journal.read(tmp_path).entries


def test_without_locks_nothing_is_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run may append to the journal while it is copied."""
    path = write_long(tmp_path)
    before, asked = path.read_bytes(), []

    def no_locks(_file: int, how: int) -> None:
        asked.append(how)
        if len(asked) == 1:
            raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("pdum.nvenc._batch.journal_file.fcntl.flock", no_locks)
    reopened(tmp_path)
    assert path.read_bytes() == before


def test_permissions_stay(tmp_path: Path) -> None:
    path = write_long(tmp_path)
    path.chmod(0o640)
    reopened(tmp_path)
    assert len(path.read_bytes().splitlines()) == SOURCES + 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_nothing_is_followed_to_another_place(tmp_path: Path) -> None:
    write_long(tmp_path)
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / NEW).symlink_to(victim)
    reopened(tmp_path)
    assert victim.read_text() == "mine"
    assert not (tmp_path / NAME).is_symlink()


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    file = JournalFile.open(tmp_path)
    file.close()
    file.close()
