"""Frames in which every byte depends on the frame's number."""

from __future__ import annotations

from typing import Any

import numpy as np

WIDTH, HEIGHT = 1280, 720
SHAPE = (HEIGHT * 3 // 2, WIDTH)


def pattern(number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The bytes that the producer kernels below write for frame `number`."""
    rows = np.arange(SHAPE[0], dtype=np.uint32)[:, None]
    columns = np.arange(SHAPE[1], dtype=np.uint32)[None, :]
    values: np.ndarray[Any, np.dtype[np.uint8]] = (rows * 3 + columns * 5 + number * 7).astype(np.uint8)
    return values


# Spins for about `cycles` clocks in every block before it writes, so that a reader that does not wait gets old pixels.
SLOW_PRODUCER = r"""
extern "C" __global__ void produce(unsigned char* frame, int pitch, int width, int rows, int number, long long cycles) {
    const long long start = clock64();
    while (clock64() - start < cycles) { }
    for (int row = blockIdx.x; row < rows; row += gridDim.x) {
        for (int column = threadIdx.x; column < width; column += blockDim.x) {
            frame[(long long)row * pitch + column] = (unsigned char)(row * 3 + column * 5 + number * 7);
        }
    }
}
"""

SPIN_CYCLES = 2_000_000  # about a millisecond on a data-centre GPU


class SlowProducer:
    """Writes pattern(number) into a CuPy array on a stream, long after the launch has returned."""

    def __init__(self, cupy: Any) -> None:
        self._kernel = cupy.RawKernel(SLOW_PRODUCER, "produce")
        self._cupy = cupy

    def __call__(self, frame: Any, number: int, stream: Any, cycles: int = SPIN_CYCLES) -> None:
        numpy = self._cupy
        arguments = (
            frame,
            numpy.int32(frame.strides[0]),
            numpy.int32(frame.shape[1]),
            numpy.int32(frame.shape[0]),
            numpy.int32(number),
            numpy.int64(cycles),
        )
        self._kernel((64,), (256,), arguments, stream=stream)


class WithStream:
    """An array interface of version 3 that names a given stream, or hides it (None)."""

    def __init__(self, array: Any, stream: int | None) -> None:
        self._keep = array
        self.__cuda_array_interface__ = {**array.__cuda_array_interface__, "version": 3, "stream": stream}


class OnlyDlpack:
    """A frame that offers only DLPack."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __dlpack__(self, **arguments: Any) -> Any:
        return self._array.__dlpack__(**arguments)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()
