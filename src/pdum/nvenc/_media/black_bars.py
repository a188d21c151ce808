"""Finds the black bars around a picture. A frame shows only where they cannot be, so many frames are looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLACK, BLACK_IN_FULL_RANGE = 24 / 255, 10 / 255
"""A line of pixels that is darker than this on average may be part of a bar. Black itself is 16 or 0 of 255."""
BRIGHT = 2.0
"""A pixel that is brighter than this times the limit belongs to the picture, however dark the rest of its line is."""
BRIGHT_SHARE = 1 / 200
"""Of the pixels of a line. Fewer may be noise."""
LEAST_SHARE = 0.2
"""Of the whole picture. If less than this is not black, the film is dark, and what is black is no bar."""


def luma(frame: Any) -> tuple[NDArray[Any], int, bool]:
    """The brightness of each pixel, its bits, and whether it had to be converted, to limited range."""
    import numpy as np

    form = frame.format
    has_it = form.is_planar and not form.is_rgb and not form.is_big_endian and not form.name.startswith("p")
    if not has_it:
        frame = frame.reformat(format="yuv444p")
    bits = frame.format.components[0].bits
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint16 if bits > 8 else np.uint8).reshape(plane.height, -1)
    return rows[: frame.height, : frame.width], bits, not has_it


@dataclass(frozen=True)
class Area:
    """A part of a picture, without the column ``right`` and the row ``bottom``."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    def __or__(self, other: Area) -> Area:
        """The smallest area that holds both."""
        return Area(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )


def lit_area(frame: Any, full_range: bool) -> Area | None:
    """The part of a frame that is not black; None if all of it is."""
    pixels, bits, is_converted = luma(frame)
    limit = (BLACK_IN_FULL_RANGE if full_range and not is_converted else BLACK) * ((1 << bits) - 1)
    rows = _lit(pixels, limit)
    if not rows.any():
        return None
    top, bottom = _ends(rows)
    columns = _lit(pixels[top:bottom].T, limit)
    left, right = _ends(columns) if columns.any() else (0, pixels.shape[1])
    return Area(left, top, right, bottom)


def joined(areas: Iterable[Area | None]) -> Area | None:
    """The area that holds all of them."""
    whole: Area | None = None
    for area in areas:
        whole = area if whole is None else whole if area is None else whole | area
    return whole


def without_bars(area: Area, width: int, height: int, rows: int = 2) -> Area:
    """The area in whole steps, of 2 columns and so many rows, with no black edge. A side without a bar stays."""
    left, right = _stepped(area.left, area.right, width, 2)
    top, bottom = _stepped(area.top, area.bottom, height, rows)
    return Area(left, top, right, bottom)


def is_plausible(area: Area, width: int, height: int) -> bool:
    """Whether what is left is likely to be the whole picture, rather than a light in the dark."""
    return area.width * area.height >= LEAST_SHARE * width * height


def _stepped(first: int, end: int, length: int, step: int) -> tuple[int, int]:
    return -(-first // step) * step, end if end == length else end // step * step


def _lit(lines: NDArray[Any], limit: float) -> NDArray[np.bool_]:
    """Which lines are not black."""
    import numpy as np

    bright = np.count_nonzero(lines > BRIGHT * limit, axis=1)
    found: NDArray[np.bool_] = (lines.mean(axis=1) > limit) | (bright > max(1, BRIGHT_SHARE * lines.shape[1]))
    return found


def _ends(lit: NDArray[np.bool_]) -> tuple[int, int]:
    return int(lit.argmax()), len(lit) - int(lit[::-1].argmax())
