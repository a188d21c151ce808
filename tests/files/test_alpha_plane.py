"""The alpha of decoded frames: exact in 8 bits, and the nearest value of deeper ones, in every format that has it."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from numpy.typing import NDArray

from pdum.nvenc import EncoderConfig
from pdum.nvenc._media.alpha_plane import alpha_of, has_alpha, is_transparent
from pdum.nvenc._media.frame_conversion import converter_with_alpha

PLANAR = [
    *("yuva420p", "yuva422p", "yuva444p", "gbrap"),
    *(f"yuva{chroma}p{bits}{end}" for chroma in ("420", "422", "444") for bits in (9, 10, 16) for end in ("le", "be")),
    *("yuva444p12le", "yuva422p12be", "gbrap10le", "gbrap10be", "gbrap12le", "gbrap16le", "gbrap16be"),
    *("gbrapf32le", "gbrapf32be"),
]
PACKED = {
    "rgba": (4, 3),
    "bgra": (4, 3),
    "argb": (4, 0),
    "abgr": (4, 0),
    "vuya": (4, 3),
    "ayuv": (4, 0),
    "uyva": (4, 3),
    "ya8": (2, 1),
    "ya16le": (2, 1),
    "ya16be": (2, 1),
    "rgba64le": (4, 3),
    "rgba64be": (4, 3),
    "bgra64le": (4, 3),
    "ayuv64le": (4, 0),
    "rgbaf32le": (4, 3),
    "rgbaf16le": (4, 3),
}
"""Components of a pixel, and the place of alpha among them."""


def kind_of(form: str) -> str:
    bits = av.VideoFormat(form, 16, 16).components[-1].bits
    letter = "f" if "f32" in form or "f16" in form else "u"
    return f"{'>' if form.endswith('be') else '<'}{letter}{1 if bits <= 8 else 2 if bits <= 16 else 4}"


def frame_of(form: str, values: NDArray[Any]) -> Any:
    """A frame with this alpha, and other bytes everywhere else."""
    height, width = values.shape
    frame = av.VideoFrame(width, height, form)
    for plane in frame.planes:
        np.frombuffer(plane, np.uint8)[:] = 0x5A
    count, place = PACKED.get(form, (1, 0))
    held = frame.planes[3 if form in PLANAR else 0]
    rows = np.frombuffer(held, kind_of(form)).reshape(-1, held.line_size // np.dtype(kind_of(form)).itemsize)
    rows[:height, place : count * width : count] = values
    return frame


def is_known(form: str) -> bool:
    try:
        return bool(av.VideoFormat(form, 16, 16))
    except ValueError:
        return False


@pytest.mark.parametrize("form", [form for form in (*PLANAR, *PACKED) if is_known(form)])
@given(data=some.data())
def test_every_format(form: str, data: some.DataObject) -> None:
    width, height = data.draw(some.integers(1, 70)), data.draw(some.integers(1, 20))
    bits = av.VideoFormat(form, 16, 16).components[-1].bits
    most = 1.0 if "f" in kind_of(form) else (1 << bits) - 1
    seed = np.random.default_rng(data.draw(some.integers(0, 999)))
    shares = seed.random((height, width))
    shares[0, 0], shares[-1, -1] = data.draw(some.sampled_from([(0.0, 1.0), (1.0, 0.0)]))
    values = shares if most == 1.0 else np.rint(shares * most)
    frame = frame_of(form, values.astype(kind_of(form)))
    assert has_alpha(frame)
    found = alpha_of(frame)
    assert (found.shape, found.dtype) == ((height, width), np.uint8)
    stored = values.astype(kind_of(form)).astype(np.float64) / most
    assert np.abs(found - 255 * stored).max() <= 0.5 + 1e-4  # halves of floats may go either way


@pytest.mark.parametrize("form", ["yuv420p", "yuv444p10le", "rgb24", "gray", "gray10le", "nv12", "rgb0"])
def test_formats_without_alpha_are_opaque(form: str) -> None:
    frame = av.VideoFrame(10, 6, form)
    assert not has_alpha(frame)
    assert np.array_equal(alpha_of(frame), np.full((6, 10), 255))


@pytest.mark.parametrize("transparent", [True, False])
def test_a_palette_may_have_alpha(transparent: bool) -> None:
    from PIL import Image

    picture, file = Image.new("P", (16, 8), 1), io.BytesIO()
    picture.putpalette([0, 0, 0, 255, 0, 0])
    picture.putpixel((3, 2), 0)
    picture.save(file, "PNG", **({"transparency": 0} if transparent else {}))
    with av.open(io.BytesIO(file.getvalue()), "r") as container:
        frame = next(container.decode(video=0))
    assert frame.format.has_palette
    assert has_alpha(frame)
    assert is_transparent(frame) == transparent
    wanted = np.full((8, 16), 255)
    wanted[2, 3] = 0 if transparent else 255
    assert np.array_equal(alpha_of(frame), wanted)


@given(seed=some.integers(0, 99), width=some.integers(8, 40), height=some.integers(8, 40))
def test_pairs_have_the_frames_own_samples(seed: int, width: int, height: int) -> None:
    """Those of 4:2:0 are passed on as they are. An odd size gets its last column and row once more, in all planes."""
    frame, random = av.VideoFrame(width, height, "yuva420p"), np.random.default_rng(seed)
    for plane in frame.planes:
        samples = np.frombuffer(plane, np.uint8)
        samples[:] = random.integers(0, 256, samples.size)
    frame.color_range, frame.time_base = 2, Fraction(1, 25)
    planes = [np.frombuffer(one, np.uint8).reshape(one.height, -1)[:, : one.width] for one in frame.planes]
    even = width + width % 2, height + height % 2
    colour, alpha = converter_with_alpha(EncoderConfig(width=even[0], height=even[1], codec="hevc", alpha=True))(frame)
    edges = (0, height % 2), (0, width % 2)
    luma, chroma = (np.frombuffer(one, np.uint8).reshape(one.height, -1)[:, : even[0]] for one in colour.planes)
    assert np.array_equal(luma, np.pad(planes[0], edges, mode="edge"))
    assert np.array_equal(chroma[:, ::2], planes[1])
    assert np.array_equal(chroma[:, 1::2], planes[2])
    assert np.array_equal(alpha, np.pad(planes[3], edges, mode="edge"))
