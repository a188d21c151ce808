"""What the dashboard needs of a run: its events, and ways to steer it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from threading import Thread
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
    """Begins the run and takes in its events in a thread of its own, so that no key has to wait for them."""

    def __init__(self, make_run: Callable[[], EventRun], controls: Controls | None) -> None:
        self._make_run = make_run
        self._events: deque[events.Event] = deque()
        self.controls = controls
        self.error: BaseException | None = None
        self.thread = Thread(target=self._take_in, name="pdum-nvenc-events", daemon=True)

    def take(self, most: int) -> Iterator[events.Event]:
        """Those that have come since, in their order."""
        for _ in range(min(most, len(self._events))):
            yield self._events.popleft()

    @property
    def is_exhausted(self) -> bool:
        return not self.thread.is_alive() and not self._events

    def _take_in(self) -> None:
        try:
            run = self._make_run()
            self.controls = self.controls or run
            self._events.extend(run)
        except BaseException as error:
            self.error = error
