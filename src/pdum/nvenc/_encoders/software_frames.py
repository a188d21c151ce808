"""Arrays as the frames that software codecs take."""

from __future__ import annotations

from typing import Any

from .._config.values import FORMATS
from .._errors import UnsupportedFeature
from .pixel_formats import FRAME_FORMATS, SEMI_PLANAR

SWSCALE_MATRICES = {1: 1, 4: 4, 7: 7, 9: 9}
"""FFmpeg's numbers for the matrix of a conversion, by those of H.273. BT.601 is 5."""


def array_layout(form: str, width: int, height: int) -> tuple[tuple[int, ...], str]:
    """Shape and type of a frame's array."""
    chroma, depth = FORMATS[form]
    if form in ("argb", "abgr", "ayuv"):
        return (height, width, 4), "uint8"
    if form in ("argb10", "abgr10"):
        return (height, width), "uint32"
    if form == "rgb":
        return (height, width, 3), "uint8"
    rows = {"420": height * 3 // 2, "422": height * 2, "444": height * 3}[chroma]
    return (rows, width), "uint16" if depth > 8 else "uint8"


def video_frame(array: Any, form: str, width: int, height: int) -> Any:
    import av

    if form == "yuv444_10":
        array = array >> 6  # the hardware reads the high bits, software the low ones
    frame = av.VideoFrame(width, height, FRAME_FORMATS[form])
    data = memoryview(array.reshape(-1).view("uint8"))
    at = 0
    for plane in frame.planes:
        row = _row_bytes(form, plane.width, width, array.itemsize)
        _fill(plane, data[at : at + row * plane.height], row)
        at += row * plane.height
    return frame


def _row_bytes(form: str, width: int, full_width: int, itemsize: int) -> int:
    if form in ("argb", "abgr", "ayuv", "argb10", "abgr10"):
        return width * 4
    if form == "rgb":
        return width * 3
    return (full_width if form in SEMI_PLANAR else width) * itemsize


def _fill(plane: Any, data: memoryview, row: int) -> None:
    import numpy as np

    target = np.frombuffer(plane, dtype=np.uint8)[: plane.line_size * plane.height].reshape(plane.height, -1)
    target[:, :row] = np.frombuffer(data, dtype=np.uint8).reshape(plane.height, row)


def matrix_of_a_conversion(matrix: int) -> int:
    """PyAV takes any number and silently uses BT.601 for unknown ones, so they are refused here."""
    import av
    from av.video.reformatter import Colorspace

    wanted = SWSCALE_MATRICES.get(matrix, 5)
    if wanted not in {known.value for known in Colorspace}:
        raise UnsupportedFeature(
            f"RGB with the matrix {matrix} needs PyAV 18, which needs Python 3.11; this is PyAV {av.__version__}. "
            "colour='bt709' works with any."
        )
    return wanted
