"""One input and the name of its result; questions before files are replaced."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pdum.nvenc._batch.journal_entry import NAME

from clips import Tool, content, events_of, files_in, make_clip

pytestmark = pytest.mark.one_abi

SOFTWARE = ("--engine", "software", "-c", "h264", "-p", "p1")


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return make_clip(tmp_path / "in.mkv", 6)


@pytest.mark.parametrize("arguments", [("in.mkv", "out.mp4"), ("in.mkv", "-o", "out.mp4")])
def test_one_input_becomes_the_file_that_is_named(
    tool: Tool, clip: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    code, told = tool.encode(*SOFTWARE, *arguments)
    assert code == 0
    assert events_of("job_finished", told)[0]["destination"] == str(tmp_path / "out.mp4")
    assert files_in(tmp_path) == {"in.mkv", "out.mp4", NAME}
    assert content(tmp_path / "out.mp4")["times"] == content(clip)["times"]

    again = tool.encode(*SOFTWARE, *arguments)
    assert again[0] == 0
    assert not events_of("job_queued", again[1]), "the second time nothing is done, and the result is no new input"
    assert len(events_of("job_queued", tool.encode(*SOFTWARE, "in.mkv", "other.mkv")[1])) == 1


def test_the_folder_of_a_named_result_is_still_one_of_videos(tool: Tool, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "videos" / "in.mkv", 6)
    tool.encode(*SOFTWARE, clip, clip.with_name("out.mp4"))
    code, out = tool("encode", "--dry-run", "-r", "--engine", "software", tmp_path)
    assert code == 0
    assert str(clip) in out


def test_a_file_that_is_there_is_not_replaced(tool: Tool, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"precious")
    _, told = tool.encode(*SOFTWARE, "in.mkv", "-o", "out.mp4")
    assert "--overwrite" in told[-1]["message"]
    assert (tmp_path / "out.mp4").read_bytes() == b"precious"
    assert tool.encode(*SOFTWARE, "--overwrite", "in.mkv", "-o", "out.mp4")[0] == 0
    assert content(tmp_path / "out.mp4")["times"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["in.mkv", "in.mkv", "-o", "out.mp4"], ["several inputs", "Name a folder"]),
        ([".", "-o", "out.mp4"], ["several inputs", "out.mp4/"]),
        (["in.mkv", "out.avi"], ["out.avi", ".mkv, .mp4 or .mov"]),
        (["in.mkv", "-o", "in.mkv"], ["is the input itself"]),
        (["in.mkv", "-o", "none/out.mp4"], ["none does not exist"]),
        (["--in-place", "in.mkv", "out.mp4"], ["--in-place and out.mp4 conflict"]),
        (["--container", "mkv", "in.mkv", "out.mp4"], ["--container mkv and out.mp4 conflict"]),
        (["-c", "av1", "in.mkv", "out.mov"], [".mov files cannot hold AV1"]),
    ],
)
def test_names_that_cannot_be(tool: Tool, clip: Path, tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    code, _ = tool("encode", *arguments)
    assert code == 2
    for one in words:
        assert one in tool.err
    assert files_in(tmp_path) == {"in.mkv"}


def test_a_video_suffix_makes_a_folder_only_on_purpose(tool: Tool, clip: Path, tmp_path: Path, home: Path) -> None:
    assert tool("watch", "--once", "-o", "out.mp4", tmp_path)[0] == 2
    assert "Write" in tool.err
    (tmp_path / "config.toml").write_text("[defaults]\ndestination = 'out.mp4'\n")
    assert tool("encode", "--config", "config.toml", "in.mkv")[0] == 2
    assert "config.toml:2" in tool.err
    assert tool.encode(*SOFTWARE, "in.mkv", "-o", "out.mp4/")[0] == 0
    assert (tmp_path / "out.mp4" / "in.mkv").is_file()


# ---- in place ------------------------------------------------------------------------------------------------------


class _Terminal:
    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.asked = 0

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        self.asked += 1
        return self.answer


@pytest.mark.parametrize(
    ("answer", "more", "code", "asked"),
    [("n\n", (), 130, 1), ("\n", (), 130, 1), ("", (), 130, 1), ("y\n", (), 0, 1), ("n\n", ("--yes",), 0, 0)],
)
def test_in_place_asks_once_on_a_terminal(
    tool: Tool, clip: Path, monkeypatch: pytest.MonkeyPatch, answer: str, more: tuple[str, ...], code: int, asked: int
) -> None:
    terminal = _Terminal(answer)
    monkeypatch.setattr("sys.stdin", terminal)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    before = clip.read_bytes()
    assert tool("encode", *SOFTWARE, "--in-place", *more, "in.mkv")[0] == code
    assert terminal.asked == asked
    assert (clip.read_bytes() == before) == (code != 0)
    assert ("1 file (" in tool.err) == bool(asked)
    assert os.listdir(clip.parent) == ["in.mkv"] if code else True


def test_in_place_without_a_terminal_does_not_ask(tool: Tool, clip: Path) -> None:
    assert tool.encode(*SOFTWARE, "--in-place", "in.mkv")[0] == 0
