"""Storages for the tests: fsspec's own file system in memory, and one that breaks on demand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pdum.nvenc import StorageSettings
from pdum.nvenc._storage import fetching, publishing
from storage.faulty import Faults, faulty_file_system

from loud import need_module


@pytest.fixture
def memory() -> Iterator[Any]:
    """An empty file system in memory."""
    system = need_module("fsspec").filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


@pytest.fixture
def faults(memory: Any, monkeypatch: pytest.MonkeyPatch) -> Faults:
    """What goes wrong at ``faulty://``."""
    found = Faults()
    need_module("fsspec").register_implementation("faulty", faulty_file_system(found), clobber=True)
    monkeypatch.setattr(publishing, "FILE_SYSTEMS", (*publishing.FILE_SYSTEMS, "faulty"))
    return found


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StorageSettings:
    """Without long pauses."""
    monkeypatch.setattr(fetching, "FIRST_PAUSE", 0.001)
    return StorageSettings(spool=tmp_path / "spool", reserve=0, attempts=3)
