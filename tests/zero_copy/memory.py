"""Frames on the simulated GPU whose memory ends when they do, and what the tests here ask of an encoder's calls."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from frames import HOST_FUNCTION, CudaFrame, Gpu, Nv12, nv12

from simulator import Machine, checksum, parse

WIDTH, HEIGHT = 192, 128
ROWS = HEIGHT * 3 // 2
FAST: dict[str, Any] = {"gpus": {"name": "RTX 4090", "fps_1080p": 0}, "count": True}


class OwnedFrame(CudaFrame):
    """An array that owns its memory: it is freed when nobody refers to the array any more."""

    def __init__(self, device: Gpu, picture: Nv12) -> None:
        super().__init__(device.frame(picture).pointer, picture.shape)
        self._device = device

    def __del__(self) -> None:
        if self._device.has(self.pointer):
            self._device.free(self.pointer)


class View(CudaFrame):
    """What slicing an array gives: an object of its own, and the array as its base."""

    def __init__(self, base: CudaFrame) -> None:
        super().__init__(base.pointer, base.interface["shape"])
        self.base = base


class WithoutWeakReferences:
    """A frame that cannot tell of its end."""

    __slots__ = ("__cuda_array_interface__",)

    def __init__(self, frame: CudaFrame) -> None:
        self.__cuda_array_interface__ = frame.interface


def picture(number: int) -> Nv12:
    return nv12(WIDTH, HEIGHT, number)


def pixels(packets: Iterable[Any]) -> list[int]:
    """What the engine read for each packet, in the order of submission."""
    return [parse(packet.data)[0].checksum for packet in sorted(packets, key=lambda packet: packet.pts)]


def expected(numbers: Iterable[int]) -> list[int]:
    return [checksum(picture(number)) for number in numbers]


class Calls:
    """The driver's calls of some kind since this was made."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._before = self._now()

    def _now(self) -> dict[str, int]:
        return {**self._machine.calls("encode"), **self._machine.calls("cuda")}

    def __call__(self, part: str) -> int:
        """How many calls had that in their names."""
        now = self._now()
        return sum(count - self._before.get(name, 0) for name, count in now.items() if part in name)


@contextmanager
def held_up(device: Gpu, stream: int) -> Iterator[threading.Event]:
    """What is queued on the stream inside runs when the event is set, or at the end."""
    opened = threading.Event()
    callback = HOST_FUNCTION(lambda _: opened.wait(60) and None)
    device.call("cuLaunchHostFunc", ctypes.c_void_p(stream), callback, None)
    try:
        yield opened
    finally:
        opened.set()
        device.call("cuStreamSynchronize", ctypes.c_void_p(stream))
