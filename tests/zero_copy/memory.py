"""Frames on the simulated GPU that free their memory when they end, and queries of an encoder's calls."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from frames import HOST_FUNCTION, CudaFrame, Gpu, Nv12, nv12, pitched

from simulator import Machine, checksum, parse

WIDTH, HEIGHT = 192, 128
ROWS = HEIGHT * 3 // 2
FAST: dict[str, Any] = {"gpus": {"name": "RTX 4090", "fps_1080p": 0}, "count": True}


class OwnedFrame(CudaFrame):
    """An array that owns its memory and frees it when nothing refers to the array any more."""

    def __init__(self, device: Gpu, picture: Nv12) -> None:
        super().__init__(device.frame(picture).pointer, picture.shape)
        self._device = device

    def __del__(self) -> None:
        if self._device.has(self.pointer):
            self._device.free(self.pointer)


class View(CudaFrame):
    """The result of slicing an array: a new object with the array as its base."""

    def __init__(self, base: CudaFrame) -> None:
        super().__init__(base.pointer, base.interface["shape"])
        self.base = base


class WithoutWeakReferences:
    """A frame that allows no weak references."""

    __slots__ = ("__cuda_array_interface__",)

    def __init__(self, frame: CudaFrame) -> None:
        self.__cuda_array_interface__ = frame.interface


class LatePool:
    """Frames that are written late, in the order of a stream, and only when they are free."""

    def __init__(self, device: Gpu, count: int) -> None:
        self.device, self.stream = device, device.stream()
        memory = [device.allocate(ROWS * WIDTH) for _ in range(count)]
        self.free = [CudaFrame(pointer, (ROWS, WIDTH), stream=self.stream) for pointer in memory]
        self._kept: list[Any] = []

    def write(self, frame: Any, number: int) -> None:
        self._kept.append(pitched(picture(number), WIDTH))
        self.device.upload(frame.pointer, self._kept[-1], self.stream)


def picture(number: int) -> Nv12:
    return nv12(WIDTH, HEIGHT, number)


def pixels(packets: Iterable[Any]) -> list[int]:
    """The pixels that the engine read for each packet, in the order of submission."""
    return [parse(packet.data)[0].checksum for packet in sorted(packets, key=lambda packet: packet.pts)]


def expected(numbers: Iterable[int]) -> list[int]:
    return [checksum(picture(number)) for number in numbers]


def address(surface: Any) -> int:
    return int(surface.__cuda_array_interface__["data"][0])


def render(device: Gpu, surface: Any, image: Nv12, stream: int | None = None) -> Nv12:
    """Writes into the surface's rows. With a stream, the returned bytes must live until the stream gets there."""
    pitch = surface.__cuda_array_interface__["strides"][0]
    rows = pitched(image, pitch)
    whole: Nv12 = np.lib.stride_tricks.as_strided(rows, (len(image), pitch), (pitch, 1))
    device.upload(address(surface), whole, stream)
    return whole


class Calls:
    """The driver's calls of one kind since this was made."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._before = self._now()

    def _now(self) -> dict[str, int]:
        return {**self._machine.calls("encode"), **self._machine.calls("cuda")}

    def __call__(self, part: str) -> int:
        """How many calls have this in their names."""
        now = self._now()
        return sum(count - self._before.get(name, 0) for name, count in now.items() if part in name)


@contextmanager
def held_up(device: Gpu, stream: int) -> Iterator[threading.Event]:
    """Work that is queued on the stream inside runs when the event is set, or at the end."""
    opened = threading.Event()
    callback = HOST_FUNCTION(lambda _: opened.wait(60) and None)
    device.call("cuLaunchHostFunc", ctypes.c_void_p(stream), callback, None)
    try:
        yield opened
    finally:
        opened.set()
        device.call("cuStreamSynchronize", ctypes.c_void_p(stream))
