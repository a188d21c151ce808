"""The report of a run as one self-contained HTML page."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime

from .. import events
from .._text import change, count, duration, one_line, size, verdict
from .._version import __version__
from .._view.run_parts import Job, Sums
from .._view.run_state import RunState
from .._view.settings_line import settings_line
from .._whole_file import whole_file
from .charts import gap_note, savings, speed, timeline
from .markup import Markup, file_name, tag
from .style import STYLE

POLICY = "default-src 'none'; style-src 'unsafe-inline'"

ABBREVIATIONS = {"aq", "cq", "gop", "qp", "vbv"}


def write_report(
    stream: Iterable[events.Event], path: str | os.PathLike[str], settings: Mapping[str, object] | None = None
) -> None:
    """Writes the report of a run's events, with the ``settings`` in their order. The file appears complete, or not."""
    page = report_page(RunState(stream), settings or {})
    with whole_file(path) as part:
        part.write_text(page, encoding="utf-8")


def report_page(state: RunState, settings: Mapping[str, object]) -> str:
    sections = [
        _section(
            "Savings",
            "Each file before (grey) and after. Faded: dropped, because the result was not small enough.",
            savings(state),
        ),
        _section("Engines", gap_note(state), timeline(state)),
        _section("Speed", "Frames a second of all engines together.", speed(state)),
        _section("Folders", "", _folders(state)),
        *_troubles(state),
        _all_files(state),
        *([_section("Settings", "", _settings(settings))] if settings else []),
    ]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", "pdum-nvenc report"),
        tag("style", Markup(STYLE)),
    )
    footer = tag("footer", f"pdum-nvenc {__version__}")
    body = tag("body", _header(state, settings), _cards(state), *_notices(state), tag("main", *sections), footer)
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _header(state: RunState, settings: Mapping[str, object]) -> Markup:
    said = [count(state.total_jobs, "file"), count(len(state.engines), "engine")]
    said += filter(None, [settings_line(settings)])
    if state.started is not None:
        said.insert(0, _date(state.started))
    if not state.is_over:
        said.append("not finished")
    return tag("header", tag("h1", "pdum-nvenc report"), tag("p", " · ".join(said)))


def _date(started: float) -> str:
    try:
        return datetime.fromtimestamp(started).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, OSError, ValueError):
        return "at an unknown time"


def _cards(state: RunState) -> Markup:
    sums = state.sums()
    known = sums.source_bytes > 0
    per_second = f"{state.frames_done / state.now:.0f}" if state.now > 0 else "–"
    cards = [
        (size(sums.saved) if known else "–", "saved", verdict(sums.ratio)),
        (change(sums.ratio), f"{size(sums.source_bytes)} → {size(sums.size)}" if known else "change", None),
        (f"{sums.finished} of {state.total_jobs}", "files done", None),
        (str(sums.failed), "failed", "bigger" if sums.failed else None),
        (duration(state.now), "took", None),
        (per_second, "frames a second", None),
    ]
    return tag(
        "div",
        *(tag("div", tag("b", big, class_=look), tag("span", small)) for big, small, look in cards),
        class_="cards",
    )


def _notices(state: RunState) -> list[Markup]:
    """Notices about the whole run, such as that no hardware was used."""
    return [tag("section", *(tag("div", said) for said in state.notices), class_="notices")] if state.notices else []


def _section(title: str, note: str, content: Markup) -> Markup:
    notes = [tag("p", note, class_="note")] if note else []
    return tag("section", tag("h2", title), *notes, content)


def _table(names: list[str], rows: list[list[Markup]], last: list[Markup] | None = None) -> Markup:
    """A table. All columns except the first hold numbers."""
    head = tag(
        "thead", tag("tr", *(tag("th", name, class_="number" if place else None) for place, name in enumerate(names)))
    )
    body = tag("tbody", *(tag("tr", *row) for row in rows))
    foot = [tag("tfoot", tag("tr", *last))] if last else []
    return tag("div", tag("table", head, body, *foot), class_="scroll")


def _cells(first: Markup, *numbers: tuple[str, str | None]) -> list[Markup]:
    return [tag("td", first), *(tag("td", said, class_=f"number {look or ''}".strip()) for said, look in numbers)]


def _folders(state: RunState) -> Markup:
    rows = [_sums_row(file_name(folder), sums) for folder, sums in state.folders().items()]
    names = ["folder", "files", "before", "after", "saved", "change"]
    return _table(names, rows, _sums_row(tag("span", "all"), state.sums()))


def _sums_row(name: Markup, sums: Sums) -> list[Markup]:
    files = str(sums.jobs) if sums.finished == sums.jobs else f"{sums.finished} of {sums.jobs}"
    look = verdict(sums.ratio)
    if not sums.source_bytes:
        return _cells(name, (files, None), *[("–", None)] * 4)
    sizes = [(size(sums.source_bytes), None), (size(sums.size), None)]
    return _cells(name, (files, None), *sizes, (size(sums.saved), look), (change(sums.ratio), look))


def _troubles(state: RunState) -> list[Markup]:
    """The jobs that failed, were skipped or cancelled, or have warnings, each with its reason."""
    jobs = state.jobs.values()
    found = []
    for title, which in (("Failures", "failed"), ("Skipped", "skipped"), ("Cancelled", "cancelled")):
        rows = [(job, one_line(job.why) or job.state) for job in jobs if job.state == which]
        found += [_reasons(title, rows, "bigger" if which == "failed" else None)] if rows else []
    warnings = [(job, one_line(said)) for job in jobs if job.state == "finished" for said in job.warnings]
    return found + ([_reasons("Warnings", warnings, "marginal")] if warnings else [])


def _reasons(title: str, rows: list[tuple[Job, str]], look: str | None) -> Markup:
    cells = [tag("tr", tag("td", file_name(job.source)), tag("td", said, class_=look)) for job, said in rows]
    table = tag("div", tag("table", tag("tbody", *cells)), class_="scroll reasons")
    return _section(f"{title} ({len({job.number for job, _ in rows})})", "", table)


def _all_files(state: RunState) -> Markup:
    rows = []
    have_searched = any(job.tried for job in state.jobs.values())
    for job in state.jobs.values():
        look = verdict(job.ratio)
        after = "–" if job.size is None else size(job.size)
        rows.append(
            _cells(
                file_name(job.source),
                (job.state, "bigger" if job.state == "failed" else None),
                *([(_quality(job), None)] if have_searched else []),
                (size(job.source_bytes) if job.source_bytes else "–", None),
                (after, None),
                (change(job.ratio), look),
                (duration(job.seconds) if job.seconds else "–", None),
            )
        )
    found = ["quality"] if have_searched else []
    table = _table(["file", "state", *found, "before", "after", "change", "took"], rows)
    return tag("section", tag("details", tag("summary", f"All files ({len(rows)})"), table))


def _quality(job: Job) -> str:
    """What a search has found, and what that was expected to give."""
    chosen = next((one for one in reversed(job.tried) if one.is_chosen), None)
    if chosen is None:
        return "–"
    return f"{chosen.quality:g}" + ("" if chosen.score is None else f" ({one_line(chosen.metric)} {chosen.score:.4g})")


def _settings(settings: Mapping[str, object]) -> Markup:
    said = {True: "yes", False: "no", None: "not set"}
    rows = []
    for name, value in settings.items():
        text = said[value] if value is None or isinstance(value, bool) else one_line(str(value))
        rows.append(tag("tr", tag("td", _in_words(name)), tag("td", text)))
    return tag("div", tag("table", tag("tbody", *rows)), class_="scroll settings")


def _in_words(name: str) -> str:
    """``"spatial AQ"`` for ``"spatial_aq"``."""
    return " ".join(word.upper() if word in ABBREVIATIONS else word for word in name.split("_"))
