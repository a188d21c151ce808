"""The local copies: their room on the disk, their locks, and what is left of old ones."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pdum.nvenc import FolderBusy, InvalidConfig, StorageSettings
from pdum.nvenc._storage.spool_folder import KEPT_SECONDS, JobSpool, remove_forgotten
from pdum.nvenc._tasks import NotYet

pytestmark = pytest.mark.one_abi


def limited(storage: StorageSettings, size: int | str) -> StorageSettings:
    return StorageSettings(spool=storage.spool, spool_limit=size, reserve=0)


def opened(storage: StorageSettings, name: str) -> JobSpool:
    spool = JobSpool(storage, f"s3://bucket/{name}", "result")
    spool.open()
    return spool


def test_room_is_given_to_one_after_the_other(storage: StorageSettings) -> None:
    settings = limited(storage, "1M")
    first, second = opened(settings, "a"), opened(settings, "b")
    first.claim(600_000)
    with pytest.raises(NotYet) as told:
        second.claim(600_000)
    assert "600 kB" in str(told.value.error)
    assert "400 kB may be used" in str(told.value.error)
    second.claim(400_000)
    second.claim(100_000)
    first.remove()
    second.claim(1_000_000)
    with pytest.raises(OSError, match="No space left on device"):
        second.claim(1_000_001)
    second.remove()
    assert storage.spool is not None
    assert not Path(storage.spool).exists()


def test_a_copy_that_is_there_already_counts_once(storage: StorageSettings) -> None:
    free = os.statvfs(Path(str(storage.spool)).parent)
    spool = opened(storage, "a")
    spool.source("a.mp4").write_bytes(bytes(1_000_000))
    spool.claim(int(free.f_bavail * free.f_frsize * 0.9))
    with pytest.raises(OSError, match="may be used there"):
        spool.claim(free.f_blocks * free.f_frsize + 10**9)
    spool.remove()


def test_one_job_at_a_time(storage: StorageSettings) -> None:
    first = opened(storage, "a")
    with pytest.raises(FolderBusy):
        opened(storage, "a")
    opened(storage, "b").remove()
    first.release()
    opened(storage, "a").remove()


def test_forgotten_work_is_removed(storage: StorageSettings) -> None:
    old, busy, new = (opened(storage, name) for name in "abc")
    for spool in (old, new):
        spool.release()
    longer_ago = time.time() - KEPT_SECONDS - 60
    for spool in (old, busy):
        os.utime(spool.path, (longer_ago, longer_ago))
    remove_forgotten(storage)
    assert [spool.path.exists() for spool in (old, busy, new)] == [False, True, True]
    busy.remove()


def test_long_names_become_shorter(storage: StorageSettings) -> None:
    spool = JobSpool(storage, "a", "b")
    assert spool.source("ü" * 200 + ".mp4").name == "ü" * 75 + ".mp4"
    assert spool.source("a.mp4") != spool.result("a.mp4")


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"spool_limit": "much"}, {"reserve": -1}])
def test_wrong_settings(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidConfig, match=next(iter(wrong))):
        StorageSettings(**wrong)  # type: ignore[arg-type]


def test_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert StorageSettings().folder == Path("/caches/pdum-nvenc/spool")
    monkeypatch.setenv("PDUM_NVENC_SPOOL", "/spool")
    assert StorageSettings().folder == Path("/spool")
    assert StorageSettings(spool="/given").folder == Path("/given")
