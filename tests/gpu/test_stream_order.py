"""Real streams: a slow producer on its own stream, one buffer for all frames, and no wait on the host."""

from __future__ import annotations

from typing import Any

import pytest

from gpu.frames import HEIGHT, SHAPE, WIDTH, OnlyDlpack, SlowProducer, WithStream, pattern
from gpu.library import EncodeLibrary
from pdum.nvenc import NvencEncoder

from simulator.echo import checksum, parse

FRAMES = 500


def wrong_frames(packets: list[Any]) -> list[int]:
    """The seqs whose access unit reports other pixels than the producer wrote."""
    expected = {number: checksum(pattern(number)) for number in range(256)}
    return [packet.seq for packet in packets if parse(packet.data)[-1].checksum != expected[packet.seq % 256]]


def encode_from_stream(cupy: Any, as_frame: Any, frames: int, delay: int) -> list[Any]:
    """The caller overwrites its only buffer on its own stream at once, again and again."""
    produce = SlowProducer(cupy)
    stream = cupy.cuda.Stream(non_blocking=True)
    buffer = cupy.zeros(SHAPE, dtype=cupy.uint8)
    cupy.cuda.Device().synchronize()
    packets: list[Any] = []
    with NvencEncoder(WIDTH, HEIGHT, extra_output_delay=delay) as encoder, stream:
        for number in range(frames):
            produce(buffer, number, stream)
            packets += encoder.submit(as_frame(buffer, stream), number)
        packets += encoder.flush_pipeline()
    assert [packet.seq for packet in packets] == list(range(frames))
    return packets


@pytest.mark.parametrize("delay", [0, 3])
def test_every_frame_is_read_after_it_was_made_and_before_it_is_overwritten(
    engine: EncodeLibrary, abi: str, cupy: Any, delay: int
) -> None:
    packets = encode_from_stream(cupy, lambda buffer, stream: WithStream(buffer, stream.ptr), FRAMES, delay)
    assert wrong_frames(packets) == []


def test_cupy_names_its_own_stream(engine: EncodeLibrary, abi: str, cupy: Any) -> None:
    packets = encode_from_stream(cupy, lambda buffer, stream: buffer, 100, 3)
    assert wrong_frames(packets) == []


def test_dlpack_producers_are_asked_to_order_their_stream(engine: EncodeLibrary, abi: str, cupy: Any) -> None:
    packets = encode_from_stream(cupy, lambda buffer, stream: OnlyDlpack(buffer), 100, 3)
    assert wrong_frames(packets) == []


def test_without_the_wait_frames_are_wrong(engine: EncodeLibrary, cupy: Any) -> None:
    """The proof that the tests above can fail: the same with a hidden producer stream."""
    packets = encode_from_stream(cupy, lambda buffer, stream: WithStream(buffer, None), 100, 3)
    assert wrong_frames(packets) != []


def test_torch_works_on_its_current_stream(engine: EncodeLibrary, abi: str, cupy: Any, torch: Any) -> None:
    stream = torch.cuda.Stream()
    template = torch.from_numpy(pattern(0)).cuda()
    buffer = torch.zeros_like(template)
    torch.cuda.synchronize()
    packets: list[Any] = []
    with NvencEncoder(WIDTH, HEIGHT, extra_output_delay=3) as encoder, torch.cuda.stream(stream):
        for number in range(200):
            torch.cuda._sleep(2_000_000)
            torch.add(template, number * 7 % 256, out=buffer)
            packets += encoder.submit(buffer, number)
        packets += encoder.flush_pipeline()
    assert wrong_frames(packets) == []
