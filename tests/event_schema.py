"""The JSON Schema of the events as the package has it, and lines that are held against it."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from pdum.nvenc import events

from loud import need_module

ROOT = Path(__file__).parents[1]
SHIPPED = Path(events.__file__).with_name("events.schema.json")


def made_from_classes() -> str:
    """What the schema has to be for the classes of today."""
    make = runpy.run_path(str(ROOT / "docs" / "make_event_schema.py"))
    return str(make["text"]())


@cache
def _strict() -> dict[str, Any]:
    """The shipped schema, with every field named: readers have to take further fields, but this version has none."""
    schema: dict[str, Any] = json.loads(SHIPPED.read_text())
    for one in schema["$defs"].values():
        one["additionalProperties"] = False
    return schema


def require_valid(lines: Iterable[str]) -> list[dict[str, Any]]:
    """The events of these lines, each of which has to be as the schema says."""
    jsonschema = need_module("jsonschema")
    schema = _strict()
    told = [json.loads(line) for line in lines]
    for event in told:
        # The kind is looked up first, because "none of 23 kinds fits" does not say what is wrong.
        assert event["event"] in schema["$defs"], f"an unknown event: {event}"
        of_kind = {"$ref": f"#/$defs/{event['event']}", "$defs": schema["$defs"]}
        jsonschema.validate(event, of_kind, format_checker=jsonschema.FormatChecker())
    return told
