"""The decoder that read a source's first frames. Encoding from there continues with it, and it never stays open."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from files.runner import SOFTWARE, encode_ranges, job
from media_samples import sample
from open_files import open_files
from pdum.nvenc import Cancelled, FileTask, NvencError, SourceUnreadable
from pdum.nvenc._media.decoder import ByFFmpeg, Decoding, Start
from pdum.nvenc._media.source import Index, look_through

pytestmark = pytest.mark.one_abi

SOURCE = "open-gop"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """The times of the packets that a decoder gets, in order."""
    found: list[int | None] = []
    decode = ByFFmpeg.frames

    def noted(self: ByFFmpeg, packet: Any) -> Any:
        if packet.size:
            found.append(packet.pts)
        return decode(self, packet)

    monkeypatch.setattr(ByFFmpeg, "frames", noted)
    return found


def prepared(folder: Path, cores: int, monkeypatch: pytest.MonkeyPatch, lanes: int = 1, **more: Any) -> FileTask:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))
    task = FileTask(job(sample(SOURCE), folder / "result.mp4", **more), "software")
    task.prepare(lanes)
    return task


@pytest.mark.parametrize(("cores", "lanes", "segments"), [(1, 1, 1), (2, 1, 1), (16, 1, 1), (16, 2, 2)])
def test_no_packet_is_decoded_twice(
    folder: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[int | None], cores: int, lanes: int, segments: int
) -> None:
    task = prepared(folder, cores, monkeypatch, lanes, segments=segments)
    looked_at = len(decoded)
    frames = list(task.frames(0, SOFTWARE))
    assert 0 < looked_at < len(frames)
    assert sorted(set(decoded), key=str) == sorted(decoded, key=str)
    assert len(decoded) == len(frames)
    task.abandon(keep=False)


def test_another_range_leaves_it_to_the_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[int | None]
) -> None:
    task = prepared(folder, 2, monkeypatch)
    whole = [frame.pts for frame in Start(sample(SOURCE), Decoding()).every_frame()]
    decoded.clear()
    later = task.frames(5, SOFTWARE)
    assert next(later).pts == whole[5]
    again = len(decoded)
    assert [frame.pts for frame in task.frames(0, SOFTWARE)] == whole
    assert len(decoded) < again + len(whole), "the first range has begun already"
    assert [frame.pts for frame in task.frames(0, SOFTWARE)] == whole, "and may begin again without it"
    task.abandon(keep=False)


def abandoned(task: FileTask) -> None:
    task.abandon(keep=False)


def prepared_again(task: FileTask) -> None:
    task.prepare(1)
    task.abandon(keep=False)


def done(task: FileTask) -> None:
    encode_ranges(task, SOFTWARE, [(0, task.prepare(1).frames)])
    task.finish()


def begun_and_left(task: FileTask) -> None:
    frames = task.frames(0, SOFTWARE)
    next(frames)
    frames.close()  # type: ignore[attr-defined]
    task.abandon(keep=False)


def not_even_begun(task: FileTask) -> None:
    task.frames(0, SOFTWARE).close()  # type: ignore[attr-defined]
    task.abandon(keep=False)


def begun_to_be_encoded(task: FileTask) -> None:
    """With the source opened again, for its end."""
    task.sink(0).discard()
    task.abandon(keep=False)


def not_finished(task: FileTask) -> None:
    encode_ranges(task, SOFTWARE, [(0, 10)])
    with pytest.raises(NvencError, match="10 of 40 frames"):
        task.finish()
    task.abandon(keep=False)


@pytest.mark.parametrize(
    "end", [abandoned, prepared_again, done, begun_and_left, not_even_begun, begun_to_be_encoded, not_finished]
)
def test_the_source_does_not_stay_open(
    folder: Path, monkeypatch: pytest.MonkeyPatch, end: Callable[[FileTask], None]
) -> None:
    before = open_files(sample(SOURCE))
    task = prepared(folder, 2, monkeypatch)
    assert len(open_files(sample(SOURCE))) == len(before) + 1
    end(task)
    assert open_files(sample(SOURCE)) == before


@pytest.mark.parametrize("why", ["large", "careful", "straight", "resumed"])
def test_it_is_closed_if_it_is_of_no_use(folder: Path, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    def looked_through(*given: Any) -> tuple[Index, Start]:
        index, start = look_through(*given)
        if why == "large":
            return replace(index, look=replace(index.look, width=1920, height=1090)), start
        return (replace(index, careful=True) if why == "careful" else replace(index, straight=True)), start

    before = open_files(sample(SOURCE))
    if why == "resumed":
        task = prepared(folder, 2, monkeypatch, keep_work=True)
        encode_ranges(task, SOFTWARE, [(0, 10)])
        task.abandon(keep=True)
    else:
        monkeypatch.setattr("pdum.nvenc._files.source_task.look_through", looked_through)
    task = prepared(folder, 2, monkeypatch, keep_work=True)
    assert open_files(sample(SOURCE)) == before
    task.abandon(keep=False)


def test_a_source_that_cannot_be_decoded_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ByFFmpeg, "frames", lambda self, packet: [])
    before = open_files(sample(SOURCE))
    with pytest.raises(SourceUnreadable, match="No frame of this video can be decoded"):
        look_through(sample(SOURCE), 2, lambda: None)
    assert open_files(sample(SOURCE)) == before


@pytest.mark.parametrize("by", ["indexing", "decoding"])
def test_looking_through_ends_as_a_whole(by: str) -> None:
    """The packets are listed in one thread, and the first frames decoded in another."""

    def interrupted() -> None:
        if (threading.current_thread() is threading.main_thread()) == (by == "indexing"):
            raise Cancelled("Enough.")

    opened, threads = open_files(sample(SOURCE)), set(threading.enumerate())
    with pytest.raises(Cancelled):
        look_through(sample(SOURCE), 2, interrupted)
    assert open_files(sample(SOURCE)) == opened
    assert set(threading.enumerate()) <= threads
