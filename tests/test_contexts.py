"""Frames, streams and encoders in different CUDA contexts of one GPU: events still keep their order."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from frames import LEGACY_STREAM, PER_THREAD_STREAM, Gpu, cuda, gpu, nv12
from pdum.nvenc import CudaFailed, InvalidConfig, InvalidFrame, NvencEncoder
from pdum.nvenc._nvenc import PrimaryContext
from test_ordering import GARBAGE, HEIGHT, MACHINE, ROWS, WIDTH, Producer, expected, pixels

from simulator import Simulator
from simulator.trace import read_calls

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]

FRAMES = 60
STREAMS = {"created": 0, "legacy default": LEGACY_STREAM, "per thread": PER_THREAD_STREAM}


class OwnContext(Gpu):
    """A second context, with the objects that a test makes in it."""

    def __init__(self, index: int = 0) -> None:
        super().__init__(index)
        self._primary = self._context
        self._context = ctypes.c_void_p()
        cuda("cuCtxCreate_v2", ctypes.byref(self._context), 0, index)
        cuda("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))

    @property
    def handle(self) -> int:
        return self._context.value or 0

    def close(self) -> None:
        super().close()
        cuda("cuCtxDestroy_v2", self._context)


@contextmanager
def producing(device: Gpu, stream: int = 0) -> Iterator[Producer]:
    """With the device's context current, as for a caller who uses the default stream."""
    try:
        with device.current():
            producer = Producer(device, stream or device.stream())
            yield producer
            producer.opened.set()
            device.call("cuCtxSynchronize")
    finally:
        device.close()


def encode_late_frames(encoder: NvencEncoder, producer: Producer, frame: Any) -> list[int]:
    """Each is written late, and overwritten as soon as the call returns."""
    packets = []
    for number in range(FRAMES):
        producer.write(nv12(WIDTH, HEIGHT, number))
        packets += encoder.submit(frame, number)
        producer.write(GARBAGE, late=False)
    return pixels(packets + encoder.flush_pipeline())


@pytest.mark.parametrize("delay", [0, 3])
@pytest.mark.parametrize("kind", STREAMS)
def test_the_producer_works_in_another_context(abi: str, simulator: Simulator, kind: str, delay: int) -> None:
    with (
        simulator.machine(**MACHINE),
        producing(OwnContext(), STREAMS[kind]) as producer,
        NvencEncoder(WIDTH, HEIGHT, extra_output_delay=delay) as encoder,
    ):
        frame = producer.frame(stream=producer.stream)
        assert encode_late_frames(encoder, producer, frame) == expected(FRAMES)


@pytest.mark.parametrize("kind", STREAMS)
def test_the_encoder_works_in_another_context(abi: str, simulator: Simulator, kind: str) -> None:
    with simulator.machine(**MACHINE):
        theirs = OwnContext()
        try:
            with (
                producing(Gpu(), STREAMS[kind]) as producer,
                NvencEncoder(WIDTH, HEIGHT, extra_output_delay=2, cuda_context=theirs.handle) as encoder,
            ):
                frame = producer.frame(stream=producer.stream)
                assert encode_late_frames(encoder, producer, frame) == expected(FRAMES)
        finally:
            theirs.close()


@pytest.mark.parametrize("copy", ["auto", "always", "never"])
def test_memory_of_the_encoders_context_on_a_stream_of_another(abi: str, simulator: Simulator, copy: str) -> None:
    """As when a library with its own context writes into memory from the encoder's owner."""
    with simulator.machine(**MACHINE):
        ours = Gpu()
        pointer = ours.allocate(GARBAGE.nbytes)
        try:
            with (
                producing(OwnContext()) as producer,
                NvencEncoder(WIDTH, HEIGHT, copy=copy) as encoder,
            ):
                producer.pointer = pointer
                frame = producer.frame(stream=producer.stream)
                assert encode_late_frames(encoder, producer, frame) == expected(FRAMES)
        finally:
            ours.close()


def test_memory_of_another_context_is_copied_and_never_registered(
    abi: str, simulator: Simulator, tmp_path: Path
) -> None:
    path = tmp_path / "trace"
    with (
        simulator.machine(**MACHINE, trace=str(path)),
        producing(OwnContext()) as producer,
        NvencEncoder(WIDTH, HEIGHT) as encoder,
        NvencEncoder(WIDTH, HEIGHT, copy="never") as strict,
    ):
        frame = producer.frame(stream=producer.stream)
        for _ in range(3):
            encoder.encode(frame)
        with pytest.raises(InvalidFrame, match="another CUDA context"):
            strict.encode(frame)
    resources = [call.args["resourceToRegister"] for call in read_calls(path, "nvEncRegisterResource")]
    assert hex(producer.pointer) not in resources


def test_a_surface_written_on_a_stream_of_another_context(abi: str, simulator: Simulator) -> None:
    with (
        simulator.machine(**MACHINE),
        producing(OwnContext()) as producer,
        NvencEncoder(WIDTH, HEIGHT, extra_output_delay=2) as encoder,
    ):
        packets = []
        for number in range(20):
            with encoder.surface(producer.stream) as surface:
                interface = surface.__cuda_array_interface__
                picture = nv12(WIDTH, HEIGHT, number)
                producer._kept.append(picture)
                producer.run(lambda: None)
                copy_rows(producer, interface["data"][0], interface["strides"][0], picture)
                packets += encoder.submit(surface, number)
        packets += encoder.flush_pipeline()
    assert pixels(packets) == expected(20)


class Copy2d(ctypes.Structure):
    """CUDA_MEMCPY2D."""

    _fields_ = (
        ("src_x", ctypes.c_size_t),
        ("src_y", ctypes.c_size_t),
        ("src_type", ctypes.c_uint),
        ("src_host", ctypes.c_void_p),
        ("src_device", ctypes.c_uint64),
        ("src_array", ctypes.c_void_p),
        ("src_pitch", ctypes.c_size_t),
        ("dst_x", ctypes.c_size_t),
        ("dst_y", ctypes.c_size_t),
        ("dst_type", ctypes.c_uint),
        ("dst_host", ctypes.c_void_p),
        ("dst_device", ctypes.c_uint64),
        ("dst_array", ctypes.c_void_p),
        ("dst_pitch", ctypes.c_size_t),
        ("width", ctypes.c_size_t),
        ("height", ctypes.c_size_t),
    )


def copy_rows(producer: Producer, address: int, pitch: int, picture: Any) -> None:
    """Copies the picture into rows of device memory, late, in the producer's stream."""
    host, device = 1, 2
    copy = Copy2d(
        src_type=host, src_host=picture.ctypes.data, src_pitch=WIDTH, dst_type=device, dst_device=address,
        dst_pitch=pitch, width=WIDTH, height=ROWS,
    )  # fmt: skip
    producer.device.call("cuMemcpy2DAsync_v2", ctypes.byref(copy), ctypes.c_void_p(producer.stream))


def test_a_context_that_is_gone_is_an_error_and_costs_nothing(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=MACHINE["gpus"], check=False), NvencEncoder(WIDTH, HEIGHT) as encoder:
        theirs = OwnContext()
        stream = theirs.stream()
        ours = Gpu()
        frame = ours.frame(nv12(WIDTH, HEIGHT, 3), stream=stream)
        cuda("cuCtxDestroy_v2", theirs._context)
        with pytest.raises(CudaFailed):
            encoder.encode(frame)
        frame.interface["stream"] = LEGACY_STREAM
        assert pixels(encoder.submit(frame, 0)) == expected(4)[3:]
        ours.close()
        cuda("cuDevicePrimaryCtxRelease_v2", 0)


def test_a_streams_handle_that_is_used_again_in_another_context(abi: str, simulator: Simulator) -> None:
    """Facts about a handle hold only while its stream exists. CUDA reuses handles at once."""
    machine = simulator.machine(gpus=MACHINE["gpus"], check=False)
    with machine, NvencEncoder(WIDTH, HEIGHT) as encoder, gpu() as ours:
        theirs = OwnContext()
        first = ours.stream()
        frame = ours.frame(nv12(WIDTH, HEIGHT, 0), stream=first)
        assert pixels(encoder.submit(frame, 0)) == expected(1)
        ours.call("cuStreamDestroy_v2", ours._streams.pop())
        for _ in range(5000):
            if theirs.stream() == first:
                break
            theirs.call("cuStreamDestroy_v2", theirs._streams.pop())
        assert theirs._streams, "the simulated libcuda keeps handles back for a while, but not forever"
        for number in range(1, 4):
            ours.upload(frame.pointer, nv12(WIDTH, HEIGHT, number))
            assert pixels(encoder.submit(frame, number)) == expected(number + 1)[number:]
        theirs.close()


def current_context() -> int:
    found = ctypes.c_void_p()
    cuda("cuCtxGetCurrent", ctypes.byref(found))
    return found.value or 0


def test_the_primary_context_is_current_for_a_block_and_no_longer(simulator: Simulator) -> None:
    """Other libraries run in it, nested and in any thread."""
    with simulator.machine(), closing(OwnContext()) as own:
        before = current_context()  # another test's client may have left one
        cuda("cuCtxPushCurrent_v2", ctypes.c_void_p(own.handle))
        primary = PrimaryContext(0)
        with primary:
            inside = current_context()
            assert inside not in (0, own.handle)
            with pytest.raises(ZeroDivisionError), primary:
                raise ZeroDivisionError
            assert current_context() == inside
            with ThreadPoolExecutor(1) as other:
                assert other.submit(current_context).result() == 0
        assert current_context() == own.handle
        cuda("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))
        assert current_context() == before


def test_a_gpu_that_is_not_there_has_no_primary_context(simulator: Simulator) -> None:
    with simulator.machine(gpus=["L4"]), pytest.raises(InvalidConfig, match="gpu_id=7"):
        PrimaryContext(7)
