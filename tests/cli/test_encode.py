"""``encode`` on simulated GPUs, with real codecs and containers: results, untouched files, messages, exit codes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pdum.nvenc._batch.journal import Journal
from pdum.nvenc._batch.journal_entry import NAME
from pdum.nvenc._config.quality_scale import cq_for

from clips import Tool, content, events_of, files_in, flat_clip, make_clip
from loud import need_module, need_pyav
from simulator import Machine, Simulator

LOSSLESS = ("-c", "h264", "--lossless", "--keep-bigger")


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    make_clip(folder / "a.mkv", 30, seed=1, sound=True)
    make_clip(folder / "b.mp4", 20, seed=2)
    make_clip(folder / "c.avi", 10, seed=3)
    (folder / "notes.txt").write_text("not a video")
    return folder


def test_a_folder(tool: Tool, rtx4090: Machine, videos: Path) -> None:
    before = {path.name: path.read_bytes() for path in videos.iterdir()}
    code, told = tool.encode(*LOSSLESS, videos)
    assert code == 0
    assert files_in(videos) == {*before, *(f"compressed/{name}" for name in ("a.mkv", "b.mp4", "c.mkv", NAME))}
    for name, result in (("a.mkv", "a.mkv"), ("b.mp4", "b.mp4"), ("c.avi", "c.mkv")):
        assert content(videos / "compressed" / result) == content(videos / name)
    assert {path.name: path.read_bytes() for path in videos.iterdir() if path.is_file()} == before
    assert {event["event"] for event in told} >= {"run_started", "job_queued", "piece_started", "job_finished"}
    assert told[-1]["event"] == "run_finished"
    assert [engine["label"] for engine in events_of("run_started", told)[0]["engines"]] == [
        "GPU 0 · NVENC 0",
        "GPU 0 · NVENC 1",
    ]


def test_a_second_time_nothing_is_done(tool: Tool, rtx4090: Machine, videos: Path) -> None:
    tool.encode("-c", "h264", videos)
    before = {path: path.stat().st_mtime_ns for path in (videos / "compressed").iterdir()}
    code, told = tool.encode("-c", "h264", videos)
    assert code == 0
    assert {event["event"] for event in told} == {"notice"}
    assert told[-1]["message"] == "3 files already done; skipped."
    assert {path: path.stat().st_mtime_ns for path in (videos / "compressed").iterdir()} == before


def test_other_settings_encode_again_and_equal_ones_only_new_files(tool: Tool, rtx4090: Machine, videos: Path) -> None:
    tool.encode("-c", "h264", videos)
    make_clip(videos / "d.mkv", seed=4)
    code, told = tool.encode("-c", "h264", videos)
    assert [Path(event["source"]).name for event in events_of("job_queued", told)] == ["d.mkv"]
    code, told = tool.encode("-c", "h264", "-q", "40", videos)
    assert (code, len(events_of("job_finished", told))) == (0, 4)
    assert any("other settings" in event["message"] for event in events_of("notice", told))


def test_results_that_are_not_smaller_are_dropped_and_remembered(tool: Tool, rtx4090: Machine, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", crf=45)
    arguments = ("-c", "h264", "-q", "10", clip)
    code, told = tool.encode(*arguments)
    (skipped,) = events_of("job_skipped", told)
    assert (code, skipped["reason"]) == (0, "bigger")
    assert files_in(tmp_path) == {"a.mkv", f"compressed/{NAME}"}
    code, told = tool.encode(*arguments)
    assert code == 0
    assert not events_of("job_queued", told)
    code, told = tool.encode("--keep-bigger", *arguments)
    assert len(events_of("job_finished", told)) == 1
    assert (tmp_path / "compressed" / "a.mkv").stat().st_size > clip.stat().st_size


def test_a_threshold(tool: Tool, rtx4090: Machine, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv")
    _, told = tool.encode("-c", "h264", clip)
    ratio = events_of("job_finished", told)[0]["size"] / clip.stat().st_size
    out = ("-o", tmp_path / "out", "-c", "h264", clip)
    assert events_of("job_skipped", tool.encode("--smaller-than", f"{ratio * 0.9:.4f}", *out)[1])
    assert events_of("job_finished", tool.encode("--smaller-than", f"{min(1, ratio * 1.1):.4f}", *out)[1])


def test_in_place_keeps_times_and_permissions(tool: Tool, rtx4090: Machine, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", sound=True)
    os.utime(clip, ns=(1_500_000_000_123_456_789, 1_400_000_000_123_456_789))
    clip.chmod(0o640)
    before = content(clip)
    size = clip.stat().st_size
    code, told = tool.encode("--in-place", *LOSSLESS, clip)
    assert code == 0
    after = clip.stat()
    assert (after.st_mtime_ns, after.st_mode & 0o777) == (1_400_000_000_123_456_789, 0o640)
    assert after.st_size == events_of("job_finished", told)[0]["size"] != size
    assert content(clip) == before
    assert files_in(tmp_path) == {"a.mkv", NAME}
    _, told = tool.encode("--in-place", *LOSSLESS, tmp_path)
    assert not events_of("job_queued", told), "the result is no new source"


def test_a_dry_run_changes_nothing(tool: Tool, rtx4090: Machine, videos: Path) -> None:
    before = files_in(videos)
    code, out = tool("encode", "--dry-run", videos, videos / "missing.mkv")
    assert code == 0
    assert files_in(videos) == before
    chosen = "Codec: av1 on NVENC, preset p4, quality 28 = av1 cq 28."
    for words in ("c.avi", "compressed/c.mkv", "missing.mkv", "does not exist", chosen):
        assert words in out


def test_what_is_chosen_is_shown_before_the_run(tool: Tool, tmp_path: Path) -> None:
    """And only if there is something to encode."""
    make_clip(tmp_path / "a.mkv", 4)
    given = ("--engine", "software", "-p", "p1", tmp_path)
    cq = cq_for(28, "h264", "software")
    wanted = f"Codec: h264 in software (hevc for sources of 10 bits), preset p1, quality 28 = h264 cq {cq:g}."
    assert wanted in tool("encode", "--dry-run", *given)[1]
    _, told = tool.encode(*given)
    assert wanted in [event["message"] for event in events_of("notice", told)]
    with need_module("av").open(str(tmp_path / "compressed" / "a.mkv")) as container:
        assert container.streams.video[0].codec_context.name == "h264"
    assert "Codec:" not in tool("encode", *given)[1]


def test_broken_files_are_reported_and_the_rest_goes_on(tool: Tool, rtx4090: Machine, videos: Path) -> None:
    (videos / "empty.mkv").write_bytes(b"")
    (videos / "text.mp4").write_text("this is no video\n" * 100)
    (videos / "cut.mp4").write_bytes((videos / "b.mp4").read_bytes()[:2000])
    (videos / "noise.avi").write_bytes(os.urandom(20_000))
    (videos / "dead.mkv").symlink_to("gone.mkv")
    os.mkfifo(videos / "pipe.mkv")
    code, told = tool.encode("-c", "h264", videos, videos / "missing.mov")
    assert code == 1
    failed = {Path(told[_queued(told, event)]["source"]).name for event in events_of("job_failed", told)}
    assert failed == {"empty.mkv", "text.mp4", "cut.mp4", "noise.avi", "dead.mkv", "pipe.mkv", "missing.mov"}
    assert all(event["message"] for event in events_of("job_failed", told))
    assert len(events_of("job_finished", told)) == 3
    results = {name for name in files_in(videos) if name.startswith("compressed/")}
    assert results == {f"compressed/{name}" for name in ("a.mkv", "b.mp4", "c.mkv", NAME)}
    entries = Journal.read(videos / "compressed").entries
    assert entries["../text.mp4"].result == "failed"


def _queued(told: list[dict[str, object]], event: dict[str, object]) -> int:
    return next(place for place, one in enumerate(told) if one["event"] == "job_queued" and one["job"] == event["job"])


def test_a_full_disk_fails_one_and_the_rest_goes_on(
    tool: Tool, rtx4090: Machine, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result cannot get its name. Encoded pieces stay, so that the next run does not encode them again."""
    import errno

    from pdum.nvenc._files.commit import Commit, CommitRequest

    run = Commit.run

    def full(self: Commit, request: CommitRequest) -> None:
        if request.destination.name == "b.mp4":
            raise OSError(errno.ENOSPC, "No space left on device", str(request.part))
        run(self, request)

    monkeypatch.setattr(Commit, "run", full)
    code, told = tool.encode("-c", "h264", videos)
    assert code == 1
    (failed,) = events_of("job_failed", told)
    assert "No space left" in failed["message"]
    assert "Errno" not in failed["message"]
    whole = {name for name in files_in(videos / "compressed") if "pdum-work" not in name}
    assert whole == {"a.mkv", "c.mkv", NAME}
    monkeypatch.undo()
    code, told = tool.encode("-c", "h264", videos)
    assert code == 0
    assert not events_of("piece_started", told)
    assert files_in(videos / "compressed") == {"a.mkv", "b.mp4", "c.mkv", NAME}


def test_segments_of_one_file_are_joined_exactly(tool: Tool, simulator: Simulator, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", 60, sound=True)
    slow = {"name": "RTX 4090", "fps_1080p": 0.5}  # so that no engine has done all before the other begins
    with simulator.machine(gpus=[slow], backend="codec"):
        code, told = tool.encode("--segments", "4", *LOSSLESS, clip)
    assert code == 0
    assert len(events_of("piece_finished", told)) == 4
    assert {event["engine"] for event in events_of("piece_finished", told)} == {0, 1}
    assert content(tmp_path / "compressed" / "a.mkv") == content(clip)


@pytest.mark.parametrize(("audio", "streams"), [("copy", ["video", "audio"]), ("none", ["video"])])
def test_audio(tool: Tool, rtx4090: Machine, tmp_path: Path, audio: str, streams: list[str]) -> None:
    make_clip(tmp_path / "a.mkv", sound=True)
    assert tool.encode("-c", "h264", "-a", audio, tmp_path)[0] == 0
    assert content(tmp_path / "compressed" / "a.mkv")["streams"] == streams


def test_fewer_engines(tool: Tool, rtx4090: Machine, videos: Path) -> None:
    _, told = tool.encode("-j", "1", "-c", "h264", videos)
    assert {event["engine"] for event in events_of("piece_finished", told)} == {0}


def test_a_notice_names_what_the_gpu_lacks(tool: Tool, simulator: Simulator, videos: Path) -> None:
    poor = {"name": "L4", "caps": {"SUPPORT_TEMPORAL_AQ": 0}}
    with simulator.machine(gpus=[poor], backend="echo"):
        _, told = tool.encode("-c", "h264", "--dry-run", videos)
        code, out = tool("encode", "-c", "h264", "--dry-run", videos)
    assert code == 0
    assert "no temporal AQ" in out
    assert told


@pytest.mark.parametrize(("gpu", "engines"), [("RTX 4090", 2), ("L40S", 3)])
def test_all_engines_work_until_nothing_is_left_to_begin(
    tool: Tool, simulator: Simulator, tmp_path: Path, gpu: str, engines: int
) -> None:
    """Only by the order of events; benchmarks/batch.py measures how long engines wait between jobs."""
    clips = [make_clip(tmp_path / "clips" / f"{number}.mkv", 8 + number, seed=number) for number in range(5)]
    for number in range(30):
        (tmp_path / "in").mkdir(exist_ok=True)
        os.link(clips[number % 5], tmp_path / "in" / f"{number:02}.mkv")
    out = tmp_path / "out"
    with simulator.machine(gpus=[{"name": gpu, "fps_1080p": 2}], backend="codec"):
        code, told = tool.encode(*LOSSLESS, "--verify", "structure", "-o", out, tmp_path / "in")
    assert code == 0
    assert len(events_of("job_finished", told)) == 30
    pieces = [event for event in told if event["event"] in ("piece_started", "piece_finished")]
    for engine in range(engines):
        own = [place for place, event in enumerate(pieces) if event["engine"] == engine]
        kinds = [pieces[place]["event"] for place in own]
        assert kinds == ["piece_started", "piece_finished"] * (len(kinds) // 2)
        assert len(kinds) > 60 / engines / 3, "each has its share"
    for number in range(5):
        assert content(out / f"{number:02}.mkv") == content(clips[number])


# ---- a target quality ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["xpsnr=38", "ssim=0.93"])
def test_a_target_is_reached_by_the_result(tool: Tool, rtx4090: Machine, tmp_path: Path, target: str) -> None:
    av = need_pyav(18, "scores")
    from pdum.nvenc._files.scores import compare

    clip = make_clip(tmp_path / "a.mkv", 50)
    code, told = tool.encode("-c", "h264", "--target", target, "--keep-bigger", clip)
    assert code == 0
    (chosen,) = [event for event in events_of("quality_tried", told) if event["is_chosen"]]
    assert chosen["size"] > 0
    assert told.index(chosen) < told.index(events_of("job_finishing", told)[0]), "the size is told before the result"
    metric, wanted = target.split("=")
    result = tmp_path / "compressed" / "a.mkv"
    with av.open(str(clip)) as source, av.open(str(result)) as encoded:
        score = compare(metric, source.decode(video=0), encoded.decode(video=0))
    assert score >= float(wanted) * 0.99
    entry = Journal.read(tmp_path / "compressed").entries["../a.mkv"]
    assert entry.quality == chosen["quality"]
    (tmp_path / "compressed" / "a.mkv").unlink()
    _, told = tool.encode("-c", "h264", "--target", target, "--keep-bigger", clip)
    assert events_of("job_finished", told)
    assert not events_of("quality_tried", told), "what was found once is not searched for again"


def test_a_target_for_a_source_that_the_gpu_cannot_keep(tool: Tool, rtx4090: Machine, tmp_path: Path) -> None:
    """The result is compared with what the encoder was given, and that has fewer colours and bits."""
    need_pyav(18, "scores")
    clip = flat_clip(tmp_path / "a.mkv", 160, 96, "yuv422p10le")
    code, told = tool.encode("-c", "h264", "--target", "ssim=0.9", "--keep-bigger", clip)
    (finished,) = events_of("job_finished", told)
    assert code == 0
    assert "from 4:2:2 to 4:2:0" in " ".join(finished["warnings"])
    assert events_of("quality_tried", told)[-1]["score"] > 0.9


def test_a_target_out_of_reach_is_refused(tool: Tool, rtx4090: Machine, tmp_path: Path) -> None:
    need_pyav(18, "scores")
    clip = make_clip(tmp_path / "a.mkv", 12)
    code, told = tool.encode("-c", "h264", "--target", "ssim=0.99999", clip)
    (failed,) = events_of("job_failed", told)
    assert (code, failed["error"]) == (1, "TargetOutOfReach")
    assert "cannot be reached" in failed["message"]
    assert files_in(tmp_path) == {"a.mkv", f"compressed/{NAME}"}


def test_a_target_needs_a_pyav_with_scores(tool: Tool, rtx4090: Machine, tmp_path: Path) -> None:
    """PyAV before 18 does not, and Python 3.10 has no newer one. An error says so before anything is encoded."""
    av = need_module("av")
    clip = make_clip(tmp_path / "a.mkv", 12)
    code = tool("encode", "-c", "h264", "--target", "ssim=0.5", "--keep-bigger", clip)[0]
    if hasattr(av.VideoFrame, "metadata"):
        assert code == 0
    else:
        assert code == 4
        assert "needs PyAV 18" in tool.err
        assert not list((tmp_path / "compressed").glob("*.mkv"))


# ---- exit codes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [[], ["--dry-run"], ["--dry-run", "--json"]])
def test_nothing_to_do(tool: Tool, tmp_path: Path, more: list[str]) -> None:
    (tmp_path / "a.txt").write_text("x")
    assert tool("encode", *more, tmp_path) == (3, "")
    assert "No videos found" in tool.err
    assert "Other files ignored: 1." in tool.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["encode"],
        ["encode", "-q", "99", "."],
        ["encode", "-p", "p9", "."],
        ["encode", "-c", "vp9", "."],
        ["encode", "-P", "nonesuch", "."],
        ["encode", "--set", "bit_dept=10", "."],
        ["encode", "--set", "bit_depth", "."],
        ["encode", "--config", "nonesuch.toml", "."],
        ["encode", "--tui", "."],
        ["encode", "--tui", "--json", "."],
        ["encode", "--report", "nonesuch/r.html", "."],
        ["watch", "nonesuch"],
        ["bench", "--size", "17x3"],
        ["demo", "--clips", "0"],
        ["nonesuch"],
        [],
    ],
)
def test_usage(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert tool(*arguments)[0] == 2
    assert tool.err.strip()
    assert os.listdir(tmp_path) == []


def test_a_folder_that_another_run_works_on(tool: Tool, rtx4090: Machine, videos: Path) -> None:
    other = Journal.open(videos / "compressed", "outputs")
    try:
        assert tool("encode", "-c", "h264", videos)[0] == 5
    finally:
        other.close()
    assert str(videos / "compressed") in tool.err


def test_a_codec_that_the_gpu_does_not_have(tool: Tool, simulator: Simulator, videos: Path) -> None:
    with simulator.machine(gpus=["T4"]):
        assert tool("encode", "-c", "av1", videos)[0] == 4
    assert "cannot encode av1" in tool.err
