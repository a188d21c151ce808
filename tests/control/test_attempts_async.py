"""Attempts under asyncio: the same streams as without, and nothing is lost or stuck after cancels."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from control.test_attempts import COUNT, QPS, chosen, encoder, frames, numbers, quantiser
from pdum.nvenc import Attempts, EncoderClosed, InvalidConfig, NvencEncoder, Packet

from simulator import Simulator

pytestmark = pytest.mark.one_abi


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    gc.collect()
    for thread in threading.enumerate():
        if thread.name == "pdum.nvenc":
            thread.join(60)
            assert not thread.is_alive()


def awaited(simulator: Simulator, use: Callable[[NvencEncoder], Awaitable[Any]], **settings: Any) -> Any:
    async def run() -> Any:
        with encoder(simulator, **settings) as made:
            return await use(made)

    return asyncio.run(run())


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@pytest.mark.parametrize("more", [{}, {"lookahead": 2, "tuning": "hq"}], ids=str)
def test_the_same_packets_as_without(simulator: Simulator, codec: str, more: dict[str, Any]) -> None:
    async def use(made: NvencEncoder) -> list[Packet]:
        packets: list[Packet] = []
        async for picture in made.attempts_at_async(frames()):
            number = len(packets)
            tried = [await picture.encode_async(qp=quantiser(codec, qp)) for qp in QPS[number]]
            packets.append(await picture.keep_async(tried[(1 + number) % 3]))
        return packets

    packets, wanted = awaited(simulator, use, codec=codec, **more), chosen(simulator, codec, 1, **more)
    assert [packet.data for packet in packets] == [packet.data for packet in wanted]
    assert numbers(packets) == numbers(wanted)


def test_frames_may_come_one_by_one_and_the_last_attempt_is_kept(simulator: Simulator) -> None:
    async def coming() -> AsyncIterator[Any]:
        for frame in frames():
            await asyncio.sleep(0)
            yield frame

    async def use(made: NvencEncoder) -> list[tuple[Packet | None, ...]]:
        seen = []
        async for picture in made.attempts_at_async(coming()):
            seen.append(picture)
            await picture.encode_async()
            await picture.encode_async(qp=40)
        return [(*picture.packets, picture.kept) for picture in seen]

    for first, last, kept in awaited(simulator, use):
        assert kept is last
        assert kept is not first


def test_the_work_is_done_in_the_encoders_thread(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the event loop runs on."""
    names: list[str] = []
    for method in ("encode", "keep", "fit", "_close"):
        of_class = getattr(Attempts, method)

        def noting(self: Attempts, *given: Any, _of_class: Any = of_class, **named: Any) -> Any:
            names.append(threading.current_thread().name)
            return _of_class(self, *given, **named)

        monkeypatch.setattr(Attempts, method, noting)

    async def use(made: NvencEncoder) -> None:
        async for picture in made.attempts_at_async(frames(3)):
            await picture.encode_async()
            await picture.keep_async()
        picture_of_one = await made.begin_attempts_async(frames(1)[0])
        assert picture_of_one is not None
        packet = await picture_of_one.fit_async(2000)
        assert packet is picture_of_one.kept
        assert len(packet.data) <= 2000

    awaited(simulator, use)
    assert len(names) > 9
    assert set(names) == {"pdum.nvenc"}


async def cancelled(call: Awaitable[Any]) -> None:
    """Begins the call and gives it up before it can be done."""
    task = asyncio.ensure_future(call)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_cancelled_beginning_leaves_the_frame_out(simulator: Simulator) -> None:
    async def use(made: NvencEncoder) -> list[Packet]:
        await cancelled(made.begin_attempts_async(frames()[0], 0))
        packets = []
        for number in range(1, COUNT):
            picture = await made.begin_attempts_async(frames()[number], number)
            assert picture is not None
            async with picture:
                packets.append(await picture.encode_async())
        return packets

    assert [packet.seq for packet in awaited(simulator, use)] == list(range(1, COUNT))


def test_cancelled_attempts_are_made_nevertheless(simulator: Simulator) -> None:
    async def use(made: NvencEncoder) -> None:
        picture = await made.begin_attempts_async(frames()[0])
        assert picture is not None
        await cancelled(picture.encode_async(qp=20))
        await picture.encode_async(qp=40)
        assert [packet.frame_avg_qp for packet in picture.packets] == [20, 40]
        await cancelled(picture.keep_async(picture.packets[0]))
        other = await made.begin_attempts_async(frames()[1], 1)
        assert picture.kept is picture.packets[0]
        assert other is not None
        await cancelled(other.fit_async(1500))
        await made.flush_async()
        assert other.kept in other.packets

    awaited(simulator, use)


def test_packets_of_cancelled_frames_wait_for_a_call_that_returns_packets(simulator: Simulator) -> None:
    async def use(made: NvencEncoder) -> list[Packet]:
        await cancelled(made.submit_async(frames()[0], 0))
        picture = await made.begin_attempts_async(frames()[1], 1)
        assert picture is not None
        async with picture:
            await picture.encode_async()
        return await made.submit_async(frames()[2], 2)

    assert [packet.seq for packet in awaited(simulator, use)] == [0, 2]


def test_errors_come_to_the_caller(simulator: Simulator) -> None:
    async def use(made: NvencEncoder) -> None:
        picture = await made.begin_attempts_async(frames()[0])
        assert picture is not None
        with pytest.raises(InvalidConfig, match="no attempt at this picture to keep"):
            await picture.keep_async()
        for _ in range(3):
            await picture.encode_async()
        with pytest.raises(InvalidConfig, match="attempts"):
            await picture.encode_async()
        await picture.keep_async()
        with pytest.raises(InvalidConfig, match="was kept already"):
            await picture.keep_async()
        made.close()
        for call in (made.begin_attempts_async(frames()[1]), picture.encode_async()):
            with pytest.raises(EncoderClosed):
                await call

    awaited(simulator, use)
