"""Functions that are called with each event of a run, in a thread that does nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from .. import events
from .interruptible import Bell

if TYPE_CHECKING:
    from ..events import Event
    from .event_log import EventLog, Subscription

    Callback = Callable[[Event], object]


class Callbacks:
    """A function that raises is not called again. A slow one delays only the others."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._bell = Bell()
        self._all: list[tuple[Callback, Subscription]] = []
        self._delivered = threading.Condition()
        self._is_calling = False
        self._is_closed = False
        self.thread = threading.Thread(target=self._work, name="pdum.nvenc callbacks", daemon=True)

    def add(self, callback: Callback) -> None:
        self._all.append((callback, self._log.subscribe(self._bell.ring)))
        self._bell.ring()

    def deliver(self, deadline: float | None) -> None:
        """Waits until all callbacks got all events."""
        self._bell.ring()
        with self._delivered:
            while self._is_calling or self._has_unread():
                left = None if deadline is None else deadline - monotonic()
                if left is not None and left <= 0:
                    return
                self._delivered.wait(left)

    def close(self, timeout: float | None) -> None:
        """Ends the thread and waits for it, but no longer than this for a callback that does not return."""
        self._is_closed = True
        self._bell.ring()
        if self.thread.ident is not None:
            self.thread.join(timeout)

    def _has_unread(self) -> bool:
        return any(listener.unread for _, listener in self._all)

    def _work(self) -> None:
        while not self._is_closed:
            self._is_calling = True
            for callback, listener in list(self._all):
                self._tell(callback, listener)
            with self._delivered:
                self._is_calling = False
                self._delivered.notify_all()
            if not self._has_unread():
                self._bell.wait(60)

    def _tell(self, callback: Callback, listener: Subscription) -> None:
        for event in listener.take():
            try:
                callback(event)
            except BaseException as error:
                listener.end()
                self._all.remove((callback, listener))
                listener.take()
                self._tell_of(callback, error, event)
                return

    def _tell_of(self, callback: Callback, error: BaseException, event: Event) -> None:
        """Reports it as an event. After the last event, Python reports it like any error in a thread."""
        if isinstance(event, events.RunFinished):
            hook_arguments = (type(error), error, error.__traceback__, threading.current_thread())
            threading.excepthook(threading.ExceptHookArgs(hook_arguments))
        else:
            text = f"{callback!r} raised {error!r} and gets no more events."
            self._log.emit(events.Notice, message=text, level="warning")
