"""The tool on a full disk: a separate file system in a separate mount namespace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from full_disk_runner import CANNOT_MOUNT
from pdum.nvenc._batch.journal_entry import NAME

from clips import content, events_of, make_clip, parsed
from loud import missing, need_program
from simulator import environment

RUNNER = Path(__file__).parents[1] / "full_disk_runner.py"
CONFIG: dict[str, Any] = {"gpus": ["RTX 4090"], "backend": "codec"}
FLAGS = ("-c", "h264", "--lossless", "--keep-bigger", "--segments", "4")
SHORT, LONG = 3, "long.mkv"


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    for number in range(SHORT):
        make_clip(folder / f"{number}.mkv", 5, seed=number, sound=number == 1)
    make_clip(folder / LONG, 120, seed=9)
    return folder


def run_on_disk_of(kibibytes: int, videos: Path, *more: str) -> list[dict[str, Any]]:
    unshare = need_program("unshare", "util-linux")
    command = [
        unshare,
        "--mount",
        "--map-root-user",
        sys.executable,
        str(RUNNER),
        str(videos),
        str(kibibytes),
        *FLAGS,
        *more,
    ]
    done = subprocess.run(command, env=environment(**CONFIG), capture_output=True, text=True, timeout=280, check=False)
    if done.returncode == CANNOT_MOUNT or "unshare failed" in done.stderr:
        missing("the right to mount a file system", f"run it as root: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def require_same_content(videos: Path) -> None:
    for source in videos.glob("*.mkv"):
        got, wanted = content(videos / "kept" / source.name), content(source)
        assert got == {key: wanted[key] for key in got}, source.name


def names(*clips: object) -> set[str]:
    return {NAME, *(f"{clip}.mkv" for clip in clips)}


@pytest.mark.parametrize(("kibibytes", "more"), [(100, ()), (300, ()), (1500, ()), (1500, ("-j", "1"))])
def test_the_disk_fills(videos: Path, kibibytes: int, more: tuple[str, ...]) -> None:
    """A file that needs room while there is none fails and says why, and the others are done. Only complete pieces of
    the failed ones stay. With room, the failed ones are done from there, and no others."""
    full, roomy = run_on_disk_of(kibibytes, videos, *more)
    told = parsed(full["events"])
    assert full["code"] == 1, full["said"]
    done, failed = events_of("job_finished", told), events_of("job_failed", told)
    assert len(done) + len(failed) == SHORT + 1
    assert failed
    for job in failed:
        assert "No space left on device" in job["message"]
    assert "long.mkv" not in full["files"] or "-j" not in more, "alone, it finds all others before it"
    whole = {name for name in full["files"] if "pdum-work" not in name}
    assert whole == {NAME, *(Path(job["destination"]).name for job in done)}
    assert roomy["code"] == 0, roomy["said"]
    assert len(events_of("job_finished", parsed(roomy["events"]))) == len(failed)
    assert set(roomy["files"]) == names(*range(SHORT), "long")
    require_same_content(videos)


def test_no_room_for_anything(videos: Path) -> None:
    """There is not even room for the journal: an error says so, nothing is left, and with room everything is done."""
    full, roomy = run_on_disk_of(4, videos)
    assert full["code"] != 0
    assert "No space left on device" in full["said"] + full["events"]
    assert "Traceback" not in full["said"]
    assert set(full["files"]) <= {NAME}
    assert roomy["code"] == 0, roomy["said"]
    assert set(roomy["files"]) == names(*range(SHORT), "long")
    require_same_content(videos)
