"""Pictures to encode, and independent decoders and parsers that check the result."""

from __future__ import annotations

import functools
import io
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import PictureType
from numpy.typing import NDArray

from loud import need_program

Pixels = NDArray[Any]  # uint8, or uint16 for more than 8 bits

# The raw stream formats, as FFmpeg's demuxers call them.
DEMUXERS = {"h264": "h264", "hevc": "hevc", "av1": "obu"}
START_CODE = b"\0\0\0\1"


@dataclass(frozen=True)
class Format:
    """The planes of one picture. `chroma` is chroma_format_idc: 1 4:2:0, 2 4:2:2, 3 4:4:4."""

    width: int = 320
    height: int = 192
    chroma: int = 1
    depth: int = 8

    @property
    def shapes(self) -> list[tuple[int, int]]:
        columns = self.width if self.chroma == 3 else (self.width + 1) // 2
        rows = (self.height + 1) // 2 if self.chroma == 1 else self.height
        return [(self.height, self.width), (rows, columns), (rows, columns)]


def _plane(shape: tuple[int, int], index: int, plane: int, depth: int, noise: Pixels) -> Pixels:
    """A gradient under fixed noise, both moving: one can be predicted, and the other has to be coded."""
    rows, columns = shape
    y, x = np.mgrid[0:rows, 0:columns]
    wave = 90 * np.sin((x + 3 * index) / (17 + plane)) * np.cos((y - 2 * index) / 23)
    texture = np.roll(noise, (index, 2 * index), axis=(0, 1))[:rows, :columns]
    samples: Pixels = ((128 + wave + texture) * (1 << (depth - 8))).astype(np.uint16 if depth > 8 else np.uint8)
    return samples


@functools.lru_cache(maxsize=8)
def moving_pictures(form: Format, count: int) -> list[list[Pixels]]:
    """Pictures in display order, each a list of three planes."""
    noise = np.random.default_rng(7).uniform(-4, 4, (form.height, form.width))
    return [
        [_plane(shape, index, plane, form.depth, noise) for plane, shape in enumerate(form.shapes)]
        for index in range(count)
    ]


def nv12(planes: Sequence[Pixels]) -> Pixels:
    """The picture as (H * 3 // 2, W), chroma interleaved."""
    luma, u, v = planes
    return np.concatenate([luma, np.stack([u, v], axis=-1).reshape(-1, luma.shape[1])])


@dataclass(frozen=True)
class Decoded:
    """One picture that FFmpeg's decoder got from a stream."""

    planes: list[Pixels]
    kind: str  # I, P, B
    key: bool


def _planes(frame: av.VideoFrame) -> list[Pixels]:
    form = frame.format
    kind = np.dtype(np.uint16 if form.components[0].bits > 8 else np.uint8)
    planes: list[Pixels] = []
    for plane, component in zip(frame.planes, form.components, strict=True):
        row = np.frombuffer(plane, dtype=kind).reshape(plane.height, plane.line_size // kind.itemsize)
        planes.append(row[:, : component.width].copy())
    return planes


def decode(stream: bytes, codec: str) -> list[Decoded]:
    """All pictures in display order; damage of any kind is an error."""
    options = {"err_detect": "explode"}
    with av.open(io.BytesIO(stream), "r", format=DEMUXERS[codec]) as container:
        video = container.streams.video[0]
        video.codec_context.options = options
        return [
            Decoded(_planes(frame), PictureType(frame.pict_type).name, bool(frame.key_frame))
            for frame in container.decode(video)
        ]


def psnr(one: Sequence[Pixels], other: Sequence[Pixels], depth: int = 8) -> float:
    """PSNR of all samples of a picture, in dB; infinite if they are equal."""
    assert [plane.shape for plane in one] == [plane.shape for plane in other]
    errors = [np.square(a.astype(np.float64) - b.astype(np.float64)) for a, b in zip(one, other, strict=True)]
    mean = sum(float(error.sum()) for error in errors) / sum(error.size for error in errors)
    return float("inf") if mean == 0 else float(10 * np.log10(((1 << depth) - 1) ** 2 / mean))


def worst_psnr(pictures: Sequence[Sequence[Pixels]], decoded: Sequence[Decoded], depth: int = 8) -> float:
    assert len(decoded) == len(pictures)
    return min(psnr(a, b.planes, depth) for a, b in zip(pictures, decoded, strict=True))


def nal_units(stream: bytes) -> list[bytes]:
    """NAL units without start codes. Every start code must have 4 bytes."""
    assert stream.startswith(START_CODE)
    assert stream.count(START_CODE) == stream.count(START_CODE[1:])
    return stream.split(START_CODE)[1:]


def nal_type(nal: bytes, codec: str) -> int:
    return nal[0] & 0x1F if codec == "h264" else nal[0] >> 1 & 0x3F


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at


def obus(unit: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and payload of every OBU of a temporal unit."""
    at = 0
    while at < len(unit):
        header = unit[at]
        assert header & 0x82 == 0x02, "an OBU with a size and no forbidden bit"
        size, body = _leb128(unit, at + (2 if header & 4 else 1))
        yield header >> 3 & 0xF, unit[body : body + size]
        at = body + size


@dataclass(frozen=True)
class Syntax:
    """The contents of a stream's headers, read by FFmpeg's parser: (name, value), in order."""

    fields: list[tuple[str, int]]

    def all(self, name: str) -> list[int]:
        return [value for field, value in self.fields if field == name]

    def first(self, name: str) -> int:
        return self.all(name)[0]


def headers_of(path: Path, codec: str, demuxer: str = "") -> Syntax:
    """Of a plain stream, or of a file for that demuxer.

    Debian's ffmpeg parses it, by its filter trace_headers; PyAV's log would be less readable.
    """
    ffmpeg = need_program("ffmpeg", "ffmpeg")
    run = subprocess.run(
        [ffmpeg, "-hide_banner", "-f", demuxer or DEMUXERS[codec], "-i", str(path), "-c", "copy",
         "-bsf:v", "trace_headers", "-f", "null", "-"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    pattern = re.compile(r"trace_headers @ \S+\] \d+\s+(\S+)\s+[01]+ = (-?\d+)")
    return Syntax([(name, int(value)) for name, value in pattern.findall(run.stderr)])
