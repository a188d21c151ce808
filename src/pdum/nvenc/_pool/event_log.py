"""Events on their way from the engines to whoever listens: threads, event loops, callbacks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Condition
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from ..events import Event, Progress, RunFinished, RunProgress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

MOST_UNREAD = 2000
"""Progress is dropped for a listener that has as many events unread; nothing else ever is."""

Kind = TypeVar("Kind", bound=Event)


class Subscription:
    """One listener's own queue, which begins with all that has happened, but for progress."""

    def __init__(self, log: EventLog, wake: Callable[[], object] | None = None) -> None:
        self._log = log
        self._wake = wake
        self.unread: deque[Event] = deque()

    def put(self, event: Event) -> None:
        if isinstance(event, (Progress, RunProgress)) and len(self.unread) >= MOST_UNREAD:
            return
        self.unread.append(event)
        if self._wake is not None:
            self._wake()

    def take(self) -> list[Event]:
        """All that is unread, at once and without waiting."""
        taken = []
        while self.unread:
            taken.append(self.unread.popleft())
        return taken

    def __iter__(self) -> Iterator[Event]:
        """Waits for each event; ends after the last one of the run."""
        while True:
            with self._log.changed:
                while not self.unread and not self._log.is_closed:
                    self._log.changed.wait()
            if not self.unread:
                return
            yield self.unread.popleft()

    def end(self) -> None:
        self._log.forget(self)


class EventLog:
    """All events of a run, each listener told of each of them once and in order."""

    def __init__(self) -> None:
        self.began = monotonic()
        self.changed = Condition()
        self.is_closed = False
        self._has_ended = False
        self._lasting: list[Event] = []
        self._listeners: list[Subscription] = []

    def emit(self, kind: type[Kind], **values: Any) -> Kind:
        with self.changed:
            event = kind(at=monotonic() - self.began, **values)
            if self._has_ended:
                return event  # told too late: nothing comes after the end of the run
            self._has_ended = isinstance(event, RunFinished)
            if not isinstance(event, (Progress, RunProgress)):
                self._lasting.append(event)
            for listener in self._listeners:
                listener.put(event)
            self.changed.notify_all()
        return event

    def subscribe(self, wake: Callable[[], object] | None = None) -> Subscription:
        with self.changed:
            listener = Subscription(self, wake)
            for event in self._lasting:
                listener.put(event)
            if not self.is_closed:
                self._listeners.append(listener)
        return listener

    def forget(self, listener: Subscription) -> None:
        with self.changed:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def close(self) -> None:
        """No more events: those who wait for one go on."""
        with self.changed:
            self.is_closed = True
            for listener in self._listeners:
                if listener._wake is not None:
                    listener._wake()
            self._listeners.clear()
            self.changed.notify_all()


async def events_async(log: EventLog) -> AsyncIterator[Event]:
    """The events for ``async for``, without a thread: the run wakes the event loop."""
    import asyncio

    loop = asyncio.get_running_loop()
    came = asyncio.Event()

    def wake() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(came.set)

    listener = log.subscribe(wake)
    try:
        while True:
            came.clear()
            was_closed = log.is_closed
            for event in listener.take():
                yield event
            if was_closed:
                return
            if not listener.unread:
                await came.wait()
    finally:
        listener.end()
