"""Real schedulers and workers of Dask on loopback, each worker with a simulated driver of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pdum.nvenc._cluster.assigned_engine import AssignedEngine
from pdum.nvenc._cluster.dask_settings import settings_of_a_scheduler

from loud import need_module
from simulator import environment

HOST = "127.0.0.1"
NO_PAGES = {"dashboard": False, "dashboard_address": f"{HOST}:0"}
FAST: dict[str, Any] = {"name": "L4", "fps_1080p": 0}
LONG_SINCE_LOST = "1 hour"
"""A ``SpecCluster`` closes the nanny of a worker that is absent now and was absent so long ago, though it was back."""


def node(name: str, engines: int, gpu: Mapping[str, Any] = FAST, **machine: Any) -> list[dict[str, str]]:
    """The variables of each worker of a machine with one GPU."""
    config = {"gpus": [{**gpu, "engines": engines}], "backend": "codec", **machine}
    return [
        {
            **AssignedEngine(
                node=name, kind="nvenc", gpu_id=0, gpu_name=str(gpu["name"]), number=number, workers_on_gpu=engines
            ).as_variable(),
            "NVSIM_CONFIG": json.dumps(config),
        }
        for number in range(engines)
    ]


def software_node(name: str, workers: int) -> list[dict[str, str]]:
    return [AssignedEngine(node=name, kind="software", number=number).as_variable() for number in range(workers)]


@contextmanager
def cluster_of(*workers: Mapping[str, str], security: Any = None) -> Iterator[Any]:
    """A ``SpecCluster`` with a worker for each of these variables, and a nanny for each worker."""
    distributed = need_module("distributed")
    import dask

    simulated = {name: environment()[name] for name in ("LD_LIBRARY_PATH",)}
    own = {
        "distributed.nanny.pre-spawn-environ": {**simulated, "OMP_NUM_THREADS": 1},
        "distributed.deploy.lost-worker-timeout": LONG_SINCE_LOST,
    }
    with settings_of_a_scheduler(), dask.config.set(own):
        specs = {f"worker-{number}": spec(variables) for number, variables in enumerate(workers)}
        before = dict(os.environ)
        os.environ.update(simulated)  # a nanny prefers what is there already to what it is told
        with distributed.SpecCluster(scheduler=scheduler_spec(security), workers=specs, security=security) as cluster:
            _restore(before)
            yield cluster
        _restore(before)


def _restore(variables: Mapping[str, str]) -> None:
    """A nanny leaves its worker's variables in this process, where later tests would take them for the user's."""
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)


def scheduler_spec(security: Any = None) -> dict[str, Any]:
    distributed = need_module("distributed")
    options = {"host": HOST, "port": 0, "protocol": "tls" if security else "tcp", "security": security, **NO_PAGES}
    return {"cls": distributed.Scheduler, "options": options}


def spec(variables: Mapping[str, str]) -> dict[str, Any]:
    distributed = need_module("distributed")
    options = {
        "nthreads": 1, "resources": {"NVENC": 1}, "memory_limit": 0, "host": HOST, **NO_PAGES,
        "env": dict(variables),
    }  # fmt: skip
    return {"cls": distributed.Nanny, "options": options}


def engines_that_worked(told: Sequence[Any]) -> set[int]:
    return {one.engine for one in told if type(one).__name__ == "PieceFinished"}
