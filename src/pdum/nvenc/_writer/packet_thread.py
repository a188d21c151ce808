"""The thread that writes packets. A slow disk delays ``write`` only when this thread's queue is full."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from .bounded_queue import BoundedQueue, QueueClosed

MOST_PACKETS, MOST_BYTES = 4096, 64 << 20
ENOUGH, LINGER = 32, 0.01
"""So many packets wake the thread. Fewer wait this many seconds at most."""
PATIENCE = 5.0
"""Seconds that ``abort`` waits for a write to return: a disk of a network may never answer."""
POLL = 0.2
"""Seconds between two looks at whether another thread has given up."""


@dataclass(frozen=True)
class Coded:
    """One packet of a track, with its times in the track's time base."""

    track: str
    data: bytes
    pts: int
    dts: int
    keyframe: bool
    duration: int


class PacketThread:
    """Calls ``write`` with each packet, and ``complete`` after the last one. The first error ends it.

    Holds no reference to its writer, so that one that is forgotten can be collected.
    """

    def __init__(self, write: Callable[[Coded], object], complete: Callable[[], object]) -> None:
        self.error: BaseException | None = None
        self._write, self._complete = write, complete
        self._queue: BoundedQueue[Coded] = BoundedQueue(MOST_PACKETS, MOST_BYTES)
        self._is_aborted = False
        self._starting = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="pdum.nvenc writer", daemon=True)

    @property
    def is_started(self) -> bool:
        return self._thread.ident is not None

    def start(self) -> None:
        with self._starting:
            if not self.is_started:
                self._thread.start()

    def put(self, packet: Coded) -> None:
        """Waits for room. Raises the thread's error. If nothing is written yet because more tracks may come, a full
        queue is the end of that."""
        try:
            if not self.is_started and not self._queue.has_room(len(packet.data)):
                self.start()
            self._queue.put(packet, len(packet.data))
        except QueueClosed:
            self.raise_error()
            raise

    def raise_error(self) -> None:
        if self.error is not None:
            raise self.error

    def finish(self) -> None:
        """Waits until everything is written. Raises the thread's error, and QueueClosed if another thread aborts."""
        self.start()
        self._queue.close()
        while self._thread.is_alive() and not self._is_aborted:
            self._thread.join(POLL)
        self.raise_error()
        if self._is_aborted:
            raise QueueClosed

    def abort(self) -> bool:
        """Drops what is not written. Returns whether the thread is over: it may hang in a write for good."""
        self._is_aborted = True
        self._queue.close(forget=True)
        if self._thread.ident is None or self._thread is threading.current_thread():
            return True
        self._thread.join(PATIENCE)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            while self._write_next():
                pass
            if not self._is_aborted:
                self._complete()
        except BaseException as error:
            self.error = error
            self._queue.close(forget=True)

    def _write_next(self) -> bool:
        """Writes what waits, and keeps nothing of it. Returns False once the queue is closed and empty."""
        try:
            packets = self._queue.get_all(ENOUGH, LINGER)
        except QueueClosed:
            return False
        for packet in packets:
            self._write(packet)
        return True
