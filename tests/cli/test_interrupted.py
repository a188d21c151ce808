"""Runs in separate processes that are ended from outside: by Ctrl-C, by SIGTERM, and by SIGKILL at any instant."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pdum.nvenc._batch.journal_entry import BEGUN, DONE, NAME

from clips import content, events_of, files_in, make_clip, parsed, start
from loud import need_pyav
from simulator import environment

ENGINES = {"name": "RTX 4090", "fps_1080p": 2}
"""Slow enough that a clip takes each engine some tenths of a second."""
CONFIG: dict[str, Any] = {"gpus": [ENGINES], "backend": "codec"}
FLAGS = ("-c", "h264", "--lossless", "--keep-bigger")
CLIPS, SHORT, LONG = 5, 16, 110


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What each result must contain. The last clip is long enough for several segments."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(CLIPS):
        make_clip(folder / f"{number}.mkv", SHORT, seed=number, sound=number % 2 == 0)
    make_clip(folder / "long.mkv", LONG, seed=9)
    found = {path.name: {**content(path), "path": path} for path in folder.iterdir()}
    return dict(sorted(found.items()))


@pytest.fixture
def videos(tmp_path: Path, clips: dict[str, dict[str, Any]]) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    for name, clip in clips.items():
        (folder / name).write_bytes(clip["path"].read_bytes())
    return folder


def run(videos: Path, *more: object) -> subprocess.Popen[str]:
    return start("encode", "--json", "--segments", "4", *FLAGS, *more, videos, config=CONFIG)


def read_until(process: subprocess.Popen[str], enough: Any) -> list[dict[str, Any]]:
    """Events up to the first that is enough, or all."""
    assert process.stdout is not None
    told = []
    for line in process.stdout:
        told.append(json.loads(line))
        if enough(told):
            break
    return told


def rest_of(process: subprocess.Popen[str]) -> tuple[list[dict[str, Any]], str]:
    """The remaining events, and the text on standard error. A killed process leaves a torn line."""
    assert process.stdout is not None
    assert process.stderr is not None
    out, err = process.stdout.read(), process.stderr.read()
    process.wait(timeout=60)
    return parsed("".join(line for line in out.splitlines(keepends=True) if line.endswith("\n"))), err


def go_on(videos: Path, *more: object) -> list[dict[str, Any]]:
    process = run(videos, *more)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return parsed(out)


def require_all_right(videos: Path, clips: dict[str, dict[str, Any]]) -> None:
    expected = {*clips, f"compressed/{NAME}", *(f"compressed/{name}" for name in clips)}
    assert files_in(videos) == expected
    for name, clip in clips.items():
        got = content(videos / "compressed" / name)
        assert got == {key: clip[key] for key in got}, name


def records(videos: Path) -> list[dict[str, Any]]:
    lines = (videos / "compressed" / NAME).read_bytes().splitlines()
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue  # torn
    return [record for record in found if "result" in record]


def require_nothing_twice(videos: Path, clips: dict[str, dict[str, Any]], finished: Counter[str]) -> None:
    """No job finishes twice, and none starts again after it was done."""
    assert all(count == 1 for count in finished.values())
    done: Counter[str] = Counter()
    for record in records(videos):
        if record["result"] == BEGUN:
            assert not done[record["source"]], "what was done is begun again"
        done[record["source"]] += record["result"] == DONE
    assert done == {f"../{name}": 1 for name in clips}


@pytest.mark.one_abi
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_search_that_is_ended_leaves_nothing_and_is_done_again(
    videos: Path, number: signal.Signals, code: int
) -> None:
    """A file of which only samples were encoded is not finished first, unlike one that is encoded."""
    need_pyav(18, "scores")
    slow = {"gpus": [{"name": "RTX 4090", "fps_1080p": 0.5}], "backend": "codec"}
    clip = videos / "0.mkv"
    arguments = ("encode", "--json", "-c", "h264", "--target", "ssim=0.9", "--keep-bigger", clip)
    with start(*arguments, config=slow) as process:
        read_until(process, lambda told: told[-1]["event"] == "piece_started")
        process.send_signal(number)
        told, err = rest_of(process)
    assert process.returncode == code, err
    assert events_of("job_cancelled", told)
    assert not events_of("job_finishing", told)
    assert {name for name in files_in(videos) if name.startswith("compressed/")} == {f"compressed/{NAME}"}
    with start(*arguments, config=CONFIG) as again:
        out, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert events_of("job_finished", parsed(out))


class Ends:
    """How often each source was reported done, over several runs."""

    def __init__(self) -> None:
        self.finished: Counter[str] = Counter()

    def add(self, told: list[dict[str, Any]]) -> None:
        sources = {event["job"]: Path(event["source"]).name for event in events_of("job_queued", told)}
        self.finished.update(sources[event["job"]] for event in events_of("job_finished", told))


def kill_and_go_on(videos: Path, clips: dict[str, dict[str, Any]], chance: random.Random, kills: int) -> None:
    ends = Ends()
    for _ in range(kills):
        process = run(videos)
        with process:
            some = chance.randint(1, 60)
            told = read_until(process, lambda events, some=some: len(events) >= some)
            time.sleep(chance.random() * 0.1)
            process.kill()
            told += rest_of(process)[0]
        ends.add(told)
    ends.add(go_on(videos))
    require_all_right(videos, clips)
    require_nothing_twice(videos, clips, ends.finished)


@pytest.mark.parametrize("seed", range(2))
def test_killed_and_gone_on_with(videos: Path, clips: dict[str, dict[str, Any]], seed: int) -> None:
    kill_and_go_on(videos, clips, random.Random(seed), kills=2)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(100, 104))
def test_killed_at_twenty_instants(tmp_path: Path, seed: int) -> None:
    """Twenty in one batch that is long enough for them: most while it works, some while it starts."""
    chance, ends, videos = random.Random(seed), Ends(), tmp_path / "videos"
    made = [make_clip(videos / f"{number:02}.mkv", 60, seed=number, sound=number % 2 == 0) for number in range(28)]
    made += [make_clip(videos / f"long {number}.mkv", 200, seed=number) for number in range(2)]
    clips = {path.name: content(path) for path in made}
    for _ in range(20):
        with run(videos) as process:
            told = []
            if chance.random() < 0.75:
                told = read_until(process, lambda events: bool(events_of("piece_started", events)))
            time.sleep(chance.random() * 0.7)
            assert process.poll() is None, "all is done before the last of the kills"
            process.kill()
            told += rest_of(process)[0]
        assert process.returncode == -signal.SIGKILL
        ends.add(told)
    ends.add(go_on(videos))
    require_all_right(videos, clips)
    require_nothing_twice(videos, clips, ends.finished)


def test_segments_of_a_long_file_survive(tmp_path: Path, clips: dict[str, dict[str, Any]]) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "long.mkv").write_bytes(clips["long.mkv"]["path"].read_bytes())
    with run(videos) as process:
        told = read_until(process, lambda events: len(events_of("piece_finished", events)) >= 2)
        process.kill()
    assert len(events_of("piece_finished", told)) == 2
    told = go_on(videos)
    (prepared,) = events_of("job_prepared", told)
    assert prepared["frames_done"] > 0
    assert len(events_of("piece_finished", told)) <= 2
    require_all_right(videos, {"long.mkv": clips["long.mkv"]})


def is_working(events: list[dict[str, Any]]) -> bool:
    return len(events_of("piece_started", events)) >= 2


def test_ctrl_c_once_finishes_what_runs(videos: Path, clips: dict[str, dict[str, Any]]) -> None:
    with run(videos, "-j", "1") as process:
        told = read_until(process, lambda events: bool(events_of("piece_started", events)))
        process.send_signal(signal.SIGINT)
        rest, err = rest_of(process)
        told += rest
    assert process.returncode == 130, err
    assert "Ctrl-C again" in err
    ended = Counter(event["event"] for event in told if event["event"].startswith("job_"))
    assert ended["job_finished"] >= 1
    assert ended["job_cancelled"] >= 1
    assert ended["job_failed"] == 0
    began = {event["job"] for event in events_of("piece_started", told)}
    assert began == {event["job"] for event in events_of("job_finished", told)}, "what had begun was finished"
    left = {name for name in files_in(videos / "compressed") if not name.startswith(NAME)}
    assert len(left) == ended["job_finished"]
    go_on(videos)
    require_all_right(videos, clips)


def test_ctrl_c_twice_stops_now_and_cleans_up(videos: Path, clips: dict[str, dict[str, Any]]) -> None:
    with run(videos) as process:
        told = read_until(process, is_working)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "Ctrl-C again" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest, err = rest_of(process)
        told += rest
    assert process.returncode == 130, err
    assert events_of("job_cancelled", told)
    parts = [name for name in files_in(videos) if "part" in name]
    assert parts == []
    results = {Path(event["destination"]).name for event in events_of("job_finished", told)}
    lying = {path.name for path in (videos / "compressed").iterdir() if not path.name.startswith(".")}
    assert lying == results, "nothing half lies under a real name"
    go_on(videos)
    require_all_right(videos, clips)


def test_sigterm_is_as_the_second_ctrl_c(videos: Path, clips: dict[str, dict[str, Any]]) -> None:
    with run(videos) as process:
        told = read_until(process, is_working)
        process.terminate()
        rest, err = rest_of(process)
        told += rest
    assert process.returncode == 143, err
    assert events_of("job_cancelled", told)
    go_on(videos)
    require_all_right(videos, clips)


def test_in_place_killed_and_gone_on_with(videos: Path, clips: dict[str, dict[str, Any]]) -> None:
    """It is never encoded twice, although the source itself has become the result."""
    for enough in (2, 4):
        with run(videos, "--in-place") as process:
            read_until(process, lambda events, enough=enough: len(events_of("job_finishing", events)) >= enough)
            process.kill()
    go_on(videos, "--in-place")
    assert files_in(videos) == {*clips, NAME}
    done: Counter[str] = Counter()
    for line in (videos / NAME).read_bytes().splitlines():
        record = json.loads(line)
        done[record.get("source", "")] += record.get("result") == DONE
    done.pop("", None)
    assert done == dict.fromkeys(clips, 1)
    for name, clip in clips.items():
        got = content(videos / name)
        assert got == {key: clip[key] for key in got}


def test_only_the_file_that_cannot_be_written_fails(videos: Path, clips: dict[str, dict[str, Any]]) -> None:
    """The system's limit on file sizes fails in the middle of a write, as a full disk does."""
    sizes = sorted((videos / name).stat().st_size for name in clips)
    # Enough for each short clip, but not for the result of the long one.
    script = (
        "import resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({2 * sizes[-2]}, {2 * sizes[-2]}))\n"
        "from pdum.nvenc._cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["encode", "--json", *FLAGS, str(videos)]
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=environment(**CONFIG),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    told = parsed(result.stdout)
    assert result.returncode == 1, result.stderr
    assert len(events_of("job_finished", told)) == len(clips) - 1
    (failed,) = events_of("job_failed", told)
    assert "File too large" in failed["message"]
    assert files_in(videos) == {
        *clips,
        f"compressed/{NAME}",
        *(f"compressed/{name}" for name in clips if name != "long.mkv"),
    }
    go_on(videos)
    require_all_right(videos, clips)
