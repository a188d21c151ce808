"""The journal can be read whatever a killed run left at its end, and two runs do not share a folder."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdum.nvenc import FolderBusy
from pdum.nvenc._batch.journal import Journal
from pdum.nvenc._batch.journal_entry import BEGUN, BIGGER, DONE, FAILED, NAME, Entry, digest

texts = st.text(st.characters(codec=None, exclude_categories=()), min_size=1, max_size=20)
identities = st.tuples(st.integers(0, 1 << 50), st.integers(0, 1 << 62))
entries = st.builds(
    Entry,
    source=texts,
    output=texts.map(lambda text: "a result " + text.replace("/", "").replace("\0", "")),
    result=st.sampled_from([BEGUN, BIGGER, DONE, FAILED]),
    settings=st.text("0123456789abcdef", min_size=16, max_size=16),
    identity=identities,
    before=st.none() | identities,
    made=st.none() | identities,
    size=st.none() | st.integers(0, 1 << 50),
    quality=st.none() | st.integers(1, 63),
    error=st.none() | texts,
)


def entry(source: str = "a.mkv", **more: Any) -> Entry:
    given = {"output": "a.mkv", "result": DONE, "settings": "0" * 16, "identity": (1, 2)}
    return Entry(source=source, **{**given, **more})


def write(folder: Path, *written: Entry) -> None:
    journal = Journal.open(folder, "outputs")
    for one in written:
        journal.record(one)
    journal.close()


@given(written=st.lists(entries, max_size=6))
def test_the_last_entry_of_each_source_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, written: list[Entry]
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    write(folder, *written)
    journal = Journal.read(folder)
    assert journal.entries == {one.source: one for one in written}
    assert journal.kind == "outputs"


@given(from_the_end=st.integers(0, 1000))
def test_a_journal_cut_anywhere_has_all_whole_lines_and_can_be_gone_on_with(
    tmp_path_factory: pytest.TempPathFactory, from_the_end: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    written = [entry(f"{number}.mkv", output=f"{number}.mkv") for number in range(4)]
    write(folder, *written)
    text = (folder / NAME).read_bytes()
    cut = max(0, len(text) - from_the_end)
    (folder / NAME).write_bytes(text[:cut])
    # A line is complete even without its line break.
    whole = {one.source: one for one, end in zip(written, _ends(text)[1:], strict=True) if cut >= end - 1}
    journal = Journal.open(folder, "outputs")
    assert journal.entries == whole
    journal.record(entry("new.mkv"))
    journal.close()
    assert Journal.read(folder).entries == {**whole, "new.mkv": entry("new.mkv")}
    assert Journal.read(folder).kind == "outputs"


def _ends(text: bytes) -> list[int]:
    return [number + 1 for number, byte in enumerate(text) if byte == ord("\n")]


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe\n",
        b"[]\n",
        b"3\n",
        b"{}\n",
        b'{"source": 3}\n',
        b'{"source": "a", "identity": [1]}\n',
        b"\0\n",
        b"[" * 200_000 + b"\n",
        b'{"a":' * 200_000 + b"\n",
    ],
)
def test_lines_that_are_none_are_passed_over(tmp_path: Path, line: bytes) -> None:
    write(tmp_path, entry())
    with open(tmp_path / NAME, "ab") as file:
        file.write(line)
    assert Journal.read(tmp_path).entries == {"a.mkv": entry()}


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "[]", '"x"'])
@pytest.mark.parametrize("name", ["identity", "before", "made", "size", "found_quality"])
def test_a_wrong_number_invalidates_only_its_line(tmp_path: Path, name: str, number: str) -> None:
    write(tmp_path, entry())
    record = json.dumps({"source": "b.mkv", "output": "b.mkv", "result": DONE, "settings": "0", "identity": [1, 2]})
    value = number if name in ("size", "found_quality") else f"[{number}, 1]"
    with open(tmp_path / NAME, "a") as file:
        file.write(f'{record[:-1]}, "{name}": {value}}}\n')
    assert Journal.read(tmp_path).entries == {"a.mkv": entry()}


def test_a_quality_that_an_earlier_version_found_is_not_one_of_the_scale(tmp_path: Path) -> None:
    """It was the codec's own number, so the search begins again."""
    write(tmp_path, entry(quality=24))
    path = tmp_path / NAME
    assert Journal.read(tmp_path).entries["a.mkv"].quality == 24
    path.write_text(path.read_text().replace('"found_quality"', '"quality"'))
    assert Journal.read(tmp_path).entries["a.mkv"].quality is None


@pytest.mark.parametrize(
    "output",
    ["../x.mkv", "../../outside/x.mkv", "a/../../x.mkv", "/x.mkv", "..", ".", "", "a\0b", NAME, f"a/../{NAME}"],
)
def test_a_result_outside_the_folder_is_refused_with_a_notice(tmp_path: Path, output: str) -> None:
    write(tmp_path, entry(), entry("b.mkv", output=output), entry("c.mkv", output="c/../below/c.mkv"))
    journal = Journal.read(tmp_path)
    assert journal.entries.keys() == {"a.mkv", "c.mkv"}
    (notice,) = journal.notices
    assert str(tmp_path) in notice
    assert "not below that folder" in notice


def test_the_journal_of_another_user_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, entry())
    assert Journal.read(tmp_path).notices == {}
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
    (notice,) = Journal.read(tmp_path).notices
    assert "belongs to another user" in notice


def test_a_second_run_on_the_folder_is_refused_until_the_first_is_over(tmp_path: Path) -> None:
    first = Journal.open(tmp_path, "outputs")
    with pytest.raises(FolderBusy, match=str(tmp_path)):
        Journal.open(tmp_path, "outputs")
    assert Journal.read(tmp_path).entries == {}
    first.close()
    Journal.open(tmp_path, "outputs").close()


def test_the_folder_is_made_and_its_kind_stays(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    Journal.open(folder, "outputs").close()
    again = Journal.open(folder, "in place")
    assert again.kind == "outputs"
    again.close()
    assert (folder / NAME).read_bytes().count(b"\n") == 1


def test_nothing_is_followed_to_another_place(tmp_path: Path) -> None:
    """A link with the journal's name could make a run append to any file of the user."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / NAME).symlink_to(victim)
    with pytest.raises(OSError, match="symbolic link"):
        Journal.open(tmp_path, "outputs")
    assert victim.read_text() == "mine"


def test_a_full_disk_leaves_no_torn_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal.open(tmp_path, "outputs")
    journal.record(entry("a.mkv"))
    before = (tmp_path / NAME).read_bytes()
    write_really = os.write

    def write_a_part(file: int, data: bytes) -> int:
        if len(data) <= 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_really(file, data[: len(data) // 2])

    monkeypatch.setattr("pdum.nvenc._batch.journal_file.os.write", write_a_part)
    with pytest.raises(OSError, match="No space"):
        journal.record(entry("b.mkv"))
    monkeypatch.undo()
    assert (tmp_path / NAME).read_bytes() == before
    journal.record(entry("c.mkv"))
    journal.close()
    assert set(Journal.read(tmp_path).entries) == {"a.mkv", "c.mkv"}


def test_sources_are_named_from_the_journals_folder(tmp_path: Path) -> None:
    """So that a whole tree can be moved."""
    folder = tmp_path / "videos" / "compressed"
    journal = Journal.open(folder, "outputs")
    assert journal.key(tmp_path / "videos" / "a.mkv") == "../a.mkv"
    journal.record(entry("../a.mkv"))
    journal.close()
    (tmp_path / "videos").rename(tmp_path / "moved")
    moved = Journal.read(tmp_path / "moved" / "compressed")
    assert moved.entry(tmp_path / "moved" / "a.mkv") == entry("../a.mkv")


def test_each_line_is_json_that_others_can_read(tmp_path: Path) -> None:
    write(tmp_path, entry("b\udcff\n.mkv", error="näh"), entry("c"))
    lines = (tmp_path / NAME).read_bytes().splitlines()
    assert len(lines) == 3
    assert all(line.isascii() and isinstance(json.loads(line), dict) for line in lines)


def test_a_digest_does_not_depend_on_the_order_of_settings() -> None:
    assert digest({"a": 1, "b": (2, 3)}) == digest({"b": [2, 3], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
