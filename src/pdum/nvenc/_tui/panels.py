"""The parts of the dashboard that are not lists: the head, and one panel for each GPU."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text
from textual.widgets import Static

from .._machine.nvml import Usage
from .._text import change, count, duration, one_line, rate, size
from .._view.draw import Palette, bar, engine_line
from .._view.run_parts import Engine
from .._view.run_state import RunState

BLOCKS = "▁▂▃▄▅▆▇█"
WIDE = 110
SPARKS = 16
LEAST_BAR = 30
"""Cells for the bar and the percentage beside the settings."""


def sparks(values: Sequence[float], top: float, cells: int) -> str:
    """The newest values as small bars."""
    newest = list(values)[-cells:]
    drawn = (BLOCKS[min(7, int(max(0.0, value) / top * 7.99))] if top > 0 else BLOCKS[0] for value in newest)
    return "".join(drawn).rjust(cells)


def head(state: RunState, status: str, engines: int, settings: str, cells: int, palette: Palette) -> Text:
    """Two lines: the run's progress and savings, and below them the settings and a bar."""
    looks = {"running": ("●", palette.good), "starting": ("○", palette.dim), "paused": ("‖", palette.warning)}
    mark, style = ("✓", palette.good) if state.is_over else looks.get(status, ("◼", palette.warning))
    sums = state.sums()
    words = f"saved {size(sums.saved)}" if sums.saved >= 0 else f"{size(-sums.saved)} more"
    saved = f"{words} ({change(sums.ratio)})" if sums.source_bytes else ""
    is_wide = cells >= WIDE
    left = [
        (f"{mark} {status}", style),
        (f"{sums.ended}/{state.total_jobs} files", palette.strong),
        (f"{sums.failed} failed" if sums.failed else "", palette.error),
        (saved, palette.of_ratio(sums.ratio)),
        (f"{size(sums.source_bytes)} → {size(sums.size)}" if saved and is_wide else "", palette.info),
        (count(engines, "engine") if is_wide else "", palette.dim),
    ]
    right = [
        (f"ETA {duration(state.eta)}" if not state.is_over else f"took {duration(state.now)}", palette.accent),
        (rate(state.fps, " fps") if not state.is_over else "", palette.good),
    ]
    line = _joined(left, right, cells)
    percent = f"{state.fraction:5.0%}"
    shown = f"{settings}  " if settings and cells - cell_len(settings) >= LEAST_BAR else ""
    room = max(0, cells - len(percent) - cell_len(shown))
    return (
        line.append("\n")
        .append(shown, palette.info)
        .append_text(bar(state.fraction, room, palette.good, palette.dim))
        .append(percent, palette.strong)
    )


def _joined(left: list[tuple[str, str]], right: list[tuple[str, str]], cells: int) -> Text:
    """One part to the left, one to the right. Texts that do not fit are left out, the last of each part first."""
    left, right = [part for part in left if part[0]], [part for part in right if part[0]]
    while sum(cell_len(said) + 3 for said, _ in left + right) - 3 > cells and len(left) + len(right) > 2:
        (right if len(right) > 1 else left).pop()
    first, last = (Text("   ").join(Text(said, style) for said, style in parts) for parts in (left, reversed(right)))
    line = first.append(" " * max(1, cells - first.cell_len - last.cell_len)).append_text(last)
    line.truncate(cells)
    return line


class GpuPanel(Static):
    """One GPU, or the processor, with a line for each of its engines."""

    def __init__(self, gpu_id: int | None, gpu_name: str | None, node: str = "") -> None:
        """``node``: its machine in a cluster."""
        super().__init__(classes="gpu")
        self.gpu_id = gpu_id
        where = f"{one_line(node)} · " if node else ""
        what = f"GPU {gpu_id} · {one_line(gpu_name or 'NVIDIA')}" if gpu_id is not None else "CPU · no hardware encoder"
        self._heading = where + what
        self._lines = 0

    def draw(
        self,
        state: RunState,
        engines: Sequence[Engine],
        speeds: dict[int, list[float]],
        about: Text,
        palette: Palette,
        cells: int,
        *,
        tight: bool,
    ) -> None:
        top = max((value for values in speeds.values() for value in values[-SPARKS:]), default=0.0)
        lines = [
            self._line(state, engine, speeds.get(engine.info.index, []), top, cells, palette) for engine in engines
        ]
        self.border_title, self.border_subtitle = Text(self._heading), about
        if tight:
            lines.insert(0, Text(self._heading, palette.accent).append("  ").append_text(about))
        self.update(Text("\n").join(lines), layout=len(lines) != self._lines)
        self._lines = len(lines)

    def _line(
        self, state: RunState, engine: Engine, speeds: list[float], top: float, cells: int, palette: Palette
    ) -> Text:
        label = f"NVENC {engine.info.number}" if self.gpu_id is not None else f"CPU {engine.info.number}"
        room = cells - SPARKS - 2 if cells >= WIDE - 10 else cells
        line = engine_line(state, engine, label, room, palette)
        if room < cells:
            line.append(" " * max(0, room + 2 - line.cell_len)).append(sparks(speeds, top, SPARKS), palette.dim)
        line.truncate(cells)
        return line


def usage_text(usage: Usage | None, history: Sequence[float], palette: Palette) -> Text:
    """What NVML reports about a GPU; empty if it reports nothing."""
    text = Text()
    if usage is None:
        return text
    if usage.encoder_utilisation is not None:
        text.append(f"encoder {usage.encoder_utilisation} % ", palette.info)
        text.append(sparks(history, 100.0, 8).lstrip(), palette.accent)
    if usage.memory_free is not None:
        text.append(" · " if text else "").append(f"{size(usage.memory_free)} free", palette.dim)
    if usage.sessions is not None:
        text.append(" · " if text else "").append(count(len(usage.sessions), "session"), palette.dim)
    return text
