"""Finding videos: sources, results, loops, and names of every kind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pdum.nvenc._batch.batch import plan
from pdum.nvenc._batch.journal import Journal
from pdum.nvenc._batch.scan import VIDEO_SUFFIXES, Found, Scan
from pdum.nvenc._batch.settings import BatchSettings, checked

HOSTILE = (
    "-rf.mkv",
    "--.mp4",
    "new\nline.mkv",
    "tab\there.mkv",
    "quote'\".mkv",
    "$(reboot).mkv",
    "`id`.mkv",
    "back\\slash.mkv",
    "%d%s.mkv",
    "{x}[y].mkv",
    "[!a]*?.mkv",
    "file:a.mkv",
    "concat:a|b.mkv",
    "pipe:0.mkv",
    "http:.mkv",
    " lead and trail .mkv",
    "🎬👩‍👩‍👧.mkv",
    "é.mkv",
    "e\u0301.mkv",
    "\u202egpj.mkv",
    "\x1b[31mred.mkv",
    "\x07bell.mkv",
    "caf\udce9.mkv",
    "#comment;rm.mkv",
    "~.mkv",
    "CON.mkv",
    "a.mkv.mkv",
    "..mkv.mkv",
    "x" * 251 + ".mkv",
    "ü" * 125 + ".mkv",
)


def touched(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def scanned(*paths: Path, **more: object) -> Found:
    return Scan(**more).run(list(paths))  # type: ignore[arg-type]


def found(*paths: Path, **more: object) -> list[Path]:
    return [source.path for source in scanned(*paths, **more).sources]


def batch_settings(**values: object) -> BatchSettings:
    return BatchSettings(**{name: checked(name, value) for name, value in values.items()})


def test_folders_by_suffix_files_as_they_are(tmp_path: Path) -> None:
    videos = [touched(tmp_path / name) for name in ("a.MKV", "b.mp4", "c.webm")]
    others = [touched(tmp_path / name) for name in ("a.srt", "b.txt", "noextension")]
    below = touched(tmp_path / "below" / "d.mkv")
    assert found(tmp_path) == videos
    assert scanned(tmp_path).ignored == len(others)
    assert found(tmp_path, recursive=True) == sorted([*videos, below])
    assert found(*others) == others
    assert found(others[0], tmp_path, videos[0], tmp_path) == [others[0], *videos]


def test_hidden_names_are_for_those_who_name_them(tmp_path: Path) -> None:
    hidden = touched(tmp_path / ".a.mkv")
    touched(tmp_path / ".trash" / "b.mkv")
    assert found(tmp_path, recursive=True) == []
    assert found(hidden) == [hidden]


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({"include": ["*.mkv"]}, ["a.mkv", "sub/c.mkv"]),
        ({"exclude": ["b*"]}, ["a.mkv", "sub/c.mkv", "sub/d.mp4"]),
        ({"include": ["sub/*"]}, ["sub/c.mkv", "sub/d.mp4"]),
        ({"exclude": ["sub"]}, ["a.mkv", "b.mp4"]),
        ({"include": ["*.mkv", "*.mp4"], "exclude": ["sub/c*"]}, ["a.mkv", "b.mp4", "sub/d.mp4"]),
    ],
)
def test_patterns(tmp_path: Path, more: dict[str, object], names: list[str]) -> None:
    for name in ("a.mkv", "b.mp4", "sub/c.mkv", "sub/d.mp4"):
        touched(tmp_path / name)
    assert found(tmp_path, recursive=True, **more) == [tmp_path / name for name in names]


def test_loops_of_links_end(tmp_path: Path) -> None:
    video = touched(tmp_path / "a" / "b" / "v.mkv")
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "self").symlink_to(".")
    (tmp_path / "loop.mkv").symlink_to("loop.mkv")
    (tmp_path / "dead.mkv").symlink_to("gone.mkv")
    result = scanned(tmp_path, recursive=True)
    assert [source.path for source in result.sources] == [video]
    reasons = {trouble.source.name: trouble.reason for trouble in result.troubles}
    assert "gone.mkv" in reasons["dead.mkv"]
    assert "symbolic links" in reasons["loop.mkv"]


def test_things_that_are_not_files_or_cannot_be_read_are_reported(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mkv")
    closed = touched(tmp_path / "closed" / "a.mkv").parent
    good = touched(tmp_path / "z.mkv")
    closed.chmod(0)
    try:
        result = scanned(tmp_path, tmp_path / "missing.mkv", tmp_path / ("x" * 300), recursive=True)
    finally:
        closed.chmod(0o755)
    names = [source.path for source in result.sources]
    assert good in names
    reasons = {trouble.source.name: trouble.reason for trouble in result.troubles}
    assert reasons["pipe.mkv"] == "Not a regular file."
    assert reasons["missing.mkv"] == "The file does not exist."
    assert "too long" in reasons["x" * 300]
    if os.geteuid():
        assert "No permission" in reasons["closed"]


def test_hostile_names_are_found_as_they_are(tmp_path: Path) -> None:
    made = {touched(tmp_path / name) for name in HOSTILE}
    assert set(found(tmp_path)) == made - {tmp_path / "..mkv.mkv"}
    for path in made:
        assert found(path) == [path]


def test_relative_paths_are_made_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = touched(tmp_path / "-a.mkv")
    monkeypatch.chdir(tmp_path)
    assert found(Path("-a.mkv"), Path(), Path("../") / tmp_path.name) == [video]


def test_every_suffix_is_lower_case_with_its_dot() -> None:
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in VIDEO_SUFFIXES)


# ---- names of results ----------------------------------------------------------------------------------------------


def results(batch_of: list[Path], **values: object) -> dict[str, Path]:
    batch = plan(batch_of, batch_settings(**values))
    return {decision.source.name: decision.placement.destination for decision in batch.decisions}


def test_containers(tmp_path: Path) -> None:
    for name in ("a.mkv", "b.MP4", "c.mov", "d.avi", "e.m4v", "f.webm"):
        touched(tmp_path / name)
    out = tmp_path / "compressed"
    assert results([tmp_path]) == {
        "a.mkv": out / "a.mkv",
        "b.MP4": out / "b.MP4",
        "c.mov": out / "c.mkv",
        "d.avi": out / "d.mkv",
        "e.m4v": out / "e.mkv",
        "f.webm": out / "f.mkv",
    }
    assert results([tmp_path], codec="hevc")["c.mov"] == out / "c.mov"
    assert set(results([tmp_path], container="mp4").values()) == {out / f"{one}.mp4" for one in "acdef"} | {
        out / "b.MP4"
    }


def test_a_tree_is_mirrored(tmp_path: Path) -> None:
    touched(tmp_path / "in" / "x" / "a.mkv")
    touched(tmp_path / "in" / "y" / "a.mkv")
    out = tmp_path / "out"
    given = {"recursive": True, "destination": str(out)}
    batch = plan([tmp_path / "in"], batch_settings(**given))
    assert [one.placement.destination for one in batch.decisions] == [out / "x" / "a.mkv", out / "y" / "a.mkv"]
    assert batch.folders == [out]
    beside = plan([tmp_path / "in"], batch_settings(recursive=True))
    assert [one.placement.destination for one in beside.decisions] == [
        tmp_path / "in" / folder / "compressed" / "a.mkv" for folder in "xy"
    ]


def test_two_sources_of_one_name_have_separate_results_and_a_notice(tmp_path: Path) -> None:
    for name in ("a.avi", "a.mkv", "a.wmv"):
        touched(tmp_path / name)
    out = tmp_path / "compressed"
    assert results([tmp_path]) == {"a.avi": out / "a.avi.mkv", "a.mkv": out / "a.mkv", "a.wmv": out / "a.wmv.mkv"}
    notices = plan([tmp_path], batch_settings()).notices
    assert len(notices) == 2
    assert all("because another file has the name" in notice for notice in notices)


def test_folders_that_meet_in_one_output(tmp_path: Path) -> None:
    first, second = touched(tmp_path / "x" / "a.mkv"), touched(tmp_path / "y" / "a.mkv")
    out = tmp_path / "out"
    batch = plan([first, second], batch_settings(destination=str(out)))
    assert [one.placement.destination for one in batch.decisions] == [out / "a.mkv", out / "a (y).mkv"]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=40, deadline=None
)
@given(data=st.data())
def test_names_are_distinct_and_do_not_depend_on_who_else_is_there(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A result keeps the name that the journal has, whatever files appear or disappear."""
    root = tmp_path_factory.mktemp("names")
    names = data.draw(
        st.lists(
            st.builds(
                lambda stem, suffix: stem + suffix,
                st.sampled_from(["a", "b", "a.avi", "a (x)"]),
                st.sampled_from([".avi", ".mkv", ".wmv", ".mp4", ".ts"]),
            ),
            unique=True,
            min_size=1,
            max_size=8,
        )
    )
    first = data.draw(st.integers(1, len(names)))
    for name in names[:first]:
        touched(root / name)
    before = results([root])
    assert len(set(before.values())) == len(before) == first
    journal = Journal.open(root / "compressed", "outputs")
    for name, destination in before.items():
        _record(journal, root / name, destination)
    journal.close()
    for name in names[first:]:
        touched(root / name)
    after = results([root])
    assert len(set(after.values())) == len(after) == len(names)
    assert {name: after[name] for name in before} == before
    # Those that are left out of a run keep their names too.
    alone = results([root / names[-1]])
    assert set(alone.values()) & {after[name] for name in before if name != names[-1]} == set()


def _record(journal: Journal, source: Path, destination: Path) -> None:
    from pdum.nvenc._batch.journal_entry import DONE, Entry

    output = destination.relative_to(journal.folder).as_posix()
    entry = Entry(source=journal.key(source), output=output, result=DONE, settings="", identity=(1, 1))
    journal.record(entry)


@pytest.mark.parametrize("name", ["x" * 252 + ".ts", "ü" * 126 + ".ts", "🎬" * 63 + ".ts", "caf\udce9" * 50 + ".ts"])
def test_names_stay_short_enough_for_the_file_system(tmp_path: Path, name: str) -> None:
    touched(tmp_path / name)
    (destination,) = results([tmp_path]).values()
    assert len(os.fsencode(destination.name)) <= 255
    assert destination.suffix == ".mkv"
    touched(destination)


def test_a_source_is_never_its_own_result(tmp_path: Path) -> None:
    touched(tmp_path / "a.mkv")
    touched(tmp_path / "a.avi")
    batch = plan([tmp_path], batch_settings(destination=str(tmp_path)))
    assert [(one.source.name, one.placement.destination.name) for one in batch.decisions] == [("a.avi", "a.avi.mkv")]
    assert [(one.source.name, "overwrite its own source" in one.reason) for one in batch.troubles] == [("a.mkv", True)]


# ---- results among the sources ---------------------------------------------------------------------------------------


def test_results_are_not_sources(tmp_path: Path) -> None:
    video = touched(tmp_path / "a.mkv")
    touched(tmp_path / "compressed" / "a.mkv")
    touched(tmp_path / "out" / "b.mkv")
    assert found_by_plan(tmp_path, recursive=True) == [video, tmp_path / "out" / "b.mkv"]
    assert found_by_plan(tmp_path, recursive=True, destination=str(tmp_path / "out")) == [
        video,
        tmp_path / "compressed" / "a.mkv",
    ]
    # A folder that an earlier run wrote into is known by its journal, whatever its name is.
    Journal.open(tmp_path / "out", "outputs").close()
    assert found_by_plan(tmp_path, recursive=True) == [video]
    assert found_by_plan(tmp_path / "out") == [tmp_path / "out" / "b.mkv"]


def found_by_plan(*paths: Path, **values: object) -> list[Path]:
    return [one.source for one in plan(list(paths), batch_settings(**values)).decisions]


def test_results_in_the_sources_own_folder_are_known_by_the_journal(tmp_path: Path) -> None:
    source = touched(tmp_path / "a.avi")
    result = touched(tmp_path / "a.mkv")
    journal = Journal.open(tmp_path, "outputs")
    _record(journal, source, result)
    journal.close()
    assert found_by_plan(tmp_path, destination=str(tmp_path), overwrite=True) == [source]


def test_in_place_each_file_once_and_only_what_a_result_can_be(tmp_path: Path) -> None:
    first = touched(tmp_path / "a.mkv")
    os.link(first, tmp_path / "b.mkv")
    touched(tmp_path / "c.avi")
    batch = plan([tmp_path], batch_settings(in_place=True))
    assert [(one.source, one.placement.destination) for one in batch.decisions] == [(first, first)]
    assert "same file" in batch.notices[0]
    assert [trouble.source.name for trouble in batch.troubles] == ["c.avi"]
