"""Batches of files over a cluster: they continue after the program that has the batch was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.nodes import FAST, cluster_of, node
from damaged import damaged
from files.runner import assert_same_pictures
from media_samples import sample
from pdum.nvenc import EncoderPool, StorageSettings, events
from pdum.nvenc._cli import main

from clips import make_clip
from loud import need_module

pytestmark = pytest.mark.one_abi

SLOW = {**FAST, "fps_1080p": 1}
"""A frame of the clips takes 15 ms."""
FRAMES, SEGMENTS = 240, 12


@pytest.fixture(scope="module")
def slow(nvsim_dir: Path) -> Iterator[Any]:
    assert nvsim_dir.is_dir()
    with cluster_of(*node("slow", 2, SLOW)) as cluster:
        yield cluster


def encode(address: str, folder: Path) -> list[str]:
    own = ["--lossless", "-p", "p1", "-c", "h264", "--segments", str(SEGMENTS), "--keep-bigger", "--json"]
    return ["encode", "--cluster", address, *own, str(folder)]


def test_a_killed_program_continues_where_it_stopped(
    slow: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = make_clip(tmp_path / "a.mkv", FRAMES)
    command = encode(slow.scheduler_address, tmp_path)
    code = "import sys; from pdum.nvenc._cli import main; sys.exit(main(sys.argv[1:]))"
    with subprocess.Popen([sys.executable, "-c", code, *command], stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        finished = 0
        for line in killed.stdout:
            finished += json.loads(line)["event"] == "piece_finished"
            if finished == 3:
                os.kill(killed.pid, signal.SIGKILL)
                break
    capfd.readouterr()
    assert main(command) == 0
    told = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    (prepared,) = [one for one in told if one["event"] == "job_prepared"]
    assert prepared["frames_done"] >= 3 * FRAMES // SEGMENTS
    again = [one for one in told if one["event"] == "piece_finished"]
    assert sum(one["last"] - one["first"] for one in again) == FRAMES - prepared["frames_done"]
    results = tmp_path / "compressed"
    assert_same_pictures(source, results / "a.mkv")
    assert sorted(path.name for path in results.iterdir()) == [".pdum-nvenc.jsonl", "a.mkv"]


def test_a_quality_is_searched_for_on_all_machines(client: Any, clip: Path, tmp_path: Path) -> None:
    """The packets of samples come back to the pool, which compares their pictures with the source."""
    told: list[events.Event] = []
    with EncoderPool(cluster=client) as pool:
        result = pool.encode_file(
            clip, tmp_path / "a.mkv", codec="h264", target="ssim=0.9", preset="p1", on_event=told.append
        )
    assert result.frames == 120
    tried = [one for one in told if isinstance(one, events.QualityTried)]
    assert tried[-1].is_chosen
    assert tried[-1].score is not None
    assert tried[-1].score >= 0.9


@pytest.mark.parametrize("destination", ["result.mkv", "memory://out/result.mkv"])
def test_frames_that_cannot_be_decoded_are_told(client: Any, tmp_path: Path, destination: str) -> None:
    """Whether workers write their pieces to a folder that all machines see, or send packets back."""
    source = damaged(sample("pyramid"), {20, 36}, tmp_path)
    given: dict[str, Any] = {"codec": "h264", "segments": 2, "preset": "p1"}
    if "://" in destination:
        memory = need_module("fsspec").filesystem("memory")
        given["storage"] = StorageSettings(spool=tmp_path / "spool", reserve=0)
    else:
        destination = str(tmp_path / destination)
    with EncoderPool(cluster=client) as pool:
        told = pool.encode_file(source, destination, **given).warnings
    if "storage" in given:
        memory.store.clear()
    assert sum("frames of the source cannot be decoded" in one for one in told) == 1
    assert sum("The GPU's decoder gave up" in one for one in told) == 1


def test_many_files_each_go_to_one_engine(client: Any, clip: Path, tmp_path: Path) -> None:
    from pdum.nvenc import FileJob, FileSettings

    settings = FileSettings(codec="h264", encoder={"preset": "p1"})
    jobs = [FileJob(source=clip, destination=tmp_path / f"{number}.mp4", settings=settings) for number in range(6)]
    with EncoderPool(cluster=client) as pool:
        report = pool.encode_files(jobs)
    assert [result.frames for result in report.raise_for_errors()] == [120] * 6
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{number}.mp4" for number in range(6)]


def test_a_missing_source_is_told_as_on_one_machine(client: Any, tmp_path: Path) -> None:
    from pdum.nvenc import SourceUnreadable

    with EncoderPool(cluster=client) as pool, pytest.raises(SourceUnreadable, match="does not exist"):
        pool.encode_file(tmp_path / "no.mkv", tmp_path / "a.mkv")
