"""Runs the jobs of a batch and shows them: what ``encode``, ``watch`` and ``demo`` have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

from .. import events
from .._batch.batch import BatchPlan, describe
from .._batch.decisions import ENCODE, Decision
from .._batch.journalled_task import BrokenTask, JournalledTask
from .._batch.ledger import Ledger
from .._batch.settings import BatchSettings
from .._batch.supported_settings import SupportedSettings, gpus_of, gpus_of_cluster, supported_settings
from .._text import size
from . import exits
from .interruption import Interruption, interruptible
from .output import OutputOptions, RunOutput
from .standard_streams import complain

if TYPE_CHECKING:
    from .._files.job import FileJob
    from .._files.task import FileTask
    from .._pool.pool import EncoderPool
    from .._pool.run import Run
    from .._tasks import Task


SECONDS_UNTIL_TOLD = 3.0


@contextmanager
def pool_of(settings: BatchSettings) -> Iterator[EncoderPool]:
    from .._pool.pool import EncoderPool

    gpus: Any = settings.gpu if isinstance(settings.gpu, str) else list(settings.gpu)
    with ExitStack() as stack:
        with _telling_of_a_wait(settings.cluster):
            pool = EncoderPool(
                gpus=gpus, engines=settings.engines, backend=settings.engine,
                cluster=settings.cluster or None, tls=settings.tls or None,
            )  # fmt: skip
        yield stack.enter_context(pool)


@contextmanager
def _telling_of_a_wait(cluster: str) -> Iterator[None]:
    """A cluster without workers is waited for, which takes a minute."""
    told = Timer(SECONDS_UNTIL_TOLD, complain, [f"Waiting for an engine of the cluster {cluster}."])
    told.daemon = True
    if cluster:
        told.start()
    try:
        yield
    finally:
        told.cancel()


def run_batch(ledger: Ledger, options: OutputOptions, interruption: Interruption | None = None) -> int:
    """Encodes what a plan decided to encode, and reports the files that cannot be encoded. Returns an exit code.

    The run goes on if standard output or the dashboard's terminal is lost; the code then says so.
    """
    batch = ledger.batch
    output = RunOutput.of(options)
    for message in (*batch.notices, *describe(batch)):
        output.say(message)
    with ExitStack() as stack:
        if interruption is None:
            interruption = stack.enter_context(interruptible(complain))
        if batch.with_action(ENCODE) or batch.troubles:
            with output.in_browsers():
                _encode(ledger, output, interruption)
    return interruption.code or (exits.FAILED if output.failed else exits.UNSHOWN if output.is_lost else exits.DONE)


def _encode(ledger: Ledger, output: RunOutput, interruption: Interruption) -> None:
    settings = ledger.batch.settings
    with settled_pool(settings, output, partial(sentences, ledger.batch)) as (pool, make):
        run_tasks(pool, _tasks(ledger, make), output, interruption)
    output.summary()


@contextmanager
def settled_pool(
    settings: BatchSettings, output: RunOutput, sentences_of: Callable[[SupportedSettings], Sequence[str]]
) -> Iterator[tuple[EncoderPool, TaskMaker]]:
    """The pool, and what makes its tasks. Says which settings its engines do not support, and these sentences.

    If the run cannot begin, it says only why.
    """
    with ExitStack() as stack:
        # Only its workers know what a cluster can do, and this machine's pool begins only when all is settled.
        cluster = stack.enter_context(pool_of(settings)) if settings.cluster else None
        gpus = gpus_of(settings) if cluster is None else gpus_of_cluster(cluster.engines)
        supported = supported_settings(settings, gpus)
        output.settings = shown_settings(settings, supported)
        pool = cluster or stack.enter_context(pool_of(settings))
        for message in (*supported.notices, *sentences_of(supported)):
            output.say(message)
        kind = None if pool.kind == "both" else pool.kind
        yield pool, TaskMaker(settings=settings, supported=supported, kind=kind)


def sentences(batch: BatchPlan, supported: SupportedSettings) -> list[str]:
    """What the files become, if anything is to be encoded. A target finds the quality of each file later."""
    settings = batch.settings
    fits = settings.engine in ("auto", "both", supported.kind)  # else the run ends before it begins
    if not fits or not batch.with_action(ENCODE) or settings.target:
        return []
    is_for_both = settings.engine == "both" and supported.kind == "nvenc"
    also = " Software engines encode some files, with the same codec." if is_for_both else ""
    return [supported.sentence + also]


def shown_settings(settings: BatchSettings, supported: SupportedSettings) -> dict[str, Any]:
    """For the dashboard and the report. A target decides the quality of each file, so no other one is named."""
    found_later = {"quality", "cq"} if settings.target else set()
    shown = {name: value for name, value in supported.table.items() if name not in found_later}
    goals = {
        "target": settings.target,
        "max_size": settings.max_size and size(settings.max_size),
        "max_bitrate": settings.max_bitrate and f"{settings.max_bitrate / 1e6:g} Mbit/s",
    }
    return {**shown, **{name: goal for name, goal in goals.items() if goal}, "audio": settings.audio}


def run_tasks(pool: EncoderPool, tasks: Sequence[Task], output: RunOutput, interruption: Interruption) -> None:
    def start() -> Run:
        return pool.start(tasks, on_event=take)

    def take(event: events.Event) -> None:
        output.keep(event)
        _record(tasks, event)

    if output.options.tui:
        _run_in_dashboard(start, output, interruption)
        return
    run = start()
    if output.web is not None:
        output.web.show(run, output.settings)
    with interruption.of(run):
        output.watch(run)
        run.wait()


def _run_in_dashboard(start: Callable[[], Run], output: RunOutput, interruption: Interruption) -> None:
    """Goes on without a screen if the terminal is lost, until the run is over or a signal ends it."""
    from .._tui import run_dashboard
    from .._tui.controls import TerminalLost

    try:
        code = run_dashboard(start, settings=output.settings)
        if code >= exits.HUNG_UP:
            interruption.code = code
    except TerminalLost as lost:
        output.options.stream.lose(lost.reason)
        run = lost.run()
        with interruption.of(run):
            if lost.ended_by is not None:
                interruption.take(lost.ended_by, None)
            run.wait()


def _record(tasks: Sequence[Task], event: events.Event) -> None:
    if isinstance(event, events.JobFailed):
        task = tasks[event.job]
        if isinstance(task, JournalledTask):
            task.failed(event.message)


# ---- jobs ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TaskMaker:
    """Makes a task of each file, with the settings that the engines of the pool support."""

    settings: BatchSettings
    supported: SupportedSettings
    kind: str | None
    """The kind of the engines: ``"nvenc"`` or ``"software"``; None: both, of which each file gets one."""

    def __call__(self, decision: Decision, known: float | None = None) -> FileTask:
        """``known``: the quality value that an earlier run found for a target."""
        from .._files.searching_task import SearchingTask
        from .._files.task import FileTask

        job = self.job(decision)
        if job.settings.needs_search:
            return SearchingTask(job, self.kind, known=None if known is None else round(known))
        return FileTask(job, self.kind)

    def job(self, decision: Decision) -> FileJob:
        from .._files.job import FileJob

        return FileJob(
            source=decision.source,
            destination=decision.placement.destination,
            right=Path(self.settings.right) if self.settings.right else None,
            in_place=self.settings.in_place,
            **self.of_any_job(),
        )

    def of_any_job(self) -> dict[str, Any]:
        """The fields of a job that do not depend on the file."""
        from .._files.job import FileSettings

        settings, supported = self.settings, self.supported
        return {
            "settings": FileSettings(
                codec=supported.codec,
                quality=supported.quality,
                audio=settings.audio,
                encoder=supported.encoder,
                filters=settings.filters,
                target=settings.target,
                max_size=settings.max_size,
                max_bitrate=settings.max_bitrate,
            ),
            "segments": settings.segments,
            "smaller_than": None if settings.keep_bigger else settings.smaller_than,
            "keep_work": True,
            "verify": settings.verify,
        }


def _tasks(ledger: Ledger, make: TaskMaker) -> list[Task]:
    broken: list[Task] = [BrokenTask.of(trouble) for trouble in ledger.batch.troubles]
    return broken + [_journalled(one, ledger, make) for one in ledger.batch.with_action(ENCODE)]


def _journalled(decision: Decision, ledger: Ledger, make: TaskMaker) -> JournalledTask:
    """The settings with the quality value that an earlier run found, if there is one."""
    known = ledger.found_quality(decision)
    return JournalledTask(make(decision, known), decision, ledger, known)
