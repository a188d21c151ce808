"""Runs the jobs of a batch and shows them: what ``encode``, ``watch`` and ``demo`` have in common."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import events
from .._batch.batch import ENCODE, BatchPlan, Decision, Ledger, told
from .._batch.recorded import BrokenTask, RecordedTask
from .._batch.search import Target
from .._batch.settings import BatchSettings
from .._batch.suited import Fitted, fit, gpus_of
from .._batch.target import Found, find_all
from .._text import change, size, visible
from . import exits
from .interruption import Interruption, interruptible, say_on_stderr

if TYPE_CHECKING:
    from rich.console import Console

    from .._pool.pool import EncoderPool
    from .._pool.run import Run
    from .._tasks import Result, Task


@dataclass(frozen=True, kw_only=True)
class Showing:
    """How a run is shown."""

    json: bool = False
    tui: bool = False
    quiet: bool = False
    report: Path | None = None

    def console(self) -> Console:
        from rich.console import Console

        return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


@dataclass(kw_only=True)
class Shown:
    """A run's events on their way to the screen; those that a report is made of are kept."""

    showing: Showing
    console: Console | None
    """None where programs read what comes: that takes no part of the package that draws."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What the batch used, for the report."""
    kept: list[events.Event] = field(default_factory=list)

    def say(self, message: str, level: str = "info") -> None:
        """What is to be known beside a run's own events."""
        if self.console is None:
            self._print_json(events.Notice(at=0.0, message=message, level=level))
        elif level == "warning" or not self.showing.quiet:
            self.console.print(message, style="yellow" if level == "warning" else None, markup=False)

    def keep(self, event: events.Event) -> None:
        """To be called with each event of a run, also where something else shows it."""
        if not isinstance(event, (events.Progress, events.RunProgress)):
            self.kept.append(event)

    def watch(self, stream: Iterable[events.Event]) -> None:
        if self.console is None:
            for event in stream:
                self._print_json(event)
        elif not self.showing.quiet:
            from .plain import show

            show(stream, self.console)

    @property
    def failed(self) -> int:
        """Jobs whose last end was a failure: one may have been tried again."""
        ends = (events.JobFailed, events.JobFinished, events.JobSkipped, events.JobCancelled)
        last = {event.job: event for event in self.kept if isinstance(event, ends)}
        return sum(isinstance(event, events.JobFailed) for event in last.values())

    @staticmethod
    def _print_json(event: events.Event) -> None:
        print(json.dumps(events.to_dict(event)), flush=True)

    def summary(self) -> None:
        if self.showing.report is not None:
            from .._report.report import write_report

            write_report(self.kept, self.showing.report, settings=self.settings)
        if self.console is None or (self.showing.quiet and not self.failed):
            return
        from .._report.table import print_summary

        print_summary(self.kept, self.console)


@contextmanager
def pool_of(settings: BatchSettings) -> Iterator[EncoderPool]:
    from .._pool.pool import EncoderPool

    gpus: Any = settings.gpu if isinstance(settings.gpu, str) else list(settings.gpu)
    with EncoderPool(gpus=gpus, engines=settings.engines, engine=settings.engine) as pool:
        yield pool


def run_batch(ledger: Ledger, showing: Showing, interruption: Interruption | None = None) -> int:
    """Everything of a plan that is to be encoded, and everything that went wrong before. Returns an exit code."""
    batch = ledger.batch
    shown = Shown(showing=showing, console=None if showing.json else showing.console())
    for message in (*batch.notices, *told(batch)):
        shown.say(message)
    if not batch.with_action(ENCODE) and not batch.troubles:
        return exits.DONE
    fitted = fit(batch.settings, gpus_of(batch.settings))
    shown.settings = {"codec": fitted.codec, **fitted.encoder, "audio": batch.settings.audio}
    for message in fitted.notices:
        shown.say(message)
    with ExitStack() as stack:
        if interruption is None:
            interruption = stack.enter_context(interruptible(say_on_stderr))
        pool = stack.enter_context(pool_of(batch.settings))
        kind = "nvenc" if pool.uses_hardware else "software"
        suited = Suited(settings=batch.settings, fitted=fitted, kind=kind)
        tasks = _tasks(ledger, suited, pool, shown, interruption)
        if interruption.code and not tasks:
            return interruption.code
        _run(pool, tasks, shown, interruption)
    shown.summary()
    return interruption.code or (exits.FAILED if shown.failed else exits.DONE)


def _run(pool: EncoderPool, tasks: Sequence[Task], shown: Shown, interruption: Interruption) -> None:
    def start() -> Run:
        return pool.start(tasks, on_event=take)

    def take(event: events.Event) -> None:
        shown.keep(event)
        _record(tasks, event)

    if shown.showing.tui:
        from .._tui import run_dashboard

        if run_dashboard(start) == exits.INTERRUPTED:
            interruption.code = exits.INTERRUPTED
        return
    run = start()
    with interruption.of(run):
        shown.watch(run)
        run.wait()


def _record(tasks: Sequence[Task], event: events.Event) -> None:
    if isinstance(event, events.JobFailed):
        task = tasks[event.job]
        if isinstance(task, RecordedTask):
            task.failed(event.message)


# ---- jobs ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Suited:
    """A batch's settings, as the engines of a pool can follow them, and of which kind those are."""

    settings: BatchSettings
    fitted: Fitted
    kind: str


def file_task(decision: Decision, suited: Suited, quality: float | None = None) -> Any:
    """Of one file."""
    from .._files.job import FileJob, FileSettings
    from .._files.task import FileTask

    settings, fitted = suited.settings, suited.fitted
    encoder = dict(fitted.encoder) if quality is None else {**fitted.encoder, "cq": quality}
    return FileTask(
        FileJob(
            source=decision.source,
            destination=decision.named.destination,
            settings=FileSettings(codec=fitted.codec, audio=settings.audio, encoder=encoder),
            segments=settings.segments,
            smaller_than=None if settings.keep_bigger else settings.smaller_than,
            in_place=settings.in_place,
            keep_work=True,
            verify=settings.verify,
        ),
        suited.kind,
    )


def _tasks(ledger: Ledger, suited: Suited, pool: EncoderPool, shown: Shown, interruption: Interruption) -> list[Task]:
    batch = ledger.batch
    broken: list[Task] = [BrokenTask.of(trouble) for trouble in batch.troubles]
    decisions = batch.with_action(ENCODE)
    if not batch.settings.target:
        return broken + [RecordedTask(file_task(one, suited), one, ledger) for one in decisions]
    found = _found(ledger, suited, pool, shown, interruption)
    if interruption.code:
        return []
    tasks = broken
    for decision, outcome in zip(decisions, found, strict=True):
        if isinstance(outcome, Exception):
            tasks.append(BrokenTask(decision.source, outcome))
        else:
            tasks.append(RecordedTask(file_task(decision, suited, outcome), decision, ledger, outcome))
    return tasks


def _found(
    ledger: Ledger, suited: Suited, pool: EncoderPool, shown: Shown, interruption: Interruption
) -> list[float | Exception]:
    """The quality value of each file: as an earlier run found it, or sought now."""
    batch = ledger.batch
    target = Target.of(batch.settings.target)
    decisions = batch.with_action(ENCODE)
    known: dict[Path, float | Exception] = {}
    for decision in decisions:
        earlier = ledger.found_quality(decision)
        if earlier is not None:
            known[decision.source] = earlier
    sought = [one for one in decisions if one.source not in known]
    files = [file_task(one, suited) for one in sought]
    shown.say(f"{len(sought)} of {len(decisions)} files: looking for the quality value that gives {target}.")
    outcomes = find_all(files, target, batch.settings.quality, _runner(pool, interruption))
    for file in files:
        file.abandon(False)
    for decision, outcome in zip(sought, outcomes, strict=True):
        shown.say(_predicted(decision, outcome, target))
        known[decision.source] = outcome.quality if isinstance(outcome, Found) else outcome
    return [known[one.source] for one in decisions]


def _runner(pool: EncoderPool, interruption: Interruption) -> Callable[[Sequence[Task]], Sequence[Any]]:
    def run_all(tasks: Sequence[Task]) -> Sequence[Result | BaseException]:
        run = pool.start(tasks)
        with interruption.of(run):
            return run.wait().results

    return run_all


def _predicted(decision: Decision, outcome: Found | Exception, target: Target) -> str:
    name = visible(str(decision.source))
    if isinstance(outcome, Exception):
        return f"{name}: {outcome}"
    before = decision.named.source.size
    ratio = change(outcome.size / before) if before else "?"
    return (
        f"{name}: quality {outcome.quality} gives {target.metric} {outcome.score:.4g}, "
        f"about {size(outcome.size)} of video ({ratio})."
    )


def dry_run(batch: BatchPlan, showing: Showing) -> int:
    """What would be done, and nothing of it is."""
    from .table import print_table

    if showing.json:
        for decision in batch.decisions:
            print(json.dumps(_as_json(decision)))
        for trouble in batch.troubles:
            print(json.dumps({"source": str(trouble.source), "action": "fail", "why": trouble.reason}))
    else:
        rows = [
            (str(one.source), str(one.named.destination), one.action + (f" ({one.why})" if one.why else ""))
            for one in batch.decisions
        ]
        rows += [(str(one.source), "", f"fail: {one.reason}") for one in batch.troubles]
        print_table(("source", "result", "what"), rows)
        for message in (*batch.notices, *fit(batch.settings, gpus_of(batch.settings)).notices):
            print(message)
    return exits.DONE if batch.decisions or batch.troubles else exits.NOTHING


def _as_json(decision: Decision) -> dict[str, Any]:
    return {
        "source": str(decision.source),
        "destination": str(decision.named.destination),
        "action": decision.action,
        "why": decision.why,
        "source_bytes": decision.named.source.size,
    }
