"""Events as lines of JSON, for ``--json`` and ``--log``. ``docs/events.md`` describes them."""

from __future__ import annotations

import json
from datetime import datetime, timezone

from .. import events


def event_line(event: events.Event) -> str:
    """Ends with a newline."""
    time = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    schema, kind, *others = events.to_dict(event).items()
    return json.dumps(dict([schema, ("time", time), kind, *others])) + "\n"
