"""The rows of the dashboard's lists."""

from __future__ import annotations

from rich.text import Text

from .._text import change, duration, size, visible
from .._view.draw import Palette, columns, ended_line, file_name, log_text, to_width
from .._view.run_parts import Job, LogLine, Sums
from .._view.run_state import RunState


def queue_row(state: RunState, job: Job, cells: int, palette: Palette) -> Text:
    if job.state in {"running", "finishing"}:
        how_far = "searching" if job.searches else f"{job.fraction:.0%}"
        what = how_far if job.state == "running" else "verifying"
        figures = columns((what, 9, palette.good), (duration(job.eta), 8, palette.accent))
        mark, style = "▶ ", palette.good
    else:
        figures = columns((size(job.source_bytes) if job.source_bytes else "–", 17 + 2, palette.dim))
        mark, style = "  ", palette.info
    name = file_name(state, job, max(1, cells - 4 - figures.cell_len))
    return Text(no_wrap=True).append(mark, style).append(name, palette.info).append("  ").append_text(figures)


def done_row(state: RunState, job: Job, cells: int, palette: Palette) -> Text:
    row = ended_line(state, job, cells, palette)
    row.truncate(cells, overflow="ellipsis")
    return row


def log_row(state: RunState, line: LogLine, cells: int, palette: Palette) -> Text:
    row = Text(no_wrap=True).append(f"{duration(line.at):>7}  ", palette.dim)
    style = palette.of_level(line.level)
    if line.level == "good" and line.job is not None:
        style = palette.of_job(state.jobs[line.job])
    said = log_text(state, line, cells - row.cell_len - 2)
    row.append("● ", style).append(said, style if line.level in {"warning", "error"} else palette.info)
    row.truncate(cells, overflow="ellipsis")
    return row


def folder_row(_state: RunState, item: tuple[str, Sums], cells: int, palette: Palette) -> Text:
    folder, sums = item
    style = palette.of_ratio(sums.ratio)
    figures = columns(
        (f"{sums.ended}/{sums.jobs}", 7, palette.info),
        (size(sums.saved) if sums.source_bytes else "–", 8, style),
        (change(sums.ratio), 7, style),
    )
    name = to_width(visible(folder), max(1, cells - 2 - figures.cell_len))
    return Text(no_wrap=True).append(name, palette.info).append("  ").append_text(figures)
