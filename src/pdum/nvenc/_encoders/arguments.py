"""The arguments that all encoders take: one ``EncoderConfig``, or its fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._config.settings import nearest
from .._errors import InvalidConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .._config.config import EncoderConfig

IN_ORDER = (
    "width",
    "height",
    "codec",
    "preset",
    "tuning",
    "fps",
    "gop",
    "bitrate",
    "gpu_id",
    "cuda_context",
    "extra_output_delay",
    "profile",
)
"""The fields that may be given without their names."""


def config_of(encoder: str, positional: Sequence[Any], fields: Mapping[str, Any]) -> EncoderConfig:
    """The configuration that an encoder is made with. ``encoder``: the name of its class, for errors."""
    from .._config.config import EncoderConfig  # imported here because dataclasses cost milliseconds

    if positional and isinstance(positional[0], EncoderConfig):
        if fields or any(value is not None for value in positional[1:2]):  # the others have defaults
            raise InvalidConfig("Expected an EncoderConfig alone, got further settings. Use config.replaced(…).")
        return positional[0]
    if len(positional) > len(IN_ORDER):
        raise TypeError(f"{encoder}() takes at most {len(IN_ORDER)} positional arguments, got {len(positional)}.")
    known = EncoderConfig.names()
    given = dict(zip(IN_ORDER, positional, strict=False))
    for name in fields:
        if name not in known:
            raise TypeError(f"{encoder}() got an unexpected keyword argument {name!r}.{nearest(name, known)}")
        if name in given:
            raise TypeError(f"{encoder}() got multiple values for argument {name!r}.")
    given |= fields
    missing = [name for name in ("width", "height") if name not in given]
    if missing:
        raise TypeError(f"{encoder}() needs {' and '.join(missing)}.")
    return EncoderConfig.of(given)
