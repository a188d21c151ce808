"""Files at storages, encoded by a pool without hardware: copied, encoded, published, and nothing left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pdum.nvenc import (
    Cancelled,
    EncoderPool,
    FileJob,
    FileSettings,
    InvalidConfig,
    SourceUnreadable,
    StorageFailed,
    StorageSettings,
    StoredJob,
    UnsupportedFeature,
)
from pdum.nvenc._storage import fetching, remote_file
from storage.faulty import Faults, faulty_file_system

from clips import content, make_clip
from loud import need_module

pytestmark = pytest.mark.one_abi

SETTINGS = FileSettings(codec="h264", encoder={"tuning": "lossless", "preset": "p1"})


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "film.mkv", 12, sound=True)


@pytest.fixture(scope="module")
def pool() -> Iterator[EncoderPool]:
    with EncoderPool(backend="software", engines=2) as made:
        yield made


@pytest.fixture
def memory(clip: Path) -> Iterator[Any]:
    system = need_module("fsspec").filesystem("memory")
    system.store.clear()
    system.pipe_file("/in/film.mkv", clip.read_bytes())
    yield system
    system.store.clear()


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[StorageSettings]:
    yield StorageSettings(spool=tmp_path / "spool", reserve=0)
    assert not (tmp_path / "spool").exists(), "nothing is left there"


def job(source: str, destination: str | Path, storage: StorageSettings, **more: Any) -> StoredJob:
    return StoredJob(source=source, destination=destination, settings=SETTINGS, storage=storage, **more)


def stored(memory: Any, folder: Path) -> Path:
    """A local copy of the result."""
    (folder / "result.mp4").write_bytes(memory.cat_file("/out/film.mp4"))
    return folder / "result.mp4"


def test_from_storage_to_storage(
    pool: EncoderPool, memory: Any, storage: StorageSettings, clip: Path, tmp_path: Path
) -> None:
    seen: list[Any] = []
    result = pool.encode_file(
        "memory://in/film.mkv",
        "memory://out/film.mp4",
        codec="h264",
        tuning="lossless",
        preset="p1",
        storage=storage,
        on_event=seen.append,
    )
    assert (result.destination, result.frames) == ("memory://out/film.mp4", 12)
    assert memory.find("/") == ["/in/film.mkv", "/out/film.mp4"]
    assert content(stored(memory, tmp_path)) == content(clip)
    assert result.size == memory.size("/out/film.mp4")
    assert {type(event).__name__ for event in seen} >= {"JobQueued", "JobPrepared", "JobFinished"}
    assert next(event for event in seen if type(event).__name__ == "JobQueued").source == "memory://in/film.mkv"


def test_from_and_to_local_files(
    pool: EncoderPool, memory: Any, storage: StorageSettings, clip: Path, tmp_path: Path
) -> None:
    down, up = tmp_path / "down.mp4", "memory://out/film.mp4"
    jobs: list[FileJob | StoredJob] = [
        job("memory://in/film.mkv", down, storage),
        job(str(clip), up, storage),
        FileJob(source=clip, destination=tmp_path / "local.mp4", settings=SETTINGS),
    ]
    results = pool.encode_files(jobs).raise_for_errors()
    assert [one.destination for one in results] == [str(down), up, str(tmp_path / "local.mp4")]
    made = [content(path) for path in (down, stored(memory, tmp_path), tmp_path / "local.mp4")]
    assert made == [content(clip)] * 3


def test_more_sources_than_the_disk_has_room_for(pool: EncoderPool, memory: Any, clip: Path, tmp_path: Path) -> None:
    """They wait for each other, instead of failing."""
    size = clip.stat().st_size
    storage = StorageSettings(spool=tmp_path / "spool", spool_limit=int(size * 2.5), reserve=0)
    for number in range(5):
        memory.pipe_file(f"/in/{number}.mkv", clip.read_bytes())
    jobs = [job(f"memory://in/{number}.mkv", f"memory://out/{number}.mp4", storage) for number in range(5)]
    assert len(pool.encode_files(jobs).raise_for_errors()) == 5
    assert len(memory.find("/out")) == 5
    assert not (tmp_path / "spool").exists()


def test_a_source_that_the_disk_has_no_room_for(pool: EncoderPool, memory: Any, tmp_path: Path) -> None:
    storage = StorageSettings(spool=tmp_path / "spool", spool_limit="1k", reserve=0)
    with pytest.raises(OSError, match="No space left on device: a source and its result need"):
        pool.encode_files([job("memory://in/film.mkv", "memory://out/film.mp4", storage)]).raise_for_errors()
    assert not (tmp_path / "spool").exists()


def test_one_result_of_two_sources(pool: EncoderPool, memory: Any, storage: StorageSettings) -> None:
    memory.pipe_file("/in/other.mkv", memory.cat_file("/in/film.mkv"))
    jobs = [job(f"memory://in/{name}.mkv", "memory://out/film.mp4", storage) for name in ("film", "other")]
    first, second = pool.encode_files(jobs).results
    assert not isinstance(first, Exception)
    assert isinstance(second, InvalidConfig)
    assert "memory://out/film.mp4 is also the destination of memory://in/film.mkv" in str(second)


@pytest.mark.parametrize(
    ("source", "destination", "error", "words"),
    [
        ("memory://in/none.mkv", "memory://out/film.mp4", SourceUnreadable, "memory://in/none.mkv: The file does not"),
        ("memory://in/notes.txt", "memory://out/film.mp4", SourceUnreadable, "memory://in/notes.txt"),
        ("memory://in/film.mkv", "memory://out/film.avi", InvalidConfig, "film.avi"),
        ("memory://in/film.mkv", "https://host/film.mp4", UnsupportedFeature, "web server"),
        ("gs://bucket/film.mkv", "memory://out/film.mp4", UnsupportedFeature, r"\[storage\]' gcsfs"),
        ("nothing://bucket/film.mkv", "memory://out/film.mp4", UnsupportedFeature, "does not know nothing://"),
    ],
)
def test_what_cannot_be_done(
    source: str,
    destination: str,
    error: type[Exception],
    words: str,
    pool: EncoderPool,
    memory: Any,
    storage: StorageSettings,
) -> None:
    """The message names the places that the user knows, and nothing is left."""
    memory.pipe_file("/in/notes.txt", b"no video")
    with pytest.raises(error, match=words) as told:
        pool.encode_files([job(source, destination, storage)]).raise_for_errors()
    assert str(storage.spool) not in str(told.value)
    assert memory.find("/out") == []


def test_in_place_and_needless_settings_are_refused(pool: EncoderPool, storage: StorageSettings) -> None:
    with pytest.raises(InvalidConfig, match="in_place"):
        pool.encode_file("memory://in/film.mkv", "memory://in/film.mkv", in_place=True, storage=storage)
    with pytest.raises(InvalidConfig, match="no effect on local files"):
        pool.encode_file("a.mkv", "b.mp4", storage=storage)


@pytest.fixture
def faults(memory: Any, monkeypatch: pytest.MonkeyPatch) -> Faults:
    found = Faults()
    need_module("fsspec").register_implementation("faulty", faulty_file_system(found), clobber=True)
    monkeypatch.setattr(fetching, "FIRST_PAUSE", 0.001)
    return found


def test_a_cancelled_copy_goes_on_later(
    faults: Faults, pool: EncoderPool, memory: Any, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_file, "CHUNK", 2000)
    storage = StorageSettings(spool=tmp_path / "spool", reserve=0)
    is_stuck, goes_on = threading.Event(), threading.Event()

    def before(call: str) -> None:
        if call == "read" and faults.calls.count("read") == 4:
            is_stuck.set()
            goes_on.wait(30)

    faults.before = before
    jobs = [job("faulty://in/film.mkv", "memory://out/film.mp4", storage, keep_work=True)]
    run = pool.start(pool.files(jobs))
    assert is_stuck.wait(30)
    run.cancel()
    goes_on.set()
    (outcome,) = run.wait().results
    assert isinstance(outcome, Cancelled)
    assert memory.find("/out") == []
    assert [path.name for path in (tmp_path / "spool").rglob("film.mkv*")].count("film.mkv.part") == 1
    assert list((tmp_path / "spool").rglob("film.mkv")) == [], "the copy has ended"
    faults.before = lambda _: None
    faults.calls.clear()
    pool.encode_files(jobs).raise_for_errors()
    assert faults.calls.count("read") < clip.stat().st_size // 2000, "the copy went on where it had stopped"
    assert content(stored(memory, tmp_path)) == content(clip)
    assert not (tmp_path / "spool").exists()


def test_a_storage_that_fails_at_the_end(
    faults: Faults, pool: EncoderPool, memory: Any, storage: StorageSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pdum.nvenc._storage.publishing.FILE_SYSTEMS", ("faulty",))

    def before(call: str) -> None:
        if call == "write":
            raise ConnectionResetError("gone")

    faults.before = before
    with pytest.raises(StorageFailed, match=r"faulty://out/film\.mp4 could not be written: gone"):
        pool.encode_files([job("memory://in/film.mkv", "faulty://out/film.mp4", storage)]).raise_for_errors()
    assert memory.find("/out") == []
