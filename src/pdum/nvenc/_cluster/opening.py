"""Makes a cluster of what a caller has: the address of a scheduler, or a connection to one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .._errors import InvalidConfig
from .address import scheduler_address
from .cluster_engines import ClusterEngines
from .seam import Cluster
from .tls import tls_of


def open_cluster(cluster: Any, tls: str | Path | None, backend: str, timeout: float) -> ClusterEngines:
    """The engines of the cluster. Waits until there are some, or until the time is over."""
    return ClusterEngines(_opened(cluster, tls, timeout), backend, timeout)


def _opened(cluster: Any, tls: str | Path | None, timeout: float) -> Cluster:
    from .dask_client import DaskCluster, connected

    if isinstance(cluster, str):
        files = None if tls is None else tls_of(tls)
        return connected(scheduler_address(cluster, has_tls=files is not None), files, timeout)
    if tls is not None:
        raise InvalidConfig("tls=… is for an address. A connection that you have made has its own security.")
    if hasattr(cluster, "subscribe_topic") and hasattr(cluster, "submit"):
        return DaskCluster(cluster, owns=False)
    if all(hasattr(cluster, name) for name in ("watch", "start", "close")):
        own: Cluster = cluster
        return own
    raise InvalidConfig(
        f"Expected the address of a scheduler or a distributed.Client, got cluster={cluster!r}. "
        "Of a Dask cluster object, give cluster.get_client()."
    )
