"""Encoding under asyncio: every frame comes out once and in order, even after cancels, and no thread is left."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from frames import nv12
from pdum.nvenc import EncoderClosed, InvalidFrame, NvencEncoder, Packet
from pdum.nvenc._encoders import aio as _async

from simulator import Simulator, parse

WIDTH, HEIGHT = 320, 192


def frame(number: int) -> Any:
    return nv12(WIDTH, HEIGHT, number)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "pdum.nvenc"]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    gc.collect()
    for thread in threads():
        thread.join(60)
    assert not threads()


def seqs(packets: list[Packet]) -> list[int]:
    return [packet.seq for packet in packets]


def pts_of(data: bytes) -> list[int]:
    return [unit.timestamp for unit in parse(data)]


@pytest.mark.parametrize("options", [{}, {"tuning": "hq", "bframes": 2}, {"extra_output_delay": 3}], ids=str)
def test_the_same_bytes_as_without(abi: str, simulator: Simulator, options: dict[str, Any]) -> None:
    def plainly() -> bytes:
        with NvencEncoder(WIDTH, HEIGHT, **options) as encoder:
            return b"".join(encoder.encode(frame(n)) for n in range(9)) + encoder.flush()

    async def awaited() -> bytes:
        with NvencEncoder(WIDTH, HEIGHT, **options) as encoder:
            units = [await encoder.encode_async(frame(n)) for n in range(9)]
            return b"".join(units) + await encoder.flush_async()

    with simulator.machine(gpus=["RTX 4090"]):
        assert asyncio.run(awaited()) == plainly()


def test_one_frame_in_and_one_out(abi: str, simulator: Simulator) -> None:
    async def main() -> None:
        with NvencEncoder(WIDTH, HEIGHT) as encoder:
            for number in range(5):
                (packet,) = await encoder.submit_async(frame(number), 100 + number, force_idr=number == 3)
                assert (packet.seq, packet.keyframe) == (100 + number, number in (0, 3))
            assert await encoder.flush_async() == b""

    with simulator.machine(gpus=["RTX 4090"]):
        asyncio.run(main())


def test_packets_of_both_kinds_of_iterables(abi: str, simulator: Simulator) -> None:
    async def later() -> AsyncIterator[Any]:
        for number in range(12):
            await asyncio.sleep(0)
            yield frame(number)

    async def main() -> None:
        for frames in ((frame(n) for n in range(12)), later()):
            with NvencEncoder(WIDTH, HEIGHT, tuning="hq", bframes=3) as encoder:
                packets = [packet async for packet in encoder.packets_async(frames)]
                assert sorted(seqs(packets)) == list(range(12))
                assert seqs(packets) != list(range(12)), "decoding order"

    with simulator.machine(gpus=["RTX 4090"]):
        asyncio.run(main())


def test_awaits_side_by_side_get_their_own(abi: str, simulator: Simulator) -> None:
    async def main() -> None:
        with NvencEncoder(WIDTH, HEIGHT) as encoder:
            each = await asyncio.gather(*(encoder.submit_async(frame(n), n) for n in range(20)))
            assert [seqs(packets) for packets in each] == [[n] for n in range(20)]

    with simulator.machine(gpus=["RTX 4090"]):
        asyncio.run(main())


def test_many_encoders_in_one_loop(abi: str, simulator: Simulator) -> None:
    async def encode(first: int) -> list[int]:
        with NvencEncoder(WIDTH, HEIGHT) as encoder:
            units = [await encoder.submit_async(frame(first + n), first + n) for n in range(10)]
            return [packet.seq for packets in units for packet in packets]

    async def main() -> None:
        each = await asyncio.gather(*(encode(100 * k) for k in range(6)))
        assert each == [list(range(100 * k, 100 * k + 10)) for k in range(6)]

    with simulator.machine(gpus=["RTX 5090"]):
        asyncio.run(main())


class Gate:
    """A frame that blocks the encoder's thread until it is opened."""

    def __init__(self, number: int) -> None:
        self.picture = frame(number)
        self.reached, self.opened = threading.Event(), threading.Event()

    def __dlpack_device__(self) -> tuple[int, int]:
        if threading.current_thread() is not threading.main_thread():
            self.reached.set()
            assert self.opened.wait(60)
        return 1, 0

    def __dlpack__(self, **arguments: Any) -> Any:
        return self.picture.__dlpack__()


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_cancelled_await_loses_nothing(abi: str, simulator: Simulator) -> None:
    """One frame is being encoded, and two wait: their packets come with the next one, in order."""

    async def main() -> None:
        with NvencEncoder(WIDTH, HEIGHT) as encoder:
            gate = Gate(0)
            tasks = [asyncio.create_task(encoder.submit_async(gate, 0))]
            tasks += [asyncio.create_task(encoder.submit_async(frame(n), n)) for n in (1, 2)]
            await asyncio.to_thread(gate.reached.wait, 60)
            for task in tasks:
                await cancelled(task)
            gate.opened.set()
            assert seqs(await encoder.submit_async(frame(3), 3)) == [0, 1, 2, 3]
            assert seqs(await encoder.submit_async(frame(4), 4)) == [4]

    with simulator.machine(gpus=["RTX 4090"]):
        asyncio.run(main())


def test_a_cancelled_bytes_await_comes_with_the_flush(abi: str, simulator: Simulator) -> None:
    async def main() -> None:
        with NvencEncoder(WIDTH, HEIGHT) as encoder:
            gate = Gate(0)
            task = asyncio.create_task(encoder.encode_async(gate))
            await asyncio.to_thread(gate.reached.wait, 60)
            await cancelled(task)
            gate.opened.set()
            data = await encoder.encode_async(frame(1)) + await encoder.flush_async()
            assert pts_of(data) == [0, 1]

    with simulator.machine(gpus=["RTX 4090"]):
        asyncio.run(main())


def test_cancelled_after_the_packet_was_ready(abi: str, simulator: Simulator) -> None:
    """The call is done, and its task is cancelled before it goes on."""

    async def main() -> None:
        with NvencEncoder(WIDTH, HEIGHT) as encoder:
            gate = Gate(0)
            task = asyncio.create_task(encoder.submit_async(gate, 0))
            await asyncio.to_thread(gate.reached.wait, 60)
            gate.opened.set()
            while not encoder._worker or not encoder._worker._shelf:
                threading.Event().wait(0.001)  # the loop cannot resume the task
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert seqs(await encoder.flush_pipeline_async()) == [0]

    with simulator.machine(gpus=["RTX 4090"]):
        asyncio.run(main())


def test_a_bad_frame_is_its_own_callers_error(abi: str, simulator: Simulator) -> None:
    async def main() -> None:
        with NvencEncoder(WIDTH, HEIGHT) as encoder:
            good, bad, other = await asyncio.gather(
                encoder.submit_async(frame(0), 0),
                encoder.submit_async(b"", 1),
                encoder.submit_async(frame(2), 2),
                return_exceptions=True,
            )
            assert isinstance(bad, InvalidFrame)
            assert isinstance(good, list)
            assert isinstance(other, list)
            assert [seqs(good), seqs(other)] == [[0], [2]]

    with simulator.machine(gpus=["RTX 4090"]):
        asyncio.run(main())


def test_the_failure_of_a_cancelled_call_is_reported(abi: str, simulator: Simulator) -> None:
    async def main() -> None:
        told: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))
        with NvencEncoder(WIDTH, HEIGHT) as encoder:
            gate = Gate(0)
            gate.picture = gate.picture[:4]
            task = asyncio.create_task(encoder.submit_async(gate, 0))
            await asyncio.to_thread(gate.reached.wait, 60)
            await cancelled(task)
            gate.opened.set()
            assert seqs(await encoder.submit_async(frame(1), 1)) == [1]
        assert [type(error) for error in told] == [InvalidFrame]

    with simulator.machine(gpus=["RTX 4090"]):
        asyncio.run(main())


def test_close_ends_the_thread_and_those_who_wait(abi: str, simulator: Simulator) -> None:
    async def main() -> None:
        encoder = NvencEncoder(WIDTH, HEIGHT)
        gate = Gate(0)
        first = asyncio.create_task(encoder.submit_async(gate, 0))
        second = asyncio.create_task(encoder.submit_async(frame(1), 1))
        await asyncio.to_thread(gate.reached.wait, 60)
        closing = asyncio.create_task(asyncio.to_thread(encoder.close))
        while encoder._worker and not encoder._worker.is_ended:
            await asyncio.sleep(0)
        gate.opened.set()
        await closing
        assert seqs(await first) == [0]
        with pytest.raises(EncoderClosed):
            await second
        with pytest.raises(EncoderClosed):
            await encoder.encode_async(frame(2))
        assert not threads()

    with simulator.machine(gpus=["RTX 4090"]):
        asyncio.run(main())


def test_one_thread_an_encoder_at_first_use(abi: str, simulator: Simulator) -> None:
    async def main() -> None:
        with NvencEncoder(WIDTH, HEIGHT) as encoder:
            encoder.encode(frame(0))
            assert len(threads()) == 0
            await asyncio.gather(*(encoder.encode_async(frame(n)) for n in range(1, 9)))
            assert len(threads()) == 1

    with simulator.machine(gpus=["RTX 4090"]):
        asyncio.run(main())


def test_an_encoder_that_is_dropped_takes_its_thread_along(abi: str, simulator: Simulator) -> None:
    async def main() -> None:
        encoder = NvencEncoder(WIDTH, HEIGHT)
        assert await encoder.encode_async(frame(0))

    with simulator.machine(gpus=["RTX 4090"]):
        asyncio.run(main())
        gc.collect()
        for thread in threads():
            thread.join(60)


# ---- whose stream it is --------------------------------------------------------------------------------------------


class OnGpu:
    def __init__(self, **interface: Any) -> None:
        self.__cuda_array_interface__ = interface


class ByDlpack:
    """A producer that remembers the stream that it was asked to be ready on, and the thread."""

    def __init__(self, device: int) -> None:
        self.device = device
        self.asked: list[tuple[Any, bool]] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device, 0

    def __dlpack__(self, stream: Any = None) -> Any:
        self.asked.append((stream, threading.current_thread() is threading.main_thread()))


@pytest.mark.parametrize(
    ("made", "given", "told"),
    [
        (OnGpu(stream=77), None, 77),
        (OnGpu(stream=77), 5, 5),
        (OnGpu(stream=None), None, None),
        (OnGpu(), None, None),
        (frame(0), None, None),
        (ByDlpack(1), None, None),
        (ByDlpack(2), None, 1),
        (object(), None, None),
    ],
)
def test_the_stream_is_asked_for_in_the_callers_thread(made: Any, given: Any, told: Any) -> None:
    assert _async.stream_here(made, given) == told
    if isinstance(made, ByDlpack):
        assert made.asked == ([(1, True)] if made.device == 2 else [])


def test_a_threads_own_stream_is_refused() -> None:
    with pytest.raises(InvalidFrame, match="own default stream"):
        _async.stream_here(OnGpu(stream=2), None)


def test_the_views_of_a_pair_are_made_on_one_stream() -> None:
    assert _async.stream_here((OnGpu(stream=7), OnGpu(stream=7)), None) == 7
    assert _async.stream_here([OnGpu(stream=7), frame(0)], None) == 7
    assert _async.stream_here((OnGpu(stream=7), OnGpu(stream=9)), 3) == 3
    with pytest.raises(InvalidFrame, match=r"different streams.*stream="):
        _async.stream_here((OnGpu(stream=7), OnGpu(stream=9)), None)
    with pytest.raises(InvalidFrame, match="own default stream"):
        _async.stream_here((OnGpu(stream=2), OnGpu(stream=2)), None)
