"""Ctrl-C once lets running files finish, twice stops now and cleans up; SIGTERM and SIGHUP do the same as the second.

A signal that is ignored when the tool starts stays ignored: shells ignore SIGINT for jobs in the background of a
script, and nohup ignores SIGHUP.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread, current_thread, main_thread
from typing import Any, Protocol

from . import exits

CODES = {signal.SIGINT: exits.INTERRUPTED, signal.SIGTERM: exits.TERMINATED, signal.SIGHUP: exits.HUNG_UP}


class Stoppable(Protocol):
    """The part of a pool's run that is needed here."""

    def drain(self) -> None: ...
    def cancel(self) -> None: ...


class Stopped(KeyboardInterrupt):
    """A signal arrived while there was no run to stop. The command ends with ``code``."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code


class Interruption:
    """What signals have asked for so far. ``code`` is the exit code that they mean, 0 while none has come."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.code = 0
        self.stops_now = False
        self._say = say
        self._run: Stoppable | None = None

    @contextmanager
    def of(self, run: Stoppable) -> Iterator[None]:
        """Passes signals on to this run, including earlier ones."""
        self._run = run
        if self.stops_now:
            run.cancel()
        elif self.code:
            run.drain()
        try:
            yield
        finally:
            self._run = None

    def take(self, number: int, frame: Any) -> None:  # noqa: ARG002
        """Handles a signal. It may interrupt anything, so a thread does what takes locks."""
        first = not self.code
        if self.stops_now and number == signal.SIGINT:
            os._exit(exits.INTERRUPTED)
        self.code = self.code or CODES[signal.Signals(number)]
        self.stops_now = self.stops_now or number != signal.SIGINT or not first
        run = self._run
        if run is None:
            if self.stops_now:
                raise Stopped(self.code)
            return
        if self.stops_now:
            Thread(target=run.cancel, daemon=True).start()
            Thread(target=self._say, args=("Stopping now.",), daemon=True).start()
        else:
            Thread(target=run.drain, daemon=True).start()
            text = "Finishing the running files; no new ones are started. Ctrl-C again stops now."
            Thread(target=self._say, args=(text,), daemon=True).start()


@contextmanager
def interruptible(say: Callable[[str], None]) -> Iterator[Interruption]:
    """Takes signals in the block. Python allows that in the main thread only; in others nothing is changed."""
    interruption = Interruption(say)
    before = {} if current_thread() is not main_thread() else {one: signal.getsignal(one) for one in CODES}
    taken = {one: handler for one, handler in before.items() if handler != signal.SIG_IGN}
    for one in taken:
        signal.signal(one, interruption.take)
    try:
        yield interruption
    finally:
        for one, handler in taken.items():
            signal.signal(one, handler)
