"""Events as JSON: the shipped schema is that of the classes, and describes all of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from event_schema import SHIPPED, made_from_classes, require_valid
from pdum.nvenc import events

from event_streams import any_event
from loud import need_module

pytestmark = pytest.mark.one_abi

KINDS = [one for one in vars(events).values() if isinstance(one, type) and issubclass(one, events.Event)]
KINDS.remove(events.Event)


def schema() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(SHIPPED.read_text())
    return loaded


def test_the_shipped_schema_is_that_of_the_classes() -> None:
    assert SHIPPED.read_text() == made_from_classes(), "run docs/make_event_schema.py"


def test_it_is_a_schema() -> None:
    need_module("jsonschema").Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_and_its_words_are_there(kind: type[events.Event]) -> None:
    name = events.kind_of(kind)
    one = schema()["$defs"][name]
    assert {"$ref": f"#/$defs/{name}"} in schema()["oneOf"]
    assert one["description"].endswith(".")
    assert {"schema", "event", "at"} <= set(one["required"])


@pytest.mark.parametrize("kind", KINDS)
def test_any_event_of_each_kind_is_valid(kind: type[events.Event]) -> None:
    made: list[events.Event] = []

    @settings(max_examples=4)
    @given(any_event(kind))
    def check(event: events.Event) -> None:
        made.append(event)
        require_valid([json.dumps(events.to_dict(event))])

    check()
    whole_schema = need_module("jsonschema").Draft202012Validator(schema())
    whole_schema.validate(json.loads(json.dumps(events.to_dict(made[-1]))))


@pytest.mark.parametrize("change", [{"job": "0"}, {"at": None}, {"schema": 2}, {"event": "job_done"}, {"reason": 5}])
def test_what_is_no_event_is_not_valid(change: dict[str, Any]) -> None:
    jsonschema = need_module("jsonschema")
    right = events.to_dict(events.JobSkipped(at=1.0, job=0, reason="exists"))
    validator = jsonschema.Draft202012Validator(schema())
    assert validator.is_valid(right)
    assert not validator.is_valid({**right, **change})
    assert validator.is_valid({**right, "added_later": 1}), "readers ignore fields that they do not know"


def test_the_page_describes_each_kind(root: Path) -> None:
    page = (root / "docs" / "events.md").read_text()
    assert [kind for kind in KINDS if f"| `{events.kind_of(kind)}` |" not in page] == []
    assert f"version {events.SCHEMA}" in page
