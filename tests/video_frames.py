"""Small frames for writers, and what is found in the files that they write."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np

WIDTH, HEIGHT = 64, 48
HARDWARE_WIDTH, HARDWARE_HEIGHT = 160, 64
"""No smaller pictures are encoded by the hardware."""
FAST = {"name": "RTX 4090", "fps_1080p": 0}


def rgb(number: int, width: int = WIDTH, height: int = HEIGHT) -> Any:
    """A picture in one colour that says its number: in steps that any codec keeps."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[...] = colour_of(number)
    return picture


def colour_of(number: int) -> tuple[int, int, int]:
    return 40 + number * 24 % 192, 40 + number * 40 % 168, 200 - number * 16 % 160


@dataclass(frozen=True)
class Found:
    """What a decoder sees in a file."""

    codec: str
    size: tuple[int, int]
    times: list[Fraction]
    """The times of the pictures, in seconds."""
    colours: list[tuple[int, int, int]]
    """The mean of each picture."""
    sound: list[Any]
    """Frames of the audio stream as arrays."""
    sound_times: list[float]
    container: str

    def numbers(self) -> list[int]:
        """The number of each picture, by its colour."""
        known = {colour_of(number): number for number in range(16)}
        return [known[min(known, key=lambda one: sum(abs(a - b) for a, b in zip(one, found, strict=True)))]
                for found in self.colours]  # fmt: skip


def look(file: Any) -> Found:
    opened = BytesIO(file) if isinstance(file, bytes) else str(file) if isinstance(file, Path) else file
    times, colours, sound, sound_times = [], [], [], []
    container: Any
    with av.open(opened) as container:
        video = container.streams.video[0]
        for frame in container.decode(*container.streams.video, *container.streams.audio):
            if isinstance(frame, av.VideoFrame):
                times.append(Fraction(frame.pts or 0) * Fraction(frame.time_base))  # type: ignore[arg-type]
                mean = frame.to_ndarray(format="rgb24").reshape(-1, 3).mean(axis=0)
                colours.append((round(mean[0]), round(mean[1]), round(mean[2])))
            else:
                sound.append(frame.to_ndarray())
                sound_times.append(float(frame.time or 0))
        return Found(
            codec=_name(video.codec_context.codec.canonical_name), size=(video.width, video.height), times=times,
            colours=colours, sound=sound, sound_times=sound_times, container=container.format.name,
        )  # fmt: skip


def _name(name: str) -> str:
    return {"libdav1d": "av1"}.get(name, name)


def close_to(found: tuple[int, int, int], wanted: tuple[int, int, int], most: int = 6) -> bool:
    return all(abs(a - b) <= most for a, b in zip(found, wanted, strict=True))


def hidden_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def noise(number: int) -> Any:
    """A picture that takes many bytes."""
    return np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def write_until_it_raises(video: Any, most: int = 2000) -> None:
    for number in range(most):
        video.write(noise(number % 8))
    video.close()
