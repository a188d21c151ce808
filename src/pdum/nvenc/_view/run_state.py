"""The state of a run at one instant, computed from its events. All front ends draw it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from .. import events
from .._text import change, count, duration, one_line, size, visible
from .job_lists import EndedJobs, FolderSums, JobQueue
from .names import Names
from .run_parts import AT_WORK, WAITING, Engine, Job, LogLine, Span, Sums

LOG_LINES = 2000


class RunState:
    """``apply`` takes the events in order. Nothing else changes the state: no clock and no file.

    The state is consistent after each event, even if events are missing, as in a log that begins in the middle.
    """

    def __init__(self, stream: Iterable[events.Event] = ()) -> None:
        self.now = 0.0
        """The time of the newest event, in seconds of the run."""
        self.status = "starting"
        """``"starting"``, ``"running"``, ``"paused"`` or ``"over"``."""
        self.started: float | None = None
        self.engines: dict[int, Engine] = {}
        self.jobs: dict[int, Job] = {}
        self.queue = JobQueue(self.jobs)
        self.done = EndedJobs(self.jobs)
        self.folder_sums = FolderSums()
        self.names = Names()
        self._sums = Sums()
        self.log: deque[LogLine] = deque(maxlen=LOG_LINES)
        self.lines = 0
        """How many lines the log has had; it drops the oldest."""
        self.notices: list[str] = []
        """What the user should know about the run as a whole, without repetition."""
        self.fps = 0.0
        self.eta: float | None = None
        self.frames_done = 0
        self._expected_jobs = 0
        self._wanted: set[int] | None = None
        self._progress: events.RunProgress | None = None
        for event in stream:
            self.apply(event)

    def apply(self, event: events.Event) -> None:
        """Events after the end of the run change nothing."""
        if self.is_over:
            return
        self.now = max(self.now, event.at)
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)

    # What front ends read.

    @property
    def is_over(self) -> bool:
        return self.status == "over"

    @property
    def _has_begun(self) -> bool:
        return self.status != "starting"

    @property
    def ended(self) -> list[int]:
        """The numbers of the jobs that are over, in the order in which they ended."""
        return self.done.in_order()

    @property
    def total_jobs(self) -> int:
        return max(self._expected_jobs, len(self.jobs))

    @property
    def fraction(self) -> float:
        """How much of the work is done. The run's own estimate takes precedence over the sum of the jobs."""
        if self._has_begun and len(self.jobs) == self.total_jobs == len(self.done):
            return 1.0
        if self._progress is not None and self._progress.total > 0:
            return min(1.0, max(0.0, self._progress.frames / self._progress.total))
        total = sum(job.frames for job in self.jobs.values())
        return min(1.0, sum(job.frames_done for job in self.jobs.values()) / total) if total else 0.0

    def label(self, job: Job) -> str:
        """The name of the job's file on one line, with its folder if files of several folders have that name."""
        return self.names.label(visible(job.name), visible(job.folder))

    def sums(self) -> Sums:
        """The sums of all jobs. They are always up to date, so this is cheap even with very many jobs."""
        return replace(self._sums)

    def folders(self) -> dict[str, Sums]:
        """The sums of each source folder, sorted by name."""
        return {name: replace(sums) for name, sums in self.folder_sums}

    def waiting_jobs(self) -> list[Job]:
        """The jobs that have not started, in the order of their numbers."""
        return [job for job in self.jobs.values() if job.state in WAITING]

    def working_jobs(self) -> list[Job]:
        return [job for job in self.jobs.values() if job.state in AT_WORK]

    def ended_jobs(self) -> list[Job]:
        """The jobs that are over, in the order in which they ended."""
        return [self.jobs[number] for number in self.ended]

    # What each event does.

    def _run_started(self, event: events.RunStarted) -> None:
        self.status, self.started, self._expected_jobs = "running", event.started, event.jobs
        for info in event.engines:
            self.engines.setdefault(info.index, Engine(info)).info = info
        self._say("info", f"{count(event.jobs, 'file')} on {count(len(event.engines), 'engine')}")

    def _engines_changed(self, event: events.EnginesChanged) -> None:
        wanted = {info.index for info in event.engines}
        for info in event.engines:
            engine = self.engines.setdefault(info.index, Engine(info))
            if engine.state == "off":
                engine.state = "idle" if engine.job is None else "working"
        for index, engine in self.engines.items():
            if index not in wanted and engine.state not in {"lost", "working"}:
                engine.state = "off"
        self._wanted = wanted
        self._say("info", f"{count(len(wanted), 'engine')} from now on")

    def _run_paused(self, event: events.RunPaused) -> None:
        if not self.is_over:
            self.status = "paused" if event.paused else "running"
            self._say("info", "paused" if event.paused else "resumed")

    def _notice(self, event: events.Notice) -> None:
        said = one_line(event.message)
        if said not in self.notices:
            self.notices.append(said)
        self._say("warning" if event.level == "warning" else "info", said)

    def _run_progress(self, event: events.RunProgress) -> None:
        self._progress, self.fps, self.eta = event, event.fps, event.eta
        self.frames_done = event.frames
        self._expected_jobs = max(self._expected_jobs, event.jobs)

    def _job_queued(self, event: events.JobQueued) -> None:
        before = self.jobs.get(event.job)
        self._leave(event.job)
        if before is not None and before.is_over:
            self.done.discard(event.job)
            self._say_of(before, "info", "queued again")
        if before is not None:
            self._remove_from_sums(before)
        job = Job(
            number=event.job,
            source=event.source,
            destination=event.destination,
            source_bytes=event.source_bytes,
            attempts=before.attempts + 1 if before is not None else 1,
        )
        self._add(job)

    def _job_prepared(self, event: events.JobPrepared) -> None:
        job = self._job(event.job)
        job.frames, job.frames_done = event.frames, min(event.frames, event.frames_done)
        job.width, job.height, job.duration = event.width, event.height, event.duration
        job.video_frames, job.goal, job.tried = event.frames, event.goal, ()
        if job.state == "queued":
            self._change_state(job, "prepared")
        if event.engine_kind == "software":
            self._say_of(job, "info", "is for a software engine")
        if event.frames_done:
            self._say_of(job, "info", f"{event.frames_done} of {event.frames} frames are there already")

    def _quality_tried(self, event: events.QualityTried) -> None:
        job = self._job(event.job)
        if job.is_over:
            return
        job.tried += (event,)
        if event.is_chosen:
            job.goal = ""
            self._say_of(job, "info", trial_text(event, job.source_bytes))

    def _piece_started(self, event: events.PieceStarted) -> None:
        job, engine = self._job(event.job), self._engine(event.engine)
        if job.is_over:
            return
        self._close(engine)
        self._change_state(job, "running")
        job.began = event.at if job.began is None else job.began
        job.rates[event.engine] = 0.0
        engine.state, engine.job, engine.reason = "working", event.job, ""
        engine.piece, engine.first, engine.last = event.piece, event.first, event.last
        engine.frames, engine.fps = 0, 0.0
        engine.spans.append(Span(event.job, event.at))

    def _piece_progress(self, event: events.Progress) -> None:
        job, engine = self._job(event.job), self._engine(event.engine)
        if engine.job != event.job or engine.piece != event.piece:
            return  # late: the piece is over
        engine.first, engine.last, engine.frames, engine.fps = event.first, event.last, event.frames, event.fps
        engine.spans[-1].frames = event.frames
        engine.has(event.decoders, event.decoders_on_processor, event.engine_waited)
        job.rates[event.engine] = event.fps
        job.frames = max(job.frames, event.job_total)
        job.frames_done = min(job.frames, max(event.job_frames, 0))
        job.fps, job.speed, job.eta = sum(job.rates.values()), event.speed, event.eta

    def _piece_finished(self, event: events.PieceFinished) -> None:
        self._end_piece(event, frames=event.last - event.first)

    def _piece_retried(self, event: events.PieceRetried) -> None:
        self._end_piece(event, retried=True)
        said = f"frames {event.first} to {event.last} again: {one_line(event.reason)}"
        self._say_of(self._job(event.job), "warning", said)

    def _end_piece(
        self, event: events.PieceFinished | events.PieceRetried, frames: int = 0, retried: bool = False
    ) -> None:
        engine = self._engine(event.engine)
        if engine.job == event.job and engine.piece == event.piece:
            engine.spans[-1].retried = retried
            engine.spans[-1].frames = frames
            engine.frames_total += frames
            self._close(engine)

    def _engine_waiting(self, event: events.EngineWaiting) -> None:
        engine = self._engine(event.engine)
        self._close(engine)
        engine.state, engine.reason = "waiting", one_line(event.reason)
        self._say("warning", f"{engine.info.label} waits: {engine.reason}")

    def _decoders_changed(self, event: events.DecodersChanged) -> None:
        engine = self._engine(event.engine)
        engine.has(event.decoders, event.on_processor, engine.waited)

    def _engine_joined(self, event: events.EngineJoined) -> None:
        engine = self.engines.setdefault(event.engine.index, Engine(event.engine))
        engine.info, engine.state, engine.reason = event.engine, "idle", ""
        if self._wanted is not None:
            self._wanted.add(event.engine.index)
        self._say("info", f"{event.engine.label} has joined")

    def _engine_lost(self, event: events.EngineLost) -> None:
        engine = self._engine(event.engine)
        self._close(engine)
        engine.state, engine.reason = "lost", one_line(event.reason)
        self._say("error", f"{engine.info.label} is lost: {engine.reason}")

    def _job_finishing(self, event: events.JobFinishing) -> None:
        job = self._job(event.job)
        if not job.is_over:
            self._leave(event.job)
            self._change_state(job, "finishing")
            job.frames_done, job.eta = job.frames, None

    def _job_finished(self, event: events.JobFinished) -> None:
        job = self._end(event.job, "finished", event.size, event.source_bytes)
        job.destination, job.seconds = event.destination, event.seconds
        job.frames = job.frames_done = event.frames
        job.warnings = event.warnings
        sizes = f"{size(job.source_bytes)} → {size(event.size)} ({change(job.ratio)})"
        self._say_of(job, "good", f"{sizes} in {duration(event.seconds)}", ends=True)
        for warning in event.warnings:
            self._say_of(job, "warning", one_line(warning))

    def _job_skipped(self, event: events.JobSkipped) -> None:
        job = self._end(event.job, "skipped", event.size, event.source_bytes)
        job.reason = event.reason
        self._say_of(job, "info", one_line(job.why), ends=True)

    def _job_failed(self, event: events.JobFailed) -> None:
        job = self._end(event.job, "failed")
        job.reason, job.error = event.message, event.error
        self._say_of(job, "error", one_line(job.why), ends=True)

    def _job_cancelled(self, event: events.JobCancelled) -> None:
        job = self._end(event.job, "cancelled")
        self._say_of(job, "warning", "cancelled", ends=True)

    def _run_finished(self, event: events.RunFinished) -> None:
        self.status, self.eta, self.fps = "over", None, 0.0
        for engine in self.engines.values():
            self._close(engine)
        for job in list(self.jobs.values()):
            if not job.is_over:
                self._end(job.number, "cancelled")
        self.frames_done = max(self.frames_done, event.frames)
        failed = f", {event.failed} failed" if event.failed else ""
        self._say("good" if not event.failed else "warning", f"done in {duration(event.seconds)}{failed}")

    # Helpers of the event handlers.

    def _say(self, level: str, text: str) -> None:
        self._log(LogLine(self.now, level, text))

    def _say_of(self, job: Job, level: str, text: str, *, ends: bool = False) -> None:
        """``ends``: the line says how the job ended."""
        name = self.label(job)
        self._log(LogLine(self.now, level, f"{name}: {text}", job.number if ends else None, name))

    def _log(self, line: LogLine) -> None:
        self.log.append(line)
        self.lines += 1

    def _job(self, number: int) -> Job:
        return self.jobs[number] if number in self.jobs else self._add(Job(number=number, source=f"job {number}"))

    def _add(self, job: Job) -> Job:
        self.jobs[job.number] = job
        self.names.add(visible(job.name), visible(job.folder))
        self.queue.update(job)
        self._add_to_sums(job)
        return job

    def _change_state(self, job: Job, state: str) -> None:
        job.state = state
        self.queue.update(job)

    def _add_to_sums(self, job: Job) -> None:
        self._sums.add(job)
        self.folder_sums.add(job)

    def _remove_from_sums(self, job: Job) -> None:
        """Call this before the job is changed."""
        self._sums.remove(job)
        self.folder_sums.remove(job)

    def _engine(self, index: int) -> Engine:
        return self.engines.setdefault(index, Engine(events.EngineInfo(index=index, kind="unknown", number=index)))

    def _end(self, number: int, state: str, size: int | None = None, source_bytes: int = 0) -> Job:
        job = self._job(number)
        self._leave(number)
        self._remove_from_sums(job)
        self.done.add(number)
        self._change_state(job, state)
        job.ended, job.eta, job.fps = self.now, None, 0.0
        job.size = job.size if size is None else size
        job.source_bytes = source_bytes or job.source_bytes
        self._add_to_sums(job)
        return job

    def _leave(self, number: int) -> None:
        """No engine works on this job any more."""
        for engine in self.engines.values():
            if engine.job == number:
                self._close(engine)

    def _close(self, engine: Engine) -> None:
        """The engine's piece is over."""
        if engine.job is not None:
            engine.spans[-1].end = self.now
            self._job(engine.job).rates.pop(engine.info.index, None)
        engine.job, engine.fps, engine.waited = None, 0.0, 0.0
        if engine.state in {"working", "waiting"}:
            is_wanted = self._wanted is None or engine.info.index in self._wanted
            engine.state = "idle" if is_wanted else "off"


def trial_text(event: events.QualityTried, source_bytes: int = 0) -> str:
    """The outcome of a quality value, as a sentence without its full stop."""
    what = f"{size(event.size)} ({change(event.size / source_bytes)})" if source_bytes else size(event.size)
    value = f"quality {event.quality:g}" + (f" = cq {event.cq:g}" if event.quality != event.cq else "")
    if event.is_whole:
        return f"{value} gave {what}"
    score = ":" if event.score is None else f" gives {visible(event.metric)} {event.score:.4g},"
    time = f", {duration(event.seconds)} to encode" if event.is_chosen and (event.seconds or 0.0) >= 1 else ""
    return f"{value}{score} about {what}{time}"


_HANDLERS: dict[type[events.Event], Callable[[RunState, Any], None]] = {
    events.RunStarted: RunState._run_started,
    events.EnginesChanged: RunState._engines_changed,
    events.RunPaused: RunState._run_paused,
    events.Notice: RunState._notice,
    events.RunProgress: RunState._run_progress,
    events.JobQueued: RunState._job_queued,
    events.JobPrepared: RunState._job_prepared,
    events.QualityTried: RunState._quality_tried,
    events.PieceStarted: RunState._piece_started,
    events.Progress: RunState._piece_progress,
    events.PieceFinished: RunState._piece_finished,
    events.PieceRetried: RunState._piece_retried,
    events.EngineWaiting: RunState._engine_waiting,
    events.DecodersChanged: RunState._decoders_changed,
    events.EngineJoined: RunState._engine_joined,
    events.EngineLost: RunState._engine_lost,
    events.JobFinishing: RunState._job_finishing,
    events.JobFinished: RunState._job_finished,
    events.JobSkipped: RunState._job_skipped,
    events.JobFailed: RunState._job_failed,
    events.JobCancelled: RunState._job_cancelled,
    events.RunFinished: RunState._run_finished,
}
