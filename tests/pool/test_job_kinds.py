"""Hardware and software in one run: each file is for one kind of engines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdum.nvenc import NoEngineLeft
from pdum.nvenc._pool.job import OVER
from pdum.nvenc._pool.pieces import Piece
from pdum.nvenc._pool.scheduler import Scheduler
from pool.test_schedule import Frames

pytestmark = pytest.mark.one_abi

HARDWARE, SOFTWARE = "nvenc", "software"


class Farm:
    """The scheduler of a run, whose engines do what the test says. Helpers take no time."""

    def __init__(self, lengths: Sequence[int], kinds: Sequence[str]) -> None:
        self.kinds = dict(enumerate(kinds))
        self.told: list[Any] = []
        tasks = [Frames(length) for length in lengths]
        self.scheduler = Scheduler(tasks, range(len(kinds)), self._emit, may_grow=True, kinds=self.kinds)
        self.by_kind: dict[int, set[str]] = {}
        """The kinds of the engines that have encoded each job."""
        self.frames = 0

    def _emit(self, kind: Any, **values: Any) -> Any:
        self.told.append(kind(at=0.0, **values))
        return self.told[-1]

    def help(self) -> None:
        scheduler = self.scheduler
        while (chore := scheduler.next_chore_now()) is not None:
            if chore.what == "prepare":
                scheduler.settle_kind(chore.job, "")
                scheduler.prepared(chore, chore.job.task.prepare(1))
            elif chore.what == "finish":
                scheduler.finished(chore, chore.job.task.finish())
            else:
                scheduler.abandoned(chore)

    def take(self, engine: int) -> Piece | None:
        self.help()
        piece = self.scheduler.take_now(engine)
        if piece is not None:
            self.by_kind.setdefault(piece.job.number, set()).add(self.kinds[engine])
            self.scheduler.started(piece)
        return piece

    def finish(self, piece: Piece) -> None:
        piece.range.claim(piece.last)
        self.frames += piece.last - piece.first
        self.scheduler.done(piece, 1)
        self.help()


@given(
    lengths=st.lists(st.integers(1, 400), min_size=1, max_size=12),
    kinds=st.lists(st.sampled_from([HARDWARE, SOFTWARE]), min_size=1, max_size=5),
    order=st.randoms(use_true_random=False),
    rates=st.booleans(),
)
@example(lengths=[400, 1, 1], kinds=[HARDWARE, SOFTWARE], order=None, rates=False)
def test_no_file_is_encoded_by_both_kinds(lengths: list[int], kinds: list[str], order: Any, rates: bool) -> None:
    """Engines take, divide and finish in any order, and every frame is encoded once."""
    farm = Farm(lengths, kinds)
    if rates:
        farm.scheduler.rates.update({number: 100.0 if kind == HARDWARE else 1.0 for number, kind in enumerate(kinds)})
    at_work: dict[int, Piece] = {}
    while not farm.scheduler.is_over:
        for engine in range(len(kinds)) if order is None else order.sample(range(len(kinds)), len(kinds)):
            piece = None if engine in at_work else farm.take(engine)
            if piece is not None:
                at_work[engine] = piece
        assert at_work, "an engine has work as long as there is any"
        engine = next(iter(at_work)) if order is None else order.choice(sorted(at_work))
        farm.finish(at_work.pop(engine))
    assert farm.frames == sum(lengths)
    assert all(len(kinds) == 1 for kinds in farm.by_kind.values())
    prepared = {one.job: one.engine_kind for one in farm.told if type(one).__name__ == "JobPrepared"}
    assert {job: {kind} for job, kind in prepared.items()} == farm.by_kind


def test_hardware_gets_the_longest_and_software_the_shortest() -> None:
    farm = Farm([50, 400, 10, 300, 20], [HARDWARE, SOFTWARE])
    taken = [farm.take(engine) for engine in (0, 1)]
    assert [piece.job.plan_frames for piece in taken if piece is not None] == [400, 10]


@pytest.mark.parametrize(("speed", "takes"), [(50.0, True), (1.0, False)])
def test_software_takes_no_file_that_would_hold_up_the_end(speed: float, takes: bool) -> None:
    """Hardware does the rest of the files, 240 frames, in the time of 2.4 or 120 frames of software."""
    farm = Farm([200, 190, 180, 80, 80, 80], [HARDWARE, SOFTWARE])
    farm.scheduler.rates.update({0: 100.0, 1: speed})
    assert (farm.take(1) is not None) == takes


def test_files_of_a_kind_that_has_left_fail_and_the_others_do_not() -> None:
    farm = Farm([30, 20, 10, 5], [HARDWARE, SOFTWARE])
    hard, soft = farm.take(0), farm.take(1)
    assert hard is not None
    assert soft is not None
    farm.scheduler.lose(1, "Its machine is off.")
    assert farm.scheduler.kinds_without_engines() == {SOFTWARE}
    farm.scheduler.fail_without_engines(SOFTWARE, NoEngineLeft("no software"))
    farm.finish(hard)
    while (piece := farm.take(0)) is not None:
        farm.finish(piece)
    outcomes = [job.ended_as for job in farm.scheduler.jobs]
    assert all(job.state is OVER for job in farm.scheduler.jobs)
    assert outcomes == ["finished", "finished", "finished", "failed"]


def test_a_kind_that_joins_late_gets_files() -> None:
    farm = Farm([30, 20, 10, 5, 5, 5], [HARDWARE])
    assert farm.take(0) is not None
    farm.kinds[1] = SOFTWARE
    farm.scheduler.join(1, SOFTWARE)
    piece = farm.take(1)
    assert piece is not None
    assert piece.job.kind == SOFTWARE


def test_a_file_stays_with_the_kind_that_has_begun_with_it() -> None:
    farm = Farm([30, 20], [HARDWARE, SOFTWARE])
    job = farm.scheduler.jobs[0]
    assert farm.scheduler.settle_kind(job, SOFTWARE) == SOFTWARE
    farm.scheduler.lose(1, "Its machine is off.")
    job.kind = HARDWARE
    assert farm.scheduler.settle_kind(job, SOFTWARE) == HARDWARE, "there is no other"
