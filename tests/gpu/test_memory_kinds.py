"""Frames in memory of every kind that CUDA has, by every way into the encoder.

The memory is made by plain calls of libcuda, so that these tests run on the simulated libcuda too:

    LD_LIBRARY_PATH=build/driver/full pytest tests/gpu/test_memory_kinds.py
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import memory_kinds
from frames import CudaFrame, DlpackFrame
from gpu.library import EncodeLibrary
from memory_kinds import ALL_KINDS, LEGACY_IPC, MEMPOOL_HANDLE, NOT_REGISTERABLE, POOLED, REGISTERABLE, attribute
from pdum.nvenc import InvalidFrame, NvencEncoder

from loud import missing
from simulator.echo import checksum, parse

WIDTH, HEIGHT = 320, 192
SHAPE = (HEIGHT * 3 // 2, WIDTH)
IS_MANAGED = 8
FRAMES = 5
REASONS = {"pool": "cudaMallocAsync", "own pool": "cudaMallocAsync", "managed": "managed memory", "virtual": "virtual"}


@pytest.fixture(autouse=True)
def cuda_gpu() -> None:
    """A real one, or a simulated one that this whole process was started with."""
    count = ctypes.c_int()
    try:
        libcuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        missing(f"no CUDA driver: {error}")
    if libcuda.cuInit(0) != 0 or libcuda.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        missing("no CUDA GPU")
    if not is_real() and "driver" not in os.environ.get("LD_LIBRARY_PATH", ""):
        missing("no CUDA GPU", "the simulated one serves other tests of this process")


def is_real() -> bool:
    return not hasattr(ctypes.CDLL("libcuda.so.1"), "nvsim_control")


def picture(number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(number).integers(0, 256, SHAPE, np.uint8)


@contextmanager
def frame_of(kind: str) -> Iterator[CudaFrame]:
    """The memory is written without a wait for what else uses it: frames are done when a call returns."""
    with memory_kinds.memory(kind, SHAPE[0] * SHAPE[1]) as address:
        yield CudaFrame(address, SHAPE)


def fill(frame: CudaFrame, number: int) -> int:
    """Writes the picture of that number, and says what the engine is to have read."""
    memory_kinds.write(frame.pointer, picture(number).tobytes())
    return checksum(picture(number))


def read_by(packets: list[Any]) -> list[int]:
    return [parse(packet.data)[-1].checksum for packet in packets]


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_what_cuda_tells_of_it(engine: EncodeLibrary, kind: str) -> None:
    """What the encoder relies on to tell the kinds apart."""
    with frame_of(kind) as frame:
        assert bool(attribute(LEGACY_IPC, frame.pointer)) == (kind in REGISTERABLE)
        assert bool(attribute(MEMPOOL_HANDLE, frame.pointer)) == (kind in POOLED)
        assert bool(attribute(IS_MANAGED, frame.pointer)) == (kind == "managed")


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("awaited", [False, True])
def test_auto(engine: EncodeLibrary, abi: str, kind: str, awaited: bool) -> None:
    """Read in place if NVENC takes such memory; else copied, and never an error."""
    with frame_of(kind) as frame, NvencEncoder(WIDTH, HEIGHT) as encoder:
        told: list[Any] = []
        options: dict[str, Any] = {"on_released": told.append} if awaited else {}
        for number in range(FRAMES):
            expected = fill(frame, number)
            packets = encoder.submit(frame, number, **options)
            assert read_by(packets) == [expected]
            assert (packets[0].released is frame) == (kind in REGISTERABLE)
        assert len(told) == (FRAMES if awaited else 0)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_auto_with_frames_in_flight(engine: EncodeLibrary, abi: str, kind: str) -> None:
    """The caller waits to be told, so plain memory is read in place. Each frame is written when it is free."""
    with frame_of(kind) as frame, NvencEncoder(WIDTH, HEIGHT, extra_output_delay=2) as encoder:
        expected = fill(frame, 1)
        told: list[Any] = []
        packets = [p for number in range(FRAMES) for p in encoder.submit(frame, number, on_released=told.append)]
        packets += encoder.flush_pipeline()
        assert read_by(packets) == [expected] * FRAMES
        assert told == [frame] * FRAMES


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("delay", [0, 2])
def test_always(engine: EncodeLibrary, abi: str, kind: str, delay: int) -> None:
    """A copied frame may be written again at once."""
    with frame_of(kind) as frame, NvencEncoder(WIDTH, HEIGHT, copy="always", extra_output_delay=delay) as encoder:
        packets, expected = list[Any](), list[int]()
        for number in range(FRAMES):
            expected.append(fill(frame, number))
            packets += encoder.submit(frame, number)
        packets += encoder.flush_pipeline()
        assert read_by(packets) == expected
        assert all(packet.released is None for packet in packets)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_never(engine: EncodeLibrary, abi: str, kind: str) -> None:
    with frame_of(kind) as frame, NvencEncoder(WIDTH, HEIGHT, copy="never") as encoder:
        expected = fill(frame, 3)
        if kind in NOT_REGISTERABLE:
            with pytest.raises(InvalidFrame, match=f"copy='never'.*{REASONS[kind]}.*cudaMalloc "):
                encoder.encode(frame)
        else:
            packets = encoder.submit(frame, 0)
            assert (read_by(packets), packets[0].released) == ([expected], frame)
        assert encoder.in_flight == 0


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("copy", ["auto", "always"])
def test_by_dlpack(engine: EncodeLibrary, abi: str, kind: str, copy: Any) -> None:
    device = (DlpackFrame.CUDA_MANAGED if kind == "managed" else DlpackFrame.CUDA, 0)
    with frame_of(kind) as frame, NvencEncoder(WIDTH, HEIGHT, copy=copy) as encoder:
        tensor = DlpackFrame(frame.pointer, SHAPE, device=device)
        for number in range(FRAMES):
            expected = fill(frame, number)
            assert read_by(encoder.submit(tensor, number)) == [expected]


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_written_into_a_surface(engine: EncodeLibrary, abi: str, kind: str) -> None:
    """A copy from memory of any kind into the encoder's own surface, which is plain memory itself."""
    with frame_of(kind) as frame, NvencEncoder(WIDTH, HEIGHT) as encoder:
        for number in range(FRAMES):
            expected = fill(frame, number)
            with encoder.surface() as surface:
                interface = surface.__cuda_array_interface__
                address, pitch = interface["data"][0], interface["strides"][0]
                assert attribute(LEGACY_IPC, address) == 1
                for row in range(SHAPE[0]):
                    target, source = address + row * pitch, frame.pointer + row * WIDTH
                    size = ctypes.c_size_t(WIDTH)
                    memory_kinds.do("cuMemcpyDtoD_v2", ctypes.c_uint64(target), ctypes.c_uint64(source), size)
                assert read_by(encoder.submit(surface, number)) == [expected]


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_rgb(engine: EncodeLibrary, abi: str, kind: str) -> None:
    """Kernels read all kinds where they lie. The picture is the same as that of a frame on the host."""
    if not is_real():
        missing("kernels, which the simulated libcuda does not run")
    pixels = np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    with memory_kinds.memory(kind, pixels.nbytes, pixels.tobytes()) as address:
        frame = CudaFrame(address, pixels.shape)
        with NvencEncoder(WIDTH, HEIGHT, format="rgb") as encoder:
            there, here = (parse(encoder.encode(one))[-1].checksum for one in (frame, pixels))
            assert there == here


@contextmanager
def allocator(cupy: Any, kind: str) -> Iterator[None]:
    function = {
        "pool": cupy.cuda.malloc_async,
        "managed": cupy.cuda.malloc_managed,
        "managed through a pool": cupy.cuda.MemoryPool(cupy.cuda.malloc_managed).malloc,
        "default": cupy.cuda.MemoryPool().malloc,
    }[kind]
    with cupy.cuda.using_allocator(function):
        yield


@pytest.mark.parametrize("kind", ["pool", "managed", "managed through a pool", "default"])
@pytest.mark.parametrize("delay", [0, 2])
def test_cupy_allocators(engine: EncodeLibrary, abi: str, cupy: Any, kind: str, delay: int) -> None:
    """A new array for each frame, made on a stream, and dropped at once."""
    stream = cupy.cuda.Stream(non_blocking=True)
    packets: list[Any] = []
    with NvencEncoder(WIDTH, HEIGHT, extra_output_delay=delay) as encoder, allocator(cupy, kind), stream:
        for number in range(20):
            frame = cupy.asarray(picture(number))
            done = encoder.submit(frame, number)
            packets += done
            if kind != "default":
                assert all(packet.released is None for packet in done)
            del frame
        packets += encoder.flush_pipeline()
        stream.synchronize()
    assert read_by(packets) == [checksum(picture(number)) for number in range(20)]


def test_torch_frames_of_its_default_allocator_are_read_in_place(engine: EncodeLibrary, abi: str, torch: Any) -> None:
    with NvencEncoder(WIDTH, HEIGHT) as encoder:
        frame = torch.from_numpy(picture(1)).cuda()
        (packet,) = encoder.submit(frame, 0)
        in_place = bool(attribute(LEGACY_IPC, frame.data_ptr()))
        assert read_by([packet]) == [checksum(picture(1))]
        assert (packet.released is frame) == in_place
