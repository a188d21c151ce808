"""A link with a queue, a delay and losses, in simulated time, and a stream over it that a controller steers."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

from pdum.nvenc._live.bitrate import BitrateController
from pdum.nvenc._live.losses import InFlight

STEP = 0.001
"""Seconds in which the capacity is taken as constant."""
SAMPLED = 10
"""Every so many steps, the outcome is noted."""
FIRST_IN_FLIGHT = 8
"""As many frames are sent before the first answer."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """Capacity in bits a second by the time, delay of each way in seconds, bits that its queue holds."""

    capacity: Callable[[float], float]
    delay: float = 0.02
    queue: float = 4e6
    loss: float = 0.0
    jitter: float = 0.0


@dataclass
class Outcome:
    """What happened, by time: the rate that the encoder aimed at, the queue's delay, the bits that arrived."""

    rates: list[tuple[float, float]] = field(default_factory=list)
    queues: list[tuple[float, float]] = field(default_factory=list)
    arrived: list[tuple[float, float]] = field(default_factory=list)
    frames: int = 0
    held_back: int = 0
    lost: int = 0

    def rates_between(self, start: float, end: float) -> list[float]:
        return [rate for time, rate in self.rates if start <= time < end]

    def worst_queue(self, start: float, end: float) -> float:
        return max(delay for time, delay in self.queues if start <= time < end)

    def received(self, start: float, end: float) -> float:
        """Bits a second."""
        return sum(bits for time, bits in self.arrived if start <= time < end) / (end - start)

    def reversals(self, start: float, end: float, least: float) -> int:
        """How often the rate turns round, where it goes at least that share each way."""
        count, way, extreme = 0, 0, self.rates_between(start, end)[0]
        for rate in self.rates_between(start, end):
            if (rate - extreme) * way > 0:
                extreme = rate
            elif abs(rate - extreme) > least * extreme:
                count += way != 0
                way, extreme = (1 if rate > extreme else -1), rate
        return count


def simulate(
    link: Link,
    seconds: float,
    *,
    highest: int = 8_000_000,
    lowest: int = 100_000,
    start: int | None = None,
    fps: int = 60,
    seed: int = 1,
    demand: Callable[[float], float] = lambda time: 1.0,
) -> Outcome:
    """Runs a stream over the link. ``demand``: the share of its rate that the picture uses at a time."""
    stream = Stream(link, BitrateController(lowest, highest, start), fps, seed, demand)
    for step in range(round(seconds / STEP)):
        stream.advance(step)
    return stream.outcome


class Stream:
    """An encoder that keeps to a rate, a link, and a viewer who answers each packet and reports missing ones."""

    def __init__(
        self, link: Link, controller: BitrateController, fps: int, seed: int, demand: Callable[[float], float]
    ) -> None:
        self.outcome = Outcome()
        self._link, self._controller, self._fps, self._demand = link, controller, fps, demand
        self._chance = random.Random(seed)
        self._window = InFlight(2.0)
        self._queue: deque[tuple[int, float]] = deque()  # seq, and the bits that are still to go
        self._queued = 0.0
        self._answers: list[tuple[float, int, str]] = []
        self._sizes: dict[int, float] = {}
        self._seq = self._expected = 0
        self._next_frame = self._debt = 0.0
        self._needs_key_frame = True

    def advance(self, step: int) -> None:
        now = step * STEP
        self._hear(now)
        if now >= self._next_frame:
            self._next_frame += 1 / self._fps
            self._frame(now)
        capacity = self._link.capacity(now)
        self._transmit(capacity * STEP, now)
        if step % SAMPLED == 0:
            self.outcome.rates.append((now, self._controller.bitrate))
            self.outcome.queues.append((now, self._queued / max(capacity, 1.0)))

    def _hear(self, now: float) -> None:
        while self._answers and self._answers[0][0] <= now:
            _, seq, what = heapq.heappop(self._answers)
            if what == "lost":
                self._controller.lost(seq, now)
                self._window.lost(seq)
                self._needs_key_frame = True
            else:
                self._controller.acked(seq, now)
                self._window.acked(seq)

    def _frame(self, now: float) -> None:
        self.outcome.frames += 1
        most = self._controller.frames_in_flight(self._fps) or FIRST_IN_FLIGHT
        if self._window.count(now) >= most:
            self.outcome.held_back += 1
            return
        bits = self._encoded(now)
        self._controller.sent(self._seq, ceil(bits / 8), now)
        self._window.sent(self._seq, now)
        self._sizes[self._seq] = bits
        if self._queued + bits <= self._link.queue and self._chance.random() >= self._link.loss:
            self._queue.append((self._seq, bits))
            self._queued += bits
        else:
            self.outcome.lost += 1
        self._seq += 1

    def _encoded(self, now: float) -> float:
        """The bits of a frame. A key frame takes up to a tenth of a second, and the frames after it save for it."""
        usual = self._controller.bitrate / self._fps * self._demand(now)
        saved = min(self._debt, usual / 2)
        bits = usual * self._chance.uniform(0.8, 1.2) - saved
        if self._needs_key_frame:
            bits = usual * min(max(2, self._fps / 10), 4)
        self._debt = max(self._debt + bits - usual, 0.0)
        self._needs_key_frame = False
        return bits

    def _transmit(self, budget: float, now: float) -> None:
        while self._queue and budget > 0:
            seq, left = self._queue[0]
            sent = min(left, budget)
            budget -= sent
            self._queued -= sent
            if sent < left:
                self._queue[0] = (seq, left - sent)
                return
            self._queue.popleft()
            self._arrive(seq, now + self._link.delay + self._chance.uniform(0, self._link.jitter))

    def _arrive(self, seq: int, time: float) -> None:
        self.outcome.arrived.append((time, self._sizes.pop(seq)))
        heard = time + self._link.delay
        for missing in range(self._expected, seq):
            heapq.heappush(self._answers, (heard, missing, "lost"))
        heapq.heappush(self._answers, (heard, seq, "there"))
        self._expected = seq + 1
