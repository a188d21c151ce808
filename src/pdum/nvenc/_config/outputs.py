"""What packets bring besides their bytes: what contradicts it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .native_settings import stream_format
from .settings import codec_name
from .values import FORMATS

EncoderConfig = Any  # a module above this one, which calls it

NOT_WRITTEN = ("argb", "abgr", "ayuv", "argb10", "abgr10")
"""Formats of frames that the engine converts before it encodes them, and cannot write."""


def contradictions(config: EncoderConfig, may_have_b_frames: bool) -> Iterator[str]:
    """Says of each contradiction what is wrong and what to do."""
    if config.sub_frames:
        yield from _of_sub_frames(config)
    if config.reconstruction:
        yield from _of_reconstruction(config, may_have_b_frames)


def _of_sub_frames(config: EncoderConfig) -> Iterator[str]:
    if codec_name(config.codec) == "av1":
        yield "sub_frames=True does not work with codec='av1', which has no slices. Use h264 or hevc."
    if config.settings()["slices"] in (None, ("count", 1)):
        yield (
            f"sub_frames=True does not work with slices={config.slices!r}: with one slice, nothing is ready before the "
            "picture is. Give slices=4 or so."
        )
    for name in ("bframes", "lookahead", "extra_output_delay"):
        value = getattr(config, name)
        if value != 0:
            yield f"sub_frames=True does not work with {name}={value}: no picture may wait for another. Give {name}=0."
    if config.statistics:
        yield f"sub_frames=True does not work with statistics={config.statistics!r}. Leave one out."
    if config.reconstruction:
        yield "sub_frames=True does not work with reconstruction=True. Leave one out."
    if config.settings()["split_encode"] not in (None, "off"):
        yield f"sub_frames=True does not work with split_encode={config.split_encode!r}: drivers have one or the other."


def _of_reconstruction(config: EncoderConfig, may_have_b_frames: bool) -> Iterator[str]:
    if may_have_b_frames:
        yield (
            f"reconstruction=True does not work with bframes={config.bframes}: drivers do not tell in which picture's "
            "memory a B-frame is. Give bframes=0."
        )
    if config.format in NOT_WRITTEN:
        yield (
            f"reconstruction=True does not work with format={config.format!r}, which the engine only reads. Give nv12, "
            "p010, yuv420, yuv444, yuv444_10, nv16, p210 or rgb."
        )
    elif config.format != "rgb" and stream_format(config) != FORMATS[config.format]:
        chroma, depth = stream_format(config)
        yield (
            f"reconstruction=True does not work with chroma={chroma!r} and bit_depth={depth} for "
            f"format={config.format!r}: it has the stream's samples in the layout of the frames. Leave both out."
        )
