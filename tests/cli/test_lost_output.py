"""Standard streams and terminals that go away: encoding continues, and the exit code says that output was lost."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pdum.nvenc._batch.journal import Journal
from pdum.nvenc._batch.journal_entry import DONE
from pdum.nvenc._cli import exits

from clips import command, files_in, make_clip
from loud import need_module
from simulator import environment

pytestmark = pytest.mark.one_abi

CONFIG: dict[str, Any] = {"gpus": ["RTX 4090"], "backend": "codec"}
SLOW: dict[str, Any] = {"gpus": [{"name": "RTX 4090", "fps_1080p": 1}], "backend": "codec"}
"""Engines slow enough to interfere while they work."""
CLIPS = 4


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    for number in range(CLIPS):
        make_clip(folder / f"{number}.mkv", 20, seed=number)
    return folder


def shell(line: str, *arguments: object, config: dict[str, Any] = CONFIG) -> subprocess.CompletedProcess[str]:
    """Runs ``line`` in bash; ``"$@"`` is the tool with these arguments."""
    return subprocess.run(
        ["bash", "-c", line, "bash", *command(*arguments)],
        env=environment(**config),
        capture_output=True,
        text=True,
        check=False,
    )


def done(videos: Path) -> int:
    results = [entry.result for entry in Journal.read(videos / "compressed").entries.values()]
    return results.count(DONE)


LOSSES = {
    "the reader leaves": '"$@" | head -c1 >/dev/null; exit ${PIPESTATUS[0]}',
    "closed": '"$@" >&-',
    "full": '"$@" >/dev/full',
}


@pytest.mark.parametrize("form", [["--json"], []], ids=["json", "lines"])
@pytest.mark.parametrize("loss", LOSSES)
def test_everything_is_encoded_although_no_output_can_be_written(videos: Path, loss: str, form: list[str]) -> None:
    result = shell(LOSSES[loss], "encode", *form, "-c", "h264", "--keep-bigger", videos)
    assert done(videos) == CLIPS, result.stderr
    assert result.returncode == exits.UNSHOWN, result.stderr
    assert "Standard output" in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_with_nowhere_to_complain_the_exit_code_tells(videos: Path) -> None:
    result = shell('"$@" >&- 2>&-', "encode", "--json", "-c", "h264", "--keep-bigger", videos)
    assert (result.returncode, done(videos)) == (exits.UNSHOWN, CLIPS)
    result = shell('"$@" <&- >&- 2>/dev/full', "encode", "--json", "-c", "h264", videos)
    assert result.returncode == exits.UNSHOWN


def test_a_file_that_fails_still_counts_for_more(videos: Path) -> None:
    (videos / "broken.mkv").write_bytes(b"no video")
    result = shell('"$@" >/dev/full', "encode", "--json", "-c", "h264", "--keep-bigger", videos)
    assert (result.returncode, done(videos)) == (exits.FAILED, CLIPS)


def test_a_report_is_written_without_standard_output(videos: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    shell('"$@" >/dev/full', "encode", "-c", "h264", "--report", page, videos)
    assert "</html>" in page.read_text()


@pytest.mark.parametrize("arguments", [["config", "show"], ["gpus"], ["gpus", "--json"], ["profiles"], ["--help"]])
@pytest.mark.parametrize("where", [">/dev/full", ">&-"])
def test_an_answer_that_cannot_be_written_is_not_a_success(arguments: list[str], where: str) -> None:
    result = shell(f'"$@" {where}', *arguments)
    assert result.returncode not in (0, 1, 120), result.stderr
    assert result.stderr.startswith("pdum-nvenc: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full", "<&-"])
def test_other_missing_streams_do_no_harm(videos: Path, where: str) -> None:
    result = shell(f'"$@" {where}', "encode", "--json", "-c", "h264", "--keep-bigger", videos)
    assert (result.returncode, done(videos)) == (0, CLIPS)
    assert shell(f'"$@" {where}', "encode", videos / "none").returncode == exits.FAILED


def test_watched_gpus_end_with_their_reader() -> None:
    result = shell('"$@" | head -n 1 >/dev/null; exit ${PIPESTATUS[0]}', "gpus", "--watch", "--json")
    assert (result.returncode, result.stderr) == (0, "")


# ---- terminals -----------------------------------------------------------------------------------------------------


class Terminal:
    """The tool in a terminal that can be closed. With ``controlling``, the kernel then sends SIGHUP."""

    def __init__(self, *arguments: object, controlling: bool, ignored: tuple[signal.Signals, ...] = ()) -> None:
        self._ours, theirs = pty.openpty()

        def prepare() -> None:
            os.setsid()
            if controlling:
                import fcntl
                import termios

                fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
            for one in (signal.SIGINT, signal.SIGHUP):
                signal.signal(one, signal.SIG_IGN if one in ignored else signal.SIG_DFL)

        self.process = subprocess.Popen(
            command(*arguments),
            env={**environment(**SLOW), "TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            preexec_fn=prepare,
        )
        os.close(theirs)
        self.drawn = b""

    def read_until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            ready, _, _ = select.select([self._ours], [], [], 0.05)
            try:
                self.drawn += os.read(self._ours, 1 << 16) if ready else b""
            except OSError:  # the tool has ended
                return

    def close(self) -> None:
        os.close(self._ours)

    def code(self) -> int:
        """Pytest's own time limit is for a process that never ends."""
        return self.process.wait()


def is_working(videos: Path) -> bool:
    return any("pdum" in name for name in files_in(videos / "compressed")) and (videos / "compressed").is_dir()


def in_dashboard(videos: Path, **more: Any) -> Terminal:
    need_module("textual")
    terminal = Terminal("encode", "--tui", "-c", "h264", "--keep-bigger", videos, **more)
    terminal.read_until(lambda: b"NVENC 0" in terminal.drawn and is_working(videos))
    return terminal


def test_the_dashboard_is_left_by_its_terminal_and_the_run_goes_on(videos: Path) -> None:
    terminal = in_dashboard(videos, controlling=False)
    terminal.close()
    assert terminal.code() == exits.UNSHOWN
    assert done(videos) == CLIPS


def test_nohup_keeps_the_dashboards_run_alive(videos: Path) -> None:
    terminal = in_dashboard(videos, controlling=True, ignored=(signal.SIGHUP,))
    terminal.close()
    assert terminal.code() == exits.UNSHOWN
    assert done(videos) == CLIPS


def test_a_hangup_ends_the_dashboard_and_its_run(videos: Path) -> None:
    terminal = in_dashboard(videos, controlling=True)
    terminal.close()
    assert terminal.code() == exits.HUNG_UP
    assert done(videos) < CLIPS
    Journal.open(videos / "compressed", "outputs").close()  # its lock is free


def test_a_run_without_its_terminal_can_still_be_ended(videos: Path) -> None:
    make_clip(videos / "long.mkv", 600)
    terminal = in_dashboard(videos, controlling=False)
    terminal.close()
    output = Path(f"/proc/{terminal.process.pid}/fd/1")
    while os.readlink(output) != os.devnull:  # which is how it shows that it has noticed
        time.sleep(0.05)
    terminal.process.terminate()
    assert terminal.code() == exits.TERMINATED
    assert done(videos) < CLIPS + 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, exits.TERMINATED), (signal.SIGHUP, exits.HUNG_UP)])
def test_a_signal_to_the_dashboard_is_in_its_exit_code(videos: Path, number: signal.Signals, code: int) -> None:
    terminal = in_dashboard(videos, controlling=False)
    terminal.process.send_signal(number)
    terminal.read_until(lambda: terminal.process.poll() is not None)
    assert terminal.code() == code
    assert done(videos) < CLIPS
    terminal.close()


def test_lines_in_a_terminal_that_is_closed(videos: Path) -> None:
    terminal = Terminal("encode", "-c", "h264", "--keep-bigger", videos, controlling=False)
    terminal.read_until(lambda: b"NVENC 0" in terminal.drawn)
    terminal.close()
    assert terminal.code() == exits.UNSHOWN
    assert done(videos) == CLIPS
