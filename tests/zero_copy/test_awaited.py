"""Zero copy under asyncio: another thread reads the frame, and a cancelled caller still gets it back."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections import Counter
from typing import Any

import pytest

from frames import Gpu, gpu
from pdum.nvenc import NvencEncoder, Packet
from zero_copy.memory import FAST, HEIGHT, WIDTH, Calls, OwnedFrame, expected, picture, pixels

from simulator import Simulator

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]


class Gated(OwnedFrame):
    """A frame whose reader waits for permission to go on."""

    def __init__(self, device: Gpu, number: int) -> None:
        super().__init__(device, picture(number))
        self.reached, self.opened = threading.Event(), threading.Event()

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        if threading.current_thread() is not threading.main_thread():
            self.reached.set()
            assert self.opened.wait(60)
        return self.interface


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_awaited_frames_are_not_copied(abi: str, simulator: Simulator) -> None:
    async def main(encoder: NvencEncoder, frames: list[OwnedFrame]) -> list[Packet]:
        for frame in frames[:2]:
            assert await encoder.encode_async(frame)
        packets = [packet for seq, frame in enumerate(frames) for packet in await encoder.submit_async(frame, seq)]
        return packets + [packet async for packet in encoder.packets_async(frames)]

    with simulator.machine(**FAST) as machine, gpu() as device, NvencEncoder(WIDTH, HEIGHT) as encoder:
        frames = [OwnedFrame(device, picture(number)) for number in range(4)]
        calls = Calls(machine)
        packets = asyncio.run(main(encoder, frames))
        assert pixels(packets) == expected([*range(4), *range(4)])
        assert (calls("cuMemcpy"), calls("nvEncRegisterResource")) == (0, 4)
        assert all(packet.released is frames[packet.seq] for packet in packets)


def test_reported_once_in_another_thread(abi: str, simulator: Simulator) -> None:
    threads: set[int] = set()
    told: list[Any] = []

    def tell(frame: Any) -> None:
        threads.add(threading.get_ident())
        told.append(frame)

    async def main(encoder: NvencEncoder, frames: list[OwnedFrame]) -> None:
        waiting = (encoder.submit_async(frame, seq, on_released=tell) for seq, frame in enumerate(frames))
        packets = [packet for each in await asyncio.gather(*waiting) for packet in each]
        assert len(told) == len(packets) == len(frames) - 3
        packets += await encoder.flush_pipeline_async()
        assert pixels(packets) == expected(range(len(frames)))

    with (
        simulator.machine(**FAST),
        gpu() as device,
        NvencEncoder(WIDTH, HEIGHT, copy="never", extra_output_delay=3) as encoder,
    ):
        frames = [OwnedFrame(device, picture(number)) for number in range(10)]
        asyncio.run(main(encoder, frames))
        assert Counter(map(id, told)) == Counter(map(id, frames))
        assert len(threads) == 1
        assert threading.get_ident() not in threads


def test_cancelled_frames_stay_alive_and_are_released(abi: str, simulator: Simulator) -> None:
    """One is being read when its await is cancelled, and another waits for its turn. Later packets release both."""
    told: list[int] = []

    async def main(encoder: NvencEncoder, device: Gpu) -> None:
        gate, waiting = Gated(device, 0), OwnedFrame(device, picture(1))
        watched: list[weakref.ref[OwnedFrame]] = [weakref.ref(gate), weakref.ref(waiting)]
        opened = gate.opened
        tasks = [
            asyncio.create_task(encoder.submit_async(gate, 0, stream=1, on_released=lambda _: told.append(0))),
            asyncio.create_task(encoder.submit_async(waiting, 1, on_released=lambda _: told.append(1))),
        ]
        await asyncio.to_thread(gate.reached.wait, 60)
        for task in tasks:
            await cancelled(task)
        tasks.clear()
        del gate, waiting, task
        gc.collect()
        assert None not in [reference() for reference in watched], "their turn is still to come"
        opened.set()
        packets = await encoder.submit_async(OwnedFrame(device, picture(2)), 2) + await encoder.flush_pipeline_async()
        assert [packet.seq for packet in packets] == [0, 1, 2]
        assert pixels(packets) == expected(range(3))
        assert [packet.released for packet in packets[:2]] == [reference() for reference in watched]
        assert told == [0, 1]
        del packets
        gc.collect()
        assert [reference() for reference in watched] == [None, None]

    with (
        simulator.machine(**FAST),
        gpu() as device,
        NvencEncoder(WIDTH, HEIGHT, copy="never", extra_output_delay=1) as encoder,
    ):
        asyncio.run(main(encoder, device))


def test_closed_while_frames_wait(abi: str, simulator: Simulator) -> None:
    """Frames whose encoding began are reported; frames that never began are just dropped."""
    told: list[Any] = []

    async def main(encoder: NvencEncoder, device: Gpu) -> list[weakref.ref[OwnedFrame]]:
        gate, waiting = Gated(device, 0), OwnedFrame(device, picture(1))
        watched: list[weakref.ref[OwnedFrame]] = [weakref.ref(gate), weakref.ref(waiting)]
        tasks = [
            asyncio.create_task(encoder.submit_async(frame, 0, stream=1, on_released=lambda _: told.append(1)))
            for frame in (gate, waiting)
        ]
        await asyncio.to_thread(gate.reached.wait, 60)
        closing = asyncio.create_task(asyncio.to_thread(encoder.close))
        while encoder._worker and not encoder._worker.is_ended:
            await asyncio.sleep(0)
        gate.opened.set()
        await closing
        await asyncio.gather(*tasks, return_exceptions=True)
        return watched

    with simulator.machine(**FAST), gpu() as device:
        encoder = NvencEncoder(WIDTH, HEIGHT, copy="never", extra_output_delay=1)
        watched = asyncio.run(main(encoder, device))
        assert told == [1]
        gc.collect()
        assert [reference() for reference in watched] == [None, None]
