"""The command `nvsim`: other people's programs on the simulated driver, its report, and its exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loud import need_program

ROOT = Path(__file__).resolve().parents[2]
# Programs of users, which open the driver by its names.
GOOD = "from simulator.raw import Cuda; Cuda().close()"
BAD = "import ctypes; from simulator.raw import Cuda; Cuda().lib.cuMemFree_v2(ctypes.c_uint64(1))"
SESSIONS = """
from simulator.raw import Api, Cuda, Refused
import sys
cuda, api = Cuda(), Api()
for number in range(int(sys.argv[1])):
    api.open(cuda.context)
"""


@pytest.fixture
def environment(nvsim_dir: Path) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT / "packages" / "nvenc-sim" / "src"), str(ROOT / "tests")])
    return {**os.environ, "PYTHONPATH": path, "NVSIM_DIR": str(nvsim_dir)}


def nvsim(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nvsim", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_a_good_program(environment: dict[str, str]) -> None:
    done = nvsim(environment, "run", "--", sys.executable, "-c", GOOD)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("nvsim: no rule broken, 0 sessions, 0 calls of nvEncEncodePicture\n")
    quiet = nvsim(environment, "run", "-q", "--", sys.executable, "-c", GOOD)
    assert (quiet.returncode, quiet.stderr) == (0, "")


def test_a_broken_rule_is_told_and_changes_the_exit_code(environment: dict[str, str], tmp_path: Path) -> None:
    report, trace = tmp_path / "report.json", tmp_path / "trace.jsonl"
    options = ["-q", "--gpu", "L4", "--report", report, "--trace", trace]
    done = nvsim(environment, "run", *options, "--", sys.executable, "-c", BAD)
    assert done.returncode == 99
    assert "nvsim: 1 rule broken" in done.stderr
    assert "cuMemFree_v2 (address 0x1): freed, but no allocation begins here" in done.stderr
    told = json.loads(report.read_text())
    assert (told["exit_code"], told["processes"], told["config"]["gpus"]) == (99, 1, ["L4"])
    assert told["violations"][0]["library"] == "cuda"
    assert told["calls"]["cuMemFree_v2"] == 1
    assert '"call":"cuMemFree_v2"' in trace.read_text()
    assert nvsim(environment, "run", "--allow-violations", "--", sys.executable, "-c", BAD).returncode == 0
    own = nvsim(environment, "run", "--", sys.executable, "-c", f"{BAD}; raise SystemExit(3)")
    assert own.returncode == 3, "the command's own code says more"


def test_sessions_that_are_left_open_are_told(environment: dict[str, str]) -> None:
    done = nvsim(environment, "run", "--", sys.executable, "-c", SESSIONS, "2")
    assert done.returncode == 0
    assert "2 sessions still open at the end of the process" in done.stderr


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--sessions", "2"], "no more than 2 encode sessions"),
        (["--engines", "0"], "has no hardware encoder"),
        (["--config", '{"gpus": ["A100"]}'], "has no hardware encoder"),
        (["--fail", "nvEncOpenEncodeSessionEx:3:OUT_OF_MEMORY"], "status 10"),
        (["--max-api", "12.1"], "status 15"),
    ],
)
def test_the_machine_is_the_one_that_was_asked_for(
    environment: dict[str, str], options: list[str], reason: str
) -> None:
    done = nvsim(environment, "run", *options, "--", sys.executable, "-c", SESSIONS, "3")
    assert done.returncode == 1, done.stderr
    assert reason in done.stderr


def test_a_program_that_never_opens_the_driver_is_told(environment: dict[str, str]) -> None:
    done = nvsim(environment, "run", "--", "true")
    assert done.returncode == 0
    assert "the command never opened the simulated driver: nothing was tested" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["run"], 125, "expected a command to run"),
        (["run", "--gpu", "RTX 409", "--", "true"], 125, 'nearest: "RTX 4090"'),
        (["run", "--config", "nowhere.json", "--", "true"], 125, "No such file"),
        (["run", "--config", "{", "--", "true"], 125, "expected JSON"),
        (["run", "--config", '{"gpsu": []}', "--", "true"], 125, 'nearest: "gpus"'),
        (["run", "--fail", "nvEncLockBitstream:x", "--", "true"], 125, "expected CALL"),
        (["run", "--fail", "malloc", "--", "true"], 125, 'no library has a call "malloc"'),
        (["run", "--fail", "nvEncLockBitstrem", "--", "true"], 125, "such as nvEncLockBitstream, got"),
        (["run", "--backend", "x264", "--", "true"], 125, "invalid choice"),
        (["run", "--trace", "/no/such/folder/trace", "--", "true"], 125, "No such file"),
        (["run", "--report", "/no/such/folder/report", "--", "true"], 125, "No such file"),
        (["run", "--", "/no/such/program"], 127, "no such command"),
        (["run", "--", "/"], 126, "cannot be started"),
        (["walk"], 125, "invalid choice"),
        ([], 125, "the following arguments are required"),
    ],
)
def test_wrong_use(environment: dict[str, str], arguments: list[str], code: int, reason: str) -> None:
    done = nvsim(environment, *arguments)
    assert done.returncode == code, done.stderr
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_signals_reach_the_program(environment: dict[str, str]) -> None:
    """What ends `nvsim` ends the program, and the exit code says how."""
    program = "import signal, sys; print('ready', flush=True); signal.pause()"
    command = [sys.executable, "-m", "nvsim", "run", "--", sys.executable, "-c", program]
    for number in (signal.SIGTERM, signal.SIGHUP):
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(number)
            assert process.wait(60) == 128 + number


def test_lists(environment: dict[str, str]) -> None:
    gpus = nvsim(environment, "gpus")
    assert "L4                             2  no limit  av1 h264 hevc" in gpus.stdout
    codecs = nvsim(environment, "codecs")
    assert [line.partition(":")[0] for line in codecs.stdout.splitlines()] == ["h264", "hevc", "av1"]


@pytest.mark.parametrize("shell", [False, True])
def test_the_environment_is_enough_for_any_program(environment: dict[str, str], tmp_path: Path, shell: bool) -> None:
    """As lines of a file that CI systems read, or for a shell."""
    trace = tmp_path / "my trace.jsonl"
    options = ["--shell"] if shell else []
    printed = nvsim(environment, "env", "--trace", trace, *options).stdout
    assert "NVSIM_CONFIG" in printed
    program = [sys.executable, "-c", GOOD]
    if shell:
        script = printed + ' exec "$0" "$@"'
        subprocess.run(["sh", "-c", script, *program], env=environment, check=True, timeout=60)
    else:
        variables = dict(line.split("=", 1) for line in printed.splitlines())
        subprocess.run(program, env={**environment, **variables}, check=True, timeout=60)
    assert '"call":"cuInit"' in trace.read_text()


@pytest.mark.clients
def test_debians_ffmpeg(environment: dict[str, str], tmp_path: Path) -> None:
    ffmpeg = need_program("ffmpeg", "ffmpeg")
    movie, report = tmp_path / "out.mp4", tmp_path / "report.json"
    source = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=10:duration=1"]
    options = ["--gpu", "RTX 3060", "--report", report]
    command = [ffmpeg, "-nostdin", "-v", "error", *source, "-c:v", "h264_nvenc", movie]
    done = nvsim(environment, "run", *options, "--", *command)
    assert done.returncode == 0, done.stderr
    told = json.loads(report.read_text())
    assert told["calls"]["nvEncLockBitstream"] == 10
    assert (told["violations"], told["live"].get("sessions")) == ([], None)
    command[-3:] = ["-c:v", "av1_nvenc", movie.with_suffix(".mkv")]
    refused = nvsim(environment, "run", *options, "--", *command)
    assert refused.returncode not in (0, 99), "an RTX 3060 has no AV1"
