"""Writes the JSON Schema of the events from their classes, with the words of their docstrings.

python docs/make_event_schema.py
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from pdum.nvenc import events

SOURCE = Path(events.__file__)
TARGET = SOURCE.with_name("events.schema.json")
PLAIN = {int: "integer", float: "number", str: "string", bool: "boolean", NoneType: "null"}
LABEL = {"type": "string", "description": 'For people: "GPU 0 · NVENC 1", "CPU 0".'}
ADDED_FIELDS: dict[str, Any] = {
    "schema": {"const": events.SCHEMA, "description": "The version of this schema."},
    "time": {
        "type": "string",
        "format": "date-time",
        "description": "When the line was written, in UTC. The command-line tool adds it.",
    },
}


def schema() -> dict[str, Any]:
    words = dict(_words())
    kinds = {events.kind_of(one): one for one in _kinds()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Events of pdum-nvenc",
        "description": f"One line of the output of pdum-nvenc --json or --log, version {events.SCHEMA}.",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in kinds],
        "$defs": {
            "engine": _object(events.EngineInfo, words, {"label": LABEL}),
            **{
                name: _object(one, words, {"event": {"const": name}, **ADDED_FIELDS}, optional=("time",))
                for name, one in kinds.items()
            },
        },
    }


def text() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _kinds() -> list[type[events.Event]]:
    named = (getattr(events, name) for name in events.__all__)
    kinds = [one for one in named if isinstance(one, type) and issubclass(one, events.Event)]
    return [one for one in kinds if one is not events.Event]


def _object(kind: type, words: dict[str, str], more: dict[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    hints = get_type_hints(kind)
    properties = dict(more)
    for field in fields(kind):
        properties[field.name] = _type(hints[field.name])
        about = words.get(f"{kind.__name__}.{field.name}") or words.get(f"Event.{field.name}")
        if about:
            properties[field.name]["description"] = about
    return {
        "description": words[kind.__name__],
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


def _type(hint: Any) -> dict[str, Any]:
    if hint in PLAIN:
        return {"type": PLAIN[hint]}
    if hint is events.EngineInfo:
        return {"$ref": "#/$defs/engine"}
    if get_origin(hint) is tuple:
        return {"type": "array", "items": _type(get_args(hint)[0])}
    return {"type": [PLAIN[one] for one in get_args(hint)]}


def _words() -> Iterator[tuple[str, str]]:
    """The docstrings of classes and of fields, by ``Class`` and ``Class.field``."""
    for node in ast.parse(SOURCE.read_text()).body:
        if not isinstance(node, ast.ClassDef):
            continue
        yield node.name, _plain(ast.get_docstring(node) or "")
        for one, following in zip(node.body, node.body[1:], strict=False):
            if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and _is_text(following):
                yield f"{node.name}.{one.target.id}", _plain(following.value.value)  # type: ignore[attr-defined]


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _plain(docstring: str) -> str:
    return " ".join(docstring.replace("``", "").split())


if __name__ == "__main__":
    TARGET.write_text(text())
