"""Transparency in HEVC: a layer beside the picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .._errors import InvalidConfig
from . import second_layer
from .settings import whole
from .values import RGB_FORMATS

WITH_ALPHA = ("argb", "abgr", "nv12")
"""The formats of frames that bring it, the last one in an array beside the frame."""

BESIDE = "nv12"

DRIVERS_RATIO = 0
"""Stands for the driver's own split of the bits."""

EncoderConfig = Any  # a module above this one, which calls it


def native(value: bool | int | None) -> int | None:
    """How many times the bits of the layer the picture gets; None without a layer."""
    if value is None or value is False:
        return None
    if value is not True and not hasattr(value, "__index__"):
        raise InvalidConfig(f"Expected True, False, or how many times its bits the picture gets, got alpha={value!r}.")
    return DRIVERS_RATIO if value is True else whole("alpha", value, 1)


def contradictions(config: EncoderConfig) -> Iterator[str]:
    if native(config.alpha) is None:
        return
    asked = f"alpha={config.alpha!r}"
    if config.format not in WITH_ALPHA:
        also = " Its frames have 10 bits." if config.format in RGB_FORMATS else ""
        yield (
            f"{asked} does not work with format={config.format!r}. Give arrays of R, G, B, A with format='abgr', or of "
            f"B, G, R, A with 'argb', or frames of 'nv12' with their alpha.{also}"
        )
    others = (
        ("sub_frames", config.sub_frames),
        ("reconstruction", config.reconstruction),
        ("attempts", config.format == BESIDE and config.attempts),
        ("copy", config.format == BESIDE and config.session()["copy"] == "never"),
    )
    yield from second_layer.contradictions(config, asked, others)
