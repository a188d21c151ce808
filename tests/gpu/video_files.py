"""Short video files with moving pictures, made by PyAV's own encoders: a machine with a GPU may have no ffmpeg."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

WIDTH, HEIGHT, COUNT = 320, 192, 48
KINDS = (
    ("h264", "libx264", "yuv420p"),
    ("hevc", "libx265", "yuv420p"),
    ("hevc-ten-bit", "libx265", "yuv420p10le"),
)


def make_sources(folder: Path, av: Any) -> dict[str, Path]:
    """One of each kind, by its name."""
    found = {}
    for name, codec, form in KINDS:
        options = {"preset": "ultrafast", "g": "12", "bf": "2"}
        found[name] = folder / f"{name}.mp4"
        with av.open(str(found[name]), "w") as container:
            stream = container.add_stream(codec, rate=25, options=options)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, form
            for number in range(COUNT):
                frame = av.VideoFrame.from_ndarray(_picture(number, 10 if "10" in form else 8), form)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return found


def _picture(number: int, depth: int) -> Any:
    """Planar 4:2:0, moving."""
    y, x = np.mgrid[0 : HEIGHT * 3 // 2, 0:WIDTH]
    samples = (x * 2 + y * 3 + number * 5) % 200 + 20
    return samples.astype(np.uint8) if depth == 8 else (samples * 4 + number % 4).astype(np.uint16)
