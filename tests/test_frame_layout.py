"""What frames say about themselves: arrays of all kinds, PIL images, PyAV's frames."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from frames import CudaFrame, DlpackFrame, OnlyDlpack
from pdum.nvenc import InvalidConfig, InvalidFrame
from pdum.nvenc._config.values import FORMATS
from pdum.nvenc._encoders.frame_layout import FrameLayout, frame_layout, frames_of

pytestmark = pytest.mark.one_abi

EVEN = st.integers(min_value=4, max_value=300).map(lambda half: half * 2)
RGB_TYPES = ("uint8", "float16", "float32", "float64")


def shape_of(form: str, width: int, height: int) -> tuple[tuple[int, ...], str]:
    """Written out once more, as the documents say it."""
    if form == "rgb":
        return (height, width, 3), "uint8"
    if form in ("argb", "abgr", "ayuv"):
        return (height, width, 4), "uint8"
    if form in ("argb10", "abgr10"):
        return (height, width), "uint32"
    rows = {"420": height * 3 // 2, "422": height * 2, "444": height * 3}[FORMATS[form][0]]
    return (rows, width), "uint16" if FORMATS[form][1] == 10 else "uint8"


def nothing(shape: tuple[int, ...], kind: str) -> Any:
    """An array of any size that takes no memory."""
    return np.lib.stride_tricks.as_strided(np.zeros(1, kind), shape, (0,) * len(shape))


@given(width=EVEN, height=EVEN, form=st.sampled_from(sorted(FORMATS)), batch=st.none() | st.integers(4, 9))
def test_every_format_tells_its_size(width: int, height: int, form: str, batch: int | None) -> None:
    shape, kind = shape_of(form, width, height)
    frame = nothing(shape if batch is None else (batch, *shape), kind)
    assert frame_layout(frame, form) == FrameLayout(width=width, height=height, format=form, batch=batch)


@given(width=EVEN, height=EVEN, kind=st.sampled_from(RGB_TYPES), channels=st.sampled_from((3, 4)), first=st.booleans())
def test_rgb_is_known_by_its_shape(width: int, height: int, kind: str, channels: int, first: bool) -> None:
    shape = (channels, height, width) if first else (height, width, channels)
    wanted = FrameLayout(width=width, height=height, format="rgb")
    assert frame_layout(nothing(shape, kind)) == wanted
    assert frame_layout(nothing((5, *shape), kind)) == FrameLayout(width=width, height=height, format="rgb", batch=5)


def test_three_planes_are_one_picture() -> None:
    for form, kind in (("yuv444", "uint8"), ("yuv444_10", "uint16")):
        assert frame_layout(nothing((3, 48, 64), kind), form).batch is None
        batch = frame_layout(nothing((7, 3, 48, 64), kind), form)
        assert (batch.height, batch.width, batch.batch) == (48, 64, 7)


@pytest.mark.parametrize(
    ("shape", "kind", "form", "words"),
    [
        ((72, 64), "uint8", None, 'format="nv12"'),
        ((72, 64, 1), "uint8", None, "three channels"),
        ((72, 64, 2), "uint8", None, "(height, width, 3)"),
        ((72, 64, 3), "int16", None, "convert it to uint8"),
        ((72,), "uint8", None, "(height, width, 3)"),
        ((2, 2, 72, 64, 3), "uint8", None, "(height, width, 3)"),
        ((73, 64), "uint8", "nv12", "not a whole picture"),
        ((72, 64), "uint16", "nv12", "of uint8 for format 'nv12'"),
        ((72, 64), "uint8", "p010", "of uint16 for format 'p010'"),
        ((72, 64, 3), "uint8", "argb", "(height, width, 4)"),
        ((72, 64, 4), "uint32", "argb10", "(height, width), or"),
        ((4, 2, 72, 64), "uint8", "nv12", "(height * 3 // 2, width)"),
    ],
)
def test_what_cannot_be_told_is_an_error(shape: tuple[int, ...], kind: str, form: str | None, words: str) -> None:
    if (shape, form) == ((72, 64, 4), "argb10"):
        shape = (1, 1, *shape)
    with pytest.raises(InvalidFrame) as caught:
        frame_layout(nothing(shape, kind), form)
    assert words in str(caught.value)
    assert str(shape) in str(caught.value)


def test_an_unknown_format_names_those_that_there_are() -> None:
    with pytest.raises(InvalidConfig, match=r"Unknown format 'nv17'. Expected one of nv12"):
        frame_layout(nothing((72, 64), "uint8"), "nv17")


@pytest.mark.parametrize("frame", [None, 7, "frame", [[1, 2], [3, 4]], pytest.param(object(), id="object")], ids=str)
def test_no_array_is_an_error(frame: Any) -> None:
    with pytest.raises(InvalidFrame, match=r"Expected an array \(height, width, 3\).*Got a"):
        frame_layout(frame)


def test_where_frames_lie() -> None:
    rgb, nv12 = (48, 64, 3), (72, 64)
    on_gpu = frame_layout(CudaFrame(4096, rgb))
    assert (on_gpu.location, on_gpu.gpu_id, on_gpu.width) == ("gpu", None, 64)
    half = frame_layout(CudaFrame(4096, rgb, typestr="<f2"))
    assert (half.format, half.location) == ("rgb", "gpu")
    host = np.zeros(nv12, np.uint8)
    assert frame_layout(OnlyDlpack(host), "nv12") == FrameLayout(width=64, height=48, format="nv12")
    assert frame_layout(memoryview(host), "nv12").location == "host"
    with pytest.raises(InvalidFrame, match=r"offers only DLPack.*torch.from_dlpack"):
        frame_layout(DlpackFrame(4096, nv12), "nv12")

    class Tensor(DlpackFrame):
        shape, dtype = rgb, "torch.uint8"

    assert frame_layout(Tensor(4096, rgb, device=(DlpackFrame.CUDA, 1))).gpu_id == 1


def test_frames_that_know_their_format() -> None:
    assert frame_layout(Image.new("L", (64, 48))) == FrameLayout(width=64, height=48, format="rgb")
    wanted = {"nv12": "nv12", "p010le": "p010", "yuv420p": "yuv420", "yuv444p": "yuv444", "rgb24": "rgb"}
    for name, form in wanted.items():
        assert frame_layout(av.VideoFrame(64, 48, name)) == FrameLayout(width=64, height=48, format=form)


def test_a_batch_gives_its_pictures() -> None:
    batch = np.arange(4 * 72 * 64, dtype=np.uint32).astype(np.uint8).reshape(4, 72, 64)
    pictures = list(frames_of(batch, "nv12"))
    assert len(pictures) == 4
    assert all(np.shares_memory(one, batch) and (one == batch[place]).all() for place, one in enumerate(pictures))
    (alone,) = frames_of(batch[0], "nv12")
    assert alone.base is batch or alone is batch[0] or np.shares_memory(alone, batch)


def test_layouts_are_compared_without_their_place() -> None:
    one = FrameLayout(width=64, height=48, format="rgb")
    assert one.is_like(FrameLayout(width=64, height=48, format="rgb", batch=3, location="gpu"))
    for width, height, form in ((66, 48, "rgb"), (64, 50, "rgb"), (64, 48, "nv12")):
        assert not one.is_like(FrameLayout(width=width, height=height, format=form))
