"""The scheduler without threads and without a clock: engines of given speeds work through jobs, event by event."""

from __future__ import annotations

import heapq
import random
import threading
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from pdum.nvenc import BaseTask, EncoderConfig, EncoderFailed, EngineInfo, Plan, Result
from pdum.nvenc._pool.feeder import batch
from pdum.nvenc._pool.job import OVER, Job
from pdum.nvenc._pool.pieces import Piece
from pdum.nvenc._pool.scheduler import PIECE_FAILURES, Scheduler

pytestmark = pytest.mark.one_abi

PIXELS = 10**6  # of a frame, so that an engine's rate in megapixels a second is one in frames


class Frames(BaseTask):
    """A job of this many frames, with default values for the rest."""

    source = "frames"

    def __init__(self, count: int, whole: int = 0, good: int = 0) -> None:
        self.count, self.whole, self.good = count, whole, good

    @property
    def estimated_work(self) -> float:
        return float(self.count)

    def prepare(self, lanes: int) -> Plan:
        parts = self.whole or 1
        bounds = [self.count * part // parts for part in range(parts + 1)]
        return Plan(
            frames=self.count, ranges=[(first, last) for first, last in pairwise(bounds) if first < last],
            whole_ranges=self.whole > 0, good_range=self.good, width=1000, height=1000,
        )  # fmt: skip

    def config(self, engine: EngineInfo) -> EncoderConfig:
        raise NotImplementedError

    def frames(self, first: int, engine: EngineInfo) -> Any:
        raise NotImplementedError

    def sink(self, first: int) -> Any:
        raise NotImplementedError

    def finish(self) -> Result:
        return Result(destination="", frames=self.count, size=0)

    def abandon(self, keep: bool) -> None:
        raise NotImplementedError


class Simulation:
    """Engines that encode this many frames a second, and begin their next piece at once."""

    def __init__(self, tasks: list[Frames], speeds: list[float], known: bool = True, cores: int = 0) -> None:
        self.speeds, self.known = speeds, known
        self.engines = [
            EngineInfo(index=number, kind="nvenc", gpu_id=0, number=number) for number in range(len(speeds))
        ]
        self.scheduler = Scheduler(
            tasks,
            range(len(speeds)),
            lambda kind, **values: kind(at=0.0, **values),
            cores=cores,
        )
        self.pieces: dict[int, Piece] = {}
        self.encoded: dict[int, list[int]] = {job.number: [] for job in self.scheduler.jobs}
        self.order: list[int] = []
        self.end = 0.0

    def help(self) -> None:
        """Helpers take no time."""
        scheduler = self.scheduler
        while (chore := scheduler.next_chore_now()) is not None:
            if chore.what == "prepare":
                scheduler.prepared(chore, chore.job.task.prepare(len(self.speeds)))
            elif chore.what == "finish":
                scheduler.finished(chore, chore.job.task.finish())
            else:
                scheduler.abandoned(chore)

    def run(self) -> float:
        events = [(0.0, engine) for engine in range(len(self.speeds))]
        idle: list[int] = []
        while events:
            now, engine = heapq.heappop(events)
            self.end = now
            for one in [engine, *idle]:
                busy = self.step(one)
                if busy is None and one not in idle:
                    idle.append(one)
                elif busy is not None:
                    idle = [other for other in idle if other != one]
                    heapq.heappush(events, (now + busy, one))
        assert all(job.state == OVER for job in self.scheduler.jobs)
        return self.end

    def step(self, engine: int) -> float | None:
        """Seconds until the engine has done the piece that it begins now; None if it has nothing to do."""
        while True:
            self.help()
            piece = self.pieces.get(engine)
            if piece is None:
                piece = self.scheduler.take_now(engine)
                if piece is None:
                    return None
                self.pieces[engine] = piece
                self.scheduler.started(piece)
                self.order.append(piece.job.number)
            begin, end = piece.range.claim(batch(self.scheduler, self.engines[engine], piece))
            if begin < end:
                piece.frames += end - begin
                piece.packets = piece.frames
                self.encoded[piece.job.number] += range(begin, end)
                if self.known:
                    self.scheduler.rates[engine] = self.speeds[engine] * PIXELS / 1e6
                return (end - begin) / self.speeds[engine]
            self.scheduler.done(self.pieces.pop(engine), 0)


def simulated(lengths: list[int], speeds: list[float], known: bool = True, whole: int = 0) -> tuple[float, float]:
    """The total time and the least possible time. Every frame was encoded once."""
    one = Simulation([Frames(length, whole) for length in lengths], speeds, known)
    seconds = one.run()
    for job, frames in one.encoded.items():
        assert sorted(frames) == list(range(lengths[job]))
    return seconds, sum(lengths) / sum(speeds)


@pytest.mark.parametrize("engines", range(1, 9))
def test_one_video_over_equal_engines(engines: int) -> None:
    seconds, ideal = simulated([10_740], [344.0] * engines)
    assert seconds <= 1.01 * ideal


@pytest.mark.parametrize("seed", range(20))
def test_a_batch_with_a_heavy_tail(seed: int) -> None:
    """40 files of log-normal lengths end within 2 % of all work over all engines; first come, first served does not."""
    chance = random.Random(seed)
    lengths = [max(1, round(400 * chance.lognormvariate(0, 1))) for _ in range(40)]
    engines = 3 + seed % 4
    seconds, ideal = simulated(lengths, [344.0] * engines)
    assert seconds <= 1.02 * ideal
    assert seconds <= first_come(lengths, engines, 344.0)


def first_come(lengths: list[int], engines: int, speed: float) -> float:
    """A semaphore with as many slots as engines, whole files in the order in which they are given."""
    free = [0.0] * engines
    for length in lengths:
        heapq.heapreplace(free, free[0] + length / speed)
    return max(free)


@settings(max_examples=60, deadline=None)
@given(
    lengths=some.lists(some.integers(1, 900), min_size=1, max_size=12),
    speeds=some.lists(some.floats(20, 500), min_size=1, max_size=8),
    known=some.booleans(),
)
def test_any_jobs_on_any_engines(lengths: list[int], speeds: list[float], known: bool) -> None:
    """The excess over the ideal is what the slowest engine needs for the few frames that it has claimed."""
    seconds, ideal = simulated(lengths, speeds, known)
    assert seconds <= ideal + 32 / min(speeds) + 0.2


@settings(max_examples=30, deadline=None)
@given(
    lengths=some.lists(some.integers(1, 300), min_size=1, max_size=6),
    parts=some.integers(1, 5),
    engines=some.integers(1, 5),
)
def test_ranges_that_are_to_stay_whole(lengths: list[int], parts: int, engines: int) -> None:
    one = Simulation([Frames(length, parts) for length in lengths], [100.0] * engines)
    one.run()
    assert [one.order.count(job) for job in range(len(lengths))] == [min(parts, length) for length in lengths]


def test_the_longest_first() -> None:
    one = Simulation([Frames(length) for length in (30, 200, 10, 150)], [100.0])
    one.run()
    assert one.order == [1, 3, 0, 2]


def test_nothing_is_divided_while_there_are_other_jobs() -> None:
    """Key frames cost bits: with more files than engines, each file is one piece, except the last ones."""
    one = Simulation([Frames(100 + number) for number in range(30)], [344.0] * 3)
    one.run()
    divided = [job for job in range(30) if one.order.count(job) > 1]
    assert len(divided) <= 3
    assert set(divided) <= {0, 1, 2}, "the shortest, which come last"


@pytest.mark.parametrize(
    ("tasks", "engines"),
    [
        ([Frames(1000)], 4),
        ([Frames(1)], 1),
        ([Frames(2)], 2),
        ([Frames(1000, whole=1)], 1),
        ([Frames(1000, whole=3)], 3),
        ([Frames(1000, whole=1), Frames(1000, whole=1)], 2),
        ([Frames(1000, whole=1), Frames(1000)], 4),
        ([Frames(10, whole=1)] * 9, 4),
    ],
    ids=["one", "a frame", "two frames", "whole", "three parts", "two whole", "whole and not", "many"],
)
def test_how_many_engines_will_work_at_once(tasks: list[Frames], engines: int) -> None:
    """The known amount of work decides how many cores a software codec gets."""
    simulation = Simulation(tasks, [1.0] * 4, cores=12)
    assert simulation.scheduler.lend_cores(0) == 3, "while nothing is known of the work yet"
    simulation.help()
    assert simulation.scheduler.lend_cores(0) == 12 // engines


@pytest.mark.parametrize(("good", "parts"), [(0, 4), (250, 4), (251, 3), (400, 2), (900, 1), (2000, 1)])
def test_ranges_are_of_a_good_length_to_begin_with(good: int, parts: int) -> None:
    simulation = Simulation([Frames(1000, good=good)], [1.0] * 4)
    simulation.help()
    begun = [simulation.scheduler.take_now(engine) for engine in range(parts)]
    assert sorted(piece.last - piece.first for piece in begun if piece)[-1] == -(-1000 // parts)
    assert not simulation.scheduler.waiting


def two_at_work(cores: int = 0) -> tuple[Scheduler, Piece, Piece]:
    """Each has half of 800 frames. The first engine has claimed all of its half, the other one half of its half."""
    one = Simulation([Frames(400)], [100.0, 100.0], cores=cores)
    one.help()
    first, second = one.scheduler.take_now(0), one.scheduler.take_now(1)
    assert first is not None
    assert second is not None
    first.range.claim(200)
    second.range.claim(100)
    second.packets = 100
    return one.scheduler, first, second


@pytest.mark.parametrize(("held", "stolen"), [(200, 0), (100, 0), (99, 1), (40, 30), (0, 50)])
def test_a_thief_reckons_with_what_its_encoder_still_holds(held: int, stolen: int) -> None:
    """A software codec takes dozens of frames before its first packet: one that has claimed all is far from done."""
    scheduler, first, second = two_at_work()
    first.packets = 200 - held
    piece = scheduler.take_now(0)
    assert (0 if piece is None else piece.last - piece.first) == stolen
    assert second.range.rest == 100 - stolen


@pytest.mark.parametrize(("cores", "stolen"), [(0, 90), (2, 50)])
def test_speeds_show_how_many_engines_share_the_cores(cores: int, stolen: int) -> None:
    """Nothing: it depends on what the others did meanwhile."""
    scheduler, first, _ = two_at_work(cores)
    first.packets = 200
    scheduler.rates.update({0: 9.0, 1: 1.0})
    piece = scheduler.take_now(0)
    assert piece is not None
    assert piece.last - piece.first == stolen


class Asking:
    """An engine that asks for work in a separate thread."""

    def __init__(self, scheduler: Scheduler, engine: int) -> None:
        self.answers: list[Job | None] = []
        self._has_asked = threading.Event()
        self._wait = scheduler.changed.wait
        scheduler.changed.wait = self._noted_wait  # type: ignore[method-assign]
        self._thread = threading.Thread(target=lambda: self._ask(scheduler, engine))
        self._thread.start()
        assert self._has_asked.wait(60)

    def _ask(self, scheduler: Scheduler, engine: int) -> None:
        self.answers.append(scheduler.wait_for_work(engine))
        self._has_asked.set()

    def _noted_wait(self, timeout: float | None = None) -> bool:
        self._has_asked.set()
        return self._wait(timeout)

    def answer(self) -> Job | None:
        self._thread.join(60)
        return self.answers[0]


@pytest.mark.parametrize("cores", [2, 0])
def test_which_engine_makes_an_encoder_for_one_piece(cores: int) -> None:
    """One of a processor's shares, but each encoder of the GPUs, so that a hanging one delays nothing."""
    one = Simulation([Frames(100, whole=1)], [100.0, 100.0], cores=cores)
    one.help()
    scheduler = one.scheduler
    (job,) = scheduler.jobs
    assert scheduler.wait_for_work(0) is job
    other = Asking(scheduler, 1)
    assert other.answers == ([] if cores else [job])
    one.run()
    assert other.answer() is (None if cores else job)


@pytest.mark.parametrize("how", ["waits", "refused", "lost"])
def test_an_engine_without_an_encoder_leaves_the_piece_to_another(how: str) -> None:
    one = Simulation([Frames(100, whole=1)], [100.0, 100.0], cores=2)
    one.help()
    scheduler = one.scheduler
    (job,) = scheduler.jobs
    assert scheduler.wait_for_work(0) is job
    other = Asking(scheduler, 1)
    if how == "waits":
        scheduler.waits_for_session(0)
    elif how == "lost":
        scheduler.lose(0, "It is gone.")
    else:
        scheduler.refused(job, 0, EncoderFailed("Not now."))
    assert other.answer() is job


def test_which_engine_helps_if_all_cores_are_lent() -> None:
    """No engine, until some are free again."""
    one = Simulation([Frames(100, good=100)], [100.0, 100.0], cores=2)
    one.help()
    scheduler = one.scheduler
    (job,) = scheduler.jobs
    assert scheduler.wait_for_work(0) is job
    assert scheduler.lend_cores(0) == 2
    assert scheduler.take(0) is not None
    other = Asking(scheduler, 1)
    assert other.answers == []
    scheduler.take_cores_back(0)
    assert other.answer() is job


def test_which_engine_helps_if_cores_are_left() -> None:
    one = Simulation([Frames(100, good=100)], [100.0, 100.0], cores=2)
    scheduler = one.scheduler
    assert scheduler.lend_cores(0) == 1, "as others might have come"
    one.help()
    (job,) = scheduler.jobs
    assert scheduler.take(0) is not None
    assert Asking(scheduler, 1).answer() is job


def test_failed_pieces_are_done_again_elsewhere() -> None:
    """An engine retries a piece that it failed at only if there is no other engine to try."""
    one = Simulation([Frames(100, whole=1)], [100.0, 100.0])
    one.help()
    scheduler = one.scheduler
    piece = scheduler.take_now(0)
    assert piece is not None
    piece.range.claim(30)
    scheduler.failed(piece, EncoderFailed("no"), by_engine=True)
    assert scheduler.take_now(0) is None
    again = scheduler.take_now(1)
    assert again is not None
    assert (again.first, again.last, again.range.rest) == (0, 100, 100)
    scheduler.lose(1, "gone")
    last = scheduler.take_now(0)
    assert last is not None
    assert (last.first, last.last, last.range.rest) == (0, 100, 100)


def test_a_piece_that_fails_everywhere_fails_its_job() -> None:
    one = Simulation([Frames(100, whole=1), Frames(10)], [100.0, 100.0])
    one.help()
    scheduler = one.scheduler
    for attempt in range(PIECE_FAILURES):
        piece = next(piece for engine in (0, 1) if (piece := scheduler.take_now(engine)) and piece.job.number == 0)
        scheduler.failed(piece, EncoderFailed(f"attempt {attempt}"), by_engine=True)
        for other in list(scheduler.working):
            scheduler.put_back(other)
    assert str(scheduler.jobs[0].outcome) == f"attempt {PIECE_FAILURES - 1}"
    assert scheduler.jobs[1].outcome is None


def test_the_next_file_may_be_taken_before_the_present_one_ends() -> None:
    simulation = Simulation([Frames(100), Frames(50)], [100.0, 100.0])
    simulation.help()
    scheduler = simulation.scheduler
    present = scheduler.take_now(0)
    following = scheduler.take_waiting(0)
    assert present is not None
    assert following is not None
    assert (present.job.number, following.job.number) == (0, 1)
    stolen = scheduler.take_now(1)
    assert stolen is not None, "what waits for its engine can be divided"
    assert scheduler.take_waiting(0) is None, "nothing is taken from another engine for that"


def test_a_file_that_cannot_be_divided_waits_for_a_free_engine() -> None:
    simulation = Simulation([Frames(100), Frames(50, whole=1)], [100.0, 100.0])
    simulation.help()
    assert simulation.scheduler.take_now(0) is not None
    assert simulation.scheduler.take_waiting(0) is None
    assert simulation.scheduler.take_now(1) is not None
