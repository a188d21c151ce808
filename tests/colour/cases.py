"""Images in every memory layout, and buffers for the results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from colour import reference

GUARD = 0xA5


@dataclass(frozen=True)
class Arrangement:
    """An image's memory layout, and the format of the result."""

    width: int
    height: int
    type: str = "u8"
    layout: str = "hwc"
    channels: int = 3
    spare_elements: int = 0  # behind each row
    aligned_rows: bool = False  # rows (and planes) on multiples of 16 bytes
    offset_elements: int = 0
    upside_down: bool = False
    mirrored: bool = False
    bgr: bool = False
    spread: int = 1  # distance between pixels in units of a packed one
    form: str = "nv12"
    matrix: str = "bt709"
    full_range: bool = False
    siting: str = "left"
    spare_pitch: int = 0
    offset_output: int = 0

    @property
    def item(self) -> int:
        return int(np.dtype(reference.DTYPES[self.type]).itemsize)

    @property
    def subsampled(self) -> bool:
        return self.form in ("nv12", "p010")

    @property
    def item_out(self) -> int:
        return 2 if self.form in ("p010", "yuv444_10") else 1


@dataclass
class Image:
    """Bytes and a view into them: the same view can be made of a copy of the bytes anywhere."""

    memory: npt.NDArray[np.uint8]
    offset: int
    shape: tuple[int, int, int]
    strides: tuple[int, int, int]
    dtype: npt.DTypeLike

    def on_host(self) -> npt.NDArray[Any]:
        view: npt.NDArray[Any] = np.ndarray(self.shape, self.dtype, self.memory.data, self.offset, self.strides)
        return view


def make_image(a: Arrangement, seed: int) -> Image:
    order = ("row", "pixel", "channel") if a.layout == "hwc" else ("channel", "row", "pixel")
    stride = dict(zip(("row", "pixel", "channel"), strides_of(a), strict=True))
    extent = {"row": a.height, "pixel": a.width, "channel": a.channels}
    offset = a.offset_elements * a.item
    used = a.item + sum((extent[axis] - 1) * stride[axis] for axis in extent)
    for axis, flipped in (("row", a.upside_down), ("pixel", a.mirrored), ("channel", a.bgr)):
        if flipped:
            offset += (extent[axis] - 1) * stride[axis]
            stride[axis] = -stride[axis]
    memory = aligned_bytes(offset + used)
    memory[:] = content(a, len(memory), np.random.default_rng(seed))
    shape, strides = (tuple(values[axis] for axis in order) for values in (extent, stride))
    return Image(memory, offset, shape, strides, reference.DTYPES[a.type])  # type: ignore[arg-type]


def strides_of(a: Arrangement) -> tuple[int, int, int]:
    """The strides of rows, pixels and channels, in bytes."""
    pixel = a.item * a.spread * (a.channels if a.layout == "hwc" else 1)
    row = a.width * pixel + a.spare_elements * a.item
    if a.aligned_rows:
        row = -(-row // 16) * 16
    return row, pixel, a.item if a.layout == "hwc" else a.height * row


def aligned_bytes(size: int) -> npt.NDArray[np.uint8]:
    memory = np.empty(size + 256, np.uint8)
    start = -memory.ctypes.data % 256
    return memory[start : start + size]


def content(a: Arrangement, size: int, random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Noise that has the ends of the range as often as all other values."""
    if a.type == "u8":
        values = random.integers(0, 256, size, np.uint8)
        ends = random.random(size) < 0.3
        values[ends] = random.choice(np.array([0, 255], np.uint8), int(ends.sum()))
        return values
    count = -(-size // a.item)
    floats = random.uniform(-0.1, 1.1, count)
    special = random.random(count) < 0.2
    floats[special] = random.choice([0.0, 1.0, -0.0, 0.5, 1e-8, -7.0, 9.0, np.inf, -np.inf, np.nan], int(special.sum()))
    return floats.astype(reference.DTYPES[a.type]).view(np.uint8)[:size]


@dataclass
class Output:
    """A buffer for the planes: one allocation in the encoder's layout, with guards on all sides."""

    arrangement: Arrangement
    memory: npt.NDArray[np.uint8]
    offset: int
    pitch: int

    @property
    def rows(self) -> int:
        a = self.arrangement
        return a.height // 2 * 3 if a.subsampled else a.height * 3

    def codes(self) -> list[npt.NDArray[np.int64]]:
        """Y, U and V. Fails if a byte outside of them was written, or if a low bit of a 10-bit sample is set."""
        a = self.arrangement
        row = a.width * a.item_out
        written = np.zeros(len(self.memory), bool)
        lines = np.ndarray((self.rows, row), bool, written.data, self.offset, (self.pitch, 1))
        lines[:] = True
        assert (self.memory[~written] == GUARD).all(), "written outside of the planes"
        dtype = np.uint16 if a.item_out == 2 else np.uint8
        shape, strides = (self.rows, a.width), (self.pitch, a.item_out)
        codes = np.ndarray(shape, dtype, self.memory.data, self.offset, strides).astype(np.int64)
        if a.item_out == 2:
            assert not (codes & 63).any(), "ten bits lie in the high bits of 16"
            codes >>= 6
        luma, chroma = codes[: a.height], codes[a.height :]
        if a.subsampled:
            return [luma, chroma[:, 0::2], chroma[:, 1::2]]
        return [luma, chroma[: a.height], chroma[a.height :]]


def make_output(a: Arrangement) -> Output:
    pitch = a.width * a.item_out + a.spare_pitch * a.item_out
    if a.aligned_rows:
        pitch = -(-pitch // 16) * 16
    rows = a.height // 2 * 3 if a.subsampled else a.height * 3
    memory = aligned_bytes(64 + a.offset_output * a.item_out + pitch * rows + 64)
    memory[:] = GUARD
    return Output(a, memory, 64 + a.offset_output * a.item_out, pitch)


@dataclass
class Deviation:
    """The differences between the codes and the correctly rounded ones."""

    worst: int
    inexact: int
    total: int


def deviation(a: Arrangement, image: Image, output: Output) -> Deviation:
    view = image.on_host()
    hwc = view if a.layout == "hwc" else np.moveaxis(view, 0, 2)
    exact = reference.exact_planes(reference.unit_rgb(hwc), a.form, a.matrix, a.full_range, a.siting)
    result = Deviation(0, 0, 0)
    for codes, plane in zip(output.codes(), exact, strict=True):
        error = np.abs(codes - reference.rounded(plane, a.form))
        result.worst = max(result.worst, int(error.max()))
        result.inexact += int((error != 0).sum())
        result.total += error.size
    return result


@st.composite
def arrangements(draw: st.DrawFn) -> Arrangement:
    """Every second image is aligned well enough for the wide kernels."""
    form = draw(st.sampled_from(reference.FORMATS))
    even = 2 if form in ("nv12", "p010") else 1
    shared = {
        "width": draw(st.integers(1, 150)) * even,
        "height": draw(st.integers(1, 6)) * even,
        "type": draw(st.sampled_from(reference.TYPES)),
        "layout": draw(st.sampled_from(["hwc", "chw"])),
        "channels": draw(st.sampled_from([3, 4])),
        "upside_down": draw(st.booleans()),
        "bgr": draw(st.booleans()),
        "form": form,
        "matrix": draw(st.sampled_from(reference.MATRICES)),
        "full_range": draw(st.booleans()),
        "siting": draw(st.sampled_from(reference.SITINGS)),
        "spare_pitch": draw(st.integers(0, 40)),
    }
    if draw(st.booleans()):
        return Arrangement(**shared, aligned_rows=True)  # type: ignore[arg-type]
    return Arrangement(
        **shared,  # type: ignore[arg-type]
        spare_elements=draw(st.integers(0, 9)),
        offset_elements=draw(st.integers(0, 9)),
        mirrored=draw(st.booleans()),
        spread=draw(st.sampled_from([1, 1, 1, 2])),
        offset_output=draw(st.integers(0, 3)),
    )
