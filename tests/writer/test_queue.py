"""A writer's queues are bounded. Dropped frames are counted and reported, and the video keeps its speed."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdum.nvenc import VideoWriter
from pdum.nvenc._encoders.software import SoftwareEncoder
from pdum.nvenc._writer.bounded_queue import BoundedQueue, QueueClosed
from video_frames import look, rgb

pytestmark = pytest.mark.one_abi


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 6), st.integers(1, 60))
def test_a_queue_that_drops_keeps_its_bounds_and_the_newest(sizes: list[int], most: int, most_bytes: int) -> None:
    queue: BoundedQueue[int] = BoundedQueue(most, most_bytes)
    dropped = 0
    for number, size in enumerate(sizes):
        dropped += queue.put_dropping(number, size)
        assert len(queue) <= most
        assert queue.peak_bytes <= max(most_bytes, *sizes[: number + 1])
    left = [queue.get() for _ in range(len(queue))]
    assert left == list(range(len(sizes)))[dropped:]
    assert not sizes or left[-1] == len(sizes) - 1


def test_a_full_queue_waits_and_a_closed_one_ends() -> None:
    queue: BoundedQueue[int] = BoundedQueue(2, 100)
    done: list[int] = []

    def fill() -> None:
        for number in range(5):
            queue.put(number, 10)
            done.append(number)

    filling = threading.Thread(target=fill)
    filling.start()
    assert [queue.get() for _ in range(5)] == [0, 1, 2, 3, 4]
    filling.join()
    queue.put(5, 1000)  # more than the bound, into an empty queue
    assert not queue.has_room(1)
    queue.close()
    assert queue.get() == 5
    for call in (queue.get, lambda: queue.put(1, 1), lambda: queue.put_dropping(1, 1)):
        with pytest.raises(QueueClosed):
            call()
    forgetful: BoundedQueue[int] = BoundedQueue(2, 100)
    forgetful.put(1, 1)
    forgetful.close(forget=True)
    with pytest.raises(QueueClosed):
        forgetful.get()


class Gate:
    """Lets the software encoder go on frame by frame."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered, self.open = threading.Semaphore(0), threading.Semaphore(0)
        submit = SoftwareEncoder.submit

        def slow(encoder: Any, *arguments: Any, **more: Any) -> Any:
            self.entered.release()
            self.open.acquire()
            return submit(encoder, *arguments, **more)

        monkeypatch.setattr(SoftwareEncoder, "submit", slow)

    def let_all_through(self) -> None:
        self.open.release(10_000)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


def test_dropping_leaves_gaps_in_time_and_is_told(gate: Gate) -> None:
    video = VideoWriter(None, backend="software", drop="oldest", queue_frames=3, fps=10)
    video.write(rgb(0))
    gate.entered.acquire()  # the first frame is with the encoder, so that 3 more have room
    for number in range(1, 10):
        video.write(rgb(number))
    assert (video.dropped, video.frames, video.statistics.waiting) == (6, 4, 3)
    gate.let_all_through()
    with pytest.warns(RuntimeWarning, match="6 of 10 frames were dropped, because the encoder could not keep up"):
        video.close()
    found = look(video.read())
    assert found.numbers() == [0, 7, 8, 9]
    assert np.allclose([float(one - found.times[0]) for one in found.times], [0, 0.7, 0.8, 0.9], atol=1e-4)


def test_without_dropping_write_waits_and_nothing_is_lost(gate: Gate) -> None:
    video = VideoWriter(None, backend="software", queue_frames=2)
    written: list[int] = []

    def write() -> None:
        for number in range(8):
            video.write(rgb(number))
            written.append(number)

    writing = threading.Thread(target=write)
    writing.start()
    for through in range(8):
        gate.entered.acquire()
        assert len(written) <= through + 3  # one with the encoder, two in the queue
        gate.open.release()
    writing.join()
    gate.let_all_through()
    video.close()
    assert look(video.read()).numbers() == list(range(8))


def test_the_queue_is_bounded_in_bytes(gate: Gate) -> None:
    frame_bytes = rgb(0).nbytes
    video = VideoWriter(None, backend="software", drop="oldest", queue_frames=1000, queue_bytes=frame_bytes * 2 + 1)
    video.write(rgb(0))
    gate.entered.acquire()
    for number in range(1, 6):
        video.write(rgb(number))
    assert (video.dropped, video.statistics.waiting) == (3, 2)
    gate.let_all_through()
    with pytest.warns(RuntimeWarning, match="were dropped"):
        video.close()


def test_a_recorder_never_waits_even_for_an_encoder_that_stands_still(gate: Gate) -> None:
    """Each call returns although not one frame gets through: otherwise this test does not end."""
    with VideoWriter(None, backend="software", drop="oldest", queue_frames=2) as video:
        for number in range(200):
            video.write(rgb(number))
        assert video.dropped >= 197
        gate.let_all_through()
        video.abort()
