"""The thread that encodes frames from a queue, for encoders that work while they are called, and to drop frames."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .bounded_queue import BoundedQueue, QueueClosed


@dataclass(frozen=True)
class Waiting:
    """A frame in the queue, with its time."""

    frame: Any
    ticks: int
    stream: Any
    picture: Any


class EncodingThread:
    """Calls ``encode`` with each frame. The first error ends it, and comes up in ``put`` and ``finish``."""

    def __init__(self, encode: Callable[[Waiting], object], most_frames: int, most_bytes: int) -> None:
        self.error: BaseException | None = None
        self._encode = encode
        self._queue: BoundedQueue[Waiting] = BoundedQueue(most_frames, most_bytes)
        self._thread = threading.Thread(target=self._work, name="pdum.nvenc frames", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def put(self, frame: Waiting, size: int, *, drops: bool) -> int:
        """Waits for room, or makes some by dropping the oldest frames. Returns how many were dropped."""
        try:
            if drops:
                return self._queue.put_dropping(frame, size)
            self._queue.put(frame, size)
            return 0
        except QueueClosed:
            self.raise_error()
            raise

    def raise_error(self) -> None:
        if self.error is not None:
            raise self.error

    def finish(self) -> None:
        """Waits until all frames are with the encoder."""
        self._queue.close()
        self._thread.join()
        self.raise_error()

    def abort(self, patience: float) -> None:
        self._queue.close(forget=True)
        if self._thread is not threading.current_thread():
            self._thread.join(patience)

    def _work(self) -> None:
        try:
            while (waiting := self._next()) is not None:
                self._encode(waiting)
                del waiting  # frees its memory while this waits for the next frame
        except BaseException as error:
            self.error = error
            self._queue.close(forget=True)

    def _next(self) -> Waiting | None:
        try:
            return self._queue.get()
        except QueueClosed:
            return None
