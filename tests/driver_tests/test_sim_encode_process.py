"""The simulated encoder at a process's start and end, and with many threads."""

from __future__ import annotations

import ctypes
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from driver_tests import child
from driver_tests.encode_client import FAST, Rig, picture

from simulator import Machine, Simulator, checksum
from simulator.raw import Api, Cuda, Refused

CONFIG: dict[str, Any] = {"gpus": [FAST]}


def exit_with_a_session_at_work() -> None:
    cuda = Cuda()
    client = Rig(Machine(Simulator()), cuda).start(surfaces=4)
    for number in range(4):
        client.encode(number)


def test_a_process_may_end_with_pictures_in_flight(nvsim_dir: Path) -> None:
    for rate in (0, 1):
        child.check(nvsim_dir, exit_with_a_session_at_work, {"gpus": [{"name": "RTX 4090", "fps_1080p": rate}]})


def close_the_library() -> None:
    cuda = Cuda()
    client = Rig(Machine(Simulator()), cuda).start(surfaces=1)
    handle = client.api.lib._handle
    libdl = ctypes.CDLL(None)
    for _ in range(4):
        libdl.dlclose(ctypes.c_void_p(handle))
    client.encode(0)
    assert client.take(0).checksum == checksum(picture(0))
    client.close()
    cuda.close()
    os._exit(0)  # ctypes has one handle less than it believes


def test_the_library_stays_when_a_client_closes_it(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, close_the_library, CONFIG)


def fork_with_a_session() -> None:
    cuda = Cuda()
    client = Rig(Machine(Simulator()), cuda).start(surfaces=2)
    client.encode(0)
    child_pid = os.fork()
    if child_pid == 0:
        try:
            client.session.headers()
        except Refused:
            os._exit(7)
        os._exit(1)
    _, status = os.waitpid(child_pid, 0)
    assert os.waitstatus_to_exitcode(status) == 7
    client.encode(1)
    assert [client.take(number).timestamp for number in (0, 1)] == [0, 1]
    client.close()
    cuda.close()


def test_a_forked_child_has_no_session_and_the_parent_keeps_its_own(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, fork_with_a_session, CONFIG)


def hold_two_sessions() -> None:
    cuda = Cuda()
    sessions = [Api().open(cuda.context) for _ in range(2)]
    print("open", flush=True)
    input()
    for session in sessions:
        session.destroy()


def test_processes_share_the_session_limit(nvsim_dir: Path, tmp_path: Path) -> None:
    config: dict[str, Any] = {"gpus": [{**FAST, "session_limit": 3}], "state": str(tmp_path / "state")}
    simulator = Simulator()
    with simulator.machine(**config), Cuda() as cuda:
        with child.start(nvsim_dir, hold_two_sessions, config) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            session = Api().open(cuda.context)
            with pytest.raises(Refused, match="no more than 3"):
                Api().open(cuda.context)
            process.stdin.write("\n")
            process.stdin.close()
            assert process.wait(60) == 0
        Api().open(cuda.context).destroy()
        session.destroy()


def test_many_threads_with_a_session_each(nvsim_dir: Path) -> None:
    simulator = Simulator()
    failures: list[BaseException] = []

    def work(machine: Machine, seed: int) -> None:
        try:
            with Cuda() as cuda:
                client = Rig(machine, cuda).start(surfaces=5, interval=1 + seed % 3)
                for number in range(5):
                    client.encode(number)
                client.session.end()
                units = [client.take(number) for number in range(5)]
                assert sorted(unit.timestamp for unit in units) == [0, 1, 2, 3, 4]
                assert all(unit.checksum == checksum(picture(unit.timestamp)) for unit in units)
                client.close()
        except BaseException as failure:
            failures.append(failure)

    with simulator.machine(gpus=[{**FAST, "engines": 3, "session_limit": 0}]) as machine:
        for _ in range(3):
            threads = [threading.Thread(target=work, args=(machine, seed)) for seed in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
    assert failures == []


def test_one_thread_submits_and_another_takes(nvsim_dir: Path) -> None:
    """Like GStreamer: a thread waits for access units that only further pictures release."""
    simulator = Simulator()
    taken: list[int] = []
    with simulator.machine(gpus=[FAST]) as machine, Cuda() as cuda:
        client = Rig(machine, cuda).start(surfaces=12, interval=3, lookahead=3)
        taker = threading.Thread(target=lambda: taken.extend(client.take(number).timestamp for number in range(12)))
        client.encode(0)
        taker.start()
        for number in range(1, 12):
            client.encode(number)
        client.session.end()
        taker.join(60)
        client.close()
    assert taken == [0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 11, 10]


def break_a_rule_and_leave_a_session() -> None:
    cuda = Cuda()
    client = Rig(Machine(Simulator()), cuda).start(surfaces=1)
    with pytest.raises(Refused):
        client.session.unlock(client.outputs[0])
    if os.fork() == 0:
        os._exit(0)


def test_the_report_tells_what_was_broken_and_what_was_left(nvsim_dir: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    child.check(nvsim_dir, break_a_rule_and_leave_a_session, {**CONFIG, "report": str(report), "count": True})
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert {line["lib"] for line in lines if "loaded" in line} == {"cuda", "decode", "encode", "nvml"}
    (broken,) = [line for line in lines if "violation" in line]
    assert (broken["lib"], broken["call"]) == ("encode", "nvEncUnlockBitstream")
    ends = {line["lib"]: line["ended"] for line in lines if "ended" in line}
    assert len(ends) == 4, "one for each library, and none of the forked child"
    assert ends["encode"]["live"]["sessions"] == 1
    assert ends["encode"]["calls"]["nvEncInitializeEncoder"] == 1
    assert ends["encode"]["violations"][0]["message"] == broken["violation"]


def encode_with_the_backend_auto() -> None:
    simulator = Simulator()
    obstacles = simulator.libraries["encode"].control(codecs=True)
    assert list(obstacles) == ["h264", "hevc", "av1"]
    with Cuda() as cuda:
        for codec in ("H264", "HEVC", "AV1"):
            client = Rig(Machine(simulator), cuda).start(surfaces=1, codec=codec)
            client.encode(0)
            data = client.session.take(client.outputs[0])
            assert (b'"crc":' in data) == bool(obstacles[codec.lower()]), f"{codec}: {obstacles}"
            client.close()
    print(json.dumps(obstacles))


def test_the_backend_auto_takes_real_codecs_only_if_their_libraries_are_there(nvsim_dir: Path, tmp_path: Path) -> None:
    """A broken library in the search path stands for one that is not installed."""
    config = {**CONFIG, "backend": "auto"}
    whole = json.loads(child.check(nvsim_dir, encode_with_the_backend_auto, config))
    for name in whole:
        if whole[name]:
            assert "built without" in whole[name] or "cannot open" in whole[name]
    directory = tmp_path / "driver"
    (directory / "full").mkdir(parents=True)
    for library in (nvsim_dir / "full").iterdir():
        (directory / "full" / library.name).symlink_to(library)
    versions = {"x264": range(140, 180), "x265": range(150, 240), "aom": range(3, 4)}
    for name in [f"lib{codec}.so.{version}" for codec in versions for version in versions[codec]]:
        (directory / "full" / name).write_bytes(b"no library")
    broken = json.loads(child.check(directory, encode_with_the_backend_auto, config))
    assert all(broken.values())


def ask_for_the_catalogue() -> None:
    for library in Simulator().libraries.values():
        catalogue = library.control(catalogue=True)
        assert catalogue["L4"]["engines"] == 2
        assert catalogue["RTX 3060"]["codecs"] == ["h264", "hevc"]
        assert catalogue["H100"]["codecs"] == []


def test_the_catalogue_can_be_asked_for(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, ask_for_the_catalogue)
