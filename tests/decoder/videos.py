"""Small videos for the GPU's decoder, and what the processor makes of them in the layout of the GPU's frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import av
import numpy as np

Picture = tuple[Any, Any]
"""A time and an array."""
QUIET = {"x265-params": "log-level=error"}


@dataclass(frozen=True)
class Kind:
    """How a video is made."""

    name: str
    codec: str = "libx264"
    pixels: str = "yuv420p"
    size: tuple[int, int] = (160, 96)
    options: dict[str, str] = field(default_factory=dict)
    container: str = "mp4"
    count: int = 30


def moving(number: int, size: tuple[int, int], pixels: str) -> Any:
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([x * 2 + number * 5, y * 3 + number * 3, x + y + number], axis=-1) % 200 + 20
    return av.VideoFrame.from_ndarray(rgb.astype(np.uint8), "rgb24").reformat(format=pixels)


def make(folder: Path, kind: Kind) -> Path:
    """Made once in a folder, and apart from others of the same name."""
    path = folder / f"{crc32(repr(kind).encode()):08x}" / f"{kind.name}.{kind.container}"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        write(path, kind, [(number, kind.size) for number in range(kind.count)])
    return path


def write(path: Path, kind: Kind, pictures: Iterable[tuple[int, tuple[int, int]]]) -> None:
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "g": "10", "bf": "2", **(QUIET if kind.codec == "libx265" else {})}
        stream: Any = container.add_stream(kind.codec, rate=25, options=options | kind.options)
        (stream.width, stream.height), stream.pix_fmt = kind.size, kind.pixels
        for number, size in pictures:
            container.mux(stream.encode(moving(number, size, kind.pixels)))
        container.mux(stream.encode(None))


def by_processor(path: Path) -> list[Picture]:
    """The time of each frame, and its samples as a GPU's decoder lays them out."""
    with av.open(str(path)) as container:
        return [(frame.pts, laid_out(frame)) for frame in container.decode(video=0)]


def laid_out(frame: Any) -> Any:
    """Two planes, or three for 4:4:4; grey gets chroma without colour. More than 8 bits lie in the high bits of 16."""
    depth, chroma = frame.format.components[0].bits, frame.format.name
    planes = [plane_of(plane, depth) for plane in frame.planes]
    if len(planes) == 1:  # grey
        planes += [np.full_like(planes[0][::2], 1 << (depth - 1))]
    elif "444" not in chroma:
        planes = [planes[0], np.stack(planes[1:], axis=-1).reshape(planes[1].shape[0], -1)]
    whole = np.concatenate(planes)
    return whole << (16 - depth) if depth > 8 else whole


def plane_of(plane: Any, depth: int) -> Any:
    kind = np.uint8 if depth == 8 else np.uint16
    rows = np.frombuffer(plane, kind).reshape(-1, plane.line_size // kind().itemsize)
    return rows[: plane.height, : plane.width]


def packets_of(path: Path) -> list[tuple[bytes, int]]:
    """Of H.264 in a transport stream, which needs no filter."""
    with av.open(str(path)) as container:
        return [(bytes(one), int(one.pts)) for one in container.demux(video=0) if one.size and one.pts is not None]


def on_host(frames: Iterable[Any]) -> list[Picture]:
    return [(frame.pts, np.asarray(frame)) for frame in frames]


def intact(frames: Iterable[Any]) -> Iterator[Any]:
    """The frames of a video without damage: nothing else is said of them."""
    for frame in frames:
        assert not frame.damaged, f"the frame shown at {frame.pts}"
        yield frame


def assert_same(found: Sequence[Picture], wanted: Sequence[Picture]) -> None:
    times, expected_times = [pts for pts, _ in found], [pts for pts, _ in wanted]
    assert times == expected_times, f"the frames are shown at {times}, not at {expected_times}"
    for (pts, picture), (_, expected) in zip(found, wanted, strict=True):
        assert picture.dtype == expected.dtype
        np.testing.assert_array_equal(picture, expected, err_msg=f"the picture shown at {pts}")
