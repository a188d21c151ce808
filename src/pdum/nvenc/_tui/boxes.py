"""Boxes that open over the dashboard: the help, and everything that is known about one file."""

from __future__ import annotations

from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from .._text import change, duration, one_line, size, visible
from .._view.draw import Palette
from .._view.run_parts import Job, LogLine
from .._view.run_state import trial_text

KEYS = (
    ("p", "pause, and go on"),
    ("s", "skip the chosen file of the queue"),
    ("r", "try the chosen file of the list Done again, if it failed, was skipped or was cancelled"),
    ("R", "try all files that failed again"),
    ("+ -", "use one engine more or less; an engine finishes what it has begun"),
    ("enter", "show everything about the chosen file or line"),
    ("tab, 1 to 4", "go to the queue, the files that are done, the log, the folders"),
    ("↑ ↓ home end", "choose a file"),
    ("d", "switch between dark and light"),
    ("?", "show this help"),
)
LEAVING = ("q, ctrl+c", "finish the files at work, then leave; twice: stop now; three times: leave at once")


class Box(ModalScreen[None]):
    """Closes at any of its keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q,question_mark,space", "dismiss", "Close", show=False)
    ]

    def __init__(self, title: str, table: Table) -> None:
        super().__init__()
        self._title = title
        self._table = table

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="box") as box:
            box.border_title = Text(self._title)
            yield Static(self._table)


def help_box(palette: Palette, leaving: tuple[str, str] = LEAVING) -> Box:
    """``leaving``: how to leave, which depends on where the dashboard is shown."""
    keys = (*KEYS, leaving)
    return Box("Keys", _table([(key, Text(meaning, palette.info)) for key, meaning in keys], palette))


def line_box(line: LogLine, palette: Palette) -> Box:
    """A full line of the log, which may be too long for its place."""
    return Box(f"Log at {duration(line.at)}", _table([("", Text(line.text, palette.of_level(line.level)))], palette))


def details_box(job: Job, palette: Palette) -> Box:
    video = f"{job.width}x{job.height}, {job.video_frames} frames, {duration(job.duration)}" if job.width else ""
    rows = [
        ("state", Text(job.state, palette.of_job(job))),
        ("source", Text(visible(job.source))),
        ("result", Text(visible(job.destination))),
        ("video", Text(video)),
        ("before", Text(size(job.source_bytes) if job.source_bytes else "")),
        ("after", Text("" if job.size is None else size(job.size))),
        ("change", Text("" if job.ratio is None else change(job.ratio), palette.of_ratio(job.ratio))),
        ("took", Text(duration(job.seconds) if job.seconds else "")),
        ("looks for", Text(visible(job.goal))),
        *(("tried", Text(trial_text(one, job.source_bytes))) for one in job.tried),
        ("error", Text(visible(job.error), palette.error)),
        ("reason", Text(one_line(job.why), palette.of_job(job))),
        ("attempts", Text(str(job.attempts) if job.attempts > 1 else "")),
        *(("warning", Text(one_line(warning), palette.warning)) for warning in job.warnings),
    ]
    return Box(visible(job.name), _table([row for row in rows if row[1].plain], palette))


def _table(rows: list[tuple[str, Text]], palette: Palette) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style=palette.accent, no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(name, text)
    return table
