"""Files with a search for the quality value, on the real software codecs: what the result reaches, and what is left."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from open_files import open_files
from pdum.nvenc import (
    EncoderPool,
    FileJob,
    FileSettings,
    FileTask,
    Filters,
    InvalidConfig,
    Result,
    TargetOutOfReach,
    UnsupportedFeature,
    events,
)
from pdum.nvenc._config.quality_scale import cq_for
from pdum.nvenc._files.samples import SAMPLES, SECONDS, Samples, sample_ranges
from pdum.nvenc._files.scores import compare
from pdum.nvenc._files.searching_task import MOST_ATTEMPTS, SearchingTask

from clips import FPS, content, files_in, make_clip
from loud import need_pyav

pytestmark = pytest.mark.one_abi

FRAMES = 50


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "a.mkv", FRAMES, sound=True)


@pytest.fixture(scope="module")
def pool() -> Any:
    with EncoderPool(backend="software", engines=2) as found:
        yield found


def encoded(pool: EncoderPool, source: Path, result: Path, **settings: Any) -> tuple[Any, list[events.Event]]:
    """In one range: what a file is divided into depends on how busy the machine is."""
    told: list[events.Event] = []
    encoder = {"preset": "p1", "tuning": "hq", "cq": 24, **settings.pop("encoder", {})}
    more = {name: settings.pop(name) for name in ("in_place",) if name in settings}
    job = FileJob(
        source=source,
        destination=result,
        settings=FileSettings(codec="h264", encoder=encoder, **settings),
        segments=1,
        **more,
    )
    report = pool.encode_files([job], told.append)
    return report.results[0], told


def tried(told: Sequence[events.Event]) -> list[events.QualityTried]:
    return [event for event in told if isinstance(event, events.QualityTried)]


def score(metric: str, source: Path, result: Path) -> float:
    av = need_pyav(18, "scores")
    with av.open(str(source)) as one, av.open(str(result)) as other:
        return compare(metric, one.decode(video=0), other.decode(video=0))


def test_a_target_is_reached_and_hardly_exceeded(pool: EncoderPool, clip: Path, tmp_path: Path) -> None:
    need_pyav(18, "scores")
    result, told = encoded(pool, clip, tmp_path / "r.mkv", target="ssim=0.93")
    assert isinstance(result, Result)
    assert score("ssim", clip, tmp_path / "r.mkv") >= 0.93 * 0.99
    *others, last = tried(told)
    assert last.is_chosen
    assert not any(one.is_chosen for one in others)
    assert last.score is not None
    assert last.score >= 0.93
    assert last.metric == "ssim"
    assert result.size == pytest.approx(last.size, rel=0.25)
    assert files_in(tmp_path) == {"r.mkv"}


def test_the_search_walks_over_the_scale_of_all_codecs(pool: EncoderPool, clip: Path, tmp_path: Path) -> None:
    """And names the encoder's own number, too, unless that was asked for: then it walks over those."""
    need_pyav(18, "scores")
    _, told = encoded(pool, clip, tmp_path / "r.mkv", target="ssim=0.9", quality=29.5, encoder={"cq": None})
    assert [one.cq for one in tried(told)] == [cq_for(one.quality, "h264", "software") for one in tried(told)]
    assert tried(told)[0].quality == 29.5, "what was asked for, and not the whole value beside it"
    _, told = encoded(pool, clip, tmp_path / "r.mkv", target="ssim=0.9", encoder={"cq": 24.5})
    assert [one.cq for one in tried(told)] == [one.quality for one in tried(told)]
    assert tried(told)[0].cq == 24.5


def test_a_scaled_result_is_compared_with_the_scaled_source(pool: EncoderPool, clip: Path, tmp_path: Path) -> None:
    """And one of fewer frames with these frames: whatever the filters did is no loss."""
    need_pyav(18, "scores")
    filters = Filters(scale="50%", fps=12.5, vf="hflip")
    result, told = encoded(pool, clip, tmp_path / "r.mkv", target="ssim=0.97", filters=filters)
    assert isinstance(result, Result)
    assert result.frames == FRAMES // 2
    exact, _ = encoded(pool, clip, tmp_path / "exact.mkv", filters=filters, encoder={"tuning": "lossless", "cq": None})
    assert isinstance(exact, Result)
    reached = score("ssim", tmp_path / "exact.mkv", tmp_path / "r.mkv")
    assert reached >= 0.97 * 0.99
    chosen = tried(told)[-1].score
    assert chosen is not None
    assert reached == pytest.approx(chosen, abs=0.01)


def test_filters_that_change_the_number_of_frames(pool: EncoderPool, clip: Path, tmp_path: Path) -> None:
    need_pyav(18, "scores")
    result, told = encoded(
        pool, clip, tmp_path / "r.mkv", target="ssim=0.9", filters=Filters(vf="tmix=frames=3,fps=10")
    )
    assert isinstance(result, Result)
    assert result.frames == FRAMES * 10 // FPS
    assert tried(told)[-1].is_chosen


def test_a_size_is_kept_with_sound_and_container(pool: EncoderPool, clip: Path, tmp_path: Path) -> None:
    usual, _ = encoded(pool, clip, tmp_path / "usual.mkv")
    assert isinstance(usual, Result)
    most = usual.size * 2 // 3
    result, told = encoded(pool, clip, tmp_path / "small.mkv", max_size=most)
    assert isinstance(result, Result)
    assert most * 0.6 <= result.size <= most
    assert result.size == (tmp_path / "small.mkv").stat().st_size
    assert tried(told)[-1].quality > 24
    assert content(tmp_path / "small.mkv")["streams"] == ["video", "audio"]
    assert all(one.score is None and not one.metric for one in tried(told))
    assert files_in(tmp_path) == {"usual.mkv", "small.mkv"}


def test_a_size_goes_before_a_target_and_that_is_said(pool: EncoderPool, clip: Path, tmp_path: Path) -> None:
    need_pyav(18, "scores")
    free, _ = encoded(pool, clip, tmp_path / "free.mkv", target="ssim=0.97")
    assert isinstance(free, Result)
    assert free.warnings == ()
    most = free.size * 2 // 3
    bound, told = encoded(pool, clip, tmp_path / "bound.mkv", target="ssim=0.97", max_size=most)
    assert isinstance(bound, Result)
    assert bound.size <= most
    assert "The target ssim 0.97 is not reached, because the result may have at most" in bound.warnings[0]
    assert tried(told)[-1].score is not None


def test_a_file_that_is_small_enough_keeps_its_quality(pool: EncoderPool, clip: Path, tmp_path: Path) -> None:
    usual, _ = encoded(pool, clip, tmp_path / "usual.mkv")
    result, told = encoded(pool, clip, tmp_path / "same.mkv", max_size="100M")
    assert isinstance(usual, Result)
    assert isinstance(result, Result)
    assert content(tmp_path / "same.mkv") == content(tmp_path / "usual.mkv")
    assert [(one.quality, one.is_chosen) for one in tried(told)] == [(24, True)]


@pytest.mark.parametrize(("most", "why"), [(1200, "sound, other streams"), (3000, "the lowest quality gives about")])
def test_an_impossible_size_is_refused_before_the_file_is_encoded(
    pool: EncoderPool, clip: Path, tmp_path: Path, most: int, why: str
) -> None:
    result, told = encoded(pool, clip, tmp_path / "r.mkv", max_size=most)
    assert isinstance(result, TargetOutOfReach)
    assert why in str(result)
    assert "--max-size" in str(result)
    assert not [event for event in told if isinstance(event, events.JobFinishing)]
    assert files_in(tmp_path) == set()


@pytest.fixture
def predictions_are_too_low(monkeypatch: pytest.MonkeyPatch) -> float:
    """As if the samples were the quietest parts of the video."""
    part = 0.5

    def too_low(self: Samples) -> float:
        return part * sum(sample.size for sample in self.parts) / self.frames

    monkeypatch.setattr(Samples, "bytes_a_frame", property(too_low))
    return part


def test_a_result_that_is_too_large_is_made_again(
    pool: EncoderPool, clip: Path, tmp_path: Path, predictions_are_too_low: float
) -> None:
    usual, _ = encoded(pool, clip, tmp_path / "usual.mkv")
    assert isinstance(usual, Result)
    most = usual.size * 2 // 3
    result, told = encoded(pool, clip, tmp_path / "small.mkv", max_size=most)
    assert isinstance(result, Result)
    assert result.size <= most
    wholes = [one for one in tried(told) if one.is_whole]
    assert wholes
    assert all(one.size > most and not one.is_chosen for one in wholes)
    qualities = [one.quality for one in tried(told) if one.is_chosen]
    assert qualities == sorted(set(qualities))
    assert len(qualities) == len(wholes) + 1 <= MOST_ATTEMPTS
    assert files_in(tmp_path) == {"usual.mkv", "small.mkv"}


def test_attempts_are_bounded_and_the_error_says_what_was_reached(
    pool: EncoderPool, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, predictions_are_too_low: float
) -> None:
    usual, _ = encoded(pool, clip, tmp_path / "usual.mkv")
    assert isinstance(usual, Result)
    (tmp_path / "usual.mkv").unlink()
    monkeypatch.setattr("pdum.nvenc._files.quality_choice.QualityChoice.corrected", lambda self, value, actual: value)
    monkeypatch.setattr("pdum.nvenc._files.searching_task.SearchingTask._limits", lambda self: {})
    result, told = encoded(pool, clip, tmp_path / "r.mkv", max_size=usual.size * 2 // 3)
    assert isinstance(result, TargetOutOfReach)
    assert f"the smallest of {MOST_ATTEMPTS} attempts has" in str(result)
    assert len([event for event in told if isinstance(event, events.JobFinishing)]) == MOST_ATTEMPTS
    assert files_in(tmp_path) == set()


def test_the_last_attempt_has_a_bitrate_as_a_net(
    pool: EncoderPool, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, predictions_are_too_low: float
) -> None:
    """Even if no correction helps."""
    usual, _ = encoded(pool, clip, tmp_path / "usual.mkv", encoder={"cq": 10})
    assert isinstance(usual, Result)
    most = usual.size * 2 // 3
    monkeypatch.setattr("pdum.nvenc._files.quality_choice.QualityChoice.corrected", lambda self, value, actual: value)
    result, told = encoded(pool, clip, tmp_path / "r.mkv", max_size=most, encoder={"cq": 10})
    assert isinstance(result, Result)
    assert result.size <= most
    assert len([one for one in tried(told) if one.is_whole]) == MOST_ATTEMPTS - 1


def test_a_size_in_place(pool: EncoderPool, clip: Path, tmp_path: Path) -> None:
    source = tmp_path / "a.mkv"
    source.write_bytes(clip.read_bytes())
    source.chmod(0o640)
    refused, _ = encoded(pool, source, source, max_size=1200, in_place=True)
    assert isinstance(refused, TargetOutOfReach)
    assert source.read_bytes() == clip.read_bytes()
    result, _ = encoded(pool, source, source, max_size=60_000, in_place=True)
    assert isinstance(result, Result)
    assert source.stat().st_size == result.size <= 60_000
    assert source.stat().st_mode & 0o777 == 0o640
    assert content(source)["times"] == content(clip)["times"]
    assert files_in(tmp_path) == {"a.mkv"}


def test_a_bitrate_is_kept(pool: EncoderPool, clip: Path, tmp_path: Path) -> None:
    free, _ = encoded(pool, clip, tmp_path / "free.mkv", encoder={"cq": 8}, audio="none")
    bound, _ = encoded(pool, clip, tmp_path / "bound.mkv", encoder={"cq": 8}, audio="none", max_bitrate="200k")
    other, _ = encoded(pool, clip, tmp_path / "other.mkv", encoder={"cq": 8, "max_bitrate": 200_000}, audio="none")
    assert isinstance(free, Result)
    assert isinstance(bound, Result)
    assert isinstance(other, Result)
    assert free.size > 2 * bound.size
    assert bound.size * 8 / (FRAMES / FPS) < 200_000 * 1.6, "a buffer of a second is filled once"
    assert other.size == pytest.approx(bound.size, rel=0.3)


def test_a_prediction_knows_the_limit_of_the_bitrate(clip: Path, tmp_path: Path) -> None:
    """Each sample begins with a full buffer, and a long video only once."""
    settings = FileSettings(codec="h264", max_size="1M", max_bitrate="80k")
    task = SearchingTask(FileJob(source=clip, destination=tmp_path / "r.mkv", settings=settings), "software")
    plan = task.prepare(1)
    samples = Samples(plan.ranges)
    sink = samples.sink(0)
    sink._part.packets.append(bytes(1_000_000))
    sink.complete(FRAMES, b"")
    assert task._predicted_video(samples) == 10_000 * (FRAMES / FPS + 1)
    task.abandon(keep=False)


def test_a_cancelled_search_leaves_nothing(pool: EncoderPool, clip: Path, tmp_path: Path) -> None:
    need_pyav(18, "scores")
    job = FileJob(source=clip, destination=tmp_path / "r.mkv", settings=FileSettings(codec="h264", target="xpsnr=45"))
    begun = threading.Event()

    def note(event: events.Event) -> None:
        if isinstance(event, events.PieceStarted):
            begun.set()

    run = pool.start(pool.files([job]), note)
    assert begun.wait(60)
    run.cancel()
    (result,) = run.wait(60).results
    assert not isinstance(result, Result)
    assert files_in(tmp_path) == set()
    assert open_files(clip.parent) == []


def test_a_long_file_is_searched_by_samples_and_closed(pool: EncoderPool, tmp_path: Path) -> None:
    need_pyav(18, "scores")
    frames = 2 * SAMPLES * round(SECONDS * FPS) + 1
    assert sample_ranges(frames, FPS)[0][0] > 0
    long = make_clip(tmp_path / "in" / "long.mkv", frames)
    result, told = encoded(pool, long, tmp_path / "r.mkv", target="ssim=0.3", encoder={"cq": 50})
    assert isinstance(result, Result)
    assert result.frames == frames
    begun = [event for event in told if isinstance(event, events.PieceStarted)]
    assert sorted((one.first, one.last) for one in begun[:4]) == sample_ranges(frames, FPS)
    assert open_files(tmp_path / "in") == []


def test_a_known_value_is_not_searched_for_and_earlier_pieces_are_used(clip: Path, tmp_path: Path) -> None:
    settings = FileSettings(codec="h264", target="xpsnr=40", encoder={"preset": "p1", "cq": 24})
    job = FileJob(source=clip, destination=tmp_path / "r.mkv", settings=settings)
    task = SearchingTask(job, "software", known=31)
    found: list[int] = []
    task.on_found = found.append
    plan = task.prepare(1)
    assert not plan.is_for_samples
    assert list(plan.ranges) == [(0, FRAMES)]
    assert found == [31]
    assert task.config(events.EngineInfo(index=0, kind="software")).cq == 31
    task.abandon(keep=False)
    assert files_in(tmp_path) == set()


# ---- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"target": "psnr=40"}, "Expected 'vmaf=95'"),
        ({"max_size": "many"}, "Expected a size such as"),
        ({"max_bitrate": "fast"}, "Expected a number of bits"),
        ({"target": "xpsnr=40", "encoder": {"tuning": "lossless"}}, "conflict"),
        ({"max_size": "1M", "encoder": {"tuning": "lossless"}}, "conflict"),
        ({"max_size": "1M", "encoder": {"bitrate": 1_000_000}}, "max_size and bitrate conflict"),
        ({"max_bitrate": 1000, "encoder": {"max_bitrate": 2000}}, "Leave one out"),
    ],
)
def test_impossible_settings_are_errors(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidConfig, match=why):
        FileSettings(**settings)


def test_a_plain_task_does_not_ignore_a_target(clip: Path, tmp_path: Path) -> None:
    job = FileJob(source=clip, destination=tmp_path / "r.mkv", settings=FileSettings(target="xpsnr=40"))
    with pytest.raises(InvalidConfig, match=r"EncoderPool\.files\(\)"):
        FileTask(job).prepare(1)


def test_encode_file_takes_the_settings_by_name(pool: EncoderPool, clip: Path, tmp_path: Path) -> None:
    result = pool.encode_file(
        clip, tmp_path / "r.mp4", codec="h264", preset="p1", cq=24, max_size="60k", max_bitrate="2M"
    )
    assert result.size <= 60_000
    with pytest.raises(InvalidConfig, match="Expected a size"):
        pool.encode_file(clip, tmp_path / "r.mp4", max_size="x")


def test_vmaf_is_refused_if_pyav_does_not_have_it(pool: EncoderPool, clip: Path, tmp_path: Path) -> None:
    need_pyav(18, "scores")
    from av.filter import filters_available

    result, _ = encoded(pool, clip, tmp_path / "r.mkv", target="vmaf=80")
    if "libvmaf" in filters_available:
        assert isinstance(result, Result)
    else:
        assert isinstance(result, UnsupportedFeature)
        assert "PyAV 19" in str(result)
        assert files_in(tmp_path) == set()
