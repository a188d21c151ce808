"""Where the progress of a long scan is shown: in a terminal, in lines, JSON or a log, or nowhere."""

from __future__ import annotations

import io
from contextlib import ExitStack
from pathlib import Path

import pytest
from rich.console import Console

from event_schema import require_valid
from pdum.nvenc._batch import scan_progress
from pdum.nvenc._batch.settings import BatchSettings
from pdum.nvenc._batch.stable_files import StabilityCheck
from pdum.nvenc._cli.interruption import interruptible
from pdum.nvenc._cli.output import OutputOptions, RunOutput
from pdum.nvenc._cli.scanning import ScanLine
from pdum.nvenc._cli.watch import Watcher
from pdum.nvenc._view.guarded_stream import GuardedStream
from pdum.nvenc.events import Scanning

from clips import Tool, events_of, make_clip, parsed

pytestmark = pytest.mark.one_abi

SOFTWARE = ("--engine", "software", "-c", "h264", "-p", "p1")


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every scan counts as one that takes long."""
    monkeypatch.setattr(scan_progress, "SECONDS_BETWEEN", 0.0)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    make_clip(tmp_path / "videos" / "a.mkv", 4)
    (tmp_path / "videos" / "notes.txt").write_bytes(b"x")
    return tmp_path / "videos"


def shown(events: list[Scanning], terminal: bool, quiet: bool = False) -> str:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=80)
    output = RunOutput(options=OutputOptions(quiet=quiet), console=console)
    with ExitStack() as stack:
        line = ScanLine(output, stack)
        for event in events:
            line.show(event)
    return text.getvalue()


LONG = [Scanning(at=float(second), found=10 * second, checked=0) for second in range(1, 70)]
LATE = [Scanning(at=1.5, found=1234, checked=1000)]


def test_without_a_terminal_a_line_every_half_minute() -> None:
    assert shown(LONG, terminal=False).splitlines() == ["Scanning… 300 videos found", "Scanning… 600 videos found"]


def test_a_terminal_shows_the_first_one_on_a_line_that_goes_away() -> None:
    text = shown(LATE, terminal=True)
    assert "1,234 videos found; 1,000 compared with earlier results…" in text
    assert text.endswith("\x1b[2K"), "the line is erased"


def test_quiet_is_quiet() -> None:
    assert shown(LONG, terminal=False, quiet=True) == ""
    assert shown(LATE, terminal=True, quiet=True) == ""


@pytest.mark.usefixtures("slow")
def test_programs_and_logs_are_told(tool: Tool, videos: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    code, out = tool("encode", "--json", "--log", log, *SOFTWARE, videos)
    assert code == 0
    told = events_of("scanning", require_valid(out.splitlines()))
    assert [(one["found"], one["checked"]) for one in told][-1] == (1, 1)
    in_log = events_of("scanning", require_valid(log.read_text().splitlines()))
    assert [one["at"] for one in in_log] == [one["at"] for one in told]


@pytest.mark.usefixtures("slow")
def test_a_dry_run_for_programs_prints_its_own_objects_alone(tool: Tool, videos: Path) -> None:
    code, out = tool("encode", "--dry-run", "--json", videos)
    assert code == 0
    assert [one["action"] for one in parsed(out)] == ["encode"]


@pytest.mark.usefixtures("slow")
def test_watch_tells_of_its_first_look_alone(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pdum.nvenc._cli.watch.SECONDS_BETWEEN_FULL_LOOKS", 0.0)
    monkeypatch.setattr("pdum.nvenc._cli.watch.SHARE_OF_FULL_LOOKS", 1e9)
    text = io.StringIO()
    options = OutputOptions(json=True, stream=GuardedStream(text, print))
    watcher = Watcher(videos, BatchSettings(), options, StabilityCheck(seconds=1e6))
    with interruptible(print) as interruption:
        watcher.look(interruption)
        first = text.getvalue()
        assert events_of("scanning", require_valid(first.splitlines()))
        (videos / "b.mkv").write_bytes(b"x")
        assert watcher.look(interruption) == 2
    assert text.getvalue() == first
