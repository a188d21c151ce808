"""What can change while an encoder runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._errors import InvalidConfig
from .config import EncoderConfig, require_fields
from .settings import bits, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

LIVE = (
    "bitrate",
    "max_bitrate",
    "vbv_size",
    "vbv_initial_delay",
    "fps",
    "rate_control",
    "qp",
    "min_qp",
    "max_qp",
    "cq",
    "multipass",
    "spatial_aq",
    "temporal_aq",
    "width",
    "height",
)
"""The fields that ``reconfigure`` can change."""


def live_changes(config: EncoderConfig, changes: Mapping[str, Any]) -> tuple[EncoderConfig, dict[str, Any]]:
    """The configuration after a live change, and the native settings that the change touches."""
    require_fields(changes)
    fixed = [name for name in changes if name not in LIVE]
    if fixed:
        raise InvalidConfig(
            f"{', '.join(fixed)} cannot change while the encoder runs; {', '.join(LIVE)} can. Make a new encoder."
        )
    if "bitrate" in changes:
        bits("bitrate", changes["bitrate"], least=1)  # 0 means the preset's own rate, which cannot be changed to
    after = config.replaced(**changes)
    before, now = config.settings(), after.settings()
    return after, {name: value for name, value in now.items() if value != before[name]}


def require_settable(name: str, is_subclass: bool) -> None:
    """Raises AttributeError for an attribute that has no effect on an encoder. A subclass may have its own."""
    fields = EncoderConfig.names()
    if name in LIVE:
        raise AttributeError(f"{name} cannot be set. Use encoder.reconfigure({name}=…).")
    if name in fields:
        raise AttributeError(f"{name} cannot change while the encoder runs. Make a new encoder with {name}=….")
    if not is_subclass:
        raise AttributeError(f"NvencEncoder has no attribute {name!r}.{nearest(name, [*LIVE, *fields])}")
