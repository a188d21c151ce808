"""``encode`` with sources or results at a storage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clips import Tool, content, events_of, make_clip
from loud import need_module

FLAGS = ("--engine", "software", "-c", "h264", "--lossless", "--keep-bigger")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for number, name in enumerate(("a.mkv", "b.avi", "c.mkv")):
        make_clip(folder / name, 5, seed=number)
    return folder


@pytest.fixture
def memory(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("PDUM_NVENC_SPOOL", str(tmp_path / "spool"))
    system = need_module("fsspec").filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    for name in ("a.mkv", "b.avi"):
        system.pipe_file(f"/in/{name}", (clips / name).read_bytes())
    system.pipe_file("/in/deep/c.mkv", (clips / "c.mkv").read_bytes())
    system.pipe_file("/in/notes.txt", b"no video")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    assert not (tmp_path / "spool").exists(), "nothing is left there"


def there(memory: Any) -> set[str]:
    return {path for path in memory.find("/") if not path.startswith("/in/") or "compressed" in path}


def local(memory: Any, path: str, folder: Path) -> Path:
    copy = folder / path.rpartition("/")[2]
    copy.write_bytes(memory.cat_file(path))
    return copy


def test_one_file(tool: Tool, memory: Any, clips: Path, tmp_path: Path) -> None:
    code, told = tool.encode(*FLAGS, "memory://in/a.mkv", "-o", "memory://out/film.mp4")
    assert code == 0, tool.err
    assert there(memory) == {"/out/film.mp4"}
    assert content(local(memory, "/out/film.mp4", tmp_path)) == content(clips / "a.mkv")
    (finished,) = events_of("job_finished", told)
    assert finished["destination"] == "memory://out/film.mp4"


def test_one_file_by_two_names(tool: Tool, memory: Any) -> None:
    assert tool.encode(*FLAGS, "memory://in/a.mkv", "memory://out/film.mp4")[0] == 0
    assert there(memory) == {"/out/film.mp4"}


def test_a_folder(tool: Tool, memory: Any, clips: Path, tmp_path: Path) -> None:
    code, _ = tool.encode(*FLAGS, "-r", "memory://in", "-o", "memory://out")
    assert code == 0, tool.err
    assert there(memory) == {"/out/a.mkv", "/out/b.mkv", "/out/deep/c.mkv"}
    assert content(local(memory, "/out/deep/c.mkv", tmp_path)) == content(clips / "c.mkv")


def test_a_second_time_nothing_is_done(tool: Tool, memory: Any) -> None:
    tool.encode(*FLAGS, "memory://in", "-o", "memory://out")
    before = memory.info("/out/a.mkv")
    code, told = tool.encode(*FLAGS, "memory://in", "-o", "memory://out")
    assert code == 0
    assert memory.info("/out/a.mkv") == before
    assert [event["message"] for event in told] == ["2 files already done; skipped. --overwrite makes them again."]
    assert tool.encode(*FLAGS, "--overwrite", "memory://in", "-o", "memory://out")[0] == 0
    assert memory.info("/out/a.mkv") != before


def test_beside_the_sources_and_not_from_there(tool: Tool, memory: Any) -> None:
    for _ in range(2):
        assert tool.encode(*FLAGS, "-r", "memory://in")[0] == 0
        assert there(memory) == {f"/in/{path}" for path in (
            "compressed/a.mkv", "compressed/b.mkv", "deep/compressed/c.mkv")}  # fmt: skip


def test_from_and_to_local_folders(tool: Tool, memory: Any, clips: Path, tmp_path: Path) -> None:
    code, _ = tool.encode(*FLAGS, "-r", "memory://in", "-o", tmp_path / "down")
    assert code == 0, tool.err
    assert content(tmp_path / "down" / "deep" / "c.mkv") == content(clips / "c.mkv")
    code, _ = tool.encode(*FLAGS, clips, "-o", "memory://up")
    assert code == 0, tool.err
    assert there(memory) == {"/up/a.mkv", "/up/b.mkv", "/up/c.mkv"}


def test_patterns(tool: Tool, memory: Any) -> None:
    tool.encode(*FLAGS, "-r", "--exclude", "deep", "--include", "*.mkv", "memory://in", "-o", "memory://out")
    assert there(memory) == {"/out/a.mkv"}


def test_two_sources_with_one_name(tool: Tool, memory: Any) -> None:
    memory.pipe_file("/in/a.avi", memory.cat_file("/in/b.avi"))
    assert tool.encode(*FLAGS, "memory://in", "-o", "memory://out")[0] == 0
    assert there(memory) == {"/out/a.mkv", "/out/a.avi.mkv", "/out/b.mkv"}


def test_a_dry_run(tool: Tool, memory: Any) -> None:
    code, told = tool("encode", *FLAGS, "--dry-run", "--json", "memory://in", "-o", "memory://out")
    assert code == 0
    rows = [json.loads(line) for line in told.splitlines()]
    assert [(row["source"], row["action"], row["destination"]) for row in rows] == [
        ("memory://in/a.mkv", "encode", "memory://out/a.mkv"),
        ("memory://in/b.avi", "encode", "memory://out/b.mkv"),
    ]
    assert there(memory) == set()
    code, told = tool("encode", *FLAGS, "--dry-run", "memory://in", "-o", "memory://out")
    assert "memory://out/b.mkv" in told


def test_some_fail(tool: Tool, memory: Any) -> None:
    memory.pipe_file("/in/broken.mkv", b"no video")
    code, told = tool.encode(*FLAGS, "memory://in", "memory://none/x.mkv", "-o", "memory://out")
    assert code == 1
    assert len(events_of("job_failed", told)) == 2
    assert there(memory) == {"/out/a.mkv", "/out/b.mkv"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["memory://in", "--in-place"], 2, "--in-place works with local files only"),
        (["memory://in", "--dry-run", "--estimate"], 2, "--estimate works with local files only"),
        (["memory://in/a.mkv", "memory://in/b.avi", "-o", "memory://out/x.mp4"], 2, "names one file"),
        (["memory://in/a.mkv", "-o", "memory://out/x.webm"], 2, "Expected a name that ends with .mkv, .mp4, .mov"),
        (["memory://in/a.mkv", "-o", "https://host/x.mp4"], 4, "Results cannot be written to a web server"),
        (["memory://in/deep", "-o", "ftp://host/out"], 4, "seen before it is complete"),
        (["memory://empty", "-o", "memory://out"], 1, "memory://empty: The file does not exist."),
        (["az://bucket/in", "-o", "memory://out"], 4, "pip install 'pdum-nvenc[storage]' adlfs"),
        (["s3:/bucket/in.mkv"], 2, "Expected s3://bucket/in.mkv, with two slashes, got s3:/bucket/in.mkv."),
        (["file://host/in.mkv"], 2, "Expected file:/// and a path of this machine"),
        (["memory://in", "-o", "memory://out", "--spool-limit", "lots"], 2, "spool_limit"),
        (["zip://a::memory://in/a.zip"], 2, "Chains of addresses are not supported"),
    ],
)
def test_what_is_refused(tool: Tool, memory: Any, arguments: list[str], code: int, words: str) -> None:
    assert tool("encode", "--engine", "software", "--quiet", *arguments)[0] == code
    assert words in tool.err
    assert there(memory) == set()


def test_local_files_by_their_addresses(tool: Tool, clips: Path, tmp_path: Path) -> None:
    code, _ = tool.encode(*FLAGS, f"file://{clips}/a.mkv", "-o", f"file://{tmp_path}/a%20b.mp4")
    assert code == 0, tool.err
    assert content(tmp_path / "a b.mp4") == content(clips / "a.mkv")
    assert tool.encode(*FLAGS, f"file://{clips}", "-o", f"file://{tmp_path}/folder/")[0] == 0
    assert (tmp_path / "folder" / "b.mkv").exists()


def test_watch_takes_no_address(tool: Tool, memory: Any) -> None:
    assert tool("watch", "memory://in")[0] == 2
    assert "Expected a folder" in tool.err
