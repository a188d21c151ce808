"""All questions in the order in which they are asked. Those that could trouble the driver come last."""

from __future__ import annotations

from collections.abc import Sequence

from .._config.settings import nearest
from .._errors import InvalidConfig
from . import (
    alpha_beside,
    beyond_packets,
    controls,
    dumps,
    engines,
    live,
    memory,
    ordering,
    outputs,
    structure,
    tool_controls,
    two_views,
)
from .probe import Probe

ALL: tuple[Probe, ...] = (
    *dumps.PROBES,
    *memory.PROBES,
    *ordering.PROBES,
    *outputs.PROBES,
    *structure.PROBES,
    *live.PROBES,
    *controls.PROBES,
    *tool_controls.PROBES,
    *two_views.PROBES,
    *alpha_beside.PROBES,
    *beyond_packets.PROBES,
    *engines.PROBES,
)

BY_NAME = {f"{probe.theme}: {probe.name}": probe for probe in ALL}
THEMES = tuple(dict.fromkeys(probe.theme for probe in ALL))


def chosen(wanted: Sequence[str]) -> list[str]:
    """The names of the questions of some themes, or single ones by name; all if nothing is asked for."""
    for one in wanted:
        if one not in BY_NAME and one not in THEMES:
            raise InvalidConfig(
                f"Expected {', '.join(THEMES)}, or a line's name such as {next(iter(BY_NAME))!r}, got --only {one!r}."
                f"{nearest(one, [*THEMES, *BY_NAME])}"
            )
    return [name for name, probe in BY_NAME.items() if not wanted or name in wanted or probe.theme in wanted]
