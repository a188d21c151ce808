"""Under asyncio a frame is read in the order of the caller's current stream, not of the worker's."""

from __future__ import annotations

import asyncio
from typing import Any

from gpu.frames import HEIGHT, SHAPE, WIDTH, SlowProducer, pattern
from gpu.library import EncodeLibrary
from pdum.nvenc import NvencEncoder

from simulator.echo import checksum, parse


def test_cupy_frames_of_a_stream_of_the_callers(engine: EncodeLibrary, abi: str, cupy: Any) -> None:
    produce = SlowProducer(cupy)

    async def main() -> list[int]:
        frame = cupy.zeros(SHAPE, cupy.uint8)
        stream = cupy.cuda.Stream(non_blocking=True)
        found = []
        with NvencEncoder(WIDTH, HEIGHT) as encoder, stream:
            for number in range(8):
                produce(frame, number, stream)
                found.append(int(parse(await encoder.encode_async(frame))[-1].checksum))
        return found

    assert asyncio.run(main()) == [checksum(pattern(number)) for number in range(8)]


def test_torch_tensors_of_a_stream_of_the_callers(engine: EncodeLibrary, abi: str, cupy: Any, torch: Any) -> None:
    produce = SlowProducer(cupy)

    async def main() -> list[int]:
        tensor = torch.zeros(SHAPE, dtype=torch.uint8, device="cuda")
        stream = cupy.cuda.Stream(non_blocking=True)
        view = cupy.asarray(tensor)
        found = []
        with NvencEncoder(WIDTH, HEIGHT) as encoder, torch.cuda.stream(torch.cuda.ExternalStream(stream.ptr)):
            for number in range(8):
                produce(view, number, stream)
                found.append(int(parse(await encoder.encode_async(tensor))[-1].checksum))
        return found

    assert asyncio.run(main()) == [checksum(pattern(number)) for number in range(8)]
