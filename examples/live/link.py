"""A simulated link: bits leave one after the other at a given rate, and wait in a short queue before it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

LONGEST_QUEUE = 0.5
"""Seconds. A packet that would wait longer is dropped, as a router would."""
MOST_BYTES = 4 << 20
"""The queue's limit for a receiver that takes nothing, at any rate."""


class HasData(Protocol):
    @property
    def data(self) -> bytes: ...


Packet = TypeVar("Packet", bound=HasData)


class Link(Generic[Packet]):
    """Carries packets of one sender to one receiver.

    Args:
        rate: bits per second; None: as fast as they come.
        now: the clock, in seconds.
    """

    def __init__(self, rate: float | None = None, now: Callable[[], float] | None = None) -> None:
        self.rate = rate
        self.dropped = 0
        self._now = now or asyncio.get_running_loop().time
        self._queue: deque[Packet] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._free_at = 0.0
        self._to_drop = 0

    @property
    def queued_bytes(self) -> int:
        return self._bytes

    @property
    def delay(self) -> float:
        """How long the queue takes, in seconds."""
        return self._bytes * 8 / self.rate if self.rate else 0.0

    def drop_next(self, count: int = 1) -> None:
        """The next packets get lost."""
        self._to_drop += count

    def offer(self, packet: Packet) -> bool:
        """Whether the packet is in the queue; otherwise it is lost. An empty queue takes a packet of any size."""
        is_full = bool(self._queue) and (self.delay > LONGEST_QUEUE or self._bytes > MOST_BYTES)
        if is_full or self._to_drop:
            self._to_drop = max(self._to_drop - 1, 0)
            self.dropped += 1
            return False
        self._queue.append(packet)
        self._bytes += len(packet.data)
        self._filled.set()
        return True

    async def receive(self) -> Packet:
        """The next packet, once its last bit has passed."""
        while not self._queue:
            self._filled.clear()
            await self._filled.wait()
        size = len(self._queue[0].data)
        start = max(self._now(), self._free_at)
        self._free_at = start + (size * 8 / self.rate if self.rate else 0.0)
        await asyncio.sleep(max(self._free_at - self._now(), 0))
        self._bytes -= size
        return self._queue.popleft()
