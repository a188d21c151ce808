"""Files that keep their transparency: what a source needs for it, and what is said if it gets lost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .._errors import InvalidConfig

if TYPE_CHECKING:
    from .._media.filtered_video import FilteredVideo
    from .._media.look import Look

LEAVE_OUT = "Leave out alpha to encode the colours alone"


def require_alpha(path: Path, video: FilteredVideo) -> None:
    """Raises InvalidConfig unless the frames behind the filters have alpha."""
    if video.index.look.gives_alpha:
        return
    before = video.source.look
    if before.gives_alpha:
        raise InvalidConfig(
            f"{path}: The filters make frames without alpha ({video.index.look.pix_fmt}) of frames with it "
            f"({before.pix_fmt}), and alpha asks to keep it. Use other filters, or none. {LEAVE_OUT}."
        )
    if before.transparent:
        raise InvalidConfig(
            f"{path}: The decoder for {before.codec} gives the colours of this video without its alpha, which alpha "
            f"asks to keep. Convert it to ProRes 4444 or FFV1 with a program that reads it. {LEAVE_OUT}."
        )
    raise InvalidConfig(
        f"{path}: Expected a video with an alpha channel, as alpha asks to keep it, got one of {before.pix_fmt}. "
        f"{LEAVE_OUT}, or make the channel with a filter, such as vf='colorkey=green'."
    )


def multiplied_colours(video: FilteredVideo) -> list[str]:
    """A warning about a source whose colours are not as the result says of them."""
    if not video.source.look.premultiplied or "unpremultiply" in (video.filters.vf or ""):
        return []
    return [
        "The source says that its colours are multiplied by alpha already. The result says that they are not, so "
        "players multiply them once more, which makes edges dark. vf='unpremultiply=inplace=1' divides them."
    ]


def lost_alpha(look: Look) -> list[str]:
    """A warning about a source whose alpha nobody asked to keep."""
    if not look.transparent:
        return []
    return [
        "The source has an alpha channel, which is left out: the result has only the colours. alpha=True (--alpha) "
        "keeps transparency, as HEVC in .mov or .mp4."
    ]
