"""A row of the tables of settings: the setting, and every field of the driver's structs that it changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

HQ: dict[str, Any] = {"tuning": "hq"}
HEVC: dict[str, Any] = {"codec": "hevc"}
AV1: dict[str, Any] = {"codec": "av1"}
INFINITE = 0xFFFFFFFF


@dataclass(frozen=True)
class Row:
    """`told` is all that differs from an encoder with the settings `over` alone, nothing less and nothing more.

    Paths are those of NV_ENC_INITIALIZE_PARAMS with `config.` for encodeConfig, `rc.` for its rcParams and `codec.` for
    its encodeCodecConfig; 0 is a field that the preset had set and that is zero now.
    """

    given: dict[str, Any]
    told: dict[str, Any]
    over: dict[str, Any] = field(default_factory=dict)
    told_12_1: dict[str, Any] | None = None  # if the older interface has other fields for it
    since: str = "12.1"  # the first interface version that has it
    names: str = ""  # words in the refusal of older versions, in addition to both versions
    gpu: dict[str, Any] = field(default_factory=dict)  # capabilities of the simulated GPU beyond its generation

    def __str__(self) -> str:
        more = f" over {short(self.over)}" if self.over else ""
        return f"{short(self.given)}{more}"


def short(settings: dict[str, Any]) -> str:
    return ",".join(f"{name}={value}".replace(" ", "") for name, value in settings.items())
