"""What the GPUs of other machines can do, as their workers have told it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .capabilities import Capabilities, capabilities

if TYPE_CHECKING:
    from ..events import EngineInfo

_told: dict[tuple[str, int | None], Mapping[str, Capabilities]] = {}


def learn(engine: EngineInfo, codecs: Mapping[str, Capabilities]) -> None:
    _told[engine.node, engine.gpu_id] = codecs


def capabilities_of(engine: EngineInfo) -> Mapping[str, Capabilities]:
    """What the engine can do, by codec. Its machine is asked only if it is this one."""
    if engine.node:
        return _told[engine.node, engine.gpu_id]
    return capabilities(engine.gpu_id or 0)
