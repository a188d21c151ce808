"""Everything at once from many threads: nothing hangs, no packet is missing, and close ends it all."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from live.viewer import grey
from pdum.nvenc import EncoderClosed, LiveEncoder, LivePacket

ROUNDS = 20


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pdum.nvenc")]


def until_closed(use: Callable[[int], object], errors: list[BaseException]) -> threading.Thread:
    """A thread that repeats the call until the encoder is closed."""

    def run() -> None:
        number = 0
        try:
            while True:
                use(number)
                number += 1
                time.sleep(0.001)  # leaves the processor to the others
        except EncoderClosed:
            return
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_close_while_all_methods_are_in_use(place: dict[str, Any]) -> None:
    live = LiveEncoder(pipeline_depth=2, max_in_flight=4, **place)
    errors: list[BaseException] = []
    packets: list[LivePacket] = []
    uses: list[Callable[[int], object]] = [
        lambda number: live.offer(grey(50 + number % 100, 192, 128 if number % 8 < 4 else 144)),
        lambda number: live.feedback(acked=number, rtt=0.01, bandwidth=1_000_000 + number),
        lambda number: live.lost(number // 7),
        lambda number: live.request_keyframe() if number % 3 else live.statistics,
        lambda number: live.flush(),
    ]
    threads = [until_closed(use, errors) for use in uses]
    for packet in live:
        packets.append(packet)
        if len(packets) == ROUNDS:
            threading.Thread(target=live.close).start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    live.close()
    assert errors == []
    assert [packet.seq for packet in packets] == list(range(len(packets)))


def test_close_from_another_thread_while_frames_are_submitted(place: dict[str, Any]) -> None:
    live = LiveEncoder(**place)
    errors: list[BaseException] = []
    packets: list[LivePacket] = []
    threads = [until_closed(lambda number: packets.extend(live.submit(grey(50 + number % 99))), errors) for _ in "abc"]
    while len(packets) < ROUNDS:
        live.request_keyframe()
    live.close()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert errors == []
    assert sorted(packet.seq for packet in packets) == list(range(len(packets)))


def test_many_tasks_watch_and_are_cancelled(place: dict[str, Any]) -> None:
    """Each packet comes to one of them, and to none that is cancelled."""

    async def main() -> None:
        with LiveEncoder(**place) as live:
            found: list[LivePacket] = []

            async def watch() -> None:
                found.append(await anext(live))

            for number in range(20):
                tasks = [asyncio.create_task(watch()) for _ in range(4)]
                await asyncio.sleep(0)
                for task in tasks[number % 2 :: 2]:
                    task.cancel()
                live.offer(grey(50), number)
                await asyncio.wait(tasks, return_when=asyncio.ALL_COMPLETED, timeout=0)
                while not found or found[-1].timestamp != number:
                    await asyncio.sleep(0.001)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            assert [packet.timestamp for packet in found] == list(range(20))

    asyncio.run(main())
