"""Ctrl-C once lets running files finish, twice stops now and cleans up; SIGTERM is as the second."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any, Protocol

from . import exits


class Stoppable(Protocol):
    """What of a pool's run is needed here."""

    def drain(self) -> None: ...
    def cancel(self) -> None: ...


class Stopped(KeyboardInterrupt):
    """A signal where no run is there to be ended: the command ends here, with that exit code."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code


class Interruption:
    """What the user has asked for so far. ``code`` is the exit code that it means, 0 while nothing came."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.code = 0
        self.stops_now = False
        self._say = say
        self._run: Stoppable | None = None

    @contextmanager
    def of(self, run: Stoppable) -> Iterator[None]:
        """Signals are for this run; what came before is not forgotten."""
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
        """The handler of a signal: it may interrupt anything, so what takes locks is done by a thread."""
        first = not self.code
        if self.stops_now and number == signal.SIGINT:
            os._exit(exits.INTERRUPTED)
        self.code = self.code or (exits.TERMINATED if number == signal.SIGTERM else exits.INTERRUPTED)
        self.stops_now = self.stops_now or number == signal.SIGTERM or not first
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
            text = "Running files are finished, no new ones are begun. Ctrl-C again stops now."
            Thread(target=self._say, args=(text,), daemon=True).start()


@contextmanager
def interruptible(say: Callable[[str], None]) -> Iterator[Interruption]:
    """Signals are taken in the block. They only reach a main thread, so elsewhere nothing is changed."""
    interruption = Interruption(say)
    before: dict[int, Any] = {}
    try:
        for number in (int(signal.SIGINT), int(signal.SIGTERM)):
            before[number] = signal.signal(number, interruption.take)
    except ValueError:
        before.clear()
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def say_on_stderr(text: str) -> None:
    print(f"pdum-nvenc: {text}", file=sys.stderr, flush=True)
