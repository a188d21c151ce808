"""Frames that are offered: the latest wins, packets wait, and errors come up where the user is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from live.viewer import HEIGHT, WIDTH, assert_shows, grey, rgb
from pdum.nvenc import EncoderClosed, InvalidFrame, LiveEncoder, LivePacket, NvencError
from pdum.nvenc._live.exchange import MOST_WAITING

PROCESSOR: dict[str, Any] = {"backend": "software", "format": "nv12", "preset": "p1", "keyframe_spacing": 0}


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pdum.nvenc")]


class Gate:
    """A picture that stops the encoder's thread until it is opened."""

    def __init__(self, level: int) -> None:
        self.picture = grey(level)
        self.shape, self.dtype = self.picture.shape, self.picture.dtype
        self.reached, self.opened = threading.Event(), threading.Event()

    def __array__(self, *arguments: Any, **more: Any) -> Any:
        self.reached.set()
        assert self.opened.wait(60)
        return self.picture


def timestamps(packets: list[LivePacket]) -> list[int]:
    return [packet.timestamp for packet in packets]


def take(live: LiveEncoder, count: int) -> list[LivePacket]:
    return [next(live) for _ in range(count)]


def test_of_frames_that_wait_the_latest_wins(place: dict[str, Any]) -> None:
    """Numbers have no gap, and the pictures after it are right: what was dropped was never encoded."""
    with LiveEncoder(**{**place, "backend": "software"}) as live:
        gate = Gate(40)
        live.offer(gate, 0, copy=False)
        assert gate.reached.wait(60)
        for number in range(1, 6):
            live.offer(grey(40 + 30 * number), number)
        gate.opened.set()
        packets = take(live, 2)
        live.offer(grey(100), 6)
        packets += take(live, 1)
        assert live.statistics.replaced == live.statistics.dropped == 4
    assert [packet.seq for packet in packets] == [0, 1, 2]
    assert timestamps(packets) == [0, 5, 6]
    assert_shows(packets, [(WIDTH, HEIGHT, level) for level in (40, 190, 100)])


def test_packets_wait_to_be_taken_and_none_is_dropped(place: dict[str, Any]) -> None:
    """If packets are not taken, frames wait instead, and the last one is encoded at the end."""
    with LiveEncoder(**place) as live:
        for number in range(50):
            live.offer(grey(50 + number), number)
        packets: list[LivePacket] = []
        while not packets or packets[-1].timestamp != 49:
            packets.append(next(live))
        assert len(packets) + live.statistics.replaced == 50
    assert [packet.seq for packet in packets] == list(range(len(packets)))
    assert_shows(packets, [(WIDTH, HEIGHT, 50 + time) for time in timestamps(packets)])


@pytest.mark.one_abi
def test_no_more_packets_wait_than_a_few() -> None:
    with LiveEncoder(**PROCESSOR) as live:
        for number in range(MOST_WAITING):
            live.offer(grey(50), number)
            live._exchange.wait_until_idle()
        live.offer(grey(60), 100)
        live.offer(grey(70), 101)
        assert live.statistics.encoded == MOST_WAITING
        live.flush()
        assert live.statistics.encoded == MOST_WAITING + 1, "flush waits for nobody"
        assert timestamps(take(live, MOST_WAITING + 1)) == [*range(MOST_WAITING), 101]


def test_a_full_window_leaves_the_latest_frame_for_the_answer(place: dict[str, Any]) -> None:
    with LiveEncoder(max_in_flight=1, **place) as live:
        live.offer(grey(50), 0)
        packets = take(live, 1)
        for number in range(1, 5):
            live.offer(grey(60), number)
        live.feedback(acked=0)
        packets += take(live, 1)
        assert live.statistics.held_back == 0
    assert timestamps(packets) == [0, 4]


@pytest.mark.one_abi
def test_the_makers_memory_may_be_used_again_at_once() -> None:
    """The frame waits behind another one while its memory changes."""
    for picture, level in ((grey(200), 200), (rgb(200), 16 + round(200 * 219 / 255))):
        settings = {**PROCESSOR, "format": "nv12"} if picture.ndim == 2 else {"backend": "software", "preset": "p1"}
        with LiveEncoder(**settings) as live:
            for number in range(MOST_WAITING):
                live.offer(picture, number)
                live._exchange.wait_until_idle()
            live.offer(picture, MOST_WAITING)
            picture[:] = 0
            assert_shows(take(live, MOST_WAITING + 1), [(WIDTH, HEIGHT, level)] * (MOST_WAITING + 1))


def test_iteration_ends_after_close_with_what_waits(place: dict[str, Any]) -> None:
    live = LiveEncoder(**place)
    for number in range(3):
        live.offer(grey(50), number)
        live.flush()
    live.close()
    assert timestamps(list(live)) == [0, 1, 2]
    assert list(live) == []
    with pytest.raises(EncoderClosed):
        live.offer(grey(50))


def test_flush_encodes_the_last_frame_whatever_waits(place: dict[str, Any]) -> None:
    with LiveEncoder(pipeline_depth=2, max_in_flight=1, **place) as live:
        for number in range(4):
            live.offer(grey(50), number)
        assert live.flush() == []
    packets = list(live)
    assert packets[-1].timestamp == 3


def test_close_wakes_a_thread_that_waits_for_a_packet(place: dict[str, Any]) -> None:
    live = LiveEncoder(**place)
    found: list[LivePacket] = []
    thread = threading.Thread(target=lambda: found.extend(live))
    thread.start()
    live.offer(grey(50))
    live.flush()
    live.close()
    thread.join(60)
    assert not thread.is_alive()
    assert len(found) == 1


def test_a_wrong_frame_is_told_where_it_is_offered(place: dict[str, Any]) -> None:
    with LiveEncoder(**place) as live:
        with pytest.raises(InvalidFrame):
            live.offer("a text")
        live.offer(grey(50), 7)
        assert next(live).timestamp == 7


def test_an_error_of_the_thread_comes_up_on_both_sides_once() -> None:
    """Then the stream goes on."""

    class Broken:
        shape, dtype = (HEIGHT * 3 // 2, WIDTH), np.dtype("uint8")

        def __array__(self, *arguments: Any, **more: Any) -> Any:
            raise RuntimeError("the picture is gone")

    with LiveEncoder(**PROCESSOR) as live:
        live.offer(grey(50), 0)
        assert next(live).timestamp == 0
        live.offer(Broken(), 1, copy=False)
        with pytest.raises(InvalidFrame, match="the picture is gone"):
            next(live)
        with pytest.raises(InvalidFrame, match="the picture is gone"):
            live.offer(grey(50), 2)
        live.offer(grey(50), 3)
        packet = next(live)
        assert (packet.seq, packet.timestamp) == (1, 3)


def test_submit_and_offer_do_not_mix(place: dict[str, Any]) -> None:
    with LiveEncoder(**place) as live:
        live.submit(grey(50))
        with pytest.raises(NvencError, match=r"offer\(\) does not work after submit\(\)"):
            live.offer(grey(50))


def test_frames_come_from_several_threads(place: dict[str, Any]) -> None:
    with LiveEncoder(**place) as live:
        found: list[LivePacket] = []

        def render(level: int) -> None:
            for _ in range(10):
                found.extend(live.submit(grey(level)))
                live.request_keyframe()
                live.feedback(acked=0)

        threads = [threading.Thread(target=render, args=(level,)) for level in (40, 120, 200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert sorted(packet.seq for packet in found) == list(range(30))


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_asyncio_takes_packets_of_another_thread(place: dict[str, Any]) -> None:
    async def watch(live: LiveEncoder) -> list[LivePacket]:
        return [packet async for packet in live]

    async def main() -> None:
        live = LiveEncoder(**place)
        watching = asyncio.create_task(watch(live))
        for number in range(5):
            live.offer(grey(50), number)
            await asyncio.to_thread(live._exchange.wait_until_idle)
        live.close()
        packets = await watching
        assert timestamps(packets) == [0, 1, 2, 3, 4]

    asyncio.run(main())


def test_a_cancelled_wait_takes_no_packet(place: dict[str, Any]) -> None:
    async def main() -> None:
        with LiveEncoder(**place) as live:
            for _ in range(3):
                waiting = asyncio.ensure_future(anext(live))
                await asyncio.sleep(0)
                await cancelled(waiting)
            live.offer(grey(50), 5)
            assert (await anext(live)).timestamp == 5
            assert live._exchange._awaiting == []

    asyncio.run(main())


def test_submit_async_encodes_beside_the_event_loop(place: dict[str, Any]) -> None:
    async def main() -> None:
        with LiveEncoder(**place) as live:
            packets = [packet for n in range(4) for packet in await live.submit_async(grey(50 + n), n)]
            live.request_keyframe()
            packets += await live.submit_async(grey(60), 4)
            assert timestamps(packets) == [0, 1, 2, 3, 4]
            assert [packet.keyframe for packet in packets] == [True, False, False, False, True]
            assert await live.flush_async() == []

    asyncio.run(main())


def test_a_cancelled_submit_loses_no_packet() -> None:
    async def main() -> None:
        with LiveEncoder(**PROCESSOR) as live:
            gate = Gate(40)
            tasks = [asyncio.create_task(live.submit_async(gate, 0))]
            await asyncio.to_thread(gate.reached.wait, 60)
            tasks += [asyncio.create_task(live.submit_async(grey(50), 1))]
            await asyncio.sleep(0)
            for task in tasks:
                await cancelled(task)
            gate.opened.set()
            assert timestamps(await live.submit_async(grey(60), 2)) == [0, 1, 2]

    asyncio.run(main())


def test_close_ends_awaited_calls(place: dict[str, Any]) -> None:
    async def main() -> None:
        live = LiveEncoder(**place)
        waiting = asyncio.ensure_future(anext(live))
        await asyncio.sleep(0)
        await live.submit_async(grey(50))
        live.close()
        with pytest.raises(StopAsyncIteration):
            await waiting
        with pytest.raises(EncoderClosed):
            await live.submit_async(grey(50))

    asyncio.run(main())
