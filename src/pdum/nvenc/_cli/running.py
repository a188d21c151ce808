"""Runs the jobs of a batch and shows them: what ``encode``, ``watch`` and ``demo`` have in common."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import events
from .._batch.batch import ENCODE, BatchPlan, Decision, Ledger, describe
from .._batch.journalled_task import BrokenTask, JournalledTask
from .._batch.search import Target
from .._batch.settings import BatchSettings
from .._batch.supported_settings import SupportedSettings, gpus_of, supported_settings
from .._batch.target import Found, find_all
from .._config.filter_words import AUTO
from .._errors import NvencError
from .._text import change, size, visible
from . import exits
from .interruption import Interruption, interruptible
from .output import OutputOptions, RunOutput
from .standard_streams import complain

if TYPE_CHECKING:
    from .._pool.pool import EncoderPool
    from .._pool.run import Run
    from .._tasks import Result, Task


@contextmanager
def pool_of(settings: BatchSettings) -> Iterator[EncoderPool]:
    from .._pool.pool import EncoderPool

    gpus: Any = settings.gpu if isinstance(settings.gpu, str) else list(settings.gpu)
    with EncoderPool(gpus=gpus, engines=settings.engines, backend=settings.engine) as pool:
        yield pool


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
    supported = supported_settings(settings, gpus_of(settings))
    output.settings = {**supported.table, "audio": settings.audio}
    for message in (*supported.notices, *_sentences(ledger.batch, supported)):
        output.say(message)
    with pool_of(settings) as pool:
        make = TaskMaker(settings=settings, supported=supported, kind="nvenc" if pool.uses_hardware else "software")
        tasks = _tasks(ledger, make, pool, output, interruption)
        if interruption.code and not tasks:
            return
        _run(pool, tasks, output, interruption)
    output.summary()


def _sentences(batch: BatchPlan, supported: SupportedSettings) -> list[str]:
    """What the files become, if anything is to be encoded. A target finds the quality of each file later."""
    return [supported.sentence] if batch.with_action(ENCODE) and not batch.settings.target else []


def _run(pool: EncoderPool, tasks: Sequence[Task], output: RunOutput, interruption: Interruption) -> None:
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
    kind: str
    """Of the engines: ``"nvenc"`` or ``"software"``."""

    def __call__(self, decision: Decision, quality: float | None = None) -> Any:
        from .._files.job import FileJob, FileSettings
        from .._files.task import FileTask

        settings, supported = self.settings, self.supported
        encoder = dict(supported.encoder) if quality is None else {**supported.encoder, "cq": quality}
        looks = supported.quality if quality is None else None
        return FileTask(
            FileJob(
                source=decision.source,
                destination=decision.placement.destination,
                settings=FileSettings(
                    codec=supported.codec,
                    quality=looks,
                    audio=settings.audio,
                    encoder=encoder,
                    filters=settings.filters,
                ),
                segments=settings.segments,
                smaller_than=None if settings.keep_bigger else settings.smaller_than,
                in_place=settings.in_place,
                keep_work=True,
                verify=settings.verify,
            ),
            self.kind,
        )


def _tasks(
    ledger: Ledger, make: TaskMaker, pool: EncoderPool, output: RunOutput, interruption: Interruption
) -> list[Task]:
    batch = ledger.batch
    broken: list[Task] = [BrokenTask.of(trouble) for trouble in batch.troubles]
    decisions = batch.with_action(ENCODE)
    if not batch.settings.target:
        return broken + [JournalledTask(make(one), one, ledger) for one in decisions]
    found = _found(ledger, make, pool, output, interruption)
    if interruption.code:
        return []
    tasks = broken
    for decision, outcome in zip(decisions, found, strict=True):
        if isinstance(outcome, Exception):
            tasks.append(BrokenTask(decision.source, outcome))
        else:
            tasks.append(JournalledTask(make(decision, outcome), decision, ledger, outcome))
    return tasks


def _found(
    ledger: Ledger, make: TaskMaker, pool: EncoderPool, output: RunOutput, interruption: Interruption
) -> list[float | Exception]:
    """The quality value of each file: as an earlier run found it, or found now. Of no file after an interruption."""
    batch = ledger.batch
    target = Target.of(batch.settings.target)
    decisions = batch.with_action(ENCODE)
    known: dict[Path, float | Exception] = {}
    for decision in decisions:
        earlier = ledger.found_quality(decision)
        if earlier is not None:
            known[decision.source] = earlier
    sought = [one for one in decisions if one.source not in known]
    files = (make(one) for one in takewhile(lambda _: not interruption.code, sought))
    output.say(f"{len(sought)} of {len(decisions)} files: looking for the quality value that gives {target}.")
    outcomes = find_all(files, target, batch.settings.quality, _runner(pool, interruption))
    for decision, outcome in zip(sought, outcomes, strict=False):  # an interrupted search ends early
        output.say(_predicted(decision, outcome, target))
        known[decision.source] = outcome.quality if isinstance(outcome, Found) else outcome
    return [] if interruption.code else [known[one.source] for one in decisions]


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
    before = decision.placement.source.size
    ratio = change(outcome.size / before) if before else "?"
    return (
        f"{name}: quality {outcome.quality} gives {target.metric} {outcome.score:.4g}, "
        f"about {size(outcome.size)} of video ({ratio})."
    )


def dry_run(batch: BatchPlan, options: OutputOptions) -> int:
    """What would be done, and nothing of it is."""
    from .table import print_table

    if options.json:
        for decision in batch.decisions:
            print(json.dumps({**_as_json(decision), **_found_crop(decision, batch.settings)}))
        for trouble in batch.troubles:
            print(json.dumps({"source": str(trouble.source), "action": "fail", "why": trouble.reason}))
    else:
        rows = [
            (str(one.source), str(one.placement.destination), _in_words(one, batch.settings)) for one in batch.decisions
        ]
        rows += [(str(one.source), "", f"fail: {one.reason}") for one in batch.troubles]
        print_table(("source", "result", "what"), rows)
        supported = supported_settings(batch.settings, gpus_of(batch.settings))
        for message in (*batch.notices, *supported.notices, *_sentences(batch, supported)):
            print(message)
    return exits.DONE if batch.decisions or batch.troubles else exits.NOTHING


def _in_words(decision: Decision, settings: BatchSettings) -> str:
    crop = _found_crop(decision, settings)
    more = [decision.why, *(f"crop: {text or 'nothing'}" for text in crop.values())]
    return decision.action + (f" ({', '.join(filter(None, more))})" if any(more) else "")


def _found_crop(decision: Decision, settings: BatchSettings) -> dict[str, str]:
    """What ``crop="auto"`` finds in a file that would be encoded; nothing without that setting."""
    if settings.crop != AUTO or decision.action != ENCODE:
        return {}
    from .._media.settled_filters import settled_for

    try:
        return {"crop": settled_for(decision.source, settings.filters).filters.crop}
    except NvencError as error:
        return {"crop": str(error)}


def _as_json(decision: Decision) -> dict[str, Any]:
    return {
        "source": str(decision.source),
        "destination": str(decision.placement.destination),
        "action": decision.action,
        "why": decision.why,
        "source_bytes": decision.placement.source.size,
    }
