"""Standard streams that may be closed or gone when the tool starts, or while it runs."""

from __future__ import annotations

import os
import sys

from .._view.guarded_stream import discard_output


def open_missing_streams() -> None:
    """Gives a process that was started with closed standard streams something to hold.

    Otherwise Python has None for them, and the next file that is opened gets their number. What is printed on a closed
    standard output still fails, as the user has to know. Messages on a closed standard error go nowhere.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = os.O_WRONLY if name == "stderr" else os.O_RDONLY
            _open_as(number, mode)
            setattr(sys, name, open(number, "r" if name == "stdin" else "w", closefd=False))  # noqa: SIM115


def _open_as(number: int, mode: int) -> None:
    opened = os.open(os.devnull, mode)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)


def complain(message: str) -> None:
    """Prints the message on standard error, unless that is lost too."""
    try:
        print(f"pdum-nvenc: {message}", file=sys.stderr, flush=True)
    except (OSError, ValueError):
        discard_output(sys.stderr)
