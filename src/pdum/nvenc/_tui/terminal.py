"""The dashboard's terminal, which may go away: its window closes, or the connection breaks."""

from __future__ import annotations

import termios
from typing import Any

from textual.drivers.linux_driver import LinuxDriver

from .._view.guarded_stream import GuardedStream


class Terminal(LinuxDriver):
    """Textual's driver, for a terminal that may go away.

    Textual writes in a thread. If writing fails there, the thread ends, its queue fills and the whole application waits
    forever. Here later output is dropped, and ``lost`` is the reason.
    """

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        driver: Any = self
        self._output = GuardedStream(driver._file, lambda _reason: None)
        driver._file = self._output

    @property
    def lost(self) -> str | None:
        """Also asks the terminal, since nothing may have been written after it went away."""
        try:
            termios.tcgetattr(self.fileno)
        except termios.error as error:
            self._output.lose(str(error.args[-1]))
        return self._output.lost

    def run_input_thread(self) -> None:
        try:
            super().run_input_thread()
        except OSError as error:  # the terminal is gone
            self._output.lose(error.strerror or str(error))
