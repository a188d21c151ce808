"""Loaded by Dask into each worker process that ``pdum-nvenc`` starts."""

from __future__ import annotations

import logging
import signal

from .._text import error_text

LOGGER = "distributed.worker"


def dask_setup(worker: object) -> None:  # noqa: ARG001
    """Ctrl-C in a terminal goes to all processes of the command. The first one ends the others in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger(LOGGER).addFilter(in_one_line)


def in_one_line(record: logging.LogRecord) -> bool:
    """A connection that has ended is told without a traceback: often it is the command itself that ends."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, OSError):
        record.msg, record.args = f"{record.getMessage()} {error_text(error)}", ()
        record.exc_info = record.exc_text = None
    return True
