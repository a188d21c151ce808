"""``encode --dry-run``: what would be done with each file, and with ``--estimate`` how large and how long."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from .. import events
from .._batch.batch import BatchPlan
from .._batch.decisions import ENCODE, Decision
from .._batch.ledger import why_closed
from .._batch.supported_settings import SupportedSettings, gpus_of, gpus_of_cluster, supported_settings
from .._text import change, count, duration, error_text, size
from . import exits
from .interruption import interruptible
from .output import OutputOptions
from .running import TaskMaker, pool_of, sentences
from .standard_streams import complain
from .table import print_table

if TYPE_CHECKING:
    from .._files.preview_task import PreviewTask
    from .._pool.run import Run

FASTEST, SLOWEST = 0.5, 1.3
"""Parts of the time that samples predict. Each sample begins slowly, so a whole file is usually faster."""


@dataclass(kw_only=True)
class Preview:
    """What was found out about one file. ``work`` is the time of an engine that a frame takes, None if not known."""

    decision: Decision
    action: str
    why: str
    task: PreviewTask | None = None
    work: float | None = None

    @property
    def sizes(self) -> tuple[int, int] | None:
        estimate = None if self.task is None else self.task.estimate
        if estimate is None:
            return None
        return max(0, estimate.size - estimate.spread), estimate.size + estimate.spread

    @property
    def found_crop(self) -> dict[str, str]:
        """What ``crop="auto"`` has found; nothing without that setting."""
        return {"crop": self.task.crop} if self.task is not None and self.task.finds_crop else {}

    @property
    def seconds(self) -> float | None:
        """The seconds that one engine needs for the whole file."""
        return None if self.task is None or self.work is None else self.work * self.task.frames_of_video


def dry_run(batch: BatchPlan, options: OutputOptions, *, estimates: bool) -> int:
    """Opens each file as the run would, and shows what that would do or refuse. Nothing is written."""
    settings = batch.settings
    if settings.engine == "both":
        settings = replace(settings, engine="auto")  # hardware has the last word on what is supported
    with interruptible(complain) as interruption, pool_of(settings) as pool:
        supported = supported_settings(
            settings, gpus_of_cluster(pool.engines) if settings.cluster else gpus_of(settings)
        )
        kind = "nvenc" if pool.uses_hardware else "software"
        maker = TaskMaker(settings=settings, supported=supported, kind=kind)
        look = _Look(maker, pool.engines, estimates)
        tasks = look.tasks(batch)
        began = monotonic()
        if tasks:
            run = pool.start(tasks, on_event=look.take)
            with interruption.of(run):
                _show_progress(run, options)
                look.results = run.wait().results
        took = monotonic() - began
    previews = look.previews(batch)
    if options.json:
        _print_json(batch, previews, kind, estimates)
    else:
        _print(batch, previews, supported, estimates)
        if estimates:
            print(_sums(previews, len(pool.engines), took if settings.target or settings.max_size else 0.0))
        print(_engines(pool.engines))
    return interruption.code or exits.DONE


@dataclass
class _Look:
    """The tasks of a dry run, and what their events say about speed."""

    maker: TaskMaker
    engines: Sequence[events.EngineInfo]
    estimates: bool
    made: dict[int, PreviewTask] = field(default_factory=dict)
    """The tasks, by the index of the decision."""
    results: Sequence[Any] = ()
    frames: dict[int, int] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)

    def tasks(self, batch: BatchPlan) -> list[PreviewTask]:
        from .._files.preview_task import PreviewTask

        for place, one in enumerate(batch.decisions):
            if one.action == ENCODE and why_closed(one.placement.folder) is None:
                self.made[place] = PreviewTask(self.maker.job(one), self.engines, estimates=self.estimates)
        return list(self.made.values())

    def take(self, event: events.Event) -> None:
        if isinstance(event, events.PieceFinished):
            self.frames[event.job] = self.frames.get(event.job, 0) + event.last - event.first
            self.seconds[event.job] = self.seconds.get(event.job, 0.0) + event.seconds

    def previews(self, batch: BatchPlan) -> list[Preview]:
        found = []
        jobs = {place: job for job, place in enumerate(self.made)}
        for place, one in enumerate(batch.decisions):
            job = jobs.get(place)
            if job is None:
                closed = why_closed(one.placement.folder) if one.action == ENCODE else None
                action, why = (one.action, one.why) if closed is None else ("fail", closed)
                found.append(Preview(decision=one, action=action, why=why))
                continue
            result = self.results[job]
            is_refused = isinstance(result, Exception)
            found.append(
                Preview(
                    decision=one,
                    action="fail" if is_refused else one.action,
                    why=_reason(result, one.source) if is_refused else one.why,
                    task=None if is_refused else self.made[place],
                    work=self._work(job),
                )
            )
        return found

    def _work(self, job: int) -> float | None:
        from .._files.preview_task import SHORTEST_MEASUREMENT

        seconds = self.seconds.get(job, 0.0)
        return seconds / self.frames[job] if seconds >= SHORTEST_MEASUREMENT else None


def _reason(error: Exception, source: Path) -> str:
    """The message without the source's name at its beginning, because the name is shown beside it."""
    return error_text(error).removeprefix(str(source)).lstrip(": ")


def _show_progress(run: Run, options: OutputOptions) -> None:
    """Shows a line on a terminal, and removes it afterwards. A pipe gets only the answer."""
    if options.json or options.quiet or not sys.stderr.isatty():
        return
    done = 0
    for event in run:
        done += isinstance(event, (events.JobFinished, events.JobFailed, events.JobCancelled, events.JobSkipped))
        if isinstance(event, events.RunProgress):
            print(f"\r{done} of {count(event.jobs, 'file')} looked at", end="", file=sys.stderr, flush=True)
    print("\r\x1b[K", end="", file=sys.stderr, flush=True)


# ---- for people ------------------------------------------------------------------------------------------------------


def _print(batch: BatchPlan, previews: Sequence[Preview], supported: SupportedSettings, estimates: bool) -> None:
    titles = ["source", "result", "what", "codec", *(["estimate"] if estimates else [])]
    rows = [_row(one, estimates) for one in previews]
    rows += [[str(one.source), "", f"fail: {one.reason}", *[""] * (len(titles) - 3)] for one in batch.troubles]
    print_table(titles, rows)
    for message in (*batch.notices, *supported.notices, *sentences(batch, supported)):
        print(message)
    for preview in previews:
        for warning in () if preview.task is None else preview.task.warnings:
            print(f"{preview.decision.source}: {warning}")


def _row(one: Preview, estimates: bool) -> list[str]:
    more = [one.why, *(f"crop: {text or 'nothing'}" for text in one.found_crop.values())]
    said = ", ".join(filter(None, more))
    what = f"fail: {one.why}" if one.action == "fail" else f"{one.action} ({said})" if said else one.action
    codec = "" if one.task is None else one.task.codec
    row = [str(one.decision.source), str(one.decision.placement.destination), what, codec]
    return [*row, _estimate(one)] if estimates else row


def _estimate(one: Preview) -> str:
    sizes, estimate = one.sizes, None if one.task is None else one.task.estimate
    if sizes is None or estimate is None:
        return ""
    text = _range_of_sizes(*sizes)
    before = one.decision.placement.source.size
    text += f" ({change(estimate.size / before)})" if before else ""
    if estimate.quality is not None and one.task is not None and one.task.job.settings.needs_search:
        text += f", quality {estimate.quality:g}"
    return text


def _range_of_sizes(low: int, high: int) -> str:
    return size(high) if size(low) == size(high) else f"{size(low)} to {size(high)}"


def _sums(previews: Sequence[Preview], engines: int, search: float) -> str:
    known = [(one, sizes) for one in previews if (sizes := one.sizes) is not None]
    if not known:
        return "Nothing is encoded, so there is nothing to estimate."
    low, high = (sum(sizes[place] for _, sizes in known) for place in (0, 1))
    before = sum(one.decision.placement.source.size for one, _ in known)
    text = f"Together: {count(len(known), 'file')}, {size(before)} → {_range_of_sizes(low, high)}"
    changes = [change(low / before), change(high / before)] if before else []
    text += f" ({' to '.join(dict.fromkeys(changes))})" if changes else ""
    return f"{text}. {_time(previews, engines, search)}"


def _time(previews: Sequence[Preview], engines: int, search: float) -> str:
    sampled = [one for one in previews if one.task is not None]
    known = [seconds for one in sampled if (seconds := one.seconds) is not None]
    missing = len(sampled) - len(known)
    if not known:
        return "Time: not known, since the samples are too short to measure the speed."
    longest = max((one.seconds or 0.0) / max(one.task.lanes, 1) for one in sampled if one.task is not None)
    total = max(sum(known) / engines, longest)
    slowest = total * SLOWEST + search
    low, high = duration(total * FASTEST + search), duration(slowest)
    text = "Time: about " + (f"{low} to {high}" if low != high else low) if slowest >= 1 else "Time: less than a second"
    text += ", with the search for quality values" if search else ""
    return f"{text}; not known for {count(missing, 'file')}, too short to measure." if missing else f"{text}."


def _engines(engines: Sequence[events.EngineInfo]) -> str:
    if engines[0].gpu_id is None:
        return f"Engine: the processor, {count(len(engines), 'encoder')}."
    gpus: dict[str, int] = {}
    for engine in engines:
        name = f"GPU {engine.gpu_id} ({engine.gpu_name})"
        gpus[name] = gpus.get(name, 0) + 1
    return "Engine: " + ", ".join(f"{count(number, 'encoder')} of {name}" for name, number in gpus.items()) + "."


# ---- for programs ----------------------------------------------------------------------------------------------------


def _print_json(batch: BatchPlan, previews: Sequence[Preview], kind: str, estimates: bool) -> None:
    for one in previews:
        print(json.dumps(_as_json(one, kind, estimates)))
    for trouble in batch.troubles:
        print(json.dumps({"source": str(trouble.source), "action": "fail", "why": trouble.reason}))


def _as_json(one: Preview, kind: str, estimates: bool) -> dict[str, Any]:
    decision, task = one.decision, one.task
    values: dict[str, Any] = {
        "source": str(decision.source),
        "destination": str(decision.placement.destination),
        "action": one.action,
        "why": one.why,
        "source_bytes": decision.placement.source.size,
    }
    if task is not None:
        values |= {"codec": task.codec, "cq": task.cq, "engine": kind}
        values |= {"warnings": list(task.warnings), **one.found_crop}
    if task is not None and task.estimate is not None and estimates:
        values |= {
            "quality": task.estimate.quality,
            "score": task.estimate.score,
            "size": task.estimate.size,
            "sizes": one.sizes,
            "engine_seconds": one.seconds,
        }
    return values
