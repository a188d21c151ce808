"""Frames on the GPU: read in the order of their stream, and copied there while they wait for their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from frames import CudaFrame, Gpu, gpu, nv12
from pdum.nvenc import LiveEncoder, LivePacket

from simulator import Simulator, checksum, parse

WIDTH, HEIGHT = 256, 144
SETTINGS: dict[str, Any] = {"format": "nv12", "backend": "nvenc"}


@pytest.fixture
def device(simulator: Simulator) -> Iterator[Gpu]:
    with simulator.machine(gpus=["RTX 4090"], backend="echo"), gpu() as one:
        yield one


class Copyable(CudaFrame):
    """As an array of CuPy: its copy is in other memory of the GPU."""

    def __init__(self, device: Gpu, number: int) -> None:
        picture = nv12(WIDTH, HEIGHT, number)
        super().__init__(device.allocate(picture.nbytes), picture.shape)
        self.device, self.number, self.copies = device, number, 0
        device.upload(self.pointer, picture)

    def copy(self) -> Copyable:
        self.copies += 1
        return Copyable(self.device, self.number)

    def overwrite(self) -> None:
        self.device.upload(self.pointer, nv12(WIDTH, HEIGHT, 77))


def shown(packet: LivePacket) -> int:
    return parse(packet.data)[0].checksum


def test_a_frame_on_the_gpu_is_read_there(device: Gpu) -> None:
    with LiveEncoder(**SETTINGS) as live:
        (packet,) = live.submit(device.frame(nv12(WIDTH, HEIGHT, 3), pitch=512))
    assert shown(packet) == checksum(nv12(WIDTH, HEIGHT, 3))


def test_while_it_waits_it_is_a_copy_on_the_gpu(device: Gpu) -> None:
    frame = Copyable(device, 5)
    with LiveEncoder(max_in_flight=1, **SETTINGS) as live:
        live.offer(frame, 0)
        next(live)
        live.offer(frame, 1)
        frame.overwrite()
        live.feedback(acked=0)
        assert shown(next(live)) == checksum(nv12(WIDTH, HEIGHT, 5))
    assert frame.copies == 2


@pytest.mark.parametrize("how", ["copy=False", "stream"])
def test_it_is_not_copied_if_the_caller_says_so(device: Gpu, how: str) -> None:
    frame = Copyable(device, 5)
    with LiveEncoder(**SETTINGS) as live:
        if how == "stream":
            live.offer(frame, stream=device.stream())
        else:
            live.offer(frame, copy=False)
        assert shown(next(live)) == checksum(nv12(WIDTH, HEIGHT, 5))
    assert frame.copies == 0


def test_awaited_frames_are_read_in_the_order_of_their_stream(device: Gpu) -> None:
    """The picture is uploaded on a stream of its own, and is complete when the encoder reads it."""

    async def main() -> None:
        picture, stream = nv12(WIDTH, HEIGHT, 9), device.stream()
        frame = CudaFrame(device.allocate(picture.nbytes), picture.shape, stream=stream)
        with LiveEncoder(**SETTINGS) as live:
            device.upload(frame.pointer, picture, stream)
            (packet,) = await live.submit_async(frame)
            assert shown(packet) == checksum(picture)

    asyncio.run(main())
