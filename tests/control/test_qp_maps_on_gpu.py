"""Maps of QP offsets in the memory of a GPU: the values that their producer writes, whenever it does so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from control.test_qp_maps import grid, some_map
from frames import LEGACY_STREAM, PER_THREAD_STREAM, CudaFrame, DlpackFrame, created_context, nv12
from frames import gpu as lent_gpu
from pdum.nvenc import InvalidConfig, NvencEncoder, Packet, PictureOptions
from test_ordering import HEIGHT, MACHINE, WIDTH, Producer, production

from simulator import Simulator, parse

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]

FRAME = nv12(WIDTH, HEIGHT)
SHAPE = grid("h264", WIDTH, HEIGHT)
GARBAGE = np.full(SHAPE, 99, np.int8)


def map_number(number: int) -> Any:
    return some_map("h264", number, WIDTH, HEIGHT)


def map_on(producer: Producer, kind: str) -> Any:
    if kind == "dlpack":
        return DlpackFrame(producer.pointer, SHAPE, dtype=(0, 8, 1))
    return CudaFrame(producer.pointer, SHAPE, typestr="|i1", stream=producer.stream)


def maps_of(packets: list[Packet]) -> list[bytes | None]:
    return [parse(packet.data)[0].map for packet in sorted(packets, key=lambda packet: packet.seq)]


@pytest.mark.parametrize("delay", [0, 3])
@pytest.mark.parametrize(
    "stream", [None, LEGACY_STREAM, PER_THREAD_STREAM], ids=["created", "legacy default", "per thread"]
)
def test_late_maps_that_are_overwritten_at_once(simulator: Simulator, stream: int | None, delay: int) -> None:
    with (
        simulator.machine(**MACHINE),
        production(stream=stream) as producer,
        NvencEncoder(WIDTH, HEIGHT, extra_output_delay=delay, qp_map="delta") as encoder,
    ):
        array = map_on(producer, "array interface")
        packets = []
        for number in range(40):
            producer.write(map_number(number).view(np.uint8))
            packets += encoder.submit(FRAME, number, picture=PictureOptions(qp_map=array))
            producer.write(GARBAGE.view(np.uint8), late=False)
        packets += encoder.flush_pipeline()
    assert maps_of(packets) == [map_number(number).tobytes() for number in range(40)]


def test_a_producer_that_is_told_the_stream(simulator: Simulator) -> None:
    """DLPack's producers order the stream that they are given behind their own work."""
    with (
        simulator.machine(**MACHINE),
        production() as producer,
        NvencEncoder(WIDTH, HEIGHT, qp_map="delta") as encoder,
    ):
        array = map_on(producer, "dlpack")
        producer.write(map_number(1).view(np.uint8), late=False)
        producer.device.call("cuCtxSynchronize")
        packets = encoder.submit(FRAME, 0, picture=PictureOptions(qp_map=array))
        assert maps_of(packets) == [map_number(1).tobytes()]
        (told,) = array.streams
        assert told > PER_THREAD_STREAM, "a stream of its own, and no default stream"
        assert array.alive == 0, "the tensor is given back"


def test_a_map_does_not_wait_for_the_frame(simulator: Simulator) -> None:
    """The host has to wait for a map, since the driver reads it there; it waits for nothing else."""
    with (
        simulator.machine(**MACHINE),
        production() as slow,
        production() as producer,
        NvencEncoder(WIDTH, HEIGHT, extra_output_delay=2, qp_map="delta") as encoder,
    ):
        slow.write(FRAME, late=False)
        slow.gate()
        producer.write(map_number(1).view(np.uint8))
        frame = slow.frame(stream=slow.stream)
        encoder.submit(frame, 0, picture=PictureOptions(qp_map=map_on(producer, "array interface")))
        assert not slow.opened.is_set(), "the call is back before the frame is made"
        slow.opened.set()
        packets = encoder.flush_pipeline()
    assert maps_of(packets) == [map_number(1).tobytes()]


def test_an_encoder_in_a_context_of_the_callers(simulator: Simulator) -> None:
    """The default stream on which a map is made is that of the map's own context."""
    with (
        simulator.machine(**MACHINE),
        created_context() as context,
        production(stream=LEGACY_STREAM) as producer,
        NvencEncoder(WIDTH, HEIGHT, cuda_context=context, qp_map="delta") as encoder,
    ):
        producer.write(map_number(3).view(np.uint8))
        array = map_on(producer, "array interface")
        (packet,) = encoder.submit(FRAME, 0, picture=PictureOptions(qp_map=array))
    assert parse(packet.data)[0].map == map_number(3).tobytes()


def refusal(encoder: NvencEncoder, array: object) -> str:
    with pytest.raises(InvalidConfig) as caught:
        encoder.encode(FRAME, picture=PictureOptions(qp_map=array))
    assert "qp_map" in str(caught.value)
    assert encoder.in_flight == 0
    return str(caught.value)


def test_memory_that_cannot_be_read(simulator: Simulator) -> None:
    machine: dict[str, Any] = {"gpus": [{"name": "RTX 4090", "fps_1080p": 0}] * 2}
    with (
        simulator.machine(**machine),
        lent_gpu() as device,
        lent_gpu(1) as other,
        NvencEncoder(WIDTH, HEIGHT, qp_map="delta") as encoder,
    ):
        here, there = device.allocate(4096), other.allocate(4096)
        freed = device.allocate(4096)
        device.free(freed)
        assert "GPU 1" in refusal(encoder, CudaFrame(there, SHAPE, typestr="|i1"))
        assert "no memory that CUDA knows" in refusal(encoder, CudaFrame(freed, SHAPE, typestr="|i1"))
        assert "null pointer" in refusal(encoder, CudaFrame(0, SHAPE, typestr="|i1"))
        assert "side by side" in refusal(encoder, CudaFrame(here, SHAPE, typestr="|i1", strides=(1, SHAPE[0])))
        assert "strides (12,)" in refusal(encoder, CudaFrame(here, SHAPE, typestr="|i1", strides=(12,)))
        assert "got 'f4'" in refusal(encoder, CudaFrame(here, SHAPE, typestr="|f4"))
        assert "device 10" in refusal(encoder, DlpackFrame(here, SHAPE, dtype=(0, 8, 1), device=(10, 0)))
        assert "(9, 12)" in refusal(encoder, CudaFrame(here, (9, 12), typestr="|i1"))
        assert encoder.encode(FRAME), "it stays usable"
