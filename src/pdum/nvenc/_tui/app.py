"""The dashboard itself: it reads events a few times a second, draws the state, and passes keys on to the run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.notifications import SeverityLevel
from textual.widgets import Footer, Static

from .. import events
from .._text import change, count, duration, one_line, size, visible
from .._view.draw import Palette, columns, ended_line, to_width
from .._view.run_parts import Engine, Job, LogLine, Sums
from .._view.run_state import RunState
from .boxes import details_box, help_box
from .controls import Controls, EventRun, Source, TerminalLost
from .lines import FixedRows, Lines
from .panels import WIDE, GpuPanel, head, usage_text
from .signals import Signals
from .terminal import Terminal
from .theme import CSS, DARK, LIGHT, PALETTES
from .usage import UsagePoller

TICK = 1 / 4
MOST_EVENTS = 5000
"""The most events in one go, so that keys still work while it reads a backlog."""
TALL = 34
SPEEDS_KEPT = 60
PANELS = ("queue", "done", "log", "folders")


class Dashboard(App[int]):
    CSS = CSS
    ENABLE_COMMAND_PALETTE = False
    TITLE = "pdum-nvenc"
    NOTIFICATION_TIMEOUT = 3
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c,ctrl+q", "leave", "Quit", key_display="q", priority=True),
        Binding("question_mark,f1", "help", "Help", key_display="?"),
        Binding("p", "pause", "Pause"),
        Binding("s", "skip", "Skip"),
        Binding("r", "retry", "Retry"),
        Binding("R", "retry_failed", "Retry failed", show=False),
        Binding("plus,equals_sign", "engines(1)", "More engines", key_display="+"),
        Binding("minus", "engines(-1)", "Fewer", key_display="-"),
        Binding("enter", "details", "Details"),
        Binding("d", "light", "Light", show=False),
        Binding("tab,right", "next_panel(1)", show=False, priority=True),
        Binding("shift+tab,left", "next_panel(-1)", show=False, priority=True),
        *(Binding(str(number + 1), f"panel({number})", show=False) for number in range(len(PANELS))),
    ]

    def __init__(self, make_run: Callable[[], EventRun], controls: Controls | None = None) -> None:
        colourless = os.environ.get("NO_COLOR")
        super().__init__(driver_class=Terminal)
        if colourless is not None:  # Textual removes it, but later output must have no colour either
            os.environ["NO_COLOR"] = colourless
        self.state = RunState()
        self.source = Source(make_run, controls)
        self.usage = UsagePoller()
        self.signals = Signals(self.take_signal)
        self.speeds: dict[int, list[float]] = {}
        self.wanted_engines = 0
        self.leaving = 0
        """How often the user has asked to leave."""
        self.lost: str | None = None
        """Why the terminal cannot be used any more."""
        self._ended_by: int | None = None
        self._sampled = 0.0
        self._answers = 0
        self._drawn: object = None
        self._panels: dict[int | None, GpuPanel] = {}

    def show(self) -> int:
        """Shows the run until the user leaves. Raises what the run raised, and TerminalLost."""
        self.run()
        if self.lost is not None:
            raise TerminalLost(self.lost, self.source, self._ended_by)
        if self.source.error is not None:
            raise self.source.error
        return self.result

    @property
    def result(self) -> int:
        if self._ended_by is not None:
            return 128 + self._ended_by
        if self.leaving and (not self.state.is_over or self.state.sums().cancelled):
            return 130
        return 1 if self.state.sums().failed else 0

    @property
    def palette(self) -> Palette:
        return PALETTES[self.current_theme.dark]

    # What it shows.

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield VerticalScroll(id="gpus", can_focus=False)
        yield Static(id="tabs")
        with Container(id="lists"):
            yield Lines[Job]("Queue", self._queue_line, lambda job: job.number, empty="nothing waits")
            yield Lines[Job]("Done", self._done_line, lambda job: job.number, empty="nothing yet")
            yield Lines[LogLine]("Log", self._log_line, id, empty="", follow=True)
            yield Lines[tuple[str, Sums]]("Folders", self._folder_line, lambda item: item[0], empty="")
        yield Footer()

    def on_mount(self) -> None:
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name
        self.query_one("#queue").add_class("current").focus()
        self.signals.listen()
        self.source.thread.start()
        self.set_interval(TICK, self.tick)
        self.draw()

    def on_unmount(self) -> None:
        self.usage.stop()
        self.signals.stop()

    def on_resize(self) -> None:
        self.call_after_refresh(self.draw)

    def tick(self) -> None:
        """Reads the new events and draws them."""
        if isinstance(self._driver, Terminal) and self._driver.lost is not None and self._ended_by is None:
            self.lost = self._driver.lost
            self.exit()
            return
        changed = False
        for event in self.source.take(MOST_EVENTS):
            self.apply(event)
            changed = True
        if self.source.error is not None or (self.leaving and self.source.is_exhausted):
            self.exit(self.result)
        elif changed or self.usage.answers != self._answers:
            self.draw()

    def apply(self, event: events.Event) -> None:
        self.state.apply(event)
        if isinstance(event, events.RunStarted | events.EnginesChanged):
            self.wanted_engines = len(event.engines)
            self.usage.watch({one.gpu_id for one in event.engines if one.gpu_id is not None})
        if event.at >= self._sampled + 1.0:
            self._sampled = event.at
            for index, engine in self.state.engines.items():
                values = self.speeds.setdefault(index, [])
                values.append(engine.fps)
                del values[:-SPEEDS_KEPT]

    def draw(self) -> None:
        self._answers = self.usage.answers
        width, height = self.size
        tabbed = width < WIDE or height < TALL
        self.screen_stack[0].set_class(tabbed, "tabbed")
        base = self.screen_stack[0]
        base.query_one("#head", Static).update(
            head(self.state, self.status, self.wanted_engines, max(10, width - 2), self.palette), layout=False
        )
        self._draw_gpus(height)
        self._draw_lists()
        if tabbed:
            self._draw_tabs()

    @property
    def status(self) -> str:
        if self.state.is_over:
            return "done"
        if self.leaving:
            return "finishing" if self.leaving == 1 else "stopping"
        return self.state.status

    def _draw_gpus(self, height: int) -> None:
        engines: dict[int | None, list[Engine]] = {}
        for engine in self.state.engines.values():
            engines.setdefault(engine.info.gpu_id, []).append(engine)
        area = self.screen_stack[0].query_one("#gpus")
        tight = sum(len(group) + 2 for group in engines.values()) > height // 2
        self.screen_stack[0].set_class(tight, "tight")
        cells = max(20, area.scrollable_content_region.width - (2 if tight else 4))
        for gpu, group in engines.items():
            if gpu not in self._panels:
                self._panels[gpu] = GpuPanel(gpu, group[0].info.gpu_name)
                area.mount(self._panels[gpu])
            about = Text()
            if gpu is not None:
                about = usage_text(self.usage.usage.get(gpu), self.usage.history.get(gpu, ()), self.palette)
            self._panels[gpu].draw(self.state, group, self.speeds, about, self.palette, cells, tight=tight)

    def _draw_lists(self) -> None:
        state = self.state
        self._panel("queue").show_items(state.queue)
        changes = (state.lines, len(state.jobs), state.sums().ended, self.size, self.theme)
        if changes == self._drawn:
            return
        self._drawn = changes
        self._panel("done").show_items(state.done)
        self._panel("log").show_items(FixedRows(list(state.log)))
        self._panel("folders").show_items(state.folder_sums)

    def _draw_tabs(self) -> None:
        text = Text(no_wrap=True)
        for number, name in enumerate(PANELS):
            panel = self._panel(name)
            style = f"reverse {self.palette.accent}" if panel.has_class("current") else self.palette.dim
            text.append(f" {number + 1} {panel.title} {panel.length} ", style).append(" ")
        self.screen_stack[0].query_one("#tabs", Static).update(text, layout=False)

    def _queue_line(self, job: Job, cells: int) -> Text:
        palette = self.palette
        if job.state in {"running", "finishing"}:
            how_far = "searching" if job.searches else f"{job.fraction:.0%}"
            what = how_far if job.state == "running" else "verifying"
            figures = columns((what, 9, palette.good), (duration(job.eta), 8, palette.accent))
            mark, style = "▶ ", palette.good
        else:
            figures = columns((size(job.source_bytes) if job.source_bytes else "–", 17 + 2, palette.dim))
            mark, style = "  ", palette.info
        name = to_width(visible(job.name), max(1, cells - 4 - figures.cell_len))
        return Text(no_wrap=True).append(mark, style).append(name, palette.info).append("  ").append_text(figures)

    def _done_line(self, job: Job, cells: int) -> Text:
        line = ended_line(job, cells, self.palette)
        line.truncate(cells, overflow="ellipsis")
        return line

    def _log_line(self, line: LogLine, cells: int) -> Text:
        text = Text(no_wrap=True).append(f"{duration(line.at):>7}  ", self.palette.dim)
        style = self.palette.of_level(line.level)
        if line.level == "good" and line.job is not None:
            style = self.palette.of_job(self.state.jobs[line.job])
        text.append("● ", style).append(line.text, style if line.level in {"warning", "error"} else self.palette.info)
        text.truncate(cells, overflow="ellipsis")
        return text

    def _folder_line(self, item: tuple[str, Sums], cells: int) -> Text:
        folder, sums = item
        style = self.palette.of_ratio(sums.ratio)
        figures = columns(
            (f"{sums.ended}/{sums.jobs}", 7, self.palette.info),
            (size(sums.saved) if sums.source_bytes else "–", 8, style),
            (change(sums.ratio), 7, style),
        )
        name = to_width(visible(folder), max(1, cells - 2 - figures.cell_len))
        return Text(no_wrap=True).append(name, self.palette.info).append("  ").append_text(figures)

    # What keys do.

    def _steer(self, what: Callable[[Controls], Any], said: str) -> None:
        """Calls the run from a thread, so that the dashboard never waits for the run's locks."""
        controls = self.source.controls
        if controls is None or self.state.is_over:
            self.show_message(
                "The run is over." if self.state.is_over else "The run has not begun yet.", severity="warning"
            )
            return

        def call() -> None:
            try:
                what(controls)
            except Exception as error:
                self.show_message(one_line(f"{type(error).__name__}: {error}"), severity="error")
            else:
                self.show_message(said)

        self.run_worker(call, thread=True, group="steer")

    def show_message(self, text: str, severity: SeverityLevel = "information") -> None:
        """Shows a message for a moment, without interpreting names in it as markup."""
        self.notify(text, severity=severity, markup=False)

    def action_pause(self) -> None:
        is_paused = self.state.status == "paused"
        self._steer(lambda run: run.resume() if is_paused else run.pause(), "resumed" if is_paused else "paused")

    def action_skip(self) -> None:
        job = self._panel("queue").chosen
        if job is None:
            self.show_message("Nothing to skip: no file is at work or waits.", severity="warning")
        else:
            self._steer(lambda run: run.skip(job.number), f"skipping {visible(job.name)}")

    def action_retry(self) -> None:
        job = self._panel("done").chosen
        if job is None or job.state == "finished":
            self.show_message(
                "Choose a file that failed, was skipped or cancelled in the list of those done.", severity="warning"
            )
        else:
            self._steer(lambda run: run.retry(job.number), f"once more: {visible(job.name)}")

    def action_retry_failed(self) -> None:
        failed = [job.number for job in self.state.ended_jobs() if job.state == "failed"]
        if not failed:
            self.show_message("Nothing has failed.", severity="warning")
        else:
            self._steer(lambda run: [run.retry(job) for job in failed], f"once more: {count(len(failed), 'file')}")

    def action_engines(self, by: int) -> None:
        wanted = self.wanted_engines + by
        if wanted < 1:
            self.show_message("One engine is the least; p pauses.", severity="warning")
            return

        def change_them(run: Controls) -> None:
            run.set_engines(wanted)
            self.wanted_engines = wanted

        self._steer(change_them, count(wanted, "engine"))

    def action_leave(self) -> None:
        if len(self.screen_stack) > 1:
            self.pop_screen()
        elif self.state.is_over or self.source.is_exhausted or self.leaving >= 2:
            self.leaving += 1 if not self.state.is_over else 0
            self.exit(self.result)
        else:
            self.leaving += 1
            if self.leaving == 1:
                self._steer(lambda run: run.drain(), "Finishing what is at work. q once more stops now.")
            else:
                self._steer(lambda run: run.cancel(), "Stopping. q once more leaves at once.")
            self.draw()

    def take_signal(self, number: int) -> None:
        """A Ctrl-C signal works like the key. Other signals stop the run at once, without another key."""
        if number == signal.SIGINT:
            self.action_leave()
            return
        self._ended_by = number
        if self.state.is_over or self.source.is_exhausted:
            self.exit(self.result)
        elif self.leaving < 2:
            self.leaving = 2
            self._steer(lambda run: run.cancel(), "Stopping.")

    def action_next_panel(self, by: int) -> None:
        """Includes hidden panels, which Textual's own key for this skips."""
        current = next(place for place, name in enumerate(PANELS) if self._panel(name).has_class("current"))
        self.action_panel((current + by) % len(PANELS))

    def _panel(self, name: str) -> Lines[Any]:
        return self.screen_stack[0].query_one(f"#{name}", Lines)

    def action_panel(self, number: int) -> None:
        if len(self.screen_stack) == 1:
            self._panel(PANELS[number]).focus()

    def on_descendant_focus(self) -> None:
        for name in PANELS:
            panel = self._panel(name)
            panel.set_class(panel.has_focus, "current")
        self.call_after_refresh(self.draw)

    def action_details(self) -> None:
        if isinstance(self.focused, Lines):
            chosen = self.focused.chosen
            number = chosen.job if isinstance(chosen, LogLine) else chosen.number if isinstance(chosen, Job) else None
            if number is not None:
                self.push_screen(details_box(self.state.jobs[number], self.palette))

    def action_help(self) -> None:
        self.push_screen(help_box(self.palette))

    def action_light(self) -> None:
        self.theme = LIGHT.name if self.current_theme.dark else DARK.name
        self.draw()
