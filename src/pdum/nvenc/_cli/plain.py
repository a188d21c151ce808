"""Progress in a plain terminal: a line for each engine and one for all, while what is done scrolls by above them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Lock

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from .. import events
from .._text import count, duration, rate
from .._view.draw import TERMINAL, ended_line, engine_line, run_line, wrapped, writable
from .._view.run_parts import LogLine
from .._view.run_state import RunState

REFRESHES = 8
SECONDS_BETWEEN_LINES = 30.0
"""Without a terminal."""
LEVEL_MARKS = {"warning": "! ", "error": "! "}


def show(run: Iterable[events.Event], console: Console) -> None:
    """Draws a run until it is over. Without a terminal, it writes a line for each finished file, and every 30 s."""
    state = RunState()
    if not console.is_terminal or console.is_dumb_terminal:
        _print_lines(run, state, console)
        return
    with _live(state, console) as lock:
        for event in run:
            with lock:
                lines = new_lines(state, event)
            for line in lines:
                console.print(wrapped(writable(scrolled(state, line, console.width), console), console))


def _print_lines(run: Iterable[events.Event], state: RunState, console: Console) -> None:
    """The clock is that of the events."""
    last = 0.0
    for event in run:
        for line in new_lines(state, event):
            console.print(writable(_log_text(line), console), soft_wrap=True)
        if isinstance(event, events.RunProgress) and event.at - last >= SECONDS_BETWEEN_LINES:
            last = event.at
            console.print(writable(Text(progress_line(state)), console), soft_wrap=True)


def progress_line(state: RunState) -> str:
    """How far the run is, in words for a log."""
    done = f"{state.sums().ended} of {count(state.total_jobs, 'file')} done, {state.fraction:.0%}"
    left = f", {duration(state.eta)} left" if state.eta is not None else ""
    return f"{done}, {rate(state.fps, ' fps')}{left}"


@contextmanager
def _live(state: RunState, console: Console) -> Iterator[Lock]:
    """Draws the state a few times a second from a separate thread. Changes are made under the lock."""
    lock = Lock()

    def draw() -> Group:
        with lock:
            return Group(*(writable(line, console) for line in progress(state, console.width, console.height)))

    with Live(
        console=console, get_renderable=draw, refresh_per_second=REFRESHES, transient=True, redirect_stdout=False
    ):
        yield lock


def progress(state: RunState, width: int, height: int) -> list[Text]:
    """A line for each engine, as many as the terminal has room for, and the last one for the whole run."""
    engines = [engine for engine in state.engines.values() if engine.state != "off"]
    room = max(1, height - 4)
    shown = engines if len(engines) <= room else engines[: room - 1]
    labels = [engine.info.label for engine in shown]
    longest = max(map(len, labels), default=0)
    lines = [
        engine_line(state, engine, label.ljust(longest), width) for engine, label in zip(shown, labels, strict=True)
    ]
    if len(shown) < len(engines):
        lines.append(Text(f"and {len(engines) - len(shown)} more engines", TERMINAL.dim))
    return [*lines, run_line(state, width)]


def new_lines(state: RunState, event: events.Event) -> list[LogLine]:
    before = state.lines
    state.apply(event)
    added = state.lines - before
    return list(state.log)[-added:] if added else []


def _log_text(line: LogLine) -> Text:
    return Text(line.text, TERMINAL.of_level(line.level))


def scrolled(state: RunState, line: LogLine, width: int) -> Text:
    if line.job is None:
        return Text(LEVEL_MARKS.get(line.level, "  ")).append_text(_log_text(line))
    return ended_line(state, state.jobs[line.job], width)
