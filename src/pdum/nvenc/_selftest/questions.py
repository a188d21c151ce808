"""All questions in the order in which they are asked. Those that could harm the driver come last."""

from __future__ import annotations

from . import dumps, memory, ordering, outputs
from .probe import Probe

ALL: tuple[Probe, ...] = (*dumps.PROBES, *memory.PROBES, *ordering.PROBES, *outputs.PROBES)

BY_NAME = {f"{probe.theme}: {probe.name}": probe for probe in ALL}
