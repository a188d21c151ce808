"""Which results the sources at a storage get."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pdum.nvenc import StorageSettings
from pdum.nvenc._batch.settings import BatchSettings
from pdum.nvenc._batch.stored_batch import plan_stored
from pdum.nvenc._storage.address import Address

from loud import need_module

pytestmark = pytest.mark.one_abi


@pytest.fixture
def memory() -> Iterator[Any]:
    system = need_module("fsspec").filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def test_no_key_of_a_storage_leads_out_of_the_folder(memory: Any, tmp_path: Path) -> None:
    """An object store takes any key, and others may have written to it."""
    keys = ["in/a.mkv", "in//etc/b.mkv", "in/sub//c.mkv", "in/../../d.mkv", "in/sub/../../../e.mkv"]
    for key in keys:
        memory.pipe_file("/x", b"1")
        memory.store[f"/{key}"] = memory.store.pop("/x")
    settings = BatchSettings(destination=str(tmp_path / "out"), recursive=True)
    found = {}
    for one in plan_stored(["memory://in"], settings, StorageSettings()).decisions:
        assert isinstance(one.source.place, Address)
        found[one.source.place.text] = Path(str(one.destination))
    assert found == {
        "memory://in/a.mkv": tmp_path / "out" / "a.mkv",
        "memory://in//etc/b.mkv": tmp_path / "out" / "etc" / "b.mkv",
        "memory://in/sub//c.mkv": tmp_path / "out" / "sub" / "c.mkv",
    }
