"""Frames, streams and encoders in different contexts of one real GPU."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import pytest

from gpu.frames import HEIGHT, SHAPE, SLOW_PRODUCER, SPIN_CYCLES, WIDTH, pattern
from gpu.library import EncodeLibrary
from pdum.nvenc import InvalidFrame, NvencEncoder

from loud import missing
from simulator.echo import checksum, parse

FRAMES = 100
LEGACY_STREAM = 1


class WithInterface:
    def __init__(self, interface: dict[str, Any]) -> None:
        self.__cuda_array_interface__ = interface


class OwnContext:
    """A second context, with its own buffer, stream and slow producer."""

    def __init__(self, driver: Any, ptx: bytes) -> None:
        self._driver = driver
        self.handle = self.call("cuCtxCreate", None, 0, self.call("cuDeviceGet", 0))
        try:
            self.pointer = int(self.call("cuMemAlloc", SHAPE[0] * SHAPE[1]))
            self.stream = self.call("cuStreamCreate", 1)
            self._produce = self.call("cuModuleGetFunction", self.call("cuModuleLoadData", ptx), b"produce")
        finally:
            self.call("cuCtxPopCurrent")

    def call(self, name: str, *arguments: Any) -> Any:
        result = getattr(self._driver, name)(*arguments)
        assert int(result[0]) == 0, (name, result)
        return result[1] if len(result) > 1 else None

    def produce(self, number: int, stream: Any, pointer: int = 0) -> None:
        values = (pointer or self.pointer, WIDTH, WIDTH, SHAPE[0], number, SPIN_CYCLES)
        types = (ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_longlong)
        self.call("cuCtxPushCurrent", self.handle)
        self.call("cuLaunchKernel", self._produce, 64, 1, 1, 256, 1, 1, 0, stream, (values, types), 0)
        self.call("cuCtxPopCurrent")

    def frame(self, stream: int, shape: tuple[int, ...] = SHAPE) -> Any:
        return WithInterface(
            {"shape": shape, "typestr": "|u1", "data": (self.pointer, False), "version": 3, "stream": stream}
        )

    def close(self) -> None:
        self.call("cuCtxDestroy", self.handle)


@pytest.fixture
def theirs(cupy: Any) -> Iterator[OwnContext]:
    try:
        from cuda.bindings import driver
    except ImportError as error:
        missing(f"cuda-bindings is not installed: {error}")
    ptx, _ = cupy.cuda.compiler.compile_using_nvrtc(SLOW_PRODUCER)
    cupy.cuda.Device().synchronize()
    context = OwnContext(driver, ptx)
    try:
        yield context
    finally:
        context.close()


def wrong_frames(packets: list[Any]) -> list[int]:
    return [p.seq for p in packets if parse(p.data)[-1].checksum != checksum(pattern(p.seq))]


@pytest.mark.parametrize("delay", [0, 3])
@pytest.mark.parametrize("kind", ["created", "legacy default"])
@pytest.mark.parametrize("context", ["primary", "that of the frames"])
def test_a_slow_producer_in_its_own_context(
    engine: EncodeLibrary, abi: str, theirs: OwnContext, context: str, kind: str, delay: int
) -> None:
    """One buffer for all frames, overwritten at once. The encoder works in the primary context or in theirs."""
    stream = theirs.stream if kind == "created" else LEGACY_STREAM
    frame = theirs.frame(int(stream))
    own = int(theirs.handle) if context != "primary" else 0
    packets: list[Any] = []
    with NvencEncoder(WIDTH, HEIGHT, extra_output_delay=delay, cuda_context=own) as encoder:
        for number in range(FRAMES):
            theirs.produce(number, stream)
            packets += encoder.submit(frame, number)
        packets += encoder.flush_pipeline()
    assert [packet.seq for packet in packets] == list(range(FRAMES))
    assert wrong_frames(packets) == []


def test_the_encoder_in_theirs_and_the_frames_in_the_primary_context(
    engine: EncodeLibrary, abi: str, cupy: Any, theirs: OwnContext
) -> None:
    from gpu.frames import SlowProducer, WithStream

    produce = SlowProducer(cupy)
    stream = cupy.cuda.Stream(non_blocking=True)
    buffer = cupy.zeros(SHAPE, dtype=cupy.uint8)
    cupy.cuda.Device().synchronize()
    packets: list[Any] = []
    with NvencEncoder(WIDTH, HEIGHT, extra_output_delay=2, cuda_context=int(theirs.handle)) as encoder:
        for number in range(FRAMES):
            produce(buffer, number, stream)
            packets += encoder.submit(WithStream(buffer, stream.ptr), number)
        packets += encoder.flush_pipeline()
    assert wrong_frames(packets) == []


def test_memory_of_another_context_is_not_read_in_place(engine: EncodeLibrary, abi: str, theirs: OwnContext) -> None:
    with (
        NvencEncoder(WIDTH, HEIGHT, copy="never") as encoder,
        pytest.raises(InvalidFrame, match="another CUDA context"),
    ):
        encoder.encode(theirs.frame(int(theirs.stream)))


def test_rgb_of_another_context(engine: EncodeLibrary, abi: str, theirs: OwnContext) -> None:
    """Kernels of the encoder's context cannot read it in place. The result is the same as from the host."""
    rows, columns = 240, 320
    pixels = pattern(3).reshape(-1)[: rows * columns * 3].reshape(rows, columns, 3).copy()
    theirs.call("cuCtxPushCurrent", theirs.handle)
    theirs.call("cuMemcpyHtoD", theirs.pointer, pixels.ctypes.data, pixels.nbytes)
    theirs.call("cuCtxPopCurrent")
    frame = theirs.frame(int(theirs.stream), pixels.shape)
    with NvencEncoder(columns, rows, format="rgb") as encoder:
        there, here = (parse(encoder.encode(one))[-1].checksum for one in (frame, pixels))
    assert there == here
