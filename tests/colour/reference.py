"""RGB to YUV in float64, directly from ITU-T H.273 and the chroma sample positions: the reference for the kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float64]

FORMATS = ("nv12", "p010", "yuv444", "yuv444_10")
MATRICES = ("bt601", "bt709", "bt2020")
SITINGS = ("left", "centre")
TYPES = ("u8", "f16", "f32")
DTYPES = {"u8": np.uint8, "f16": np.float16, "f32": np.float32}

RED_AND_BLUE_OF_LUMA = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}


def unit_rgb(image: npt.NDArray[Any]) -> Plane:
    """(height, width, 3) in 0..1 from any image of type uint8 or float, clamped; NaN is black."""
    if image.dtype == np.uint8:
        return image[..., :3].astype(np.float64) / 255
    return np.clip(np.nan_to_num(image[..., :3].astype(np.float64), nan=0.0), 0, 1)


def exact_planes(rgb: Plane, form: str, matrix: str, full_range: bool, siting: str) -> list[Plane]:
    """Y, U, V as codes before rounding and clipping; U and V in the size that the format has."""
    red, blue = RED_AND_BLUE_OF_LUMA[matrix]
    luma = rgb @ np.array([red, 1 - red - blue, blue])
    chroma = [(rgb[..., 2] - luma) / (2 * (1 - blue)), (rgb[..., 0] - luma) / (2 * (1 - red))]
    if form in ("nv12", "p010"):
        chroma = [subsampled(plane, siting) for plane in chroma]
    bits = 10 if form in ("p010", "yuv444_10") else 8
    step, top = 2 ** (bits - 8), 2**bits - 1
    if full_range:
        return [luma * top] + [plane * top + 128 * step for plane in chroma]
    return [luma * 219 * step + 16 * step] + [plane * 224 * step + 128 * step for plane in chroma]


def subsampled(plane: Plane, siting: str) -> Plane:
    """One sample for 2x2: halfway between rows, and halfway between columns or on the left one with (1 2 1) / 4."""
    rows = (plane[0::2] + plane[1::2]) / 2
    if siting == "centre":
        return (rows[:, 0::2] + rows[:, 1::2]) / 2
    before = np.concatenate([rows[:, :1], rows[:, 1:-1:2]], axis=1)  # the edge's own column stands for the one outside
    result: Plane = (before + 2 * rows[:, 0::2] + rows[:, 1::2]) / 4
    return result


def rounded(exact: Plane, form: str) -> npt.NDArray[np.int64]:
    """Rounds halves up. Pure colours are often halves, which float64 misses by about 1e-13: a little is added."""
    top = 1023 if form in ("p010", "yuv444_10") else 255
    return np.clip(np.floor(exact + 0.5 + 1e-9), 0, top).astype(np.int64)
