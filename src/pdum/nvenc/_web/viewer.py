"""The process behind one tab: the dashboard of a run that another process does. textual-serve starts it."""

from __future__ import annotations

import sys
from typing import Any

from textual.drivers.web_driver import WebDriver

from .._tui.app import Dashboard
from .remote_run import RemoteRun

HOW_TO_LEAVE = "Close the tab to leave; the run goes on. Ctrl-C where pdum-nvenc was started ends the run."


class Viewer(Dashboard):
    """Neither its end nor a signal ends the run."""

    LEAVING = ("", HOW_TO_LEAVE)
    DONE = "done"

    def __init__(self, run: RemoteRun, driver: type[Any] = WebDriver) -> None:
        super().__init__(lambda: run, settings=run.settings, driver=driver)
        self._run = run
        self._has_told = False

    def listen_to_signals(self) -> None:
        """Installs no handlers: signals of the terminal where the run began are not for viewers."""

    def check_action(self, action: str, _: tuple[object, ...]) -> bool | None:
        """The key for leaving only closes boxes, and is not in the footer."""
        return action != "leave" or len(self.screen_stack) > 1

    def tick(self) -> None:
        super().tick()
        if self._run.is_cut:
            self.exit()
        elif self.source.is_exhausted and not self._has_told:
            self._has_told = True
            self.draw()
            self.call_after_refresh(self._run.tell_drawn)


def main() -> None:
    Viewer(RemoteRun(sys.argv[1])).run()


if __name__ == "__main__":
    main()
