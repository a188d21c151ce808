"""What the dashboard needs from a run: its events, and calls that control it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any, Protocol

from .. import events


class Controls(Protocol):
    def pause(self) -> Any: ...
    def resume(self) -> Any: ...
    def skip(self, job: int) -> Any: ...
    def retry(self, job: int) -> Any: ...
    def set_engines(self, engines: int) -> Any: ...
    def drain(self) -> Any: ...
    def cancel(self) -> Any: ...


class EventRun(Controls, Protocol):
    def __iter__(self) -> Iterator[events.Event]: ...


class Source:
    """Starts the run and reads its events in a separate thread, so that no key has to wait for them."""

    def __init__(self, make_run: Callable[[], EventRun], controls: Controls | None) -> None:
        self._make_run = make_run
        self._events: deque[events.Event] = deque()
        self.controls = controls
        self.error: BaseException | None = None
        self._run: EventRun | None = None
        self._has_begun = Event()
        self.thread = Thread(target=self._take_in, name="pdum-nvenc-events", daemon=True)

    def take(self, most: int) -> Iterator[events.Event]:
        """The events since the last call, in order."""
        for _ in range(min(most, len(self._events))):
            yield self._events.popleft()

    @property
    def is_exhausted(self) -> bool:
        return not self.thread.is_alive() and not self._events

    def run_without_screen(self) -> EventRun:
        """The run, for callers that continue without a screen. Later events are dropped. Raises what the run raised."""
        self._events = deque(maxlen=0)
        self._has_begun.wait()
        if self._run is None or self.error is not None:
            raise self.error or RuntimeError("the run has not begun")
        return self._run

    def _take_in(self) -> None:
        try:
            self._run = self._make_run()
            self.controls = self.controls or self._run
            self._has_begun.set()
            for event in self._run:
                self._events.append(event)
        except BaseException as error:
            self.error = error
        finally:
            self._has_begun.set()


class TerminalLost(Exception):
    """The dashboard has ended because its terminal went away. The run goes on."""

    def __init__(self, reason: str, source: Source, ended_by: int | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.ended_by = ended_by
        """A signal that arrived too late for the dashboard to act on."""
        self._source = source

    def run(self) -> Any:
        """The run, once it has started. Raises the error that prevented its start."""
        return self._source.run_without_screen()
