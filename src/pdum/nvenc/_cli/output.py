"""How a run is shown: options of the command line, and the events on their way to the screen."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import events
from .._text import one_line, visible
from .._view.guarded_stream import GuardedStream
from .._view.run_state import RunState
from .event_lines import event_line
from .standard_streams import complain

if TYPE_CHECKING:
    from rich.console import Console

    from .._metrics.server import MetricsServer
    from .._web.address import Address
    from .._web.dashboard import WebDashboard
    from .log_file import LogFile


def _standard_output() -> GuardedStream:
    return GuardedStream(sys.stdout, _complain_of_loss)


def _complain_of_loss(reason: str) -> None:
    complain(f"Standard output is lost ({reason}). Encoding continues without it.")


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Which output of a run the user wants, and where it goes."""

    json: bool = False
    tui: bool = False
    web: Address | None = None
    """The address of a dashboard for browsers; None: there is none."""
    quiet: bool = False
    report: Path | None = None
    log: LogFile | None = None
    metrics: MetricsServer | None = None
    stream: GuardedStream = field(default_factory=_standard_output)
    """Standard output. If it is lost, the run goes on without it."""

    @property
    def is_lost(self) -> bool:
        """Whether some of what was to be shown or logged could not be."""
        return self.stream.lost is not None or (self.log is not None and self.log.lost is not None)

    def console(self) -> Console:
        from rich.console import Console

        stream: Any = self.stream
        return Console(file=stream, highlight=False, soft_wrap=not sys.stdout.isatty())


@dataclass(kw_only=True)
class RunOutput:
    """Shows one run as its events come, and keeps the events that a report is made of."""

    options: OutputOptions
    console: Console | None
    """The console; None with ``--json``, which needs no package for drawing."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What the batch used, for the report."""
    kept: list[events.Event] = field(default_factory=list)
    web: WebDashboard | None = None

    @classmethod
    def of(cls, options: OutputOptions) -> RunOutput:
        return cls(options=options, console=None if options.json else options.console())

    def say(self, message: str, level: str = "info") -> None:
        """Shows a message that is not an event of the run."""
        self.tell(events.Notice(at=0.0, message=message, level=level))
        if self.console is not None and (level == "warning" or not self.options.quiet):
            self.console.print(message, style="yellow" if level == "warning" else None, markup=False)

    def tell(self, event: events.Event) -> None:
        """Passes an event that is not part of a run on to programs."""
        self._log(event)
        if self.console is None:
            self._print_json(event)

    def keep(self, event: events.Event) -> None:
        """Takes every event of a run, even if something else shows it."""
        self._log(event)
        if self.options.metrics is not None:
            self.options.metrics.take(event)
        if not isinstance(event, (events.Progress, events.RunProgress)):
            self.kept.append(event)

    def watch(self, stream: Iterable[events.Event]) -> None:
        """Shows the events until the run is over."""
        if self.console is None:
            for event in stream:
                self._print_json(event)
        elif not self.options.quiet:
            from .plain import show

            show(stream, self.console)

    @contextmanager
    def in_browsers(self) -> Iterator[None]:
        """Serves a dashboard in the block if the user wants one."""
        if self.options.web is None:
            yield
            return
        from .._web import web_dashboard

        with web_dashboard(self.options.web) as self.web:
            self._show_address(f"Dashboard: {self.web.url}")
            if not self.options.web.is_of_this_machine_only:
                self.say("Anyone with this address can see and control the run. It is not encrypted.", level="warning")
            yield

    def _show_address(self, message: str) -> None:
        """Shows the address, but not in a log that others may read: anyone with the address can control the run."""
        if self.console is None:
            self._print_json(events.Notice(at=0.0, message=message))
        elif self.options.quiet:
            complain(message)
        else:
            self.console.print(message, markup=False, soft_wrap=True)

    @property
    def failed(self) -> int:
        """The number of jobs whose last attempt failed."""
        ends = (events.JobFailed, events.JobFinished, events.JobSkipped, events.JobCancelled)
        last = {event.job: event for event in self.kept if isinstance(event, ends)}
        return sum(isinstance(event, events.JobFailed) for event in last.values())

    def _complain_of_failures(self) -> None:
        """One line for each job that failed and was not done later."""
        for job in RunState(self.kept).ended_jobs():
            if job.state == "failed":
                complain(f"{visible(job.source)}: {one_line(job.why)}")

    @property
    def is_lost(self) -> bool:
        """Whether some of what was to be shown or logged could not be."""
        return self.options.is_lost

    def _log(self, event: events.Event) -> None:
        if self.options.log is not None:
            self.options.log.write(event)

    def _print_json(self, event: events.Event) -> None:
        print(event_line(event), end="", file=self.options.stream, flush=True)

    def summary(self) -> None:
        """Shows the totals and writes the report."""
        if self.options.report is not None:
            from .._report.report import write_report

            write_report(self.kept, self.options.report, settings=self.settings)
        if self.console is not None and self.options.quiet:
            self._complain_of_failures()
        elif self.console is not None:
            from .._report.table import print_summary

            print_summary(self.kept, self.console)
        self.options.stream.flush()
