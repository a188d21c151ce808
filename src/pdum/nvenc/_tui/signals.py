"""Signals while the dashboard has the terminal: they ask it to leave, as its keys do."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from threading import current_thread, main_thread
from typing import Any

HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Handlers in the running event loop; those that were there before come back at the end."""

    def __init__(self, take: Callable[[int], object]) -> None:
        self._take = take
        self._before: dict[int, Any] = {}

    def listen(self) -> None:
        if current_thread() is not main_thread():
            return
        loop = asyncio.get_running_loop()
        for number in HEARD:
            self._before[number] = signal.getsignal(number)
            loop.add_signal_handler(number, self._take, number)

    def stop(self) -> None:
        for number, before in self._before.items():
            asyncio.get_running_loop().remove_signal_handler(number)
            if before is not None:  # None: one that was not installed by Python
                signal.signal(number, before)
        self._before.clear()
