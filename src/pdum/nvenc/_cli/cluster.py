"""``pdum-nvenc cluster`` and ``worker``."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from .._cluster.address import PORT, scheduler_address
from .._cluster.machine_engines import engines_of_this_machine
from .._cluster.tls import tls_of
from .._errors import InvalidConfig
from .._hosts import is_loopback
from .._storage.path_mapping import as_variable
from . import exits
from .interruption import CODES

if TYPE_CHECKING:
    from .._cluster.assigned_engine import AssignedEngine
    from .._cluster.dask_nodes import SchedulerSettings

SESSION_SECONDS = 20.0
"""How long a worker waits for a session, to ask its GPU what it can do."""


def cluster(arguments: argparse.Namespace) -> int:
    from .._cluster.dask_nodes import run_scheduler

    settings = _settings(arguments)
    engines = _engines(arguments) if arguments.local else []
    _say(_greeting(settings))
    return _code(run_scheduler(settings, engines, _say))


def worker(arguments: argparse.Namespace) -> int:
    from .._cluster.dask_nodes import run_workers

    tls = None if arguments.tls is None else tls_of(arguments.tls)
    address = scheduler_address(arguments.address, has_tls=tls is not None)
    os.environ |= as_variable(arguments.map_paths)  # which its processes inherit
    return _code(run_workers(address, tls, _engines(arguments), _say))


def _settings(arguments: argparse.Namespace) -> SchedulerSettings:
    from .._cluster.dask_nodes import SchedulerSettings

    tls = None if arguments.tls is None else tls_of(arguments.tls, make=True)
    try:
        full = scheduler_address(arguments.listen, has_tls=tls is not None, may_be_any_port=True)
    except InvalidConfig:
        raise InvalidConfig(
            f"Expected an address of this machine, such as 10.0.0.1 or 0.0.0.0:{PORT}, "
            f"got --listen {arguments.listen!r}."
        ) from None
    host, _, port = full.partition("://")[2].rpartition(":")
    return SchedulerSettings(host=host.strip("[]"), port=int(port), tls=tls, dashboard=arguments.dashboard)


def _greeting(settings: SchedulerSettings) -> str:
    if is_loopback(settings.host):
        return "Only this machine can connect. --listen ADDRESS --tls FILE lets other machines join."
    if settings.tls is None:
        return (
            "Warning: whoever reaches this port can run programs on all machines of the cluster. "
            "--tls FILE lets in only who has that file."
        )
    return f"Only who has {settings.tls.certificate} can connect. Copy it to the other machines over a safe way."


def _engines(arguments: argparse.Namespace) -> list[AssignedEngine]:
    gpu: Any = getattr(arguments, "gpu", "all")
    gpus = gpu if isinstance(gpu, str) else list(gpu)
    engines, backend = getattr(arguments, "engines", "auto"), getattr(arguments, "engine", "auto")
    return engines_of_this_machine(gpus, engines, backend, SESSION_SECONDS, arguments.name)


def _say(text: str) -> None:
    print(text, flush=True)


def _code(signal: int) -> int:
    return {int(one): code for one, code in CODES.items()}.get(signal, exits.DONE)
