"""Machines whose wall clocks are wrong work as the others do: nothing compares the times of two machines."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from cluster.test_commands import running
from files.runner import assert_same_pictures
from pdum.nvenc._cli import main

from clips import make_clip
from loud import need_program

pytestmark = pytest.mark.one_abi

LATE, EARLY = -20 * 365 * 86_400, 30 * 3600
"""Seconds: the clock of a machine without a battery, and one that is set to another day."""
FRAMES = 240


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clock") / "wrong_clock.so"
    source = Path(__file__).parents[1] / "wrong_clock.cpp"
    build = [need_program("g++", "g++"), "-std=c++17", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([*build, "-o", str(path), str(source)], check=True, timeout=120)
    return path


def test_two_machines_with_wrong_clocks_encode_a_file(
    library: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Certificates are valid for them, time-outs do not strike, and all times that are told are the caller's."""
    source, secret = make_clip(tmp_path / "videos" / "a.mkv", FRAMES), str(tmp_path / "farm.pem")
    began = time.time()

    def wrong(seconds: int) -> list[str]:
        return ["env", f"LD_PRELOAD={library}", f"WRONG_CLOCK_SECONDS={seconds}"]

    with running("cluster", "--listen", "127.0.0.1:0", "--tls", secret, cwd=tmp_path) as scheduler:
        address = scheduler.wait_for(r"The scheduler is (tls://\S+)\.")[1]
        tls = ("--tls", secret)
        one_engine = ("-j", "1")
        with (
            running("worker", address, *tls, *one_engine, "--name", "late", cwd=tmp_path, within=wrong(LATE)) as late,
            running(
                "worker", address, *tls, *one_engine, "--name", "early", cwd=tmp_path, within=wrong(EARLY)
            ) as early,
        ):
            for worker in (late, early):
                worker.wait_for("1 engine of this machine joined")
            own = ["--lossless", "-p", "p1", "-c", "h264", "--segments", "12", "--keep-bigger"]
            command = ["encode", "--cluster", address, *tls, *own, str(tmp_path / "videos")]
            assert main([*command, "--json"]) == 0
            told = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
            assert main(command) == 0
            assert "1 file already done" in capfd.readouterr().out
    ended = time.time()
    (start,) = [one for one in told if one["event"] == "run_started"]
    engines = {one["index"]: one["node"] for one in start["engines"]}
    engines |= {one["engine"]["index"]: one["engine"]["node"] for one in told if one["event"] == "engine_joined"}
    finished = [one for one in told if one["event"] == "piece_finished"]
    assert {engines[one["engine"]] for one in finished} == {"late", "early"}
    assert not {"piece_retried", "engine_lost"} & {one["event"] for one in told}
    assert [one["at"] for one in told] == sorted(one["at"] for one in told)
    assert all(0 <= one["seconds"] < ended - began for one in finished)
    assert all(one["eta"] is None or one["eta"] < 3600 for one in told if one["event"] == "run_progress")
    result = tmp_path / "videos" / "compressed" / "a.mkv"
    assert_same_pictures(source, result)
    journal = [json.loads(line) for line in (result.parent / ".pdum-nvenc.jsonl").read_text().splitlines()]
    assert all(began <= one["at"] + 0.001 and one["at"] <= ended for one in journal if "at" in one)
    assert [path.name for path in result.parent.iterdir() if path.name.endswith("-work")] == []
