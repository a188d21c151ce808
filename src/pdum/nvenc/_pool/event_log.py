"""Events on their way from the engines to all listeners: threads, event loops, callbacks."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from ..events import Event, Progress, RunFinished, RunProgress
from .interruptible import Bell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

MOST_UNREAD = 2000
"""A listener that has this many unread events gets no more progress. It gets all other events."""

Kind = TypeVar("Kind", bound=Event)


class Subscription:
    """One listener's queue. It begins with everything that has happened, except progress.

    The log does not keep it alive: a listener that nobody holds any more costs nothing.
    """

    def __init__(self, log: EventLog, wake: Callable[[], object] | None = None) -> None:
        self._log = log
        self._bell = Bell()
        self.wake = self._bell.ring if wake is None else wake
        self.unread: deque[Event] = deque()

    def put(self, event: Event) -> None:
        if isinstance(event, (Progress, RunProgress)) and len(self.unread) >= MOST_UNREAD:
            return
        self.unread.append(event)
        self.wake()

    def take(self) -> list[Event]:
        """All unread events, without waiting."""
        taken = []
        while self.unread:
            taken.append(self.unread.popleft())
        return taken

    def __iter__(self) -> Iterator[Event]:
        """Waits for each event; ends after the last one of the run."""
        try:
            while True:
                was_closed = self._log.is_closed
                while self.unread:
                    yield self.unread.popleft()
                if was_closed:
                    return
                self._bell.wait()
        finally:
            self.end()

    def end(self) -> None:
        self._log.forget(self)


class EventLog:
    """All events of a run. Each listener gets each of them once, in order."""

    def __init__(self) -> None:
        self.began = monotonic()
        self.is_closed = False
        self._lock = RLock()
        self._has_ended = False
        self._lasting: list[Event] = []
        self._listeners: list[weakref.ref[Subscription]] = []
        self._said: set[str] = set()

    def emit(self, kind: type[Kind], **values: Any) -> Kind:
        with self._lock:
            event = kind(at=monotonic() - self.began, **values)
            if self._has_ended:
                return event  # too late: nothing comes after the end of the run
            self._has_ended = isinstance(event, RunFinished)
            if not isinstance(event, (Progress, RunProgress)):
                self._lasting.append(event)
            for listener in self.listeners():
                listener.put(event)
        return event

    def is_news(self, message: str) -> bool:
        """Whether this is the first call with this message."""
        with self._lock:
            is_new = message not in self._said
            self._said.add(message)
            return is_new

    def subscribe(self, wake: Callable[[], object] | None = None) -> Subscription:
        with self._lock:
            listener = Subscription(self, wake)
            listener.unread.extend(self._lasting)
            if not self.is_closed:
                self._listeners = [one for one in self._listeners if one() is not None]
                self._listeners.append(weakref.ref(listener))
        return listener

    def listeners(self) -> list[Subscription]:
        return [listener for one in self._listeners if (listener := one()) is not None]

    def forget(self, listener: Subscription) -> None:
        with self._lock:
            self._listeners = [one for one in self._listeners if one() not in (None, listener)]

    def close(self) -> None:
        """No more events will come; listeners that wait for one go on."""
        with self._lock:
            self.is_closed = True
            for listener in self.listeners():
                listener.wake()
            self._listeners.clear()


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
