"""Copies of sources: whole or not there, whatever the storage does meanwhile."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from pdum.nvenc import Cancelled, SourceUnreadable, StorageFailed, StorageSettings
from pdum.nvenc._storage import checksums, remote_file
from pdum.nvenc._storage.address import Address
from pdum.nvenc._storage.checksums import Checksum
from pdum.nvenc._storage.fetching import Fetch
from storage.faulty import Faults

pytestmark = pytest.mark.one_abi

SOURCE = Address("faulty://videos/film.mp4")
CONTENT = bytes(range(256)) * 40
SOME_TIMES = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch, memory: Any) -> None:
    for module in (checksums, remote_file):
        monkeypatch.setattr(module, "CHUNK", 1000)
    memory.pipe_file("/videos/film.mp4", CONTENT)


def fetch(folder: Path, storage: StorageSettings, interrupted: Any = lambda: None) -> Path:
    folder.mkdir(exist_ok=True)
    one = Fetch(SOURCE, folder / "film.mp4", storage, interrupted)
    one.run(one.look())
    return folder / "film.mp4"


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@SOME_TIMES
@given(breaks=some.sets(some.integers(1, 14), max_size=6))
def test_broken_connections(
    breaks: set[int], faults: Faults, storage: StorageSettings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """None of what has come is read again."""
    folder, reads, size = tmp_path_factory.mktemp("copy"), 0, 0

    def before(call: str) -> None:
        nonlocal reads
        reads += call == "read"
        if call == "read" and reads in breaks:
            raise ConnectionResetError("the connection broke")

    def count(data: bytes) -> bytes:
        nonlocal size
        size += len(data)
        return data

    faults.before, faults.change = before, count
    if any({number, number + 1, number + 2} <= breaks for number in breaks):
        return  # nothing came three times in a row
    assert fetch(folder, storage).read_bytes() == CONTENT
    assert size == len(CONTENT)


def test_a_storage_that_never_answers(faults: Faults, storage: StorageSettings, tmp_path: Path) -> None:
    def before(call: str) -> None:
        if call == "read":
            raise TimeoutError("no answer")

    faults.before = before
    with pytest.raises(StorageFailed, match=r"faulty://videos/film\.mp4 could not be read: no answer\."):
        fetch(tmp_path / "copy", storage)
    assert faults.calls.count("read") == storage.attempts


def test_a_later_run_goes_on(faults: Faults, storage: StorageSettings, tmp_path: Path) -> None:
    count = 0

    def stop() -> None:
        nonlocal count
        count += 1
        if count == 5:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        fetch(tmp_path / "copy", storage, stop)
    assert left(tmp_path / "copy") == {"film.mp4.part", "film.mp4.json"}
    faults.calls.clear()
    assert fetch(tmp_path / "copy", storage).read_bytes() == CONTENT
    assert faults.calls.count("read") == 12 - 5
    faults.calls.clear()
    fetch(tmp_path / "copy", storage)
    assert "read" not in faults.calls, "the copy is complete"


def test_a_source_that_changed_between_runs_is_copied_anew(
    faults: Faults, memory: Any, storage: StorageSettings, tmp_path: Path
) -> None:
    fetch(tmp_path / "copy", storage)
    memory.pipe_file("/videos/film.mp4", CONTENT[::-1])
    assert fetch(tmp_path / "copy", storage).read_bytes() == CONTENT[::-1]


def test_a_source_that_changes_meanwhile(faults: Faults, memory: Any, storage: StorageSettings, tmp_path: Path) -> None:
    def before(call: str) -> None:
        if call == "read" and faults.calls.count("read") == 3:
            memory.pipe_file("/videos/film.mp4", CONTENT + b"more")
            raise ConnectionResetError

    faults.before = before
    with pytest.raises(SourceUnreadable, match="changed while it was copied"):
        fetch(tmp_path / "copy", storage)


def test_a_transfer_that_ends_too_early(faults: Faults, storage: StorageSettings, tmp_path: Path) -> None:
    faults.change = lambda data: b"" if faults.calls.count("read") % 4 == 3 else data
    assert fetch(tmp_path / "copy", storage).read_bytes() == CONTENT


@pytest.mark.parametrize("damaged", [1, 99])
def test_damage_on_the_way(
    damaged: int, faults: Faults, storage: StorageSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that tells a checksum. Damage is found, and the transfer begins again."""
    (tmp_path / "whole").write_bytes(CONTENT)
    told = checksums.checksum_of(tmp_path / "whole", "md5")
    monkeypatch.setattr(remote_file, "told_checksum", lambda _info, _protocol: told)

    def change(data: bytes) -> bytes:
        read = faults.calls.count("read")
        return b"\0" + data[1:] if data and read % 11 == 5 and read < damaged * 11 else data

    faults.change = change
    if damaged == 1:
        assert fetch(tmp_path / "copy", storage).read_bytes() == CONTENT
    else:
        with pytest.raises(SourceUnreadable, match=r"arrived damaged: its checksum is md5 \w+ instead of md5 \w+\."):
            fetch(tmp_path / "copy", storage)
        assert left(tmp_path / "copy") == set()
    assert told == Checksum("md5", told.digest)


def test_a_source_that_is_not_there(faults: Faults, memory: Any, storage: StorageSettings, tmp_path: Path) -> None:
    memory.rm_file("/videos/film.mp4")
    with pytest.raises(SourceUnreadable, match="does not exist"):
        fetch(tmp_path / "copy", storage)


def test_a_folder_is_no_source(faults: Faults, memory: Any, storage: StorageSettings, tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="is a folder"):
        Fetch(Address("faulty://videos"), tmp_path / "copy", storage, lambda: None).look()


def test_an_error_of_the_local_disk(faults: Faults, storage: StorageSettings, tmp_path: Path) -> None:
    """It is no error of the storage, and is not tried again."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            fetch(tmp_path / "copy", storage)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert faults.calls.count("open") == 1


def test_no_message_shows_a_secret(faults: Faults, storage: StorageSettings, tmp_path: Path) -> None:
    settings = StorageSettings(spool=storage.spool, options={"faulty": {"password": "hunter22"}})
    address = Address("faulty://user:pa55word@videos/film.mp4")

    def before(call: str) -> None:
        raise OSError("cannot log in as user:pa55word with hunter22 at https://host/x?X-Amz-Signature=abc")

    faults.before = before
    with pytest.raises(StorageFailed) as told:
        Fetch(address, tmp_path / "copy", settings, lambda: None).look()
    text = str(told.value)
    assert "cannot log in" in text
    assert not [secret for secret in ("pa55word", "hunter22", "Signature=abc") if secret in text]
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__
