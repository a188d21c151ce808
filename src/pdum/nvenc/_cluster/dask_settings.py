"""Dask's settings for machines that encode, and the only place that imports it for others."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from .._errors import ClusterFailed

if TYPE_CHECKING:
    from .tls import Tls

LOOK_SECONDS = 0.5
"""Seconds between two looks at which workers there are."""
WORKER_TTL = "30 s"
"""A worker that says nothing for so long has vanished. Dask's own value is five minutes."""
CONNECTION_SECONDS = "15 s"
"""Under 11 s, nothing connects."""
EVENTS_KEPT = 1000
"""The scheduler keeps so many of each pool's reports, which nobody reads twice."""


def import_distributed() -> Any:
    try:
        import distributed
    except ModuleNotFoundError as error:
        if error.name not in ("distributed", "dask"):
            raise
        raise ClusterFailed(
            "Work on several machines needs the Python package distributed: pip install 'pdum-nvenc[cluster]'."
        ) from None
    return distributed


def quiet() -> None:
    """Dask tells each start of a process and each call, unless DASK_LOGGING__DISTRIBUTED says otherwise. To be called
    before it is imported; the processes of workers inherit it."""
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "warning")


def settings_of_a_client() -> AbstractContextManager[object]:
    return _set({"distributed.comm.timeouts.connect": CONNECTION_SECONDS, **_CONNECTIONS})


def settings_of_a_scheduler() -> AbstractContextManager[object]:
    """Also for workers: both have to agree about time-outs."""
    return _set(
        {
            **_CONNECTIONS,
            "distributed.scheduler.worker-ttl": WORKER_TTL,
            "distributed.scheduler.work-stealing": False,
            "distributed.scheduler.active-memory-manager.start": False,
            "distributed.admin.low-level-log-length": EVENTS_KEPT,
            "distributed.admin.log-length": EVENTS_KEPT,
            "distributed.worker.daemon": False,
        }
    )


_CONNECTIONS = {"distributed.comm.timeouts.tcp": CONNECTION_SECONDS}


def _set(values: dict[str, Any]) -> AbstractContextManager[object]:
    import dask.config

    found: AbstractContextManager[object] = dask.config.set(values)
    return found


def security_of(tls: Tls | None) -> Any:
    """Both sides of every connection have to show a certificate."""
    if tls is None:
        return None
    own = {
        f"tls_{role}_{part}": str(path)
        for role in ("client", "scheduler", "worker")
        for part, path in (("cert", tls.certificate), ("key", tls.key))
    }
    return import_distributed().Security(require_encryption=True, tls_ca_file=str(tls.authority), **own)
