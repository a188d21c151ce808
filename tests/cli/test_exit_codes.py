"""Each documented exit code, by a command that ends with it, and the same code in the log of that command."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from event_schema import require_valid
from pdum.nvenc._batch.journal import Journal
from pdum.nvenc._cli import exits

from clips import Tool, command, make_clip, start, without_driver

pytestmark = pytest.mark.one_abi

SOFTWARE = ("--engine", "software", "-c", "h264", "-p", "p1")
ENDINGS: dict[int, Callable[..., int]] = {}
"""For each code, a run that ends with it. It takes the tool, a folder, and the options for a log."""


def ends_with(code: int) -> Callable[[Callable[..., int]], Callable[..., int]]:
    def add(run: Callable[..., int]) -> Callable[..., int]:
        ENDINGS[code] = run
        return run

    return add


@ends_with(exits.DONE)
def _all_is_done(tool: Tool, folder: Path, log: list[Any]) -> int:
    make_clip(folder / "a.mkv", 4)
    return tool("encode", *log, *SOFTWARE, folder)[0]


@ends_with(exits.FAILED)
def _a_file_fails(tool: Tool, folder: Path, log: list[Any]) -> int:
    (folder / "a.mkv").write_bytes(b"no video")
    return tool("encode", *log, *SOFTWARE, folder)[0]


@ends_with(exits.USAGE)
def _wrong_arguments(tool: Tool, folder: Path, log: list[Any]) -> int:
    return tool("encode", *log, "--report", folder / "missing" / "r.html", folder)[0]


@ends_with(exits.NOTHING)
def _no_videos(tool: Tool, folder: Path, log: list[Any]) -> int:
    return tool("encode", *log, folder)[0]


@ends_with(exits.CANNOT)
def _no_such_engine(_tool: Tool, folder: Path, log: list[Any]) -> int:
    """In a process of its own: this one may have the simulated driver."""
    make_clip(folder / "a.mkv", 4)
    tool = command("encode", *log, "--engine", "nvenc", folder)
    return subprocess.run(tool, env=without_driver(), capture_output=True, timeout=120, check=False).returncode


@ends_with(exits.BUSY)
def _another_run(tool: Tool, folder: Path, log: list[Any]) -> int:
    make_clip(folder / "a.mkv", 4)
    with closing(Journal.open(folder / "compressed", "outputs")):
        return tool("encode", *log, *SOFTWARE, folder)[0]


@ends_with(exits.UNSHOWN)
def _lost_output(_tool: Tool, folder: Path, log: list[Any]) -> int:
    make_clip(folder / "a.mkv", 4)
    line = '"$@" >/dev/full'
    done = subprocess.run(
        ["bash", "-c", line, "bash", *command("encode", *log, *SOFTWARE, folder)],
        env=without_driver(), capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode


def _signalled(number: signal.Signals) -> Callable[..., int]:
    def run(_tool: Tool, folder: Path, log: list[Any]) -> int:
        with start("watch", *log, *SOFTWARE, folder) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("Watching")
            process.send_signal(number)
        return process.returncode

    return run


ENDINGS |= {
    exits.HUNG_UP: _signalled(signal.SIGHUP),
    exits.INTERRUPTED: _signalled(signal.SIGINT),
    exits.TERMINATED: _signalled(signal.SIGTERM),
}


def test_no_documented_code_is_left_out() -> None:
    assert sorted(ENDINGS) == sorted(exits.MEANINGS)


@pytest.mark.parametrize("code", exits.MEANINGS)
def test_the_code_and_its_line_in_the_log(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    folder, log = tmp_path / "videos", tmp_path / "log.jsonl"
    folder.mkdir()
    monkeypatch.setattr("pdum.nvenc._machine.availability._reasons", {})
    assert ENDINGS[code](tool, folder, ["--log", log]) == code
    *_, last = require_valid(log.read_text().splitlines())
    assert (last["event"], last["code"]) == ("command_ended", code)
    if code < exits.HUNG_UP:
        assert bool(last["message"]) == (code in (exits.USAGE, exits.CANNOT, exits.BUSY))


@pytest.mark.parametrize("more", [[], ["--json"]], ids=["text", "json"])
def test_a_gpu_that_is_not_there_is_said_before_anything_is_announced(tmp_path: Path, more: list[str]) -> None:
    make_clip(tmp_path / "a.mkv", 4)
    tool = command("encode", "-c", "hevc", "--gpu", "3", *more, tmp_path)
    done = subprocess.run(tool, env=without_driver(), capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (exits.CANNOT, "")
    assert done.stderr == "pdum-nvenc: There is no GPU 3. --engine software encodes on the processor.\n"
    assert not list(tmp_path.glob("compressed/*.m*"))
