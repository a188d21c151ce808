"""Signals while the dashboard has the terminal: like its keys, they ask it to leave."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from threading import current_thread, main_thread
from typing import Any

HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Passes signals on to the running event loop. Ignored signals, such as SIGHUP under nohup, stay ignored.

    The event loop's own handlers would do, but it removes them by way of the default action, which ends the process.
    """

    def __init__(self, take: Callable[[int], object]) -> None:
        self._take = take
        self._before: dict[int, Any] = {}

    def listen(self) -> None:
        if current_thread() is not main_thread():
            return
        loop = asyncio.get_running_loop()

        def pass_on(number: int, _frame: Any) -> None:
            loop.call_soon_threadsafe(self._take, number)

        for number in HEARD:
            before = signal.getsignal(number)
            if before not in (signal.SIG_IGN, None):  # None: Python did not install it
                self._before[number] = before
                signal.signal(number, pass_on)

    def stop(self) -> None:
        """Restores the handlers that were there before."""
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before.clear()
