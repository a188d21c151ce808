"""Decoders of GPUs that wait for their next file.

To make one and to end it takes as long as to decode a hundred pictures.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, NamedTuple

from .gpu_decoder import StreamDecoder


class Shape(NamedTuple):
    """What a decoder was made for."""

    gpu: int
    codec: str
    pix_fmt: str
    width: int
    height: int


class BorrowedDecoder:
    """A decoder for one stream. ``close`` lays it aside for the next one, if it has not failed."""

    def __init__(self, decoder: StreamDecoder, shape: Shape, idle: IdleDecoders) -> None:
        self._decoder, self._shape, self._idle = decoder, shape, idle
        self._is_sound = True
        self._is_closed = False

    @property
    def skipped(self) -> list[int | None]:
        return self._decoder.skipped

    def frames(self, packet: Any) -> Iterator[Any]:
        return self._watched(self._decoder.frames(packet))

    def rest(self) -> Iterator[Any]:
        return self._watched(self._decoder.rest())

    def _watched(self, frames: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from frames
        except Exception:
            self._is_sound = False
            raise

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            if self._is_sound and not self._decoder.skipped:
                self._idle.lay_aside(self._decoder, self._shape)
            else:
                self._idle.end(self._decoder, self._shape)


class IdleDecoders:
    """Lends decoders. Those that come back stay open as long as anybody has files to decode."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._idle: list[tuple[Shape, StreamDecoder]] = []
        self._users = 0
        self._jobs = 0
        self._open: Counter[int] = Counter()
        """How many decoders there are on each GPU, idle or not."""

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keeps idle decoders open while the block runs. The last user's end closes them."""
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
            self._close_idle(lambda: self._users == 0)

    @contextmanager
    def job(self) -> Iterator[None]:
        """The same, and counts as a file that may need decoders after others have ended."""
        with self.in_use():
            with self._lock:
                self._jobs += 1
            try:
                yield
            finally:
                with self._lock:
                    self._jobs -= 1

    def end_idle(self) -> None:
        """A file needs fewer decoders. They end now, while others still decode it, if no other job could take them."""
        self._close_idle(lambda: self._jobs <= 1)

    def borrow(self, stream: Any, gpu: int) -> BorrowedDecoder:
        """A decoder for the stream of an open container: one that is idle if any fits, else a new one."""
        context = stream.codec_context
        shape = Shape(gpu, context.codec.canonical_name, str(context.pix_fmt), context.width, context.height)
        decoder = self._fitting(shape)
        if decoder is None:
            decoder = StreamDecoder(stream, gpu_id=gpu)
            with self._lock:
                self._open[gpu] += 1
        else:
            self._begin_again(decoder, stream, shape)
        return BorrowedDecoder(decoder, shape, self)

    def _begin_again(self, decoder: StreamDecoder, stream: Any, shape: Shape) -> None:
        try:
            decoder.begin_again(stream)
        except BaseException:
            self.end(decoder, shape)
            raise

    def open_on(self, gpu: int) -> int:
        """How many decoders there are on the GPU."""
        with self._lock:
            return self._open[gpu]

    def lay_aside(self, decoder: StreamDecoder, shape: Shape) -> None:
        with self._lock:
            self._idle.append((shape, decoder))
        self._close_idle(lambda: self._users == 0)

    def _close_idle(self, are_unused: Callable[[], bool]) -> None:
        with self._lock:
            closed = self._idle if are_unused() else []
            self._idle = [] if closed else self._idle
        for shape, decoder in closed:
            self.end(decoder, shape)

    def end(self, decoder: StreamDecoder, shape: Shape) -> None:
        with self._lock:
            self._open[shape.gpu] -= 1
        decoder.close()

    def forget(self) -> None:
        """For a forked child, which has none of its parent's decoders."""
        self._lock = Lock()
        self._idle, self._users, self._jobs = [], 0, 0
        self._open.clear()

    def _fitting(self, shape: Shape) -> StreamDecoder | None:
        """If none fits, one of another shape makes room for the one that will be made."""
        with self._lock:
            for number, (its_shape, decoder) in reversed(list(enumerate(self._idle))):
                if its_shape == shape:
                    del self._idle[number]
                    return decoder
            others = [number for number, (its_shape, _) in enumerate(self._idle) if its_shape.gpu == shape.gpu]
            outgrown = self._idle.pop(others[0]) if others else None
        if outgrown is not None:
            self.end(outgrown[1], outgrown[0])
        return None


IDLE_DECODERS = IdleDecoders()
os.register_at_fork(after_in_child=IDLE_DECODERS.forget)
