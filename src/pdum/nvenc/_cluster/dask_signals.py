"""Loaded by Dask into each worker process that ``pdum-nvenc`` starts."""

from __future__ import annotations

import signal


def dask_setup(worker: object) -> None:  # noqa: ARG001
    """Ctrl-C in a terminal goes to all processes of the command. The first one ends the others in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
