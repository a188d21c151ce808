"""``pdum-nvenc cluster``, ``worker`` and ``encode --cluster`` as processes of their own."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster.scripted import until
from pdum.nvenc import EncoderPool, events
from pdum.nvenc._cli import main
from pdum.nvenc._cli import running as running_module

from clips import make_clip
from simulator import environment

pytestmark = pytest.mark.one_abi

LONGEST = 120.0
"""Seconds that a busy machine may need to start a process."""


class Command:
    """A running command, whose output is read line by line."""

    def __init__(self, *arguments: str, cwd: Path, within: Sequence[str] = ()) -> None:
        """``within``: a command that runs the command."""
        code = "import sys; from pdum.nvenc._cli import main; sys.exit(main(sys.argv[1:]))"
        self.process = subprocess.Popen(
            [*within, sys.executable, "-c", code, *arguments], cwd=cwd,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            env={**environment(gpus=[{"name": "L4", "engines": 2, "fps_1080p": 0}], backend="codec")},
        )  # fmt: skip
        self.output = ""

    def wait_for(self, pattern: str) -> re.Match[str]:
        assert self.process.stdout is not None
        deadline = time.monotonic() + LONGEST
        while (found := re.search(pattern, self.output)) is None:
            ready, _, _ = select.select([self.process.stdout], [], [], max(deadline - time.monotonic(), 0))
            assert ready, f"no {pattern!r} came: {self.output}"
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, f"it ended without {pattern!r}: {self.output}"
            self.output += data.decode()
        return found

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Also signals what the command has started, as a terminal does for Ctrl-C, and systemd for SIGTERM."""
        os.killpg(self.process.pid, number)
        output, _ = self.process.communicate(timeout=LONGEST)
        self.output += output.decode()
        return self.process.returncode


@contextmanager
def running(*arguments: str, cwd: Path, within: Sequence[str] = ()) -> Iterator[Command]:
    command = Command(*arguments, cwd=cwd, within=within)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            os.killpg(command.process.pid, signal.SIGKILL)
        if command.process.stdout is not None and not command.process.stdout.closed:
            command.process.communicate()


def test_from_nothing_to_a_file_over_an_encrypted_cluster(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The scheduler makes the secret, the worker brings a GPU with two engines, and a third process has the files."""
    make_clip(tmp_path / "videos" / "a.mkv", 40)
    secret = str(tmp_path / "farm.pem")
    with running("cluster", "--listen", "127.0.0.1:0", "--tls", secret, cwd=tmp_path) as scheduler:
        address = scheduler.wait_for(r"The scheduler is (tls://\S+)\.")[1]
        assert (
            "Only this machine can connect. --listen ADDRESS --tls FILE lets other machines join." in scheduler.output
        )
        with running("worker", address, "--tls", secret, "--name", "box", cwd=tmp_path) as worker:
            worker.wait_for(
                "2 engines of this machine joined tls://.*\n  box · GPU 0 · NVENC 0\n  box · GPU 0 · NVENC 1"
            )
            shared = ["--cluster", address, "--tls", secret, "-p", "p1"]
            assert main(["encode", *shared, str(tmp_path / "videos")]) == 0
            told = capfd.readouterr().out
            assert "Codec: av1 on NVENC" in told
            assert (tmp_path / "videos" / "compressed" / "a.mkv").exists()
            assert main(["encode", *shared, "--dry-run", str(tmp_path / "videos")]) == 0
            assert main(["encode", *shared, str(tmp_path / "videos")]) == 0
            assert "1 file already done" in capfd.readouterr().out
            assert worker.end() == 130
        assert scheduler.end(signal.SIGTERM) == 143
    assert "Traceback" not in worker.output + scheduler.output


@pytest.mark.parametrize(
    ("address", "why"), [("127.0.0.1:9", "Connection refused"), ("nowhere.invalid", "(Name or service|Temporary)")]
)
def test_a_worker_that_waits_for_its_scheduler_says_why(tmp_path: Path, address: str, why: str) -> None:
    with running("worker", address, "--engine", "software", "-j", "1", cwd=tmp_path) as worker:
        worker.wait_for(
            rf"{address}\S* does not answer: {why}.*\. Trying again until `pdum-nvenc cluster` runs there\."
        )
        assert worker.end() == 130
    assert "let this machine in" not in worker.output


def test_a_cluster_to_try_out(tmp_path: Path) -> None:
    local = ("cluster", "--local", "--engine", "software", "-j", "1", "--listen", "127.0.0.1:0")
    with running(*local, "--name", "here", cwd=tmp_path) as cluster:
        cluster.wait_for(r"The scheduler is tcp://127\.0\.0\.1:\d+\.\n  here · CPU 0")
        with running("cluster", "--listen", "192.0.2.1", cwd=tmp_path) as elsewhere:
            elsewhere.wait_for("Warning: whoever reaches this port can run programs on all machines of the cluster")
            elsewhere.wait_for(r"cannot listen on 192\.0\.2\.1:8786: .* Name another address with --listen\.")
            assert elsewhere.process.wait(LONGEST) == 4
        assert cluster.end() == 130
    assert "Traceback" not in cluster.output


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("worker", "http://head"), 2, "Expected the address of a scheduler"),
        (("worker", "head", "--tls", "nowhere.pem"), 2, "nowhere.pem: No such file"),
        (("cluster", "--listen", "two words"), 2, "Expected an address of this machine"),
        (("encode", "--cluster", "a b", "x"), 2, "Expected the address of a scheduler"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(
    arguments: tuple[str, ...], code: int, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    try:
        ended = main(arguments)
    except SystemExit as error:
        ended = int(error.code or 0)
    told = capfd.readouterr().err
    assert ended == code
    assert said in told
    assert "Traceback" not in told


def test_a_wait_for_workers_is_told(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_module, "SECONDS_UNTIL_TOLD", 0.01)
    told: list[str] = []

    def is_told() -> bool:
        told.append(capfd.readouterr().err)
        return "pdum-nvenc: Waiting for an engine of the cluster tcp://head:8786." in "".join(told)

    with running_module._telling_of_a_wait("tcp://head:8786"):
        until(is_told)


@pytest.mark.slow
def test_a_scheduler_that_is_started_again_is_found_by_all(tmp_path: Path) -> None:
    """The worker and the pool wait for it, and the video is complete."""

    def render(number: int, surface: Any) -> Any:
        import time

        import numpy as np

        time.sleep(0.02)
        return np.full((96, 192), number % 256, np.uint8)

    told: list[events.Event] = []
    with running("cluster", "--listen", "127.0.0.1:0", cwd=tmp_path) as first:
        address = first.wait_for(r"The scheduler is (tcp://\S+)\.")[1]
        listen = address.removeprefix("tcp://")
        with running("worker", address, "--engine", "software", "-j", "1", cwd=tmp_path) as worker:
            worker.wait_for("1 engine of this machine joined")
            with EncoderPool(cluster=address, session_timeout=LONGEST) as pool:
                task = pool.generated(render, 200, width=192, height=64)
                run = pool.start([task], on_event=told.append)
                while not any(isinstance(one, events.Progress) and one.frames for one in told):
                    time.sleep(0.05)
                first.end(signal.SIGKILL)
                with running("cluster", "--listen", listen, cwd=tmp_path) as second:
                    run.wait().raise_for_errors()
                    worker.wait_for("Waiting until it is back(.|\n)*1 engine of this machine joined")
                    assert second.process.poll() is None
            assert worker.end() == 130
    assert {events.EngineLost, events.EngineJoined} <= {type(one) for one in told}
