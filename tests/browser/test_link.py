"""The simulated link of examples/live, on a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import pytest

from link import LONGEST_QUEUE, MOST_BYTES, Link


@dataclass
class Bytes:
    data: bytes

    @classmethod
    def of(cls, size: int) -> Bytes:
        return cls(bytes(size))


def run(work: Coroutine[Any, Any, None], monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    """Runs it with a clock that each sleep sets forward."""

    async def sleep(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr("link.asyncio.sleep", sleep)
    asyncio.run(work)


def test_bits_pass_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    async def main() -> None:
        link = Link[Bytes](8000, lambda: clock[0])  # 1000 bytes a second
        for size in (100, 200, 50):
            assert link.offer(Bytes.of(size))
        assert (link.queued_bytes, link.delay) == (350, 0.35)
        arrivals = []
        for _ in range(3):
            arrivals.append((len((await link.receive()).data), round(clock[0], 6)))
        assert arrivals == [(100, 0.1), (200, 0.3), (50, 0.35)]
        clock[0] = 10.0
        assert link.offer(Bytes.of(100))
        await link.receive()
        assert clock[0] == pytest.approx(10.1), "time without packets is not saved up"

    run(main(), monkeypatch, clock)


def test_a_full_queue_drops_what_comes() -> None:
    async def main() -> None:
        link = Link[Bytes](8000, lambda: 0.0)
        assert link.offer(Bytes.of(5000)), "an empty queue takes a packet of any size"
        assert link.delay > LONGEST_QUEUE
        assert not link.offer(Bytes.of(1))
        link.rate = None
        assert link.offer(Bytes.of(5000))
        assert (link.dropped, link.queued_bytes) == (1, 10_000)
        assert link.offer(Bytes.of(MOST_BYTES))
        assert not link.offer(Bytes.of(1)), "a receiver that takes nothing does not fill the memory"

    asyncio.run(main())


def test_packets_are_dropped_on_demand() -> None:
    async def main() -> None:
        link = Link[Bytes](None, lambda: 0.0)
        link.drop_next(2)
        assert [link.offer(Bytes.of(size)) for size in range(1, 5)] == [False, False, True, True]
        assert [len((await link.receive()).data) for _ in range(2)] == [3, 4]

    asyncio.run(main())


def test_a_receiver_waits_for_a_packet() -> None:
    async def main() -> None:
        link = Link[Bytes](None)
        waiting = asyncio.create_task(link.receive())
        await asyncio.sleep(0)
        assert not waiting.done()
        link.offer(Bytes.of(7))
        assert len((await waiting).data) == 7

    asyncio.run(main())
