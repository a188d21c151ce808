"""One copy for several processes of a machine. Two objects stand for two processes: each has its own lock."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from pdum.nvenc import Cancelled, SourceUnreadable, StorageSettings
from pdum.nvenc._storage.address import Address
from pdum.nvenc._storage.remote_file import look_at
from pdum.nvenc._storage.shared_copy import SharedCopy
from pdum.nvenc._storage.spool_folder import remove_forgotten
from storage.faulty import Faults

pytestmark = pytest.mark.one_abi

SOURCE = Address("faulty://videos/film.mp4")
TIME = 1_700_000_000_123_456_789


@pytest.fixture(autouse=True)
def _film(memory: Any) -> None:
    memory.pipe_file("/videos/film.mp4", b"a film")


def copy(storage: StorageSettings) -> SharedCopy:
    return SharedCopy(SOURCE, look_at(SOURCE, storage), TIME, storage)


def test_it_goes_with_the_last(faults: Faults, storage: StorageSettings) -> None:
    first, second = copy(storage), copy(storage)
    assert first.take() == second.take()
    assert faults.calls.count("read") == 2, "one transfer, and its end"
    assert (first.path.read_bytes(), first.path.stat().st_mtime_ns) == (b"a film", TIME)
    first.release()
    assert second.path.exists()
    second.release()
    assert list(storage.folder.iterdir()) == []
    second.release()


def test_a_source_may_have_the_name_of_a_lock(memory: Any, storage: StorageSettings) -> None:
    memory.pipe_file("/videos/lock", b"a film")
    address = Address("faulty://videos/lock")
    found = SharedCopy(address, look_at(address, storage), TIME, storage)
    assert found.take().read_bytes() == b"a film"
    found.release()
    assert list(storage.folder.iterdir()) == []


def test_the_others_wait_for_the_one_that_copies(faults: Faults, storage: StorageSettings) -> None:
    one, others = copy(storage), [copy(storage) for _ in range(3)]
    is_reading, goes_on = threading.Event(), threading.Event()

    def before(call: str) -> None:
        if call == "read":
            is_reading.set()
            assert goes_on.wait(30)

    faults.before = before
    threads = [threading.Thread(target=each.take) for each in (one, *others)]
    threads[0].start()
    assert is_reading.wait(30)
    for thread in threads[1:]:
        thread.start()
    goes_on.set()
    for thread in threads:
        thread.join(30)
    assert faults.calls.count("read") == 2
    for each in (one, *others):
        assert each.path.read_bytes() == b"a film"
        each.release()
    assert not one.path.parent.exists()


def test_whoever_waits_can_be_interrupted(faults: Faults, storage: StorageSettings) -> None:
    first, second = copy(storage), copy(storage)

    def before(call: str) -> None:
        if call == "read":
            with pytest.raises(Cancelled):
                second.take(cancelled)

    def cancelled() -> None:
        raise Cancelled("stopped")

    faults.before = before
    first.take()
    first.release()


def test_other_content_is_refused(faults: Faults, memory: Any, storage: StorageSettings) -> None:
    late = copy(storage)
    memory.pipe_file("/videos/film.mp4", b"another film")
    with pytest.raises(SourceUnreadable, match="has changed since the job was given"):
        late.take()
    assert not late.path.parent.exists()


def test_a_full_disk(faults: Faults, storage: StorageSettings) -> None:
    crowded = StorageSettings(spool=storage.spool, reserve=2**61)
    with pytest.raises(OSError, match=r"has no room for faulty://videos/film\.mp4"):
        copy(crowded).take()


def test_what_a_killed_worker_left_is_removed(faults: Faults, storage: StorageSettings) -> None:
    killed, working, next_one = copy(storage), copy(storage), SharedCopy(SOURCE, look_at(SOURCE, storage), 1, storage)
    killed.take()
    killed._unlock()
    os.utime(killed._folder, (0, 0))
    next_one.take()
    assert not killed.path.exists()
    working.take()
    os.utime(working._folder, (0, 0))
    remove_forgotten(storage)
    assert working.path.exists(), "it is in use"
    for one in (working, next_one):
        one.release()
