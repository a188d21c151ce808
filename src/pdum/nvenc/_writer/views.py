"""Frames for both eyes: pairs of what a writer takes for one eye."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .._encoders.frame_layout import FrameLayout, frames_of
from .._errors import InvalidFrame
from .layout_checks import checked_layout, described


def views_of(frame: Any, *, stereo: bool) -> tuple[Any, ...]:
    """The frame alone; with ``stereo`` the left and the right one."""
    if not stereo:
        return (frame,)
    if isinstance(frame, (tuple, list)) and len(frame) == 2:
        return tuple(frame)
    count = f" of {len(frame)}" if isinstance(frame, (tuple, list)) else ""
    raise InvalidFrame(
        f"Expected a pair of frames, as stereo=True says, got a {type(frame).__name__}{count}. Give both views, the "
        "left one first: write((left, right))."
    )


def checked_views(
    views: tuple[Any, ...], form: str | None, size: tuple[int, int] | None, first: FrameLayout | None
) -> FrameLayout:
    """The layout of all views. Raises InvalidFrame if they differ, or are not like the first frame of the video."""
    left = checked_layout(views[0], form, size, first)
    for view in views[1:]:
        right = checked_layout(view, form, size, None)
        if not right.is_like(left) or right.batch != left.batch:
            raise InvalidFrame(
                f"Expected both views of one size and format, got {described(left)} for the left eye and "
                f"{described(right)} for the right one. Scale or convert one of them."
            )
        if right.location == "gpu":
            left = replace(left, location="gpu", gpu_id=right.gpu_id if left.gpu_id is None else left.gpu_id)
    return left


def pictures_of(views: tuple[Any, ...], layout: FrameLayout) -> Iterator[Any]:
    """The pictures of a batch, one after the other: each a frame, or a pair of frames."""
    if len(views) == 1:
        yield from [views[0]] if layout.batch is None else frames_of(views[0], layout.format)
    elif layout.batch is None:
        yield views
    else:
        yield from zip(*(frames_of(view, layout.format) for view in views), strict=True)
