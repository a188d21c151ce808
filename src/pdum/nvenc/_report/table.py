"""The report in the terminal when a run is over: what each folder has saved, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .. import events
from .._text import change, count, duration, one_line, size, visible
from .._view.draw import MARKS, TERMINAL, wrapped, writable
from .._view.run_parts import Job, Sums
from .._view.run_state import RunState

NARROW = 64
LISTED = 30


def print_summary(stream: Iterable[events.Event], console: Console) -> None:
    """Prints the summary of a run's events. For an interrupted run it says what was done until then."""
    state = RunState(stream)
    if len(state.folders()) > 1:  # the last line has the sums of a single one
        console.print(_folders(state, console))
    for title, jobs, style in _sections(state):
        console.print(writable(Text(title, style), console))
        for job in jobs[:LISTED]:
            _print_reason(job, console)
        if len(jobs) > LISTED:
            console.print(writable(Text(f"  … and {len(jobs) - LISTED} more", TERMINAL.dim), console))
        console.print()
    console.print(writable(_last_line(state), console), soft_wrap=True)


def _folders(state: RunState, console: Console) -> Table:
    table = Table(box=SIMPLE_HEAD, show_footer=True, pad_edge=False, safe_box=True)
    sums = state.sums()
    is_narrow = console.width < NARROW
    names = ("folder", "files", "before", "after", "saved", "change")
    for name, total in zip(names, _cells("all", sums, console), strict=True):
        if name in {"before", "after"} and is_narrow:
            continue
        table.add_column(
            name,
            footer=total,
            justify="left" if name == "folder" else "right",
            overflow="fold" if name == "folder" else "ellipsis",
            no_wrap=name != "folder",
        )
    for folder, part in state.folders().items():
        cells = _cells(visible(folder), part, console)
        table.add_row(*(cells[:2] + cells[4:] if is_narrow else cells))
    return table


def _cells(name: str, sums: Sums, console: Console) -> list[Text]:
    style = TERMINAL.of_ratio(sums.ratio)
    files = str(sums.jobs) if sums.finished == sums.jobs else f"{sums.finished} of {sums.jobs}"
    known = sums.source_bytes > 0
    texts = [
        Text(name),
        Text(files),
        Text(size(sums.source_bytes) if known else "–"),
        Text(size(sums.size) if known else "–"),
        Text(size(sums.saved) if known else "–", style),
        Text(change(sums.ratio), style),
    ]
    return [writable(text, console) for text in texts]


def _sections(state: RunState) -> list[tuple[str, list[Job], str]]:
    ended = {name: [job for job in state.jobs.values() if job.state == name] for name in MARKS}
    warned = [job for job in ended["finished"] if job.warnings]
    found = [
        (f"{count(len(ended['failed']), 'failure')}:", ended["failed"], TERMINAL.error),
        (f"{len(ended['skipped'])} skipped:", ended["skipped"], TERMINAL.marginal),
        (f"{len(ended['cancelled'])} cancelled:", ended["cancelled"], TERMINAL.dim),
        (f"{len(warned)} with warnings:", warned, TERMINAL.warning),
    ]
    return [section for section in found if section[1]]


def _print_reason(job: Job, console: Console) -> None:
    """On one line, or in a terminal that is too narrow for that, below the file."""
    style = TERMINAL.warning if job.state == "finished" else TERMINAL.of_job(job)
    text = Text("  ").append(f"{MARKS[job.state]} ", style).append(visible(job.source))
    reasons = job.warnings if job.state == "finished" else (job.why,)
    said = Text("; ".join(one_line(reason) for reason in reasons if reason), style)
    if not said or not console.is_terminal or text.cell_len + said.cell_len + 2 <= console.width:
        console.print(writable(Text.assemble(text, ": ", said) if said else text, console), soft_wrap=True)
        return
    console.print(wrapped(writable(text, console), console))
    console.print(wrapped(writable(Text("    ").append_text(said), console), console))


def _last_line(state: RunState) -> Text:
    sums = state.sums()
    text = Text().append(f"{count(sums.finished, 'file')} in {duration(state.now)}", TERMINAL.strong)
    if sums.source_bytes:
        style = TERMINAL.of_ratio(sums.ratio)
        words = f"saved {size(sums.saved)}" if sums.saved >= 0 else f"{size(-sums.saved)} more than before"
        text.append(", ").append(f"{words} ({change(sums.ratio)})", style)
    if state.now > 0 and state.frames_done:
        text.append(f", {state.frames_done / state.now:.0f} frames a second")
    return text
