"""Results at a storage: under their name there is the old file, the whole new one, or none. Nothing else stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from pdum.nvenc import Cancelled, InvalidConfig, NvencError, StorageFailed, StorageSettings, UnsupportedFeature
from pdum.nvenc._storage import checksums, publishing, remote_file
from pdum.nvenc._storage.address import Address
from pdum.nvenc._storage.publishing import Publish, part_name, require_publishable
from pdum.nvenc._storage.remote_file import look_for
from storage.faulty import Faults

pytestmark = pytest.mark.one_abi

RESULT = Address("faulty://results/deep/film.mp4")
CONTENT = bytes(range(256)) * 20
PATH = "/results/deep/film.mp4"
SOME_TIMES = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (checksums, remote_file, publishing):
        monkeypatch.setattr(module, "CHUNK", 1000)


@pytest.fixture
def result(tmp_path: Path) -> Path:
    (tmp_path / "film.mp4").write_bytes(CONTENT)
    return tmp_path / "film.mp4"


def publish(result: Path, storage: StorageSettings, **more: Any) -> None:
    given = {"seen": look_for(RESULT, storage), "interrupted": lambda: None, "begin": lambda: None, **more}
    Publish(result, RESULT, storage, **given).run()


def test_a_result(faults: Faults, memory: Any, storage: StorageSettings, result: Path) -> None:
    publish(result, storage)
    assert memory.find("/results") == [PATH]
    assert memory.cat_file(PATH) == CONTENT
    assert faults.calls.index("write") < faults.calls.index("mv"), "the name comes last"
    assert "read" in faults.calls, "what was sent is read back"


@SOME_TIMES
@given(fails=some.integers(0, 40), is_replaced=some.booleans(), breaks_for_good=some.booleans())
def test_whatever_fails(
    fails: int,
    is_replaced: bool,
    breaks_for_good: bool,
    faults: Faults,
    memory: Any,
    storage: StorageSettings,
    result: Path,
) -> None:
    """Any operation may fail. If the connection is gone for good, what stays has another name."""
    memory.store.clear()
    faults.before = lambda _: None
    before = {PATH: b"old"} if is_replaced else {}
    for path, data in before.items():
        memory.pipe_file(path, data)
    seen = look_for(RESULT, storage)
    faults.calls.clear()

    def fail(call: str) -> None:
        number = len(faults.calls) - 1
        if number == fails or (breaks_for_good and number > fails):
            raise ConnectionResetError(call)

    faults.before = fail
    try:
        publish(result, storage, seen=seen)
        expected = {PATH: CONTENT}
    except StorageFailed:
        expected = before
    there = {path: memory.cat_file(path) for path in memory.find("/")}
    part = f"/results/deep/{part_name('film.mp4')}"
    if breaks_for_good:
        there.pop(part, None)
    assert there == expected


def test_damage_on_the_way(faults: Faults, memory: Any, storage: StorageSettings, result: Path) -> None:
    faults.change = lambda data: data[::-1]
    with pytest.raises(StorageFailed, match="other bytes there than it was sent with"):
        publish(result, storage)
    assert memory.find("/") == []


def test_another_file_came_meanwhile(faults: Faults, memory: Any, storage: StorageSettings, result: Path) -> None:
    memory.pipe_file(PATH, b"of another program")
    with pytest.raises(NvencError, match="Another program wrote, changed or removed"):
        publish(result, storage, seen=None)
    assert {path: memory.cat_file(path) for path in memory.find("/")} == {PATH: b"of another program"}


@pytest.mark.parametrize("when", ["interrupted", "begin"])
def test_a_cancelled_upload(when: str, faults: Faults, memory: Any, storage: StorageSettings, result: Path) -> None:
    def cancel() -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        publish(result, storage, **{when: cancel})
    assert memory.find("/") == []


@pytest.mark.parametrize(
    ("given_text", "error", "words"),
    [
        ("https://host/a.mp4", UnsupportedFeature, "web server"),
        ("ftp://host/a.mp4", UnsupportedFeature, "seen before it is complete"),
        ("s3://bucket/folder/", InvalidConfig, "Name a file"),
    ],
)
def test_places_that_cannot_take_results(given_text: str, error: type[NvencError], words: str) -> None:
    with pytest.raises(error, match=words):
        require_publishable(Address(given_text))


def test_what_a_killed_upload_left_is_written_over(
    faults: Faults, memory: Any, storage: StorageSettings, result: Path
) -> None:
    memory.pipe_file(f"/results/deep/{part_name('film.mp4')}", b"the beginning of a longer result" * 1000)
    publish(result, storage)
    assert {path: memory.cat_file(path) for path in memory.find("/")} == {PATH: CONTENT}
