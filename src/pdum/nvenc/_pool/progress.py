"""Reports a few times a second how far a run is. It also measures each engine, for the scheduler's divisions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from .. import events
from .._results import Result, RunReport
from .supply import Waits

if TYPE_CHECKING:
    from ..events import Event
    from .job import Job
    from .lane_view import LaneView
    from .pieces import Piece
    from .scheduler import Scheduler

INTERVAL = 0.25
"""Seconds."""
SMOOTHING = 0.5
"""How much the newest measurement counts in an engine's rate."""


class ProgressTeller:
    """Reads the engines' counters. Encoding spends no time on it."""

    def __init__(self, scheduler: Scheduler, lanes: Sequence[LaneView], emit: Callable[..., Event]) -> None:
        self._scheduler = scheduler
        self._lanes = lanes
        self._emit = emit
        self._last = monotonic()
        self._seen: dict[LaneView, int] = {}
        self._fps: dict[LaneView, float] = {}
        self._waited: dict[LaneView, Waits] = {}

    def tell(self) -> None:
        now = monotonic()
        seconds = now - self._last
        if seconds < INTERVAL:
            return
        self._last = now
        with self._scheduler.lock:
            pieces = list(self._scheduler.working)
        total = 0.0
        for lane in list(self._lanes):
            counted = (lane.frames - self._seen.get(lane, 0)) / seconds
            fps = counted if lane.measured_fps is None else lane.measured_fps
            self._seen[lane], self._fps[lane] = lane.frames, fps
            total += fps
            waited = self._shares_waited(lane, seconds)
            piece = lane.piece
            if piece is not None and not lane.is_lost:
                self._learn(lane.engine.index, fps * piece.job.pixels / 1e6)
                self._tell_lane(lane, piece, fps, pieces, waited)
        self._tell_run(total)

    def _learn(self, engine: int, rate: float) -> None:
        before = self._scheduler.rates.get(engine, rate)
        if rate > 0:
            self._scheduler.rates[engine] = before + (rate - before) * SMOOTHING

    def _shares_waited(self, lane: LaneView, seconds: float) -> Waits:
        """For which share of the time the engine has waited for frames, and frames for the engine."""
        now = lane.waited
        before, self._waited[lane] = self._waited.get(lane, Waits(0.0, 0.0)), now
        engine, frames = ((new - old) / seconds for new, old in zip(now, before, strict=True))
        return Waits(min(max(engine, 0.0), 1.0), min(max(frames, 0.0), 1.0))

    def _tell_lane(self, lane: LaneView, piece: Piece, fps: float, pieces: Sequence[Piece], waited: Waits) -> None:
        job = piece.job
        done = _done(job, pieces)
        engines = {other.engine for other in pieces if other.job is job}
        job_fps = sum(fps for lane, fps in self._fps.items() if lane.engine.index in engines)
        self._emit(
            events.Progress, job=job.number, engine=lane.engine.index, piece=piece.number, first=piece.first,
            last=piece.last, frames=piece.frames, fps=fps, job_frames=done, job_total=job.total,
            speed=job_fps / job.plan.fps if job.plan is not None and job.plan.fps else 0.0,
            eta=(job.total - done) / job_fps if job_fps > 0 else None,
            decoders=lane.decoders[0], decoders_on_processor=lane.decoders[1],
            engine_waited=waited.engine, frames_waited=waited.frames,
        )  # fmt: skip

    def _tell_run(self, fps: float) -> None:
        scheduler = self._scheduler
        with scheduler.lock:
            sums, total = scheduler.totals.sums, scheduler.totals.estimated_frames()
            at_work = sum(piece.frames * piece.job.weight for piece in scheduler.working if not piece.is_dropped)
        frames = sums.frames_done + round(at_work)
        self._emit(
            events.RunProgress, frames=frames, total=total, fps=fps,
            eta=max(total - frames, 0) / fps if fps > 0 else None,
            jobs_done=sums.jobs_over, jobs=len(scheduler.jobs),
        )  # fmt: skip

    def tell_end(self, report: RunReport) -> None:
        jobs = self._scheduler.jobs
        ended = [job.ended_as for job in jobs]
        good = [job.outcome for job in jobs if job.ended_as == "finished" and isinstance(job.outcome, Result)]
        self._emit(
            events.RunFinished, finished=ended.count("finished"), failed=ended.count("failed"),
            skipped=ended.count("skipped"), cancelled=ended.count("cancelled"), frames=report.frames,
            seconds=report.seconds, source_bytes=sum(one.source_bytes for one in good),
            size=sum(one.size for one in good),
        )  # fmt: skip


def _done(job: Job, pieces: Sequence[Piece]) -> int:
    if job.ended_as == "finished":
        return job.total
    at_work = sum(piece.frames for piece in pieces if piece.job is job and not piece.is_dropped)
    return round(job.work_done + at_work * job.weight)
