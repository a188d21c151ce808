"""Signals that arrive while the tool is still loading, or that are ignored when it starts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from pdum.nvenc._batch.journal import Journal
from pdum.nvenc._batch.journal_entry import DONE
from pdum.nvenc._cli import exits

from clips import command, make_clip
from simulator import environment

pytestmark = pytest.mark.one_abi

CONFIG: dict[str, Any] = {"gpus": [{"name": "RTX 4090", "fps_1080p": 1}], "backend": "codec"}

INTERRUPTED_IMPORT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)

class Interrupter:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

wanted = sys.argv.pop(1)
sys.meta_path.insert(0, Interrupter())
from {module} import {function}
sys.exit({function}())
"""


def installed_command() -> str:
    """The program above, with the function that the installed command calls."""
    (entry,) = entry_points(group="console_scripts", name="pdum-nvenc")
    return INTERRUPTED_IMPORT.replace("{module}", entry.module).replace("{function}", entry.attr)


@pytest.mark.parametrize(
    "module",
    [
        *("pdum.nvenc", "pdum.nvenc._errors", "pdum.nvenc._nvenc", "pdum.nvenc._cli", "pdum.nvenc._cli.exits"),
        *("argparse", "pdum.nvenc._cli.parser", "pdum.nvenc._cli.encode", "pdum.nvenc._batch.batch"),
    ],
)
def test_ctrl_c_while_modules_are_loaded_gives_no_traceback(tmp_path: Path, module: str) -> None:
    make_clip(tmp_path / "a.mkv", 4)
    result = subprocess.run(
        [sys.executable, "-c", installed_command(), module, "encode", str(tmp_path)],
        env=environment(**CONFIG),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (exits.INTERRUPTED, "pdum-nvenc: Interrupted.\n")
    assert not (tmp_path / "compressed").exists()


def start(*arguments: object, interruptible: bool) -> subprocess.Popen[str]:
    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL if interruptible else signal.SIG_IGN)

    return subprocess.Popen(
        command(*arguments),
        env=environment(**CONFIG),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,
    )


def wait_for(process: subprocess.Popen[str], kind: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == kind:
            return


def test_an_ignored_ctrl_c_stays_ignored(tmp_path: Path) -> None:
    """As in a script's background job."""
    make_clip(tmp_path / "a.mkv", 20)
    arguments = ("encode", "--json", "-c", "h264", "--keep-bigger", tmp_path)
    with start(*arguments, interruptible=False) as process:
        wait_for(process, "piece_started")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert (process.returncode, said) == (0, "")
    assert [one.result for one in Journal.read(tmp_path / "compressed").entries.values()] == [DONE]


@pytest.mark.parametrize("command", ["encode", "watch"])
def test_sigterm_ends_a_run_that_ignores_ctrl_c(tmp_path: Path, command: str) -> None:
    make_clip(tmp_path / "a.mkv", 200)
    more = ["--settle", "0"] if command == "watch" else []
    with start(command, "--json", "-c", "h264", *more, tmp_path, interruptible=False) as process:
        wait_for(process, "piece_started")
        process.terminate()
        process.communicate()
    assert process.returncode == exits.TERMINATED


@pytest.mark.parametrize("interruptible", [True, False])
def test_sigterm_ends_watched_gpus(interruptible: bool) -> None:
    with start("gpus", "--watch", "--json", interruptible=interruptible) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT if interruptible else signal.SIGTERM)
        process.communicate()
    assert process.returncode == (0 if interruptible else -signal.SIGTERM)
