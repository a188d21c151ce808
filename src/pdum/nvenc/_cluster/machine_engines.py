"""The worker processes that this machine gets: one for each hardware encoder, or some that share the processor."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from .assigned_engine import AssignedEngine

if TYPE_CHECKING:
    from ..events import EngineInfo


def engines_of_this_machine(
    gpus: str | Iterable[int], engines: str | int | Sequence[int], backend: str, timeout: float, node: str = ""
) -> list[AssignedEngine]:
    """As a pool finds its engines. ``node``: the name of this machine for the cluster."""
    from .._pool.engines import find_engines

    found = find_engines(gpus, engines, backend, timeout)
    on_gpu = Counter(lane.gpu_id for lane in found.lanes)
    threads = max(1, -(-found.cores // len(found.lanes)))
    uuids = _uuids() if any(lane.kind == "nvenc" for lane in found.lanes) else {}
    return [_assigned(lane, node or socket.gethostname(), uuids, on_gpu, threads) for lane in found.lanes]


def _assigned(
    lane: EngineInfo, node: str, uuids: dict[int, str], on_gpu: Counter[int | None], threads: int
) -> AssignedEngine:
    return AssignedEngine(
        node=node, kind=lane.kind, gpu_id=lane.gpu_id, gpu_name=lane.gpu_name, number=lane.number,
        gpu_uuid="" if lane.gpu_id is None else uuids[lane.gpu_id], workers_on_gpu=on_gpu[lane.gpu_id],
        threads=threads,
    )  # fmt: skip


def _uuids() -> dict[int, str]:
    from .._machine.devices import devices

    return {device.gpu_id: device.uuid for device in devices()}


def environment_of(assigned: AssignedEngine) -> dict[str, str]:
    """The variables of its process, which sees no other GPU than its own."""
    pinned = {"CUDA_VISIBLE_DEVICES": assigned.gpu_uuid} if assigned.gpu_uuid else {}
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    if assigned.kind != "nvenc" and before is not None:
        pinned = {"CUDA_VISIBLE_DEVICES": before}
    return {**assigned.as_variable(), **pinned}
