"""Events that were written as JSON are read back as they were."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdum.nvenc import events
from pdum.nvenc._view.event_reading import event_of

from event_streams import engines, nonsense, runs

pytestmark = pytest.mark.one_abi


@settings(max_examples=30, deadline=None)
@given(stream=runs() | nonsense())
def test_events_come_back_as_they_were(stream: list[events.Event]) -> None:
    for event in stream:
        assert event_of(json.loads(json.dumps(events.to_dict(event)))) == event


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_every_kind_is_known(data: st.DataObject) -> None:
    for kind in events.Event.__subclasses__():
        event = data.draw(st.from_type(kind))
        if json.dumps(events.to_dict(event)).find("NaN") < 0:
            assert event_of(json.loads(json.dumps(events.to_dict(event)))) == event


def test_what_a_later_version_adds_is_left_out() -> None:
    event = events.RunStarted(at=0.0, engines=engines(), jobs=1, started=0.0)
    values = events.to_dict(event)
    values["new"] = values["engines"][0]["new"] = 1
    assert event_of(values) == event
    assert event_of({"event": "something_new", "at": 0.0}) is None
    assert event_of({}) is None
