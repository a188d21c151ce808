"""FFmpeg's program in a version that shows the alpha of HEVC, and that encodes it with x265. PyPI has it."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from peer_packages import installed

Planes = list[NDArray[np.uint8]]
PACKAGE = "imageio-ffmpeg>=0.8.1"
"""The first version that brings FFmpeg 9."""


@lru_cache
def program() -> str:
    (found,) = (installed(PACKAGE) / "imageio_ffmpeg" / "binaries").glob("ffmpeg-*")
    return str(found)


def run(*arguments: str | Path) -> bytes:
    """What the program writes to its standard output. Whatever it complains about is a failure."""
    command = [program(), "-hide_banner", "-nostdin", "-v", "error", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, timeout=120)
    assert (result.returncode, result.stderr) == (0, b""), result.stderr.decode(errors="replace")
    return result.stdout


def decoded(path: Path, size: tuple[int, int], *options: str, transparent: bool = True) -> list[Planes]:
    """The planes of each picture in 4:2:0 as the program decodes them: luma, two of chroma, and alpha."""
    form = "yuva420p" if transparent else "yuv420p"
    data = run("-i", path, *options, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", form, "-")
    return _pictures(np.frombuffer(data, np.uint8), size, transparent)


def _pictures(data: NDArray[np.uint8], size: tuple[int, int], transparent: bool) -> list[Planes]:
    width, height = size
    chroma = (height + 1) // 2, (width + 1) // 2
    shapes = [(height, width), chroma, chroma, *([(height, width)] if transparent else [])]
    ends = np.cumsum([rows * columns for rows, columns in shapes])
    assert data.size % ends[-1] == 0
    return [
        [part.reshape(shape) for part, shape in zip(np.split(one, ends[:-1]), shapes, strict=True)]
        for one in data.reshape(-1, ends[-1])
    ]
