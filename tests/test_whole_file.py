"""A file appears complete, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdum.nvenc._whole_file import whole_file

pytestmark = pytest.mark.one_abi


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_it_gets_its_name_at_the_end(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a") as part:
        part.write_text("new")
        assert names(tmp_path) == [part.name]
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "new"


def fail_to_write(path: Path, is_begun: bool) -> None:
    with whole_file(path) as part:
        if is_begun:
            part.write_text("half")
        raise ZeroDivisionError


@pytest.mark.parametrize("is_begun", [True, False])
def test_what_goes_wrong_leaves_the_old_file(tmp_path: Path, is_begun: bool) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(ZeroDivisionError):
        fail_to_write(tmp_path / "a", is_begun)
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"
