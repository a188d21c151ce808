"""All frames of a video have one size and format."""

from __future__ import annotations

from typing import Any

from .._encoders.frame_layout import FrameLayout, frame_layout, is_flat
from .._errors import InvalidFrame


def checked_layout(
    frame: Any, form: str | None, size: tuple[int, int] | None, first: FrameLayout | None
) -> FrameLayout:
    """The frame's layout. Raises InvalidFrame if it is not like the first one, or not of the size that was given."""
    if size is not None and is_flat(frame):
        return FrameLayout(width=size[0], height=size[1], format=form or "rgb")
    layout = frame_layout(frame, form)
    if first is not None and not layout.is_like(first):
        raise InvalidFrame(
            f"Expected a frame of {described(first)}, as the first one, got {described(layout)}. A video has "
            "one size and format: scale or convert the frame, or begin another file."
        )
    if size is not None and (layout.width, layout.height) != tuple(size):
        raise InvalidFrame(
            f"Expected a frame of {size[0]}x{size[1]}, as size says, got {described(layout)}. Scale the frame."
        )
    return layout


def described(layout: FrameLayout) -> str:
    batch = "" if layout.batch is None else f"{layout.batch} times "
    return f"{batch}{layout.width}x{layout.height} ({layout.format})"
