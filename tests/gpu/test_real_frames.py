"""Real CuPy and PyTorch frames, pitched and packed, on the device and in pinned memory, in every context."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpu.frames import HEIGHT, SHAPE, WIDTH, OnlyDlpack, pattern
from gpu.library import EncodeLibrary
from pdum.nvenc import InvalidFrame, NvencEncoder

from loud import missing
from simulator.echo import checksum, parse


def encoded_checksum(encoder: NvencEncoder, frame: Any) -> int:
    return int(parse(encoder.encode(frame))[-1].checksum)


@pytest.mark.parametrize("pitch", [WIDTH, WIDTH + 64, 2048])
def test_cupy(engine: EncodeLibrary, abi: str, cupy: Any, pitch: int) -> None:
    rows = cupy.zeros((SHAPE[0], pitch), dtype=cupy.uint8)
    frame = rows[:, :WIDTH]
    with NvencEncoder(WIDTH, HEIGHT) as encoder:
        for number in range(5):
            frame[...] = cupy.asarray(pattern(number))
            assert encoded_checksum(encoder, frame) == checksum(pattern(number))
            assert encoded_checksum(encoder, OnlyDlpack(frame)) == checksum(pattern(number))


def test_torch(engine: EncodeLibrary, abi: str, torch: Any) -> None:
    with NvencEncoder(WIDTH, HEIGHT) as encoder:
        for number in range(5):
            host = torch.from_numpy(pattern(number))
            assert encoded_checksum(encoder, host.cuda()) == checksum(pattern(number))
            assert encoded_checksum(encoder, host) == checksum(pattern(number))
            assert encoded_checksum(encoder, OnlyDlpack(host.cuda())) == checksum(pattern(number))


def test_pinned_memory_may_be_overwritten_at_once(engine: EncodeLibrary, abi: str, torch: Any) -> None:
    """A copy from pinned memory returns before it is done: the encoder has to wait for it."""
    pinned = torch.empty(SHAPE, dtype=torch.uint8).pin_memory().numpy()
    with NvencEncoder(WIDTH, HEIGHT, extra_output_delay=3) as encoder:
        packets = []
        for number in range(100):
            pinned[...] = pattern(number)
            packets += encoder.submit(pinned, number)
            pinned[...] = 0
        packets += encoder.flush_pipeline()
    assert [parse(p.data)[-1].checksum for p in packets] == [checksum(pattern(p.seq)) for p in packets]


def test_wrong_frames_are_refused_and_the_encoder_stays_usable(engine: EncodeLibrary, cupy: Any, torch: Any) -> None:
    wrong = [
        cupy.zeros((HEIGHT, WIDTH), dtype=cupy.uint8),
        cupy.zeros(SHAPE, dtype=cupy.float32),
        cupy.zeros((SHAPE[1], SHAPE[0]), dtype=cupy.uint8).T,
        cupy.zeros((0, WIDTH), dtype=cupy.uint8),
        torch.zeros(SHAPE, dtype=torch.int8).cuda(),
        torch.zeros((*SHAPE, 1), dtype=torch.uint8).cuda(),
    ]
    with NvencEncoder(WIDTH, HEIGHT) as encoder:
        for frame in wrong:
            with pytest.raises(InvalidFrame):
                encoder.encode(frame)
            assert encoded_checksum(encoder, pattern(1)) == checksum(pattern(1))


def test_a_host_pointer_that_claims_to_be_on_the_device_is_refused(engine: EncodeLibrary, cupy: Any) -> None:
    class Liar:
        def __init__(self, array: np.ndarray[Any, Any]) -> None:
            self._keep = array
            self.__cuda_array_interface__ = {
                "shape": array.shape,
                "typestr": "|u1",
                "data": (array.ctypes.data, False),
                "version": 3,
                "stream": 1,
            }

    with NvencEncoder(WIDTH, HEIGHT) as encoder:
        with pytest.raises(InvalidFrame, match="not memory that CUDA knows"):
            encoder.encode(Liar(pattern(0)))
        assert encoded_checksum(encoder, pattern(1)) == checksum(pattern(1))


def test_a_context_of_the_callers(engine: EncodeLibrary, abi: str, cupy: Any) -> None:
    """Not the primary one: host frames, and device memory that was allocated in this context."""
    try:
        from cuda.bindings import driver
    except ImportError as error:
        missing(f"cuda-bindings is not installed: {error}")

    def call(result: tuple[Any, ...]) -> Any:
        assert int(result[0]) == 0, result
        return result[1] if len(result) > 1 else None

    call(driver.cuInit(0))
    device = call(driver.cuDeviceGet(0))
    context = call(driver.cuCtxCreate(None, 0, device))
    pointer = call(driver.cuMemAlloc(SHAPE[0] * SHAPE[1]))
    try:

        class Frame:
            @property
            def __cuda_array_interface__(self) -> dict[str, Any]:
                return {"shape": SHAPE, "typestr": "|u1", "data": (int(pointer), False), "version": 3, "stream": 1}

        with NvencEncoder(WIDTH, HEIGHT, cuda_context=int(context)) as encoder:
            for number in range(5):
                image = pattern(number)
                call(driver.cuMemcpyHtoD(pointer, image.ctypes.data, image.nbytes))
                assert encoded_checksum(encoder, Frame()) == checksum(image)
                assert encoded_checksum(encoder, image) == checksum(image)
    finally:
        call(driver.cuMemFree(pointer))
        call(driver.cuCtxDestroy(context))
