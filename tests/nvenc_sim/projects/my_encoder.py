"""The encoder of the README's examples, which are about anybody's: here it is a thin one over pdum.nvenc."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pdum.nvenc import DeviceLost, NoEncoder, NvencEncoder, NvencError, OutOfMemory, OutOfSessions

__all__ = ["DeviceLost", "NoHardware", "encode", "open"]

WIDTH, HEIGHT = 320, 180
NoHardware = NoEncoder
Frame = npt.NDArray[np.uint8]


@dataclass
class Encoder:
    native: NvencEncoder | None

    @property
    def is_software(self) -> bool:
        return self.native is None

    def encode(self, frame: Frame) -> bytes:
        assert self.native is not None
        try:
            return self.native.encode(frame)
        except NvencError:
            self.native.close()
            raise


def open() -> Encoder:  # noqa: A001 - the README's name
    try:
        return Encoder(NvencEncoder(WIDTH, HEIGHT, fps=60))
    except (OutOfSessions, OutOfMemory):
        return Encoder(None)


def encode(frames: Sequence[Frame]) -> bytes:
    with NvencEncoder(WIDTH, HEIGHT, fps=60) as encoder:
        return b"".join([encoder.encode(frame) for frame in frames] + [encoder.flush()])
