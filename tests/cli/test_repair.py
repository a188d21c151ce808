"""``pdum-nvenc repair``: names, and refusals in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mp4_files import encoded, packets_of, video_track
from pdum.nvenc._mp4.mp4_file import Mp4File

from clips import Tool


@pytest.fixture
def part(tmp_path: Path) -> Path:
    path = tmp_path / ".film.mp4.part.mp4"
    stream = encoded("h264", 64)
    file = Mp4File(path, [video_track(stream)])
    for packet in stream.packets:
        file.write(0, packet.data, packet.pts, packet.dts, packet.keyframe, 1)
    file.abandon()
    return path


def test_the_file_gets_its_own_name(tool: Tool, part: Path) -> None:
    code, out = tool("repair", part)
    film = part.with_name("film.mp4")
    count = len(packets_of(film))
    assert code == 0
    assert count >= 25
    assert out.splitlines()[0] == f"{film}: {count} frames, {count / 25:.1f} s."
    assert out.splitlines()[1].startswith(f"{part} is unchanged.")


def test_json(tool: Tool, part: Path, tmp_path: Path) -> None:
    code, out = tool("repair", "--json", part, tmp_path / "other.mp4")
    told = json.loads(out)
    assert code == 0
    assert told["destination"] == str(tmp_path / "other.mp4")
    assert told["frames"] == len(packets_of(tmp_path / "other.mp4"))


def test_an_existing_file_stays(tool: Tool, part: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = part.with_name("film.mp4")
    film.write_bytes(b"dear")
    assert tool("repair", part)[0] == 2
    assert film.read_bytes() == b"dear"
    assert tool("repair", "--overwrite", part)[0] == 0
    assert len(packets_of(film)) >= 25


NOT_TO_BE = {"text.part.txt": 2, "missing.mp4": 4, "missing.mp4.part": 4, "text.mp4.part": 4, "folder.mp4.part": 4}


@pytest.mark.parametrize(("name", "code"), NOT_TO_BE.items())
def test_what_cannot_be(tool: Tool, tmp_path: Path, name: str, code: int) -> None:
    for text in ("text.mp4.part", "text.part.txt"):
        (tmp_path / text).write_text("no film")
    (tmp_path / "folder.mp4.part").mkdir()
    found, out = tool("repair", tmp_path / name)
    assert (found, out) == (code, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.mp4.part", "text.mp4.part", "text.part.txt"]


def test_the_advice_can_be_typed(tool: Tool, part: Path) -> None:
    """Also for a file in another folder whose name has a space."""
    other = part.with_name("my film.mp4")
    part.rename(other)
    assert tool("repair", other)[0] == 2
    assert f"pdum-nvenc repair '{other}' NEW.mp4" in tool.err
