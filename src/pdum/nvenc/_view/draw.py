"""The lines that plain mode and the dashboard share: bars, and one line for an engine, a job or the whole run."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.text import Text

from .._text import change, duration, one_line, rate, size, verdict
from .names import whole_words
from .run_parts import Engine, Job, LogLine
from .run_state import RunState

MARKS = {"finished": "✓", "skipped": "↷", "failed": "✗", "cancelled": "■"}
SPACE = 2
SHORT_NAME, SHORTEST_NAME = 20, 12
"""Cells that are enough to tell a file from others in most cases, and in many cases."""
LEAST_NAME, LEAST_BAR = 28, 6
"""Cells of a file's name and of its bar in the line of an engine. If there is less room, numbers are left out
before the name gets narrower, and the bar is left out."""
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
    if cell_len(text) <= cells:
        return padded(text, cells)
    if cells < 2:
        return "…"[:cells]
    return padded("…".join(_ends(text, cells)), cells)


def _ends(text: str, cells: int) -> tuple[str, str]:
    """What ``to_width`` keeps of a text that is too long."""
    tail = chop_end(text, (cells - 1) // 2)
    return chop_cells(text, max(1, cells - 1 - cell_len(tail)))[0], tail


def padded(text: str, cells: int) -> str:
    return text + " " * (cells - cell_len(text))


def chop_end(text: str, cells: int) -> str:
    """As much of the end of the text as these cells can hold."""
    end = len(text)
    while end > 0 and cell_len(text[end - 1 :]) <= cells:
        end -= 1
    return text[end:]


def _chop(text: str, cells: int) -> str:
    """As much of the beginning of the text as these cells can hold."""
    return chop_cells(text, cells)[0] if cells > 0 and text else ""


def with_differences(text: str, differences: tuple[int, int] | None, cells: int) -> str:
    """The text at exactly that width, with what tells it from others if there is room.

    ``"The long title of a series - S01E07 - 1080p x264 DTS.mkv"`` becomes ``"The long t…S01E07…264 DTS.mkv"``.
    """
    if differences is None or cell_len(text) <= cells or cells < 2:
        return to_width(text, cells)
    first, last = differences
    head, tail = _ends(text, cells)
    if first < len(head) or last >= len(text) - len(tail):
        return to_width(text, cells)
    for part in (range(min(first, last), max(first, last) + 1), range(first, first + 1)):
        words = whole_words(text, part)
        if cell_len(text[words.start : words.stop]) <= cells - 2:
            return _around(text, words, cells)
    return to_width(text, cells)


def _around(text: str, part: range, cells: int) -> str:
    """This part of the text, and as much of both ends as there is room for."""
    before, kept, after = text[: part.start], text[part.start : part.stop], text[part.stop :]
    room = cells - cell_len(kept)
    head_cells = max(room // 2, room - cell_len(after))
    head = before if cell_len(before) <= head_cells else f"{_chop(before, head_cells - 1)}…"
    rest = room - cell_len(head)
    tail = after if cell_len(after) <= rest else f"…{chop_end(after, rest - 1)}"
    return padded(f"{head}{kept}{tail}", cells)


def file_name(state: RunState, job: Job, cells: int) -> str:
    """The name of the job's file at exactly that width, so that it differs from others of the run."""
    label = state.label(job)
    return (
        padded(label, cells)
        if cell_len(label) <= cells
        else with_differences(label, state.names.differences(label), cells)
    )


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
    bar_cells = min(40, room // 2 - 1, room - SPACE - LEAST_NAME)
    bar_cells = bar_cells if bar_cells >= LEAST_BAR else 0
    mark = " · sample" if job.searches else ""
    least = cell_len(mark) + min(SHORT_NAME, cell_len(state.label(job)))
    for cells_left in (bar_cells, min(bar_cells, LEAST_BAR), 0):  # the bar gives way to what is said
        supply = _supply_mark(engine, room - least - cells_left - (SPACE if cells_left else 0))
        if supply:
            mark, bar_cells = mark + supply, cells_left
            break
    name_cells = room - bar_cells - (SPACE if bar_cells else 0)
    name = file_name(state, job, max(1, name_cells - cell_len(mark)))
    line.append(" " * SPACE).append(name, palette.info).append(mark, palette.dim)
    if bar_cells:
        line.append(" " * SPACE).append_text(bar(engine.fraction, bar_cells, palette.accent, palette.dim))
    return line.append(" " * SPACE).append_text(columns(*figures)) if figures else line


def _supply_mark(engine: Engine, room: int) -> str:
    """The engine's decoders and waits, in as many words as there is room for; empty if there is nothing to tell."""
    marks = [f" · {text}" for text in engine.supply_texts()]
    return next((mark for mark in marks if cell_len(mark) <= room), "")


def _figures(engine: Engine, job: Job, room: int, palette: Palette) -> list[tuple[str, int, str]]:
    figures = [
        (f"{engine.fraction:4.0%}", 4, palette.info),
        (rate(engine.fps, " fps") if engine.fps else "–", 8, palette.good),
        (rate(job.speed, "×") if job.speed else "–", 6, palette.info),
        (duration(job.eta), 8, palette.accent),
    ]
    if room < LEAST_NAME + SPACE + LEAST_BAR + sum(width + SPACE for _, width, _ in figures):
        figures.pop(2)
    while figures and sum(width + SPACE for _, width, _ in figures) > room - LEAST_NAME:
        figures.pop()
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


def ended_line(state: RunState, job: Job, cells: int, palette: Palette = TERMINAL) -> Text:
    """How a job ended: its sizes and the change, or the reason, which may be too long for the line."""
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
        line.append(file_name(state, job, max(1, room)), palette.info)
        return line.append(" " * SPACE).append_text(columns(*figures))
    room = cells - 2 - SPACE
    reason = one_line(job.why) or job.state
    name_cells = cell_len(state.label(job))
    least = min(SHORT_NAME, name_cells)
    if cell_len(reason) > room - least:
        reason = one_line(job.why_in_short) or job.state
    fits = cell_len(reason) <= room - least
    name_cells = min(name_cells, room - cell_len(reason) if fits else cells // 2)
    line.append(file_name(state, job, max(8, name_cells)), palette.info)
    return line.append(" " * SPACE).append(reason, style)


def log_text(state: RunState, line: LogLine, cells: int) -> str:
    """A line of the log, which may be too wide. The name of its file is shortened first."""
    room = max(SHORTEST_NAME, cells - cell_len(line.text) + cell_len(line.name))
    if room >= cell_len(line.name):
        return line.text
    return with_differences(line.name, state.names.differences(line.name), room).rstrip() + line.text[len(line.name) :]


def writable(text: Text, console: Console) -> Text:
    """The text in characters that the console's encoding has."""
    if console.encoding.lower().replace("-", "").startswith("utf"):
        return text
    plain = Text(style=text.style, no_wrap=text.no_wrap, overflow=text.overflow, end=text.end)
    for part in text.render(console, end=""):
        translated = part.text.translate(ASCII).encode(console.encoding, "backslashreplace").decode(console.encoding)
        plain.append(translated, part.style)
    return plain


def wrapped(text: Text, console: Console, indent: int = 4) -> Text:
    """The text, with all lines but the first indented if it is too wide."""
    if text.cell_len <= console.width or console.width < 4 * indent:
        return text
    text = text.copy()
    text.no_wrap, text.overflow = False, "fold"
    lines = text.wrap(console, console.width - indent)
    return Text(f"\n{' ' * indent}").join(lines)
