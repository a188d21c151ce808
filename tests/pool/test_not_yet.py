"""Tasks that wait for the end of others before they begin, such as for want of disk space."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Lock
from typing import Any
from unittest.mock import Mock

import pytest

from pdum.nvenc import BaseTask, EncoderPool, Plan, Result
from pdum.nvenc._pool.scheduler import Scheduler
from pdum.nvenc._tasks import NotYet

pytestmark = pytest.mark.one_abi


class Disk:
    """Room for some tasks at a time."""

    def __init__(self, room: int) -> None:
        self.room, self._lock = room, Lock()
        self.used = self.most = 0
        self.has_refused = Event()

    def take(self, size: int) -> None:
        with self._lock:
            if self.used + size > self.room:
                self.has_refused.set()
                raise NotYet(OSError(f"{size} of {self.room}"))
            self.used += size
            self.most = max(self.most, self.used)

    def give_back(self, size: int) -> None:
        with self._lock:
            self.used -= size


class Sized(BaseTask):
    """All of its frames are encoded already; it takes a part of the disk from ``prepare`` to its end."""

    source = "sized"

    def __init__(self, disk: Disk, size: int, error: Exception | None = None) -> None:
        self._disk, self._size, self._error = disk, size, error
        self._has = False

    def prepare(self, lanes: int) -> Plan:
        self._disk.take(self._size)
        self._has = True
        return Plan(frames=1, ranges=())

    def config(self, engine: Any) -> Any:
        raise NotImplementedError

    frames: Callable[..., Any] = config
    sink: Callable[..., Any] = config

    def finish(self) -> Result:
        if self._error is not None:
            raise self._error
        self._end()
        return Result(destination="", frames=1, size=self._size)

    def abandon(self, keep: bool) -> None:
        if self._has:
            self._end()

    def _end(self) -> None:
        self._has = False
        self._disk.give_back(self._size)


@pytest.fixture(scope="module")
def pool() -> Any:
    with EncoderPool(backend="software", engines=3) as made:
        yield made


class Late(Sized):
    """Ends once another task has found no room."""

    def finish(self) -> Result:
        assert self._disk.has_refused.wait(60)
        return super().finish()


def test_all_get_their_turn(pool: EncoderPool) -> None:
    disk = Disk(10)
    sizes = [6, *(1 + number * 7 % 10 for number in range(60))]
    results = pool.run([Late(disk, size) for size in sizes]).raise_for_errors()
    assert [one.size for one in results] == sizes
    assert (disk.used, disk.most) == (0, 10)


def test_one_that_never_fits_fails_with_its_error(pool: EncoderPool) -> None:
    disk = Disk(10)
    outcomes = pool.run([Sized(disk, size) for size in (3, 11, 4)]).results
    assert [type(one).__name__ for one in outcomes] == ["Result", "OSError", "Result"]
    assert str(outcomes[1]) == "11 of 10"


def test_the_end_of_a_failed_task_counts(pool: EncoderPool) -> None:
    disk = Disk(10)
    outcomes = pool.run([Sized(disk, 10, ValueError("wrong") if number % 2 else None) for number in range(8)]).results
    assert [type(one).__name__ for one in outcomes] == ["Result", "ValueError"] * 4
    assert disk.used == 0


def test_nothing_is_asked_again_before_another_has_ended() -> None:
    scheduler = Scheduler([Sized(Disk(10), 1) for _ in range(3)], [0, 1, 2], Mock())
    first, second = scheduler.next_chore_now(), scheduler.next_chore_now()
    assert first is not None
    assert second is not None
    scheduler.prepared(first, Plan(frames=1, ranges=[(0, 1)]))
    assert scheduler.queue_again(second, OSError("full"))
    assert scheduler.next_chore_now() is None
    scheduler.call_off([first.job], "enough")
    abandon = scheduler.next_chore_now()
    assert abandon is not None
    assert abandon.what == "abandon"
    assert scheduler.next_chore_now() is None
    scheduler.abandoned(abandon)
    again = scheduler.next_chore_now()
    assert again is not None
    assert (again.what, again.job) == ("prepare", second.job)
