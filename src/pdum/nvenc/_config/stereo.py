"""Video for both eyes in HEVC: the right view is a layer beside the left one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .._errors import InvalidConfig
from . import second_layer

EncoderConfig = Any  # a module above this one, which calls it


def native(value: bool | None) -> bool | None:
    """Whether frames are pairs; None if not."""
    if value is not None and not isinstance(value, bool):
        raise InvalidConfig(f"Expected True or False, got stereo={value!r}.")
    return value or None


def contradictions(config: EncoderConfig) -> Iterator[str]:
    if native(config.stereo) is None:
        return
    others = (
        ("alpha", config.settings()["alpha"] is not None),
        ("bframes", config.bframes != 0),
        ("lookahead", config.lookahead != 0),
        ("copy", config.session()["copy"] == "never"),
        ("qp_map", config.qp_map is not None),
        ("picture_types", config.settings()["manual_types"]),
        ("motion_hints", config.motion_hints),
        ("long_term_references", config.long_term_references),
        ("intra_refresh_period", config.intra_refresh_period),
        ("sub_frames", config.sub_frames),
        ("reconstruction", config.reconstruction),
        ("statistics", config.statistics is not None),
    )
    yield from second_layer.contradictions(config, "stereo=True", others)
