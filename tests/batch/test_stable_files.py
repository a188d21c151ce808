"""When a new file in a watched folder counts as stable."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pdum.nvenc._batch.stable_files import OLD, StabilityCheck, written_files


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.mkv"
    path.write_bytes(b"begun")
    return path


def inode_of(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def test_it_has_to_stay_as_it_is(file: Path) -> None:
    stability = StabilityCheck(seconds=10)
    born = file.stat().st_ctime
    assert not stability.stable([file], 0, born)
    assert not stability.stable([file], 9, born + 9)
    file.write_bytes(b"begun and grown")
    assert not stability.stable([file], 10, born + 10)
    assert not stability.stable([file], 19, born + 19)
    assert stability.stable([file], 20, born + 20)


def test_an_old_one_is_stable_at_once(file: Path) -> None:
    born = file.stat().st_ctime
    assert not StabilityCheck(seconds=1).stable([file], 0, born + OLD - 1)
    assert StabilityCheck(seconds=1).stable([file], 0, born + OLD + 1)
    assert not StabilityCheck(seconds=100).stable([file], 0, born + OLD + 1)


def test_a_file_that_disappears_and_returns_starts_again(file: Path) -> None:
    stability = StabilityCheck(seconds=10)
    born = file.stat().st_ctime
    stability.stable([file], 0, born)
    file.unlink()
    assert not stability.stable([file], 20, born + 20)
    file.write_bytes(b"begun")
    assert not stability.stable([file], 21, born + 21)


def test_one_that_is_open_for_writing_is_not_stable(file: Path) -> None:
    """A paused recording may not grow for any length of time."""
    born = file.stat().st_ctime
    assert not written_files({inode_of(file)})
    with open(file, "rb"):
        assert not written_files({inode_of(file)}), "reading is no writing"
    script = "import sys; f = open(sys.argv[1], 'ab'); print('open', flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        assert written_files({inode_of(file)})
        assert not StabilityCheck(seconds=0).stable([file], 0, born + 1000)
    assert StabilityCheck(seconds=0).stable([file], 0, born + 1000)
