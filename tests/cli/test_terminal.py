"""The tool in a real terminal: the dashboard from beginning to end, and lines that are updated."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
from collections.abc import Callable
from pathlib import Path

from pdum.nvenc._batch.journal import Journal
from pdum.nvenc._batch.journal_entry import DONE

from clips import command, make_clip
from loud import need_module
from simulator import environment

CONFIG = {"gpus": [{"name": "RTX 4090", "fps_1080p": 2}], "backend": "codec"}
"""Engines slow enough to be drawn while they work."""


def in_a_terminal(*arguments: object, until: Callable[[bytes], bool], keys: bytes = b"") -> tuple[int, bytes]:
    """Reads what the tool draws, and presses ``keys`` once ``until`` returns true."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    env = {**environment(**CONFIG), "TERM": "xterm-256color"}
    with subprocess.Popen(
        command(*arguments), env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        drawn = b""
        while True:
            ready, _, _ = select.select([ours], [], [], 0.2)
            try:
                part = os.read(ours, 1 << 16) if ready else None
            except OSError:  # the other side is closed
                break
            drawn += part or b""
            if keys and until(drawn):
                os.write(ours, keys)
                keys = b""
            if part == b"":
                break
        code = process.wait(timeout=30)
    os.close(ours)
    return code, drawn


def all_done(folder: Path, count: int) -> bool:
    results = [entry.result for entry in Journal.read(folder / "compressed").entries.values()]
    return results.count(DONE) == count


def test_the_dashboard_from_the_command_line(tmp_path: Path) -> None:
    need_module("textual")
    for number in range(3):
        make_clip(tmp_path / f"clip{number}.mkv", 25, seed=number)
    code, drawn = in_a_terminal(
        "encode", "--tui", "-c", "h264", tmp_path,
        until=lambda drawn: b"NVENC 0" in drawn and all_done(tmp_path, 3), keys=b"q",
    )  # fmt: skip
    assert code == 0
    assert "NVENC" in drawn.decode(errors="replace")
    assert b"\x1b[?1049h" in drawn, "the dashboard has a screen of its own"
    assert b"\x1b[?1049l" in drawn, "and gives it back"
    assert b"3 files" in drawn[drawn.rindex(b"\x1b[?1049l") :], "the report stays in the terminal"


def test_progress_in_a_terminal_has_a_line_for_each_engine(tmp_path: Path) -> None:
    for number in range(3):
        make_clip(tmp_path / f"clip{number}.mkv", 25, seed=number)
    code, drawn = in_a_terminal("encode", "-c", "h264", tmp_path, until=lambda _: False)
    text = drawn.decode(errors="replace")
    assert code == 0
    assert "GPU 0 · NVENC 0" in text
    assert "GPU 0 · NVENC 1" in text
    assert "\x1b[" in text
    assert "3 files" in text


def test_tables_in_a_terminal(tmp_path: Path) -> None:
    code, drawn = in_a_terminal("gpus", until=lambda _: False)
    assert code == 0
    assert b"RTX 4090" in drawn
