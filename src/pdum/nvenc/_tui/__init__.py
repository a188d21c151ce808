"""The dashboard: it shows what every engine does, what waits and what is done, and has keys to control the run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .._errors import InvalidConfig

if TYPE_CHECKING:
    from .controls import Controls, EventRun


def run_dashboard(
    make_run: Callable[[], EventRun],
    controls: Controls | None = None,
    settings: Mapping[str, object] | None = None,
) -> int:
    """Shows a run until the user leaves. A thread calls ``make_run``; the run is its own ``controls`` unless given.

    Returns 0 if all went well, 1 if some files failed, 130 if the user ended the run early, and 128 plus the number of
    a signal that ended it. Raises what the run raised, and TerminalLost if the terminal went away, in which case
    the run goes on.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InvalidConfig(
            "The dashboard needs a terminal, but standard input or standard error is not one. "
            "Leave it out, or give it a terminal."
        )
    from .app import Dashboard

    return Dashboard(make_run, controls, settings).show()
