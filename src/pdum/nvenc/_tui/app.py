"""The dashboard itself: it reads events a few times a second, draws the state, and passes keys on to the run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.driver import Driver
from textual.notifications import SeverityLevel
from textual.widgets import Footer, Static

from .. import events
from .._text import count, one_line, visible
from .._view.draw import Palette
from .._view.run_parts import Engine, Job, LogLine
from .._view.run_state import RunState
from .._view.settings_line import settings_line
from .boxes import LEAVING, details_box, help_box, line_box
from .controls import Controls, EventRun, Source, TerminalLost
from .lines import FixedRows, Item, Lines
from .panels import WIDE, GpuPanel, head, usage_text
from .rows import done_row, folder_row, log_row, queue_row
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
DrawRow = Callable[[RunState, Item, int, Palette], Text]


class Dashboard(App[int]):
    CSS = CSS
    ENABLE_COMMAND_PALETTE = False
    TITLE = "pdum-nvenc"
    NOTIFICATION_TIMEOUT = 3
    LEAVING = LEAVING
    DONE = "done, q leaves"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c,ctrl+q", "leave", "Quit", key_display="q", priority=True),
        Binding("question_mark,f1", "help", "Help", key_display="?"),
        Binding("p", "pause", "Pause"),
        Binding("s", "skip", "Skip"),
        Binding("r", "retry", "Retry"),
        Binding("R", "retry_failed", "Retry failed", show=False),
        Binding("enter", "details", "Details", key_display="↵"),
        Binding("plus,equals_sign", "engines(1)", "Engines", key_display="+ -"),
        Binding("minus", "engines(-1)", show=False),
        Binding("d", "light", "Light", show=False),
        Binding("tab,right", "next_panel(1)", show=False, priority=True),
        Binding("shift+tab,left", "next_panel(-1)", show=False, priority=True),
        *(Binding(str(number + 1), f"panel({number})", show=False) for number in range(len(PANELS))),
    ]

    def __init__(
        self,
        make_run: Callable[[], EventRun],
        controls: Controls | None = None,
        settings: Mapping[str, object] | None = None,
        driver: type[Driver] = Terminal,
    ) -> None:
        colourless = os.environ.get("NO_COLOR")
        super().__init__(driver_class=driver)
        if colourless is not None:  # Textual removes it, but later output must have no colour either
            os.environ["NO_COLOR"] = colourless
        self.state = RunState()
        self.source = Source(make_run, controls)
        self.settings = {} if settings is None else settings
        """The settings of the run, to show."""
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
        self._panels: dict[tuple[str, int | None], GpuPanel] = {}
        """A panel for each GPU, and for each processor that encodes, by machine and number."""

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
            yield self._list(
                "Queue", queue_row, lambda job: job.number, "empty", count=lambda: self.state.queue.waiting
            )
            yield self._list("Done", done_row, lambda job: job.number, "nothing yet")
            yield self._list("Log", log_row, id, follow=True)
            yield self._list("Folders", folder_row, lambda item: item[0])
        yield Footer()

    def _list(
        self, name: str, draw: DrawRow[Item], key: Callable[[Item], object], empty: str = "", **more: Any
    ) -> Lines[Item]:
        return Lines(name, lambda item, cells: draw(self.state, item, cells, self.palette), key, empty=empty, **more)

    def on_mount(self) -> None:
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name
        self.query_one("#queue").add_class("current").focus()
        self.listen_to_signals()
        self.source.thread.start()
        self.set_interval(TICK, self.tick)
        self.draw()

    def listen_to_signals(self) -> None:
        self.signals.listen()

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
            here = [one for one in event.engines if not one.node]
            self.usage.watch({one.gpu_id for one in here if one.gpu_id is not None})
        elif isinstance(event, events.EngineJoined | events.EngineLost):
            self.wanted_engines = sum(one.state not in ("lost", "off") for one in self.state.engines.values())
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
            head(
                self.state,
                self.status,
                self.wanted_engines,
                settings_line(self.settings),
                max(10, width - 2),
                self.palette,
            ),
            layout=False,
        )
        self._draw_gpus(height)
        self._draw_lists()
        if tabbed:
            self._draw_tabs()

    @property
    def status(self) -> str:
        if self.state.is_over:
            return self.DONE
        if self.leaving:
            return "finishing" if self.leaving == 1 else "stopping"
        return self.state.status

    def _draw_gpus(self, height: int) -> None:
        engines: dict[tuple[str, int | None], list[Engine]] = {}
        for engine in self.state.engines.values():
            engines.setdefault((engine.info.node, engine.info.gpu_id), []).append(engine)
        area = self.screen_stack[0].query_one("#gpus")
        tight = sum(len(group) + 2 for group in engines.values()) > height // 2
        self.screen_stack[0].set_class(tight, "tight")
        cells = max(20, area.scrollable_content_region.width - (2 if tight else 4))
        for place, group in engines.items():
            node, gpu = place
            if place not in self._panels:
                self._panels[place] = GpuPanel(gpu, group[0].info.gpu_name, node)
                area.mount(self._panels[place])
            about = Text()
            if gpu is not None and not node:
                about = usage_text(self.usage.usage.get(gpu), self.usage.history.get(gpu, ()), self.palette)
            self._panels[place].draw(self.state, group, self.speeds, about, self.palette, cells, tight=tight)

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
            text.append(f" {number + 1} {panel.title} {panel.count} ", style).append(" ")
        self.screen_stack[0].query_one("#tabs", Static).update(text, layout=False)

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
            self.show_message("Nothing to skip: the queue is empty.", severity="warning")
        else:
            self._steer(lambda run: run.skip(job.number), f"skipping {visible(job.name)}")

    def action_retry(self) -> None:
        job = self._panel("done").chosen
        if job is None or job.state == "finished":
            self.show_message(
                "First choose a file that failed, was skipped or was cancelled in the list Done.", severity="warning"
            )
        else:
            self._steer(lambda run: run.retry(job.number), f"trying {visible(job.name)} again")

    def action_retry_failed(self) -> None:
        failed = [job.number for job in self.state.ended_jobs() if job.state == "failed"]
        if not failed:
            self.show_message("Nothing has failed.", severity="warning")
        else:
            self._steer(lambda run: [run.retry(job) for job in failed], f"trying {count(len(failed), 'file')} again")

    def action_engines(self, by: int) -> None:
        wanted = self.wanted_engines + by
        if wanted < 1:
            self.show_message("The last engine stays on. p pauses.", severity="warning")
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
                self._steer(lambda run: run.drain(), "Finishing the files at work. q again stops now.")
            else:
                self._steer(lambda run: run.cancel(), "Stopping. q again leaves at once.")
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
        panels = [self._panel(name) for name in PANELS]
        if any(panel.has_focus for panel in panels):  # not if the whole window has lost it
            for panel in panels:
                panel.set_class(panel.has_focus, "current")
        self.call_after_refresh(self.draw)

    def action_details(self) -> None:
        if isinstance(self.focused, Lines):
            chosen = self.focused.chosen
            if isinstance(chosen, LogLine) and chosen.job is not None:
                chosen = self.state.jobs[chosen.job]
            if isinstance(chosen, Job):
                self.push_screen(details_box(chosen, self.palette))
            elif isinstance(chosen, LogLine):
                self.push_screen(line_box(chosen, self.palette))

    def action_help(self) -> None:
        self.push_screen(help_box(self.palette, self.LEAVING))

    def action_light(self) -> None:
        self.theme = LIGHT.name if self.current_theme.dark else DARK.name
        self.draw()
