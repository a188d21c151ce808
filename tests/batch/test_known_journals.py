"""Journals that stay in memory are what the files say, and cost what has been written since the last look."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdum.nvenc._batch import compaction, journal_entry
from pdum.nvenc._batch import journal as journal_module
from pdum.nvenc._batch.decisions import ENCODE
from pdum.nvenc._batch.journal import Journal
from pdum.nvenc._batch.journal_entry import DONE, NAME, Entry
from pdum.nvenc._batch.known_journals import KnownJournals
from pdum.nvenc._batch.ledger import Ledger
from pdum.nvenc._batch.settings import BatchSettings
from pdum.nvenc._batch.stable_files import StabilityCheck
from pdum.nvenc._cli import watch
from pdum.nvenc._cli.interruption import Interruption
from pdum.nvenc._cli.output import OutputOptions

pytestmark = pytest.mark.one_abi

MANY = 300


def entry(source: str, **more: Any) -> Entry:
    return Entry(source=source, output=source, result=DONE, settings="0", identity=(1, 2), **more)


def write(folder: Path, *sources: str, **more: Any) -> None:
    journal = Journal.open(folder, "outputs")
    for source in sources:
        journal.record(entry(source, **more))
    journal.close()


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every line that is parsed."""
    found: list[bytes] = []
    parse: Callable[[bytes], Any] = journal_entry.parse_line

    def counting(line: bytes) -> Any:
        found.append(line)
        return parse(line)

    monkeypatch.setattr(journal_module, "parse_line", counting)
    return found


def test_a_new_line_costs_one_line(tmp_path: Path, parsed: list[bytes]) -> None:
    write(tmp_path, *map(str, range(MANY)))
    known = KnownJournals()
    known.of(tmp_path)
    parsed.clear()
    for number in range(5):
        with (tmp_path / NAME).open("ab") as file:
            file.write(b'{"note": %d}\n' % number)
        known.refresh()
        known.of(tmp_path)
    assert len(parsed) == 5


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["append", "append to", "tear", "cut", "compact", "replace", "remove", "rewrite", "look"]),
        st.sampled_from("abcd"),
        st.integers(0, 3),
    ),
    max_size=25,
)


def act(folder: Path, journal: Journal, action: str, name: str, number: int) -> None:
    path = folder / NAME
    if action == "append":
        write(folder, name, size=number)
    elif action == "append to":
        journal.acquire("outputs")
        journal.record(entry(name, size=number))
        journal.close()
    elif action == "remove":
        path.unlink(missing_ok=True)
    elif path.exists():
        text = path.read_bytes()
        new = {
            "tear": text + b'{"source": "torn',
            "cut": text[: len(text) - 30 * number],
            "rewrite": text.replace(b"size", b"Size"),
        }
        if action in new:
            path.write_bytes(new[action])
        elif action == "compact":
            (folder / "new").write_bytes(compaction.compacted(text))
            (folder / "new").replace(path)
        elif action == "replace":
            (folder / "new").write_bytes(text)
            (folder / "new").replace(path)


def require_same(known: Journal, read: Journal) -> None:
    assert (known.entries, known.kind, known.torn, known.notices) == (read.entries, read.kind, read.torn, read.notices)
    assert {one: known.maker_of(one) for one in "abcd"} == {one: read.maker_of(one) for one in "abcd"}


@given(actions=ACTIONS)
def test_what_is_known_is_what_the_file_says(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    known = KnownJournals()
    for action, name, number in [*actions, ("look", "", 0)]:
        if action == "look":
            known.refresh()
            require_same(known.of(folder), Journal.read(folder))
        elif action != "rewrite":  # in the same file, at the same length: no run does that to a journal
            act(folder, known.of(folder), action, name, number)


def test_a_file_that_was_cut_and_written_to_is_read_anew(tmp_path: Path) -> None:
    """It is as long as before, so that its size tells nothing."""
    write(tmp_path, "a", "b")
    known = KnownJournals()
    known.of(tmp_path)
    text = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(text.replace(b'"b"', b'"c"') + text.splitlines(keepends=True)[1])
    known.refresh()
    assert known.of(tmp_path).entries.keys() == {"a", "c"}


class AskedByName(dict[str, Entry]):
    """Tells of single entries only, so that the number of all makes no difference."""

    def __iter__(self) -> Any:
        raise AssertionError("all entries are gone through")

    items = keys = values = __iter__


def test_one_more_file_in_a_watched_folder_costs_one_more_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parsed: list[bytes]
) -> None:
    """However many have been encoded before: the journal is not read again, nor gone through."""
    folder = tmp_path / "compressed"
    for number in range(MANY):
        (tmp_path / f"{number}.mkv").write_bytes(b"x")

    def encode(book: Ledger, _options: Any, _interruption: Any) -> int:
        for one in book.batch.with_action(ENCODE):
            book.begin(one)
            one.placement.destination.write_bytes(b"y")
            book.end(one, 1, kept=True)
        return 0

    monkeypatch.setattr(watch, "run_batch", encode)
    settings = BatchSettings(destination="compressed")
    watcher = watch.Watcher(tmp_path, settings, OutputOptions(json=True), StabilityCheck(seconds=0))
    quiet = Interruption(lambda _text: None)
    assert watcher.look(quiet) == MANY
    assert watcher.look(quiet) == 0
    assert len(Journal.read(folder).entries) == MANY
    watcher.journals.of(folder).entries = AskedByName(watcher.journals.of(folder).entries)
    parsed.clear()
    for number in range(3):
        (tmp_path / f"new {number}.mkv").write_bytes(b"x")
        watcher.look(quiet)
        watcher.look(quiet)
    assert len(parsed) == 0, "what this process writes itself is known"
    assert len(Journal.read(folder).entries) == MANY + 3
