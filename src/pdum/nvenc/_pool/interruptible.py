"""Waiting that Ctrl+C always ends, and that is left whole when it does.

Python raises KeyboardInterrupt in the main thread alone. Two things follow, and the pool keeps to both:

- The signal may arrive just before the main thread blocks, or in another thread. Then it wakes nobody, and Python
  notices it only when the wait ends. So a wait looks up several times a second.
- The exception may be raised between any two steps of Python code, inside ``threading.Condition`` and ``Thread.start``
  too, which then keep a lock forever or start a thread twice. So a caller's thread uses plain locks, whose ``with``
  cannot be interrupted half-way, and the run starts its own threads from a thread of its own.
"""

from __future__ import annotations

import _thread
from collections.abc import Callable
from threading import Lock
from time import monotonic

LOOK_UP = 0.1
"""Seconds: how long Ctrl+C may go unnoticed."""


class Bell:
    """Wakes one thread that waits, or the next one that will."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()

    def ring(self) -> None:
        try:
            self._lock.release()
        except RuntimeError:
            return  # it rings already

    def wait(self, seconds: float = LOOK_UP) -> bool:
        return self._lock.acquire(timeout=seconds)


class Latch:
    """Opens once, and then lets all threads through."""

    def __init__(self) -> None:
        self.is_open = False
        self._bell = Bell()

    def open(self) -> None:
        self.is_open = True
        self._bell.ring()

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it is open, after so many seconds at most."""
        deadline = None if timeout is None else monotonic() + timeout
        while not self.is_open:
            left = LOOK_UP if deadline is None else min(deadline - monotonic(), LOOK_UP)
            if left <= 0:
                return False
            self._bell.wait(left)
        self._bell.ring()  # for the next one who waits
        return True


class Once:
    """A call that runs once, in a separate thread, even if several callers start it."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._is_taken = Lock()

    def begin(self) -> None:
        """One call of C: interrupted before or after it, this can be called again."""
        _thread.start_new_thread(self._run, ())

    def _run(self) -> None:
        if self._is_taken.acquire(blocking=False):
            self._call()
