"""The page on profiling: its picture is made from what was recorded, and its table has every range."""

from __future__ import annotations

import importlib.util
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.one_abi

IN_PYTHON, IN_CPP, IN_TABLE = (
    re.compile(r'@profiled\("(.+)"\)'),
    re.compile(r'"(pdum\.\w+)"'),
    re.compile(r"^\| `(pdum\.\S+)`", re.M),
)
ENGINE, HELPER = 1, 2


@pytest.fixture(scope="module")
def pictures(root: Path) -> ModuleType:
    found = importlib.util.spec_from_file_location("make_profile_picture", root / "docs" / "make_profile_picture.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module  # dataclasses look their module up
    found.loader.exec_module(module)
    return module


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A database as nsys exports it, with two threads; times are nanoseconds since the recording began."""
    path = tmp_path / "encode.sqlite"
    rows = [
        (ENGINE, 59, "pdum.pool.piece", None, 1_000_000_000, 1_500_000_000),
        (ENGINE, 59, None, 7, 1_100_000_000, 1_200_000_000),
        (ENGINE, 59, "pdum.encode", None, 1_200_000_000, 1_300_000_000),
        (ENGINE, 59, "another.range", None, 1_250_000_000, 1_260_000_000),
        (HELPER, 59, "pdum.join", None, 1_600_000_000, 1_700_000_000),
        (HELPER, 39, "a thread's name", None, 0, None),
    ]
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE NVTX_EVENTS (globalTid, eventType, text, textId, start, end)")
        database.execute("CREATE TABLE StringIds (id, value)")
        database.execute("CREATE TABLE ThreadNames (globalTid, nameId)")
        database.executemany("INSERT INTO NVTX_EVENTS VALUES (?, ?, ?, ?, ?, ?)", rows)
        database.execute("INSERT INTO StringIds VALUES (7, 'pdum.decode'), (8, 'pdum.nvenc GPU 0 <&>')")
        database.execute("INSERT INTO ThreadNames VALUES (1, 8)")
    return path


@pytest.mark.parametrize("name", ["profile", "profile-gpu"])
def test_pictures_are_made_from_what_is_kept(root: Path, pictures: ModuleType, name: str) -> None:
    assert pictures.draw(*pictures.kept(name)) == (root / "docs" / "images" / f"{name}.svg").read_text()


def test_work_of_the_gpu_comes_last(pictures: ModuleType, recorded: Path) -> None:
    with closing(sqlite3.connect(recorded)) as database, database:
        database.execute("CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (shortName, start, end)")
        database.execute("INSERT INTO StringIds VALUES (9, 'render')")
        database.execute("INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (9, 1050000000, 1060000000)")
    *_, last = pictures.lanes_of(recorded, 0.0, 1.0)
    assert (last.name, [(one.name, one.begin, one.end) for one in last.ranges]) == (
        "GPU: kernels",
        [("render", 50, 60)],
    )


def test_ranges_of_a_recording(pictures: ModuleType, recorded: Path) -> None:
    engine, helper = pictures.lanes_of(recorded, 0.0, 10.0)[::-1]
    assert (engine.name, helper.name) == ("GPU 0 <&>", "2")
    assert [(one.name, one.begin, one.end, one.depth) for one in engine.ranges] == [
        ("pdum.pool.piece", 0, 500, 0),
        ("pdum.decode", 100, 200, 1),
        ("pdum.encode", 200, 300, 1),
    ]
    assert [(one.name, one.begin) for one in helper.ranges] == [("pdum.join", 600)]
    assert "GPU 0 &lt;&amp;&gt;" in pictures.draw([engine, helper], 1000)


def test_a_picture_shows_a_part_of_a_recording(pictures: ModuleType, recorded: Path) -> None:
    (engine,) = pictures.lanes_of(recorded, 0.15, 0.1)
    assert [(one.name, one.begin, one.end) for one in engine.ranges] == [
        ("pdum.pool.piece", 0, 100),
        ("pdum.decode", 0, 50),
        ("pdum.encode", 50, 100),
    ]
    (later,) = pictures.lanes_of(recorded, 0.25, 0.1)
    assert [one.name for one in later.ranges] == ["pdum.pool.piece", "pdum.encode"]


def test_a_recording_without_our_ranges_is_refused(pictures: ModuleType, recorded: Path) -> None:
    with closing(sqlite3.connect(recorded)) as database, database:
        database.execute("DELETE FROM NVTX_EVENTS WHERE text != 'another.range'")
        database.execute("DELETE FROM NVTX_EVENTS WHERE text IS NULL")
    with pytest.raises(SystemExit, match=r"Expected ranges of pdum\.nvenc"):
        pictures.lanes_of(recorded, 0.0, 1.0)


def test_the_page_names_every_range(root: Path) -> None:
    python = [name for path in (root / "src" / "pdum").rglob("*.py") for name in IN_PYTHON.findall(path.read_text())]
    cpp = [
        name
        for path in (root / "src" / "cpp").rglob("*.[ch]pp")
        for line in path.read_text().splitlines()
        if "ange" in line
        for name in IN_CPP.findall(line)
    ]
    told = IN_TABLE.findall((root / "docs" / "profiling.md").read_text())
    assert sorted(told) == sorted({*python, *cpp} - {"pdum.nvenc"})
