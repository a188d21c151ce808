"""Hardware and software engines of a cluster in one run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from cluster.nodes import FAST, cluster_of, node, software_node
from cluster.scripted import until
from files.runner import assert_same_pictures
from pdum.nvenc import EncoderPool, FileJob, FileSettings, InvalidConfig, events
from pdum.nvenc._cli import main

from clips import make_clip

pytestmark = pytest.mark.one_abi

SLOW = {**FAST, "fps_1080p": 4}
FILES = 8
OWN = ["--lossless", "-p", "p1", "-c", "h264", "--keep-bigger"]


@pytest.fixture(scope="module")
def cluster(nvsim_dir: Path) -> Iterator[Any]:
    """A machine with two hardware engines, and one with a software worker."""
    assert nvsim_dir.is_dir()
    with cluster_of(*node("hard", 2, SLOW), *software_node("soft", 1)) as made, made.get_client() as client:
        client.wait_for_workers(3, timeout=60)
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    first = make_clip(tmp_path / "0.mkv", 48)
    for number in range(1, FILES):
        shutil.copy(first, tmp_path / f"{number}.mkv")
    return tmp_path


def test_each_file_is_for_one_kind(cluster: Any, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = ["encode", "--cluster", cluster.scheduler_address, "--engine", "both", *OWN]
    assert main([*command, "--json", str(folder)]) == 0
    told = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    kinds = {one["index"]: one["kind"] for event in told if event["event"] == "run_started" for one in event["engines"]}
    kinds |= {one["engine"]["index"]: one["engine"]["kind"] for one in told if one["event"] == "engine_joined"}
    by_job: dict[int, set[str]] = {}
    for one in told:
        if one["event"] == "piece_finished":
            by_job.setdefault(one["job"], set()).add(kinds[one["engine"]])
    prepared = {one["job"]: {one["engine_kind"]} for one in told if one["event"] == "job_prepared"}
    assert by_job == prepared
    assert {kind for kinds in by_job.values() for kind in kinds} == {"nvenc", "software"}
    for number in range(FILES):
        result = folder / "compressed" / f"{number}.mkv"
        assert_same_pictures(folder / f"{number}.mkv", result)
        with av.open(str(result)) as container:
            assert container.streams.video[0].codec_context.name == "h264"
    assert main([*command, str(folder)]) == 0
    assert f"{FILES} files already done" in capfd.readouterr().out


def test_a_dry_run_previews_the_hardware(cluster: Any, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", "--dry-run", "--cluster", cluster.scheduler_address, "--engine", "both", str(folder)]) == 0
    said = capfd.readouterr().out
    assert "Engine: 2 encoders of GPU 0 (L4)." in said


def test_a_file_goes_on_with_the_kind_that_has_begun(cluster: Any, tmp_path: Path) -> None:
    """A run with software was cancelled. In the next one, hardware would have been first."""
    source = make_clip(tmp_path / "long.mkv", 240)
    settings = FileSettings(codec="h264", encoder={"preset": "p1", "tuning": "lossless"})
    job = FileJob(source=source, destination=tmp_path / "a.mkv", settings=settings, segments=8, keep_work=True)
    told: list[events.Event] = []
    with EncoderPool(cluster=cluster.scheduler_address, backend="software") as pool:
        run = pool.start(pool.files([job]), on_event=told.append)
        until(lambda: sum(isinstance(one, events.PieceFinished) for one in told) >= 2)
        run.cancel()
        run.wait()
    told.clear()
    with EncoderPool(cluster=cluster.scheduler_address, backend="both") as pool:
        kinds = {engine.index: engine.kind for engine in pool.engines}
        pool.encode_files([job], on_event=told.append).raise_for_errors()
    (prepared,) = [one for one in told if isinstance(one, events.JobPrepared)]
    assert prepared.frames_done > 0
    assert {kinds[one.engine] for one in told if isinstance(one, events.PieceFinished)} == {"software"}
    assert_same_pictures(source, tmp_path / "a.mkv")


def test_one_machine_has_no_both() -> None:
    with pytest.raises(InvalidConfig, match="is for the engines of a cluster"):
        EncoderPool(backend="both")
