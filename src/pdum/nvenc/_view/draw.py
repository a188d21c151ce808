"""The lines that plain mode and the dashboard share: bars, and one line for an engine, a job or the whole run."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.text import Text

from .._text import change, duration, one_line, rate, size, verdict, visible
from .run_parts import Engine, Job
from .run_state import RunState

MARKS = {"finished": "✓", "skipped": "↷", "failed": "✗", "cancelled": "■"}
SPACE = 2
ASCII = str.maketrans(
    {
        "→": "->",
        "✓": "+",
        "✗": "x",
        "↷": "~",
        "■": "#",
        "━": "=",
        "╸": "-",
        "╺": " ",
        "·": "-",
        "×": "x",
        "–": "-",
        "…": "~",
    }
)
"""For terminals and files that are not UTF-8."""


@dataclass(frozen=True, kw_only=True)
class Palette:
    """Styles by their meaning. The defaults are the terminal's own colours."""

    good: str = "green"
    marginal: str = "yellow"
    bigger: str = "red"
    unknown: str = "default"
    error: str = "bold red"
    warning: str = "yellow"
    info: str = "default"
    dim: str = "bright_black"
    accent: str = "cyan"
    strong: str = "bold"

    def of_ratio(self, ratio: float | None) -> str:
        return str(getattr(self, verdict(ratio)))

    def of_job(self, job: Job) -> str:
        other = {"failed": self.error, "skipped": self.marginal, "cancelled": self.dim}
        return other.get(job.state, self.of_ratio(job.ratio))

    def of_level(self, level: str) -> str:
        return str(getattr(self, level))


TERMINAL = Palette()


def to_width(text: str, cells: int) -> str:
    """The text at exactly that width: padded, or without its middle, since the ends of names differ most."""
    missing = cells - cell_len(text)
    if missing >= 0:
        return text + " " * missing
    if cells < 2:
        return "…"[:cells]
    tail = chop_end(text, (cells - 1) // 2)
    head = chop_cells(text, max(1, cells - 1 - cell_len(tail)))[0]
    short = f"{head}…{tail}"
    return short + " " * (cells - cell_len(short))


def chop_end(text: str, cells: int) -> str:
    """As much of the end of the text as these cells can hold."""
    end = len(text)
    while end > 0 and cell_len(text[end - 1 :]) <= cells:
        end -= 1
    return text[end:]


def bar(fraction: float, cells: int, style: str, track: str) -> Text:
    full, half = divmod(round(max(0.0, min(1.0, fraction)) * cells * 2), 2)
    rest = cells - full - half
    gap = "╺" if full and rest and not half else ""
    return Text("━" * full + "╸" * half, style).append(gap + "━" * (rest - len(gap)), track)


def columns(*parts: tuple[str, int, str]) -> Text:
    """Texts with their widths and styles, aligned to the right, or to the left if the width is negative."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for number, (text, cells, style) in enumerate(parts):
        line.append(" " * SPACE if number else "")
        missing = cells - cell_len(text)
        line.append(" " * missing + text if missing >= 0 else to_width(text, abs(cells)), style)
    return line


def engine_line(state: RunState, engine: Engine, label: str, cells: int, palette: Palette = TERMINAL) -> Text:
    """The engine's label, file, progress and speed. Figures that do not fit are left out, from the right."""
    line = Text(no_wrap=True).append(label, palette.strong if engine.state == "working" else palette.dim)
    job = state.jobs.get(engine.job) if engine.job is not None else None
    room = cells - cell_len(label) - SPACE
    if job is None:
        said = {"waiting": palette.warning, "lost": palette.error}.get(engine.state, palette.dim)
        text = f"{engine.state}: {engine.reason}" if engine.reason and engine.state != "idle" else engine.state
        return line.append(" " * SPACE).append(to_width(text, max(1, room)), said)
    figures = _figures(engine, job, room, palette)
    room -= sum(width + SPACE for _, width, _ in figures)
    bar_cells = 0 if room < 24 else min(40, room // 2 - 1)
    name_cells = room - bar_cells - (SPACE if bar_cells else 0)
    name = f"{visible(job.name)} · sample" if job.searches else visible(job.name)
    line.append(" " * SPACE).append(to_width(name, max(1, name_cells)), palette.info)
    if bar_cells:
        line.append(" " * SPACE).append_text(bar(engine.fraction, bar_cells, palette.accent, palette.dim))
    return line.append(" " * SPACE).append_text(columns(*figures)) if figures else line


def _figures(engine: Engine, job: Job, room: int, palette: Palette) -> list[tuple[str, int, str]]:
    figures = [
        (f"{engine.fraction:4.0%}", 4, palette.info),
        (rate(engine.fps, " fps"), 8, palette.good),
        (rate(job.speed, "×"), 6, palette.info),
        (duration(job.eta), 8, palette.accent),
    ]
    while figures and sum(width + SPACE for _, width, _ in figures) > room - 12:
        figures.pop(2 if len(figures) == 4 else -1)
    return figures


def run_line(state: RunState, cells: int, palette: Palette = TERMINAL) -> Text:
    """One line for all engines and files together."""
    sums = state.sums()
    files = f"{sums.ended}/{state.total_jobs} files"
    figures = [
        (f"{state.fraction:4.0%}", 4, palette.strong),
        (rate(state.fps, " fps"), 8, palette.good),
        (
            f"saved {size(sums.saved)}" if sums.saved >= 0 else f"{size(-sums.saved)} more",
            13,
            palette.of_ratio(sums.ratio),
        ),
        (f"ETA {duration(state.eta)}", 12, palette.accent),
    ]
    while figures and len(files) + sum(width + SPACE for _, width, _ in figures) > cells - 6:
        figures.pop(1 if len(figures) > 2 else -1)
    line = Text(no_wrap=True).append(files, palette.strong)
    room = cells - cell_len(files) - sum(width + SPACE for _, width, _ in figures) - SPACE
    if room >= 4:
        line.append(" " * SPACE).append_text(bar(state.fraction, room, palette.good, palette.dim))
    return line.append(" " * SPACE).append_text(columns(*figures)) if figures else line


def ended_line(job: Job, cells: int, palette: Palette = TERMINAL) -> Text:
    """How a job ended: its sizes and the change, or the reason."""
    style = palette.of_job(job)
    line = Text(no_wrap=True).append(f"{MARKS[job.state]} ", style)
    if job.state == "finished":
        sizes = f"{size(job.source_bytes) if job.source_bytes else '–'} → {size(job.size or 0)}"
        figures = [
            (sizes, 18, palette.info),
            (change(job.ratio), 7, style),
            (duration(job.seconds), 8, palette.dim),
        ]
        while len(figures) > 1 and sum(width + SPACE for _, width, _ in figures) > cells - 14:
            figures.pop(0 if len(figures) == 2 else -1)
        room = cells - 2 - sum(width + SPACE for _, width, _ in figures)
        line.append(to_width(visible(job.name), max(1, room)), palette.info)
        return line.append(" " * SPACE).append_text(columns(*figures))
    reason = one_line(job.why) or job.state
    name_cells = max(8, min(cell_len(visible(job.name)), cells // 2))
    line.append(to_width(visible(job.name), name_cells), palette.info)
    return line.append(" " * SPACE).append(reason, style)


def writable(text: Text, console: Console) -> Text:
    """The text in characters that the console's encoding has."""
    if console.encoding.lower().replace("-", "").startswith("utf"):
        return text
    plain = Text(style=text.style, no_wrap=text.no_wrap, overflow=text.overflow, end=text.end)
    for part in text.render(console, end=""):
        translated = part.text.translate(ASCII).encode(console.encoding, "backslashreplace").decode(console.encoding)
        plain.append(translated, part.style)
    return plain
