"""Pictures that tell their number by their colour, and what a video shows of them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from frames import CudaFrame, Gpu

from loud import need_module

WIDTH, HEIGHT = 160, 96  # no smaller than the hardware takes
STEP = 20  # between the shades of one picture and the next


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> Any:
    """One shade of blue for each number up to 11, on black."""
    array = np.zeros((height, width, 3), np.uint8)
    array[..., 2] = 20 + STEP * number
    return array


def pictures(count: int) -> Any:
    return np.stack([picture(number) for number in range(count)])


def shown(video: str | Path | bytes) -> list[int]:
    """The numbers of the pictures in a video, as they are decoded."""
    av = need_module("av")
    with av.open(BytesIO(video) if isinstance(video, bytes) else str(video)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return [round((float(frame[..., 2].mean()) - 20) / STEP) for frame in frames]


def rate(video: str | Path) -> float:
    """Frames a second."""
    with need_module("av").open(str(video)) as container:
        return float(container.streams.video[0].average_rate)


def codec(video: str | Path | bytes) -> str:
    """FFmpeg's name for it."""
    av = need_module("av")
    with av.open(BytesIO(video) if isinstance(video, bytes) else str(video)) as container:
        return str(container.streams.video[0].codec_context.name)


def on_gpu(device: Gpu, frame: Any) -> CudaFrame:
    """The picture in the memory of a GPU."""
    rows = frame.reshape(frame.shape[0], -1)
    pointer = device.allocate(rows.nbytes)
    device.upload(pointer, rows)
    return CudaFrame(pointer, frame.shape)
