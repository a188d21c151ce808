"""Decoded frames brought into the format and size that an encoder takes."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from pdum.nvenc._media.frame_conversion import in_format, in_size

pytestmark = pytest.mark.one_abi

WIDTH, HEIGHT = 159, 95


@pytest.mark.parametrize(
    "form",
    ["yuv420p", "yuv420p10le", "yuv422p", "yuv422p10le", "yuv444p", "yuv444p10le", "nv12", "p010le", "nv16", "p210le"],
)
def test_an_odd_size_is_made_even_by_its_edge(form: str) -> None:
    """Each plane holds the whole picture, with the last column and row repeated."""
    depth = 10 if "10" in form else 8
    source = av.VideoFrame(WIDTH, HEIGHT, "yuv444p10le" if depth == 10 else "yuv444p")
    source.pts, source.time_base = 3, Fraction(1, 25)
    random = np.random.default_rng(1)
    for plane in source.planes:
        kind = np.uint16 if depth == 10 else np.uint8
        plane.update(random.integers(0, 1 << depth, plane.buffer_size // kind().itemsize, kind).tobytes())
    frame = in_format(source, form)
    even = in_size(frame, WIDTH + 1, HEIGHT + 1)
    assert (even.width, even.height) == (WIDTH + 1, HEIGHT + 1)
    for before, after in zip(padded_planes(frame), padded_planes(even), strict=True):
        rows, columns = before.shape
        assert np.array_equal(after[:rows, :columns], before)
        assert np.array_equal(after[:rows, columns:], before[:, columns - 1 :][:, : after.shape[1] - columns])
        assert np.array_equal(after[rows:], after[rows - 1 : rows][: after.shape[0] - rows])


def padded_planes(frame: av.VideoFrame) -> list[Any]:
    """The samples of each plane. Alternating samples of blue and red are split into two planes."""
    kind = np.uint16 if frame.format.components[0].bits > 8 else np.uint8
    luma, *chroma = (np.frombuffer(plane, kind).reshape(plane.height, -1) for plane in frame.planes)
    if len(chroma) == 1:
        width = frame.width + frame.width % 2
        return [luma[:, : frame.width], chroma[0][:, 0:width:2], chroma[0][:, 1:width:2]]
    return [luma[:, : frame.width], *(plane[:, : frame.planes[1].width] for plane in chroma)]
