"""Opens the encoding side of a writer: one encoder, or all of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._errors import InvalidConfig
from .frame_encoder import OneEngine

if TYPE_CHECKING:
    from .._config.config import EncoderConfig
    from .frame_encoder import FrameEncoder


def open_frame_encoder(config: EncoderConfig, backend: str, engines: int | str) -> FrameEncoder:
    """The encoders for a configuration. Raises what opening them raises."""
    require_engines(engines)
    return OneEngine(config, backend)


def require_engines(engines: int | str) -> None:
    """Raises InvalidConfig, before the first frame."""
    if engines != 1 or isinstance(engines, bool):
        raise InvalidConfig(f"Expected engines=1, got engines={engines!r}.")
