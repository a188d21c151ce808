"""Frames that are pairs: for both eyes, or a frame and its alpha."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .._encoders.frame_layout import FrameLayout, frames_of, is_flat, plane_layout
from .._errors import InvalidFrame
from .layout_checks import checked_layout, described
from .settings import Kind

WANTED: dict[Kind, str] = {
    "stereo": "Expected a pair of frames, as stereo=True says, got {}. Give both views, the left one first: "
    "write((left, right)).",
    "alpha": "Expected a pair of a frame and its alpha, as alpha and format='nv12' say, got {}. Give both: "
    "write((frame, alpha)). Frames of RGB and alpha in one array need format='abgr'.",
}


def views_of(frame: Any, kind: Kind) -> tuple[Any, ...]:
    """The frame alone, or both of a pair."""
    if not kind:
        return (frame,)
    if isinstance(frame, (tuple, list)) and len(frame) == 2:
        return tuple(frame)
    count = f" of {len(frame)}" if isinstance(frame, (tuple, list)) else ""
    raise InvalidFrame(WANTED[kind].format(f"a {type(frame).__name__}{count}"))


def checked_views(
    views: tuple[Any, ...],
    form: str | None,
    size: tuple[int, int] | None,
    first: FrameLayout | None,
    kind: Kind = "stereo",
) -> FrameLayout:
    """The layout of all views, or of a frame with its alpha.

    Raises InvalidFrame if they do not go together, or are not like the first frame of the video.
    """
    left = checked_layout(views[0], form, size, first)
    if kind == "alpha":
        return _with_alpha(left, views[1])
    for view in views[1:]:
        right = checked_layout(view, form, size, None)
        if not right.is_like(left) or right.batch != left.batch:
            raise InvalidFrame(
                f"Expected both views of one size and format, got {described(left)} for the left eye and "
                f"{described(right)} for the right one. Scale or convert one of them."
            )
        left = _where(left, right)
    return left


def _with_alpha(colour: FrameLayout, alpha: Any) -> FrameLayout:
    """The layout of both. Raises InvalidFrame unless alpha has a byte for each pixel."""
    if is_flat(alpha) and colour.batch is None:
        return colour  # whose size the encoder checks
    found = plane_layout(alpha)
    if (found.width, found.height, found.batch) != (colour.width, colour.height, colour.batch):
        raise InvalidFrame(
            f"Expected an alpha of {described(colour)}'s size, a byte for each pixel, got {described(found)}. Scale it."
        )
    return _where(colour, found)


def _where(one: FrameLayout, other: FrameLayout) -> FrameLayout:
    """A pair lies on the GPU if one of the two does."""
    if other.location != "gpu":
        return one
    return replace(one, location="gpu", gpu_id=other.gpu_id if one.gpu_id is None else one.gpu_id)


def pictures_of(views: tuple[Any, ...], layout: FrameLayout, kind: Kind = "stereo") -> Iterator[Any]:
    """The pictures of a batch, one after the other: each a frame, or a pair."""
    if len(views) == 1:
        yield from [views[0]] if layout.batch is None else frames_of(views[0], layout.format)
    elif layout.batch is None:
        yield views
    elif kind == "alpha":
        yield from zip(frames_of(views[0], layout.format), (views[1][n] for n in range(layout.batch)), strict=True)
    else:
        yield from zip(*(frames_of(view, layout.format) for view in views), strict=True)
