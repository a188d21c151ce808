"""Interlaced coding of H.264: a picture's two fields, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .._errors import InvalidConfig
from .settings import one_of

FIRST_FIELDS = {"top": "top", "bottom": "bottom", "tff": "top", "bff": "bottom"}
STRUCTURES = {**FIRST_FIELDS, "frame": "frame", "progressive": "frame"}

LEVELS = ("2.1", "2.2", "3", "3.1", "3.2", "4", "4.1")
"""H.264 has interlaced coding at these alone."""

MOST_MACROBLOCKS, MOST_IN_A_SECOND = 8192, 245_760
"""Of the highest of these levels (H.264, table A-1)."""

EncoderConfig = Any  # a module above this one, which calls it


def native(value: str | None) -> str | None:
    """The field that comes first, of a configuration's ``interlaced``."""
    return None if value is None else one_of("interlaced", value, FIRST_FIELDS)


def structure(value: str | None) -> str | None:
    """Of a picture's options."""
    return None if value is None else one_of("structure", value, STRUCTURES)


def require_fields(value: str | None, is_interlaced: bool) -> str | None:
    if value is not None and not is_interlaced:
        raise InvalidConfig(f"structure={value!r} needs an encoder that was made with interlaced='top' or 'bottom'.")
    return value


def contradictions(config: EncoderConfig) -> Iterator[str]:
    if config.interlaced is None:
        return
    asked = f"interlaced={config.interlaced!r}"
    if config.profile.lower() == "baseline":
        yield f"{asked} does not work with profile='baseline', which has no fields. Use profile='main' or 'high'."
    lines = 4 if config.settings()["chroma"] == "420" else 2
    for name in ("height", "max_height"):
        given = getattr(config, name)
        if given % lines:
            yield f"{asked} does not work with {name}={given}. Give a multiple of {lines}, for two fields."
    if config.level is not None and config.level not in LEVELS:
        yield f"{asked} does not work with level={config.level!r}: H.264 has it at levels from 2.1 to 4.1."
    yield from _of_levels(config, asked)
    if config.intra_refresh_period:
        yield f"{asked} does not work with intra_refresh_period={config.intra_refresh_period}. Choose one."


def _of_levels(config: EncoderConfig, asked: str) -> Iterator[str]:
    """A picture that no level with interlaced coding has."""
    width, height = max(config.width, config.max_width), max(config.height, config.max_height)
    if _macroblocks(width, height) > MOST_MACROBLOCKS:
        yield f"{asked} does not work with {width}x{height}: in H.264, it goes up to 1920x1080 or so."
    frames, seconds = config.settings()["fps"]
    if _macroblocks(config.width, config.height) * frames > MOST_IN_A_SECOND * seconds:
        yield (
            f"{asked} does not work with {config.width}x{config.height} and fps={config.fps}: in H.264, it goes up to "
            "30 frames a second of 1920x1080. fps counts frames, of two fields each."
        )


def _macroblocks(width: int, height: int) -> int:
    return -(-width // 16) * -(-height // 16)
