"""Events as plain values, such as JSON has."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

SCHEMA = 1
"""The version of the events as JSON. It rises if an event or a field is removed, or means something else."""


def kind_of(event: type) -> str:
    """The name in JSON of a class of events: ``"job_finished"``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", event.__name__).lower()


def values_of(event: Any) -> dict[str, Any]:
    """What ``events.to_dict`` returns."""
    values = {field.name: _plain(getattr(event, field.name)) for field in fields(event)}
    return {"schema": SCHEMA, "event": kind_of(type(event)), **values}


def _plain(value: Any) -> Any:
    if is_dataclass(value):  # an engine, which also has a name for people
        return {field.name: getattr(value, field.name) for field in fields(value)} | {"label": value.label}  # type: ignore[union-attr]
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value
