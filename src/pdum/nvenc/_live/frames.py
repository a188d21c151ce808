"""Frames as a live encoder takes them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .._encoders.frame_layout import frame_layout, is_pil_image, is_pyav_frame
from .._encoders.host_frames import on_host
from .._errors import InvalidFrame

if TYPE_CHECKING:
    from .._encoders.frame_layout import FrameLayout


LEAST = 2
"""The least width and height, of one sample of colour. Codecs and cards need more, and say so."""


def single_picture(frame: Any, form: str | None, chroma: str) -> tuple[Any, FrameLayout]:
    """The frame and its layout. RGB of an odd size loses a row or a column, as a window has any size."""
    layout = frame_layout(frame, form)
    if layout.batch is not None:
        raise InvalidFrame(
            f"Expected one picture, got a batch of {layout.batch}. Give them one by one: a live stream shows each at "
            "its own time."
        )
    if min(layout.width, layout.height) < LEAST:
        raise InvalidFrame(
            f"Expected a picture of at least {LEAST}x{LEAST} pixels, got {layout.width}x{layout.height}."
        )
    if is_pil_image(frame):
        frame = on_host(frame)
    if layout.format == "rgb" and chroma != "444" and (layout.width | layout.height) % 2 and not is_pyav_frame(frame):
        return _even(frame, layout)
    return frame, layout


def _even(frame: Any, layout: FrameLayout) -> tuple[Any, FrameLayout]:
    width, height = layout.width & ~1, layout.height & ~1
    is_channels_last = tuple(frame.shape[:2]) == (layout.height, layout.width)
    cropped = frame[:height, :width] if is_channels_last else frame[:, :height, :width]
    return cropped, replace(layout, width=width, height=height)
