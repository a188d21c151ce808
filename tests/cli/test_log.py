"""``--log``: events as lines that a killed process leaves whole. All lines are held against the schema, and those of
``--json``, too.
"""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path
from typing import Any

import pytest

from event_schema import require_valid
from open_files import open_files
from pdum.nvenc._cli import exits
from pdum.nvenc._cli.log_file import SECONDS_BETWEEN_PROGRESS, LogFile
from pdum.nvenc.events import RunProgress, RunStarted

from clips import Tool, make_clip, start
from simulator import Machine

pytestmark = pytest.mark.one_abi

SOFTWARE = ("--engine", "software", "-c", "h264", "-p", "p1")


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    make_clip(tmp_path / "videos" / "a.mkv", 4)
    (tmp_path / "videos" / "bad.mkv").write_bytes(b"no video")
    return tmp_path / "videos"


def logged(log: Path) -> list[dict[str, Any]]:
    return require_valid(log.read_text().splitlines())


def without_times(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Also without progress, of which a log has less."""
    lasting = [event for event in told if not event["event"].endswith("progress")]
    return [{name: value for name, value in event.items() if name != "time"} for event in lasting]


def test_a_log_has_the_events_of_json_between_its_own_lines(tool: Tool, videos: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    given = ["--log", log, *SOFTWARE, videos]
    code, out = tool("encode", "--json", *given)
    assert code == exits.FAILED
    first, *run, last = logged(log)
    assert without_times(run) == without_times(require_valid(out.splitlines()))
    assert (first["event"], first["process"]) == ("command_started", os.getpid())
    assert first["arguments"] == ["encode", "--json", *map(str, given)]
    assert (last["event"], last["code"], last["message"]) == ("command_ended", exits.FAILED, "")
    assert [event["time"] for event in (first, *run, last)] == sorted(event["time"] for event in (first, *run, last))


def test_hardware_with_a_target_tells_valid_events(tool: Tool, rtx4090: Machine, tmp_path: Path) -> None:
    make_clip(tmp_path / "videos" / "a.mkv", 20)
    code, out = tool("encode", "--json", "-c", "hevc", "--target", "ssim=0.9", tmp_path / "videos")
    assert code == exits.DONE
    assert "run_finished" in {event["event"] for event in require_valid(out.splitlines())}


def test_a_log_does_not_depend_on_what_is_shown(tool: Tool, videos: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    assert tool("encode", "--log", log, "--quiet", *SOFTWARE, videos) == (exits.FAILED, "")
    kinds = [event["event"] for event in logged(log)]
    assert {"notice", "job_queued", "job_failed", "job_finished", "run_finished"} <= set(kinds)
    assert kinds[-1] == "command_ended"


def test_runs_are_appended_and_what_stops_them_is_there(tool: Tool, videos: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    assert tool("encode", "--log", log, *SOFTWARE, tmp_path / "nothing-here.mkv")[0] == exits.FAILED
    assert tool("encode", "--log", log, "--tui", *SOFTWARE, videos)[0] == exits.USAGE
    ends = [event for event in logged(log) if event["event"] == "command_ended"]
    assert [end["code"] for end in ends] == [exits.FAILED, exits.USAGE]
    assert ends[1]["message"].startswith("--tui needs a terminal")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("-", "--json prints events"),
        ("missing/log.jsonl", "No such file or directory"),
        (".", "Is a directory"),
        ("/dev/full", "No space left on device"),
        ("videos/a.mkv", "not a log of pdum-nvenc"),
    ],
)
def test_a_log_that_cannot_be_written_stops_the_command_before_it_begins(
    tool: Tool, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before = (videos / "a.mkv").read_bytes()
    places = tmp_path, Path("/dev/full")
    already_open = [open_files(place) for place in places]
    assert tool("encode", "--log", name, *SOFTWARE, videos) == (exits.USAGE, "")
    assert words in tool.err
    assert tool.err.count("\n") == 1
    assert sorted(path.name for path in videos.iterdir()) == ["a.mkv", "bad.mkv"]
    assert (videos / "a.mkv").read_bytes() == before
    assert [open_files(place) for place in places] == already_open


def test_a_log_that_fills_up_is_told_once_and_encoding_goes_on(tool: Tool, tmp_path: Path) -> None:
    """The system's limit on the size of files is a full disk for the log alone."""
    log = tmp_path / "log.jsonl"
    make_clip(tmp_path / "videos" / "a.mkv", 4)
    log.write_text('{"schema": 1}\n' * 100_000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 700, limits[1]))
    try:
        code, out = tool("encode", "--log", log, *SOFTWARE, tmp_path / "videos")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert code == exits.UNSHOWN
    assert tool.err == f"pdum-nvenc: The log {log} cannot be written: File too large. Encoding continues without it.\n"
    assert "1 file in" in out
    assert (tmp_path / "videos" / "compressed" / "a.mkv").exists()
    *_, torn = log.read_text().split("\n")
    assert torn, "the limit was within a line"
    assert tool("encode", "--log", log, *SOFTWARE, tmp_path / "videos")[0] == exits.DONE
    *_, first, _, last = log.read_text().splitlines()
    assert [event["event"] for event in require_valid([first, last])] == ["command_started", "command_ended"]


def test_a_killed_process_leaves_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with start("watch", "--log", log, *SOFTWARE, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Watching")
        process.send_signal(signal.SIGKILL)
    told = logged(log)
    assert [event["event"] for event in told] == ["command_started", "notice"]
    assert told[1]["message"].startswith("Watching")


def test_a_long_run_has_a_line_of_progress_every_half_minute(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log.jsonl"), [])
    for _ in range(2):
        log.write(RunStarted(at=0.0, engines=(), jobs=1, started=0.0))
        for second in range(int(2.5 * SECONDS_BETWEEN_PROGRESS)):
            log.write(RunProgress(at=float(second), frames=0, total=9, fps=1.0, eta=None, jobs_done=0, jobs=1))
    log.close(0, "")
    told = [event["at"] for event in logged(tmp_path / "log.jsonl") if event["event"] == "run_progress"]
    assert told == [30.0, 60.0] * 2


def test_no_option_no_log(tool: Tool, videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(videos)
    tool("encode", "--dry-run", ".")
    assert sorted(path.name for path in videos.iterdir()) == ["a.mkv", "bad.mkv"]
