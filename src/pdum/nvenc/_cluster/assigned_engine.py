"""Which engine a worker process is for: what its starter says in a variable, or what the process finds."""

from __future__ import annotations

import json
import os
import pickle
import socket
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from .._errors import NoEncoder
from .._version import __version__
from ..events import EngineInfo

if TYPE_CHECKING:
    from .._machine.devices import Device

VARIABLE = "PDUM_NVENC_WORKER"
SECONDS_FOR_A_SESSION = 20.0


@dataclass(frozen=True, kw_only=True)
class AssignedEngine:
    """One engine of a machine, for one worker process."""

    node: str
    kind: str
    gpu_uuid: str = ""
    gpu_id: int | None = None
    gpu_name: str | None = None
    number: int | None = None
    workers_on_gpu: int = 1
    threads: int = 1
    """How many cores a software encoder is for."""

    def as_variable(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}

    @property
    def label(self) -> str:
        number = self.number or 0
        return EngineInfo(index=0, kind=self.kind, gpu_id=self.gpu_id, number=number, node=self.node).label


@cache
def engine_of_this_process() -> AssignedEngine:
    given = os.environ.get(VARIABLE)
    return AssignedEngine(**json.loads(given)) if given else _found_engine()


def _found_engine() -> AssignedEngine:
    """For a worker that somebody else has started: its first engine."""
    from .._pool.engines import find_engines

    found = find_engines("all", "auto", "auto", SECONDS_FOR_A_SESSION)
    first = found.lanes[0]
    return AssignedEngine(
        node=socket.gethostname(), kind=first.kind, gpu_id=first.gpu_id, gpu_name=first.gpu_name,
        threads=max(1, found.cores),
    )  # fmt: skip


def own_engine(assigned: AssignedEngine) -> EngineInfo:
    """The engine as this process numbers it: the process may see only one GPU of its machine."""
    number = assigned.number or 0
    if assigned.kind != "nvenc":
        return EngineInfo(index=0, kind=assigned.kind, number=number)
    device = _device(assigned)
    return EngineInfo(index=0, kind="nvenc", gpu_id=device.gpu_id, gpu_name=device.name, number=number)


def _device(assigned: AssignedEngine) -> Device:
    from .._machine.devices import devices

    found = devices()
    for device in found:
        if device.uuid == assigned.gpu_uuid or (not assigned.gpu_uuid and device.gpu_id == assigned.gpu_id):
            return device
    shown = ", ".join(f"{device.name} ({device.uuid})" for device in found) or "none"
    raise NoEncoder(
        f"Expected {assigned.gpu_name} ({assigned.gpu_uuid}) for {assigned.label}, but this process sees other GPUs: "
        f"{shown}. Start the worker again."
    )


def describe() -> dict[str, Any]:
    """What this process says of itself. Plain values, so that every version of this package can read them."""
    assigned = engine_of_this_process()
    codecs: Any = {}
    if assigned.kind == "nvenc":
        from .._machine.capabilities import capabilities

        codecs = dict(capabilities(own_engine(assigned).gpu_id or 0))
    facts = asdict(replace(assigned, threads=1))
    own = ("node", "kind", "gpu_id", "gpu_name", "number")
    return {**{name: facts[name] for name in own}, "version": __version__, "codecs": pickle.dumps(codecs)}
