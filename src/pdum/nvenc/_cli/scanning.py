"""Shows how far a long scan is: in a terminal on a line that goes away at the end, else on a line every half minute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from .._batch.scan_progress import ScanProgress
from .._text import count

if TYPE_CHECKING:
    from ..events import Scanning
    from .output import RunOutput

SECONDS_BETWEEN_LINES = 30.0
"""Without a terminal."""


@contextmanager
def shown_scan(output: RunOutput | None) -> Iterator[ScanProgress]:
    """Shows the progress of a scan in the block; None: nowhere."""
    with ExitStack() as stack:
        yield ScanProgress(tell=(lambda _: None) if output is None else ScanLine(output, stack).show)


class ScanLine:
    """The line in which a scan is shown. It goes away when ``stack`` is closed."""

    def __init__(self, output: RunOutput, stack: ExitStack) -> None:
        self._output = output
        self._stack = stack
        self._status: Any = None
        self._last = 0.0

    def show(self, event: Scanning) -> None:
        self._output.tell(event)
        console = self._output.console
        if console is None or self._output.options.quiet:
            return
        if not console.is_terminal or console.is_dumb_terminal:
            if event.at - self._last >= SECONDS_BETWEEN_LINES:
                self._last = event.at
                console.print(scanning_text(event), markup=False)
        elif self._status is None:
            self._status = self._stack.enter_context(console.status(scanning_text(event)))
        else:
            self._status.update(scanning_text(event))


def scanning_text(event: Scanning) -> str:
    found = count(event.found, "video")
    if event.checked:
        return f"{found} found; {event.checked:,} compared with earlier results…"
    return f"Scanning… {found} found"
