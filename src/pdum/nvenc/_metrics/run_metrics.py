"""The figures of all runs of a program, kept up to date by their events."""

from __future__ import annotations

from threading import Lock
from typing import Any

from .. import events
from .._version import __version__
from .text import Metric, exposition

ENDS = {"JobFinished": "finished", "JobFailed": "failed", "JobSkipped": "skipped", "JobCancelled": "cancelled"}


class RunMetrics:
    """``take`` gets each event of each run, in any thread; ``text`` is what Prometheus reads.

    No figure has the name of a file, so what is shown is no secret.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._all: list[Metric] = []
        self._info = self._gauge("build_info", "Always 1; the version is a label.")
        self._info.set(1, version=__version__)
        self._frames = self._counter("frames_total", "Frames that engines have encoded, also those encoded again.")
        self._busy_seconds = self._counter(
            "engine_busy_seconds_total", "Seconds that engines worked on finished pieces."
        )
        self._jobs_ended = self._counter("jobs_total", "Jobs that have ended, by how they ended.")
        self._failures = self._counter("job_failures_total", "Jobs that failed, by the class of the error.")
        self._retried = self._counter("pieces_retried_total", "Pieces of videos that another engine did again.")
        self._lost = self._counter("engines_lost_total", "Engines that failed or hung.")
        self._source_bytes = self._counter("source_bytes_total", "Size of the sources of finished jobs.")
        self._result_bytes = self._counter("result_bytes_total", "Size of the results of finished jobs.")
        self._runs = self._gauge("runs", "Runs that work now.")
        self._waiting = self._gauge("jobs_waiting", "Jobs that have not begun.")
        self._working = self._gauge("jobs_working", "Jobs that have begun and have not ended.")
        self._engines = self._gauge("engines", "Engines of the runs that work now, without those that were lost.")
        self._busy = self._gauge("engines_busy", "Engines that work on a piece of a video.")
        self._fps = self._gauge("engine_frames_per_second", "Frames that the engine encodes in a second.")
        self._left = self._gauge("run_seconds_left", "Seconds until the run is done, as far as can be said.")
        for end in ENDS.values():
            self._jobs_ended.set(0, state=end)
        for metric in (self._retried, self._lost, self._source_bytes, self._result_bytes, self._runs):
            metric.set(0)
        self._forget_run()
        self._update()

    def _counter(self, name: str, text: str) -> Metric:
        return self._metric(name, "counter", text)

    def _gauge(self, name: str, text: str) -> Metric:
        return self._metric(name, "gauge", text)

    def _metric(self, name: str, kind: str, text: str) -> Metric:
        self._all.append(Metric(f"pdum_nvenc_{name}", kind, text))
        return self._all[-1]

    def text(self) -> str:
        with self._lock:
            return exposition(self._all)

    def take(self, event: events.Event) -> None:
        with self._lock:
            handler = getattr(self, f"_{events.kind_of(type(event))}", None)
            if handler is not None:
                handler(event)
                self._update()

    def _update(self) -> None:
        self._waiting.set(len(self._queued))
        self._working.set(len(self._begun))
        self._engines.set(len(self._names))
        self._busy.set(len(self._at_work))

    def _forget_run(self) -> None:
        self._names: dict[int, str] = {}
        self._queued: set[int] = set()
        self._begun: set[int] = set()
        self._at_work: dict[int, int] = {}
        """For each engine that works, how many frames of its piece it has encoded."""
        self._fps.values.clear()
        self._left.values.clear()

    # ---- events, each by the name of its kind ------------------------------------------------------------------------

    def _run_started(self, event: events.RunStarted) -> None:
        self._forget_run()
        self._runs.set(1)
        self._take_engines(event.engines)

    def _engines_changed(self, event: events.EnginesChanged) -> None:
        self._take_engines(event.engines)

    def _take_engines(self, engines: tuple[events.EngineInfo, ...]) -> None:
        for engine in engines:
            self._names[engine.index] = engine.label
            self._frames.add(0, engine=engine.label)
            self._busy_seconds.add(0, engine=engine.label)
            self._fps.set(0, engine=engine.label)

    def _engine_joined(self, event: Any) -> None:
        self._take_engines((event.engine,))

    def _run_finished(self, _event: events.RunFinished) -> None:
        self._forget_run()
        self._runs.set(0)

    def _job_queued(self, event: events.JobQueued) -> None:
        self._queued.add(event.job)

    def _job_prepared(self, event: events.JobPrepared) -> None:
        self._queued.discard(event.job)
        self._begun.add(event.job)

    def _end(self, job: int, state: str) -> None:
        self._queued.discard(job)
        self._begun.discard(job)
        self._jobs_ended.add(state=state)

    def _job_finished(self, event: events.JobFinished) -> None:
        self._end(event.job, "finished")
        self._source_bytes.add(event.source_bytes)
        self._result_bytes.add(event.size)

    def _job_failed(self, event: events.JobFailed) -> None:
        self._end(event.job, "failed")
        self._failures.add(error=event.error)

    def _job_skipped(self, event: events.JobSkipped) -> None:
        self._end(event.job, "skipped")

    def _job_cancelled(self, event: events.JobCancelled) -> None:
        self._end(event.job, "cancelled")

    def _piece_started(self, event: events.PieceStarted) -> None:
        self._at_work[event.engine] = 0

    def _progress(self, event: events.Progress) -> None:
        if event.engine in self._at_work:
            self._count(event.engine, event.frames)
            self._fps.set(event.fps, engine=self._name(event.engine))

    def _count(self, engine: int, frames: int) -> None:
        """The frames of the piece that the engine works on. What was counted before counts once."""
        before = self._at_work[engine]
        self._frames.add(max(frames - before, 0), engine=self._name(engine))
        self._at_work[engine] = max(frames, before)

    def _piece_finished(self, event: events.PieceFinished) -> None:
        self._at_work.setdefault(event.engine, 0)
        self._count(event.engine, event.last - event.first)
        self._busy_seconds.add(event.seconds, engine=self._name(event.engine))
        self._rest(event.engine)

    def _piece_retried(self, event: events.PieceRetried) -> None:
        self._retried.add()
        self._rest(event.engine)

    def _rest(self, engine: int) -> None:
        self._at_work.pop(engine, None)
        self._fps.set(0, engine=self._name(engine))

    def _engine_lost(self, event: events.EngineLost) -> None:
        self._lost.add()
        self._rest(event.engine)
        self._fps.values.pop((("engine", self._name(event.engine)),), None)
        self._names.pop(event.engine, None)

    def _run_progress(self, event: events.RunProgress) -> None:
        if event.eta is None:
            self._left.values.clear()
        else:
            self._left.set(event.eta)

    def _name(self, engine: int) -> str:
        return self._names.get(engine, str(engine))
