"""``encode --dry-run``: it says what the run then does, file by file, and changes nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pdum.nvenc import FileJob, FileSettings, FileTask
from pdum.nvenc._files.preview_task import PreviewTask, _spread
from pdum.nvenc._files.samples import Samples
from pdum.nvenc.events import EngineInfo

from clips import Tool, content, events_of, files_in, flat_clip, make_clip
from loud import need_module, need_pyav
from simulator import Machine

SOFTWARE = EngineInfo(index=0, kind="software")


def sound_alone(path: Path) -> Path:
    av = need_module("av")
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 4096), np.float32), "fltp", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    folder = tmp_path / "odd"
    make_clip(folder / "good.mkv", 12, seed=1, sound=True)
    make_clip(folder / "good.avi", 12, seed=2)
    (folder / "empty.mkv").write_bytes(b"")
    (folder / "text.mp4").write_text("this is no video\n" * 100)
    (folder / "cut.mp4").write_bytes(make_clip(folder / "whole.mp4", 12).read_bytes()[:2000])
    (folder / "noise.avi").write_bytes(bytes(range(256)) * 80)
    (folder / "dead.mkv").symlink_to("gone.mkv")
    os.mkfifo(folder / "pipe.mkv")
    flat_clip(folder / "tiny.mkv", 8, 8)
    flat_clip(folder / "odd size.mkv", 65, 47)
    flat_clip(folder / "full chroma.mkv", 64, 48, "yuv444p")
    flat_clip(folder / "ten bits.mkv", 64, 48, "yuv420p10le")
    sound_alone(folder / "sound.mkv")
    make_clip(folder / "taken.mkv", 12)
    (folder / "compressed").mkdir()
    (folder / "compressed" / "taken.mkv").write_text("somebody's")
    return folder


def rows_of(out: str) -> dict[str, dict[str, Any]]:
    return {Path(row["source"]).name: row for row in map(json.loads, out.splitlines())}


ARGUMENTS: dict[str, tuple[str, ...]] = {
    "hevc": ("-c", "hevc"),
    "av1 by the processor": ("-c", "av1", "--engine", "software"),
    "auto by the processor": ("--engine", "software"),
    "mp4": ("-c", "h264", "--container", "mp4"),
    "a small size": ("-c", "h264", "--max-size", "2k"),
    "an unknown filter": ("-c", "h264", "--vf", "nonesuch"),
    "a part behind the end": ("-c", "h264", "--trim", "100-"),
}


@pytest.mark.parametrize("arguments", ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_it_refuses_what_the_run_refuses(tool: Tool, rtx4090: Machine, odd: Path, arguments: tuple[str, ...]) -> None:
    """In the same words, and with the codec that the run then chooses."""
    before = files_in(odd)
    code, out = tool("encode", "--json", "--dry-run", "--keep-bigger", *arguments, odd, odd / "missing.mov")
    assert code == 0
    assert files_in(odd) == before
    foretold = rows_of(out)
    _, told = tool.encode("--keep-bigger", *arguments, odd, odd / "missing.mov")
    names = {event["job"]: Path(event["source"]).name for event in events_of("job_queued", told)}
    sources = {event["job"]: event["source"] for event in events_of("job_queued", told)}
    failed = {
        names[event["job"]]: event["message"].removeprefix(sources[event["job"]]).lstrip(": ")
        for event in events_of("job_failed", told)
    }
    searched_in_vain = {name for name, why in failed.items() if "the lowest quality gives" in why}
    assert {name: row["why"] for name, row in foretold.items() if row["action"] == "fail"} == {
        name: why for name, why in failed.items() if name not in searched_in_vain
    }, "but for what only samples can tell"
    assert foretold["taken.mkv"]["action"] == ("encode" if "mp4" in arguments else "exists")
    results = {names[event["job"]]: Path(event["destination"]) for event in events_of("job_finished", told)}
    assert set(results) == {n for n, row in foretold.items() if row["action"] == "encode"} - searched_in_vain
    for name, result in results.items():
        assert str(result) == foretold[name]["destination"]
        assert codec_of(result) == foretold[name]["codec"]


def codec_of(path: Path) -> str:
    av = need_module("av")
    with av.open(str(path)) as container:
        name = str(container.streams.video[0].codec_context.name)
        return {"libdav1d": "av1"}.get(name, name)


def test_samples_tell_what_is_out_of_reach(tool: Tool, rtx4090: Machine, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", 20)
    _, out = tool("encode", "--json", "-n", "--estimate", "-c", "h264", "--max-size", "1500", clip)
    (row,) = rows_of(out).values()
    _, told = tool.encode("-c", "h264", "--max-size", "1500", clip)
    assert (row["action"], row["why"]) == ("fail", events_of("job_failed", told)[0]["message"])


@pytest.mark.one_abi
@pytest.mark.parametrize("more", [(), ("--target", "ssim=0.9"), ("--max-size", "20k"), ("--lossless",)])
def test_an_estimate_is_what_comes(tool: Tool, tmp_path: Path, more: tuple[str, ...]) -> None:
    if "--target" in more:
        need_pyav(18, "scores")
    for number in range(2):
        make_clip(tmp_path / "in" / f"{number}.mkv", 30, seed=number, sound=number == 0)
    arguments = ("--engine", "software", "-j", "1", "-c", "h264", "--keep-bigger", *more, tmp_path / "in")
    before = files_in(tmp_path)
    code, out = tool("encode", "--json", "-n", "--estimate", *arguments)
    assert code == 0
    assert files_in(tmp_path) == before
    foretold = rows_of(out)
    _, told = tool.encode(*arguments)
    names = {event["job"]: Path(event["source"]).name for event in events_of("job_queued", told)}
    for event in events_of("job_finished", told):
        row = foretold[names[event["job"]]]
        assert row["size"] == pytest.approx(event["size"], rel=0.15)
        assert row["sizes"][0] <= row["size"] <= row["sizes"][1]
        assert row["engine_seconds"] is None or row["engine_seconds"] > 0
        assert (row["quality"] is None) == ("--lossless" in more)
    chosen = {names[one["job"]]: one["quality"] for one in events_of("quality_tried", told) if one["is_chosen"]}
    assert {name: row["quality"] for name, row in foretold.items() if name in chosen} == chosen


OF_CQ = (("-q", "28"), ("--cq", "24"), ("--target", "ssim=0.9"))


def test_without_estimate_nothing_is_guessed(tool: Tool, rtx4090: Machine, tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", 12)
    code, out = tool("encode", "-n", tmp_path)
    assert code == 0
    assert out.splitlines()[0].split() == ["source", "result", "what", "codec"]
    assert "Time" not in out
    assert "Engine: 2 encoders of GPU 0 (NVIDIA GeForce RTX 4090)." in out
    _, out = tool("encode", "-n", "--json", tmp_path)
    assert set(rows_of(out)["a.mkv"]) == {
        *("source", "destination", "action", "why", "source_bytes", "codec", "cq", "engine", "warnings")
    }
    assert [rows_of(tool("encode", "-n", "--json", *more, tmp_path)[1])["a.mkv"]["cq"] for more in OF_CQ] == [
        28,
        24,
        None,
    ]


@pytest.mark.one_abi
def test_an_estimate_for_people(tool: Tool, tmp_path: Path) -> None:
    for number in range(2):
        make_clip(tmp_path / f"{number}.mkv", 30, seed=number)
    (tmp_path / "bad.mkv").write_text("x")
    code, out = tool("encode", "-n", "--estimate", "--engine", "software", "-c", "h264", tmp_path)
    assert code == 0
    assert "Together: 2 files, " in out
    assert "Time: " in out
    assert "Engine: the processor" in out
    assert "fail: Not a readable video" in out


@pytest.mark.one_abi
@pytest.mark.parametrize("more", [(), ("--json",), ("--estimate",)])
def test_nothing_to_look_at(tool: Tool, tmp_path: Path, more: tuple[str, ...]) -> None:
    code, out = tool("encode", "-n", *more, tmp_path)
    assert (code, out) == (3, "")
    assert "No videos found" in tool.err


@pytest.mark.one_abi
def test_an_estimate_needs_a_dry_run(tool: Tool, tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", 12)
    assert tool("encode", "--estimate", tmp_path)[0] == 2
    assert "--dry-run --estimate" in tool.err
    assert files_in(tmp_path) == {"a.mkv"}


@pytest.mark.one_abi
def test_work_that_an_earlier_run_has_left_stays(tmp_path: Path) -> None:
    source, result = make_clip(tmp_path / "a.mkv", 12), tmp_path / "r.mkv"
    job = FileJob(source=source, destination=result, settings=FileSettings(codec="h264"), keep_work=True)
    earlier = FileTask(job, "software")
    earlier.prepare(1)
    earlier._work.release()
    work = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(work) > 1
    other = replace(job, settings=FileSettings(codec="h264", encoder={"preset": "p1"}))
    task = PreviewTask(other, [SOFTWARE], estimates=False)
    assert list(task.prepare(1).ranges) == []
    assert task.codec == "h264"
    task.finish()
    task.abandon(keep=False)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == work
    assert content(source)["streams"] == ["video"]


@pytest.mark.one_abi
def test_the_range_of_an_estimate_grows_with_the_difference_between_samples() -> None:
    def spread_of(sizes: Iterator[int] | list[int]) -> float:
        ranges = [(100 * number, 100 * number + 10) for number in range(4)]
        samples = Samples(ranges)
        for (first, last), size in zip(ranges, sizes, strict=True):
            sink = samples.sink(first)
            sink._part.packets.append(bytes(size))
            sink.complete(last, b"")
        return _spread(samples, 1000)

    alike, different, very = (
        spread_of(sizes) for sizes in ([99, 100, 101, 100], [50, 100, 150, 100], [1, 200, 9, 300])
    )
    assert alike < different < very
    assert alike == 0.05
