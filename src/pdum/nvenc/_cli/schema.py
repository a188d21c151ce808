"""``pdum-nvenc schema``: the JSON Schema of the events that ``--json`` and ``--log`` write."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import events
from . import exits

FILE = Path(events.__file__).with_name("events.schema.json")
"""``docs/make_event_schema.py`` makes it from the classes of the events."""


def schema(_arguments: argparse.Namespace) -> int:
    print(FILE.read_text(encoding="utf-8"), end="")
    return exits.DONE
