"""Folders that have other paths on other machines."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as some

from pdum.nvenc import InvalidConfig
from pdum.nvenc._storage.path_mapping import (
    PathMapping,
    as_variable,
    mappings_of_this_process,
    require_one_meaning,
    to_caller,
    to_worker,
)

pytestmark = pytest.mark.one_abi

PARTS = some.lists(some.sampled_from(["a", "b", "ab", "a.b"]), min_size=1, max_size=3)
PATHS = PARTS.map(lambda parts: PurePosixPath("/", *parts))


def test_whole_names_alone_are_mapped() -> None:
    mappings = [PathMapping.of("/mnt/a=/srv/b"), PathMapping.of("/mnt/a/deep=/fast")]
    assert str(to_worker("/mnt/a/film.mp4", mappings)) == "/srv/b/film.mp4"
    assert str(to_worker("/mnt/a/deep/film.mp4", mappings)) == "/fast/film.mp4", "the longest folder decides"
    assert str(to_worker("/mnt/ab/film.mp4", mappings)) == "/mnt/ab/film.mp4"
    assert str(to_caller("/fast/film.mp4", mappings)) == "/mnt/a/deep/film.mp4"


@given(here=PATHS, there=PATHS, below=PARTS)
def test_there_and_back(here: PurePosixPath, there: PurePosixPath, below: list[str]) -> None:
    mapping = PathMapping.of(f"{here}={there}")
    path = here.joinpath(*below)
    assert to_worker(path, [mapping]) == there.joinpath(*below)
    assert to_caller(to_worker(path, [mapping]), [mapping]) == path
    assert PathMapping.of(str(mapping)) == mapping


@pytest.mark.parametrize("text", ["", "/a", "=/b", "/a=", "a=/b", "/a=b", "/a/../b=/c"])
def test_wrong_ones_are_refused(text: str) -> None:
    with pytest.raises(InvalidConfig, match="Expected"):
        PathMapping.of(text)


def test_two_meanings_are_refused() -> None:
    with pytest.raises(InvalidConfig, match="caller"):
        require_one_meaning([PathMapping.of("/a=/b"), PathMapping.of("/a=/c")])
    with pytest.raises(InvalidConfig, match="worker"):
        require_one_meaning([PathMapping.of("/a=/c"), PathMapping.of("/b=/c")])
    require_one_meaning([PathMapping.of("/a=/b"), PathMapping.of("/a=/b")])


def test_a_worker_gets_them_by_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    mappings = [PathMapping.of("/mnt/a=/srv/b"), PathMapping.of("/mnt/ü=/x y")]
    for name, value in as_variable(mappings).items():
        monkeypatch.setenv(name, value)
    assert mappings_of_this_process() == mappings
    monkeypatch.delenv("PDUM_NVENC_MAP_PATHS")
    assert mappings_of_this_process() == []
