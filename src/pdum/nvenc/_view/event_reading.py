"""Events from the JSON that ``events.to_dict`` makes of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from .. import events


def event_of(values: Mapping[str, Any]) -> events.Event | None:
    """The event, or None if it is of a kind that this version does not know. Fields that it does not know are left out.

    Raises TypeError if a field is missing.
    """
    kind = _KINDS.get(str(values.get("event")))
    return None if kind is None else kind(**_fields(kind, values))


def _fields(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    return {one.name: _field(one.name, values[one.name]) for one in fields(kind) if one.name in values}


def _field(name: str, value: Any) -> Any:
    if name == "engines" and isinstance(value, list):
        return tuple(events.EngineInfo(**_fields(events.EngineInfo, one)) for one in value)
    if name == "engine" and isinstance(value, dict):
        return events.EngineInfo(**_fields(events.EngineInfo, value))
    return tuple(value) if isinstance(value, list) else value


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


_KINDS = {_snake(kind.__name__): kind for kind in events.Event.__subclasses__()}
