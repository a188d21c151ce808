"""The work folder during a run: pieces that show whether they are complete, resumed runs, and results."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from files.runner import LOSSLESS, SOFTWARE, assert_same_pictures, encode_ranges, job, run
from media_samples import ffmpeg, sample
from pdum.nvenc import FileTask, NvencError, Packet, Result, SourceUnreadable, VerificationFailed
from pdum.nvenc._config.settings import frame_rate
from pdum.nvenc._files import task as _files
from pdum.nvenc._media.join import join
from pdum.nvenc._media.spool import Piece, WorkFolder, missing_ranges, packets_of, read_piece

pytestmark = pytest.mark.one_abi

PACKETS = [Packet(7, b"first", True), Packet(9, b"", False), Packet(8, b"x" * 3000, False)]


def written(folder: Path) -> Piece:
    found: list[Piece] = []
    work = WorkFolder(folder / "result.mp4")
    work.open({"job": 1}, keep=False)
    writer = work.writer(7, found.append)
    writer.write(PACKETS[:1])
    writer.write(PACKETS[1:])
    assert writer.complete(10, b"header") == 3005
    work.release()
    return found[0]


def test_a_piece_is_read_as_it_was_written(tmp_path: Path) -> None:
    piece = written(tmp_path)
    assert read_piece(piece.path) == piece
    assert (piece.first, piece.last, piece.header, piece.size) == (7, 10, b"header", 3005)
    assert list(packets_of(piece)) == [(packet.seq, packet.keyframe, packet.data) for packet in PACKETS]


def test_a_torn_piece_is_not_used(tmp_path: Path) -> None:
    piece = written(tmp_path)
    whole = piece.path.read_bytes()
    for length in [*range(60), *range(60, len(whole), 97), len(whole) - 1]:
        piece.path.write_bytes(whole[:length])
        assert read_piece(piece.path) is None, length


@settings(max_examples=60, deadline=None)
@given(place=some.integers(0, 10_000), change=some.integers(1, 255))
def test_a_changed_piece_is_not_used(tmp_path_factory: pytest.TempPathFactory, place: int, change: int) -> None:
    piece = written(tmp_path_factory.mktemp("piece"))
    data = bytearray(piece.path.read_bytes())
    data[place % len(data)] ^= change
    piece.path.write_bytes(data)
    assert read_piece(piece.path) is None


def test_a_piece_with_a_packet_too_few_is_never_whole(tmp_path: Path) -> None:
    work = WorkFolder(tmp_path / "result.mp4")
    work.open({}, keep=False)
    writer = work.writer(0, lambda piece: pytest.fail("it is not whole"))
    writer.write(PACKETS[:2])
    with pytest.raises(NvencError, match="Expected 3 packets for the frames from 0 to 3, got 2"):
        writer.complete(3, b"")
    writer.discard()
    work.remove()
    assert list(tmp_path.iterdir()) == []


@given(some.lists(some.tuples(some.integers(0, 30), some.integers(1, 9)), max_size=5))
def test_missing_ranges_are_what_no_piece_has(spans: list[tuple[int, int]]) -> None:
    pieces, at = [], 0
    for gap, length in spans:
        pieces.append(Piece(path=Path(), first=at + gap, last=at + gap + length, header=b"", size=0))
        at += gap + length
    ranges = missing_ranges(pieces, at + 4)
    have = {frame for piece in pieces for frame in range(piece.first, piece.last)}
    assert [frame for first, last in ranges for frame in range(first, last)] == sorted(set(range(at + 4)) - have)


def interrupted(source: Path, result: Path, ranges: list[tuple[int, int]], **more: Any) -> None:
    """A run that encodes some ranges and is then stopped."""
    task = FileTask(job(source, result, keep_work=True, **more), "software")
    task.prepare(1)
    encode_ranges(task, SOFTWARE, ranges)
    task.abandon(keep=True)


def test_a_later_run_does_only_what_is_missing(folder: Path) -> None:
    result = folder / "result.mp4"
    interrupted(sample("open-gop"), result, [(5, 11), (20, 30)])
    task = FileTask(job(sample("open-gop"), result, keep_work=True), "software")
    plan = task.prepare(1)
    assert list(plan.ranges) == [(0, 5), (11, 20), (30, 40)]
    encode_ranges(task, SOFTWARE, plan.ranges)
    task.finish()
    assert_same_pictures(sample("open-gop"), result)


def test_a_later_run_may_have_nothing_left_to_encode(folder: Path) -> None:
    result = folder / "result.mp4"
    interrupted(sample("open-gop"), result, [(0, 40)])
    task = FileTask(job(sample("open-gop"), result, keep_work=True), "software")
    assert list(task.prepare(1).ranges) == []
    assert task.finished().frames == 40
    assert_same_pictures(sample("open-gop"), result)


def test_torn_pieces_are_done_again(folder: Path) -> None:
    result = folder / "result.mp4"
    interrupted(sample("open-gop"), result, [(0, 20), (20, 40)])
    torn = max((folder / ".result.mp4.pdum-work").glob("*.piece"))
    torn.write_bytes(torn.read_bytes()[:-40])
    task = FileTask(job(sample("open-gop"), result, keep_work=True), "software")
    assert list(task.prepare(1).ranges) == [(20, 40)]
    task.abandon(keep=False)


def change_source(folder: Path) -> dict[str, Any]:
    os.utime(folder / "source.mp4", ns=(1, 1))
    return {}


@pytest.mark.parametrize(
    "change",
    [change_source, lambda folder: {"encoder": {**LOSSLESS, "gop": 12}}, lambda folder: {"codec": "hevc"}, None],
)
def test_work_for_another_source_or_other_settings_is_of_no_use(
    folder: Path, change: Callable[[Path], dict[str, Any]] | None
) -> None:
    source, result = folder / "source.mp4", folder / "result.mp4"
    shutil.copy(sample("open-gop"), source)
    interrupted(source, result, [(0, 20)])
    more = change(folder) if change else {}
    kind = "software" if change else "nvenc"
    task = FileTask(job(source, result, keep_work=True, **more), kind)
    assert list(task.prepare(1).ranges) == [(0, 40)]
    task.abandon(keep=False)


def test_without_keep_work_no_piece_stays(folder: Path) -> None:
    task = FileTask(job(sample("open-gop"), folder / "result.mp4"))
    task.prepare(1)
    encode_ranges(task, SOFTWARE, [(0, 20)])
    task.abandon(keep=True)
    assert list(folder.iterdir()) == []


def test_ranges_that_are_missing_make_no_file(folder: Path) -> None:
    task = FileTask(job(sample("open-gop"), folder / "result.mp4"))
    task.prepare(1)
    encode_ranges(task, SOFTWARE, [(0, 20), (25, 40)])
    with pytest.raises(NvencError, match="one begins at 25 instead of 20"):
        task.finish()
    task.abandon(keep=False)
    assert list(folder.iterdir()) == []


def spoilt(how: Callable[[Any], None]) -> Callable[[Any, Any], None]:
    """A join with an error."""

    def wrong(joined: Any, source: Any) -> None:
        join(joined, source)
        how(joined)

    return wrong


def cut_short(joined: Any) -> None:
    data = joined.part.read_bytes()
    joined.part.write_bytes(data[: len(data) // 2])


def other_file(joined: Any) -> None:
    shutil.copy(sample("three-frames"), joined.part)


def other_times(joined: Any) -> None:
    """The right packets, each a little late."""
    slow = joined.part.with_name("slow.mkv")
    ffmpeg("-itsscale", "1.05", "-i", joined.part, "-c", "copy", slow)
    slow.replace(joined.part)


def broken_start(joined: Any) -> None:
    """The last packet of a part that is not the last part."""
    spoil(joined, next(packets_of(joined.pieces[0]))[2])


def broken_joint(joined: Any) -> None:
    spoil(joined, next(packets_of(joined.pieces[1]))[2])


def broken_last_group(joined: Any) -> None:
    spoil(joined, [packet for _, is_key, packet in packets_of(joined.pieces[-1]) if is_key][-1])


def broken_end(joined: Any) -> None:
    spoil(joined, [packet for _, _, packet in packets_of(joined.pieces[-1])][-1])


def spoil(joined: Any, packet: bytes) -> None:
    """After its length, and up to its end."""
    end = packet[16:][-200:]
    data = joined.part.read_bytes()
    assert data.count(end) == 1
    joined.part.write_bytes(data.replace(end, bytes(len(end))))


WRONG = [cut_short, other_file, other_times, broken_start, broken_joint, broken_last_group]


@pytest.mark.parametrize(
    ("verify", "how"), [*(("samples", how) for how in WRONG), *(("full", how) for how in (*WRONG, broken_end))]
)
def test_a_wrong_result_never_gets_the_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, verify: str, how: Callable[[Any], None]
) -> None:
    result = folder / "result.mkv"
    result.write_bytes(b"what was there before")
    monkeypatch.setattr(_files, "join", spoilt(how))
    task = FileTask(job(sample("open-gop"), result, segments=2, verify=verify))
    with pytest.raises((VerificationFailed, SourceUnreadable)):
        run(task)
    task.abandon(keep=False)
    assert result.read_bytes() == b"what was there before"
    assert [path.name for path in folder.iterdir()] == ["result.mkv"]


def test_a_source_that_changes_meanwhile_is_noticed(folder: Path) -> None:
    source = folder / "source.mp4"
    shutil.copy(sample("open-gop"), source)
    task = FileTask(job(source, folder / "result.mp4"))
    plan = task.prepare(1)
    encode_ranges(task, SOFTWARE, plan.ranges)
    os.utime(source, ns=(1, 1))
    with pytest.raises(SourceUnreadable, match="was changed while it was encoded"):
        task.finish()
    task.abandon(keep=False)


def test_a_result_that_is_not_smaller_is_dropped(folder: Path) -> None:
    told = run(FileTask(job(sample("ntsc-film"), folder / "result.mp4", smaller_than=1.0)))
    assert told.skipped == "bigger"
    assert told.size > told.source_bytes > 0
    assert list(folder.iterdir()) == []
    assert run(FileTask(job(sample("ntsc-film"), folder / "result.mp4", smaller_than=100.0))).skipped is None
    assert (folder / "result.mp4").is_file()


def test_in_place_keeps_permissions_and_times(folder: Path) -> None:
    source = folder / "source.mp4"
    shutil.copy(sample("open-gop"), source)
    source.chmod(0o640)
    os.utime(source, ns=(1_000_000_000, 2_000_000_123))
    run(FileTask(job(source, source, in_place=True)))
    stat = source.stat()
    assert (stat.st_mode & 0o777, stat.st_mtime_ns) == (0o640, 2_000_000_123)
    assert_same_pictures(sample("open-gop"), source)
    assert [path.name for path in folder.iterdir()] == ["source.mp4"]


def test_in_place_changes_the_file_under_all_its_names(folder: Path) -> None:
    source, other = folder / "source.mp4", folder / "other name.mp4"
    shutil.copy(sample("open-gop"), source)
    other.hardlink_to(source)
    os.utime(source, ns=(1_000_000_000, 2_000_000_123))
    run(FileTask(job(source, source, in_place=True)))
    assert source.samefile(other)
    assert source.stat().st_mtime_ns == 2_000_000_123
    assert_same_pictures(sample("open-gop"), other)


def test_in_place_through_a_symbolic_link(folder: Path) -> None:
    real, link = folder / "real.mp4", folder / "link.mp4"
    shutil.copy(sample("open-gop"), real)
    link.symlink_to(real)
    run(FileTask(job(link, link, in_place=True)))
    assert link.is_symlink()
    assert not real.is_symlink()
    assert_same_pictures(sample("open-gop"), real)


def test_a_cancelled_pool_leaves_nothing(folder: Path) -> None:
    """During each step: reading the source, encoding, joining."""
    from pdum.nvenc import Cancelled, EncoderPool

    names = ("open-gop", "pyramid", "vp9", "everything", "ten-bit", "4:4:4")
    with EncoderPool(backend="software", engines=2) as pool:
        for frames in (0, 1, 30, 100):
            jobs = [job(sample(name), folder / f"{name}.mkv") for name in names]
            run_of_all = pool.start(pool.files(jobs))
            for event in run_of_all:
                if getattr(event, "job_frames", 0) >= frames or type(event).__name__ == "JobFinished":
                    run_of_all.cancel()
            report = run_of_all.wait()
            done = [told for told in report.results if isinstance(told, Result)]
            assert all(isinstance(told, (Result, Cancelled)) for told in report.results)
            assert sorted(path.name for path in folder.iterdir()) == sorted(
                Path(told.destination).name for told in done
            )
            for path in folder.iterdir():
                path.unlink()


def test_a_finished_task_keeps_no_index(folder: Path) -> None:
    """It holds megabytes for a two-hour film, and the caller may keep the task."""
    task = FileTask(job(sample("open-gop"), folder / "result.mkv"))
    run(task)
    with pytest.raises(NvencError, match="not been prepared"):
        task.index  # noqa: B018
    assert task._pieces == []


@pytest.mark.parametrize("encoder", [{}, {"gop": None}])
def test_a_group_is_five_seconds_unless_a_number_is_given(tmp_path: Path, encoder: dict[str, Any]) -> None:
    task = FileTask(job(sample("open-gop"), tmp_path / "out.mp4", encoder=encoder), "software")
    task.prepare(1)
    config = task.config(SOFTWARE)
    task.abandon(keep=False)
    assert config.gop == round(5 * Fraction(*frame_rate(config.fps)))
