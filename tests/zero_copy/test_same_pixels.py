"""The engine reads the same pixels from a copied frame, a frame in place and a written surface."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frames import CudaFrame, Gpu, gpu
from pdum.nvenc import InvalidFrame, NvencEncoder, UnsupportedFeature

from simulator import Simulator, parse

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]

# Elements of a picture's row a pixel, bytes of one, and rows of the array for two of the picture.
FORMATS = {
    "nv12": (1, 1, 3),
    "p010": (1, 2, 3),
    "yuv420": (1, 1, 3),
    "yuv444": (1, 1, 6),
    "yuv444_10": (1, 2, 6),
    "nv16": (1, 1, 4),
    "p210": (1, 2, 4),
    "argb": (4, 1, 2),
    "abgr": (4, 1, 2),
    "ayuv": (4, 1, 2),
    "argb10": (1, 4, 2),
    "abgr10": (1, 4, 2),
}
GPU = {"name": "RTX 5090", "fps_1080p": 0}  # which has 4:2:2 and 10 bits
MODES = ("always", "auto", "never")


@dataclass(frozen=True)
class Layout:
    """A picture of noise in device memory, `offset` bytes from the start, with `padding` bytes after each row."""

    format: str
    width: int
    height: int
    padding: int
    offset: int
    seed: int

    @property
    def row_bytes(self) -> int:
        elements, size, _ = FORMATS[self.format]
        return self.width * elements * size

    @property
    def rows(self) -> int:
        return self.height * FORMATS[self.format][2] // 2

    @property
    def pitch(self) -> int:
        return self.row_bytes + self.padding

    @property
    def is_readable_in_place(self) -> bool:
        return self.offset % 16 == 0 and self.pitch % 16 == 0

    @property
    def has_surfaces(self) -> bool:
        """The chroma of yuv420 has half the pitch, so that its rows make one array only without padding."""
        return self.format != "yuv420" or self.row_bytes % 16 == 0

    def bytes(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        noise = np.random.default_rng(self.seed)
        return noise.integers(0, 256, (self.rows, self.row_bytes), np.uint8)

    def frame(self, device: Gpu) -> CudaFrame:
        elements, size, _ = FORMATS[self.format]
        memory = np.full(self.offset + self.rows * self.pitch, 0xEE, np.uint8)
        rows = np.lib.stride_tricks.as_strided(memory[self.offset :], (self.rows, self.row_bytes), (self.pitch, 1))
        rows[...] = self.bytes()
        pointer = device.allocate(memory.nbytes)
        device.upload(pointer, memory)
        shape, strides = (self.rows, self.width), (self.pitch, size)
        if elements > 1:
            shape, strides = (*shape, elements), (self.pitch, elements, 1)  # type: ignore[assignment]
        typestr = f"{'|' if size == 1 else '<'}u{size}"
        return CudaFrame(pointer + self.offset, shape, typestr=typestr, strides=strides)

    def encoder(self, copy: str) -> NvencEncoder:
        codec = "h264" if self.format in ("nv12", "yuv420", "yuv444", "argb", "abgr", "ayuv") else "hevc"
        return NvencEncoder(self.width, self.height, codec, format=self.format, copy=copy)


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    form = draw(st.sampled_from(sorted(FORMATS)))
    size = FORMATS[form][1]
    return Layout(
        format=form,
        width=draw(st.integers(80, 140)) * 2,
        height=draw(st.integers(40, 70)) * 2,
        padding=0 if form == "yuv420" else draw(st.one_of(st.sampled_from([0, 16, 64]), st.integers(0, 40))) * size,
        offset=draw(st.sampled_from([0, 0, 16, 48, 4, 8])),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


def written_into_a_surface(device: Gpu, layout: Layout) -> int:
    with layout.encoder("auto") as encoder, encoder.surface() as surface:
        interface = surface.__cuda_array_interface__
        pitch = interface["strides"][0]
        rows = np.zeros((layout.rows, pitch), np.uint8)
        rows[:, : layout.row_bytes] = layout.bytes()
        device.upload(interface["data"][0], rows)
        return parse(encoder.encode(surface))[0].checksum


@given(layout=layouts())
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_every_way_gives_the_same_pixels(simulator: Simulator, layout: Layout) -> None:
    with simulator.machine(gpus=GPU), gpu() as device:
        frame = layout.frame(device)
        seen: dict[str, int] = {}
        for copy in MODES:
            with layout.encoder(copy) as encoder:
                if copy == "never" and not layout.is_readable_in_place:
                    with pytest.raises(InvalidFrame, match="multiple of 16"):
                        encoder.encode(frame)
                else:
                    seen[copy] = parse(encoder.encode(frame))[0].checksum
        if layout.has_surfaces:
            seen["surface"] = written_into_a_surface(device, layout)
        else:
            with pytest.raises(UnsupportedFeature, match="multiple of 16"):
                written_into_a_surface(device, layout)
        assert set(seen.values()) == {zlib.crc32(layout.bytes().tobytes())}, seen
