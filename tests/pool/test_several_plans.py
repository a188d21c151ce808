"""Tasks with several plans, one after the other: what is encoded, and how far a run says that it is."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest

from pdum.nvenc import Cancelled, EncoderPool, NvencError, Plan, Result, events
from pdum.nvenc._pool.job_states import MOST_FINISHING, MOST_SEARCHED
from pdum.nvenc._pool.scheduler import Scheduler
from pdum.nvenc._tasks import NextPlan, Phase, Trial
from pool_tasks import Meeting, Pictures, Sink

from simulator import Simulator

SLOW = {"name": "L4", "engines": 3, "fps_1080p": 3}
ROUNDS = 3


class Searching(Pictures):
    """Encodes samples in some rounds before all of its pictures."""

    def __init__(self, frames: int, offset: int = 0, *, rounds: int = ROUNDS, meeting: Meeting | None = None) -> None:
        super().__init__(frames, offset, meeting=meeting)
        self.rounds = rounds
        self.seen: list[list[tuple[int, int]]] = []
        self.round = 0
        self.work = frames + rounds * frames // 2

    def prepare(self, lanes: int) -> Plan:
        self.round = 0
        self.whole = super().prepare(lanes)
        return self.next_plan()

    def next_plan(self) -> Plan:
        self.pieces.clear()
        share = self.rounds * (self.count // 2) / self.work
        if self.round == self.rounds:
            return Plan(
                frames=self.count, ranges=self.whole.ranges, width=self.whole.width, height=self.whole.height, fps=30.0,
                phase=Phase(work=self.work, begins_at=share),
            )  # fmt: skip
        begins_at, ends_at = share * self.round / self.rounds, share * (self.round + 1) / self.rounds
        quarter = self.count // 4
        return Plan(
            frames=self.count, ranges=[(0, quarter), (2 * quarter, 3 * quarter)], whole_ranges=True, fps=30.0,
            width=self.whole.width, height=self.whole.height,
            phase=Phase(work=self.work, begins_at=begins_at, ends_at=ends_at, goal="something"),
        )  # fmt: skip

    def finish(self) -> Result | NextPlan:
        self.seen.append(sorted((first, last) for first, (last, _) in self.pieces.items()))
        if self.round == self.rounds:
            return super().finish()
        self.round += 1
        trial = Trial(quality=20 + self.round, cq=10, size=7, is_chosen=self.round == self.rounds)
        return NextPlan(plan=self.next_plan(), trials=(trial,))


def told_of(run: Sequence[events.Event], job: int, kind: type[events.Event]) -> list[events.Event]:
    return [event for event in run if isinstance(event, kind) and getattr(event, "job", None) == job]


def test_each_plan_is_encoded_and_the_last_one_is_the_result(simulator: Simulator) -> None:
    tasks = [Searching(60), Pictures(40, 1000), Searching(80, 2000)]
    with simulator.machine(gpus=["L4"]), EncoderPool() as pool:
        run = pool.start(tasks)
        told = list(run)
        run.wait().raise_for_errors()
    for task in tasks:
        task.check()
    for number, task in ((0, tasks[0]), (2, tasks[2])):
        assert isinstance(task, Searching)
        quarter = task.count // 4
        assert task.seen[:ROUNDS] == [[(0, quarter), (2 * quarter, 3 * quarter)]] * ROUNDS
        (prepared,) = told_of(told, number, events.JobPrepared)
        assert isinstance(prepared, events.JobPrepared)
        assert (prepared.frames, prepared.goal) == (task.count, "something")
        assert len(told_of(told, number, events.JobFinishing)) == 1
        tried = [
            event for event in told_of(told, number, events.QualityTried) if isinstance(event, events.QualityTried)
        ]
        assert [(one.quality, one.is_chosen) for one in tried] == [(21, False), (22, False), (23, True)]
    assert not told_of(told, 1, events.QualityTried)


def test_progress_never_goes_back_and_counts_the_samples(simulator: Simulator) -> None:
    tasks = [Searching(120, 1000 * number) for number in range(4)]
    with simulator.machine(gpus=[SLOW]), EncoderPool() as pool:
        run = pool.start(tasks)
        told = list(run)
        run.wait().raise_for_errors()
    progress = [event for event in told if isinstance(event, events.RunProgress)]
    assert len(progress) > 2
    parts = [event.frames / event.total for event in progress]
    assert parts == sorted(parts)
    assert all(0 <= part <= 1 for part in parts)
    assert {event.total for event in progress[-2:]} == {sum(task.work for task in tasks)}
    for number, task in enumerate(tasks):
        own = [event for event in told if isinstance(event, events.Progress) and event.job == number]
        assert all(event.job_total == task.work for event in own)
        assert all(0 <= event.job_frames <= task.work for event in own)
        ends = [event.job_frames for event in own]
        assert all(later >= earlier - 2 for earlier, later in pairwise(ends)), "but for rounding"


def test_an_impossible_next_plan_fails_only_its_job(simulator: Simulator) -> None:
    class Wrong(Searching):
        def next_plan(self) -> Plan:
            plan = super().next_plan()
            return plan if self.round == 0 else Plan(frames=10, ranges=[(5, 20)])

    tasks = [Wrong(40), Searching(40, 1000)]
    with simulator.machine(gpus=["L4"]), EncoderPool() as pool:
        first, second = pool.run(tasks).results
    assert isinstance(first, NvencError)
    assert "is not possible" in str(first)
    assert isinstance(second, Result)
    assert tasks[0].abandoned == 1


@pytest.mark.parametrize("where", ["sampling", "finishing"])
def test_a_drained_run_ends_searches(simulator: Simulator, where: str) -> None:
    """They have encoded nothing that could become a result. A file that is encoded is finished."""
    waits, may_go = threading.Event(), threading.Event()

    class Held(Searching):
        def finish(self) -> Result | NextPlan:
            if where == "finishing" and self.round == 0:
                waits.set()
                assert may_go.wait(60)
            return super().finish()

    class Seen(Searching):
        def sink(self, first: int) -> Sink:
            waits.set()
            return super().sink(first)

    task = (Held if where == "finishing" else Seen)(400)
    with simulator.machine(gpus=[SLOW]), EncoderPool() as pool:
        run = pool.start([task])
        assert waits.wait(60)
        run.drain()
        may_go.set()
        (result,) = run.wait(60).results
    assert isinstance(result, Cancelled)
    assert task.abandoned == 1
    assert task.sinks_open == task.sources_open == 0


def test_few_jobs_search_at_a_time() -> None:
    """However slow their scores are, of which none comes here: each job holds the index of its source."""
    tasks = [Searching(8, 10 * number) for number in range(60)]
    scheduler = Scheduler(tasks, [0], lambda kind, **values: kind(at=0.0, **values))
    chores = Counter[str]()
    while (chore := scheduler.next_chore_now()) is not None:
        chores[chore.what] += 1
        if chore.what == "prepare":
            assert scheduler.prepared(chore, chore.job.task.prepare(1))
        while (piece := scheduler.take_now(0)) is not None:
            scheduler.started(piece)
            scheduler.done(piece, 1)
    assert chores == {"prepare": 1 + MOST_SEARCHED, "finish": MOST_FINISHING}
