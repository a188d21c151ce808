"""A run of another process, as its dashboard sees it: the other end of ``feed``."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from itertools import count
from queue import SimpleQueue
from threading import Condition, Lock, Thread
from typing import Any

from .. import events
from .._errors import NvencError
from .._view.event_reading import event_of

GONE = "The run's process is gone."


class RemoteRun:
    """``settings`` are known once the first event is."""

    def __init__(self, path: str) -> None:
        self.settings: dict[str, object] = {}
        self.is_cut = False
        """Whether the other side has ended the connection."""
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(path)
        self._events: SimpleQueue[events.Event | None] = SimpleQueue()
        self._numbers = count()
        self._answers: dict[int, str | None] = {}
        self._changed = Condition()
        self._lock = Lock()
        Thread(target=self._read, name="pdum-nvenc-feed", daemon=True).start()

    def __iter__(self) -> Iterator[events.Event]:
        return iter(self._events.get, None)

    def pause(self) -> None:
        self._ask("pause")

    def resume(self) -> None:
        self._ask("resume")

    def skip(self, job: int) -> None:
        self._ask("skip", job)

    def retry(self, job: int) -> None:
        self._ask("retry", job)

    def set_engines(self, engines: int) -> None:
        self._ask("set_engines", engines)

    def drain(self) -> None:
        raise NvencError("Only the terminal that started the run can end it.")

    cancel = drain

    def tell_drawn(self) -> None:
        """The last picture is there."""
        self._send({"drawn": True})

    def _ask(self, method: str, *arguments: object) -> None:
        number = next(self._numbers)
        self._send({"ask": method, "with": arguments, "number": number})
        with self._changed:
            self._changed.wait_for(lambda: number in self._answers or self.is_cut)
            error = self._answers.pop(number, GONE)
        if error is not None:
            raise NvencError(error)

    def _send(self, message: dict[str, Any]) -> None:
        try:
            with self._lock:
                self._connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            pass  # the reader notices, too

    def _read(self) -> None:
        try:
            with self._connection.makefile(encoding="utf-8") as lines:
                for line in lines:
                    self._take(json.loads(line))
        except OSError:
            pass
        self._connection.close()
        with self._changed:
            self.is_cut = True
            self._changed.notify_all()
        self._events.put(None)

    def _take(self, message: dict[str, Any]) -> None:
        if "answer" in message:
            with self._changed:
                self._answers[message["answer"]] = message["error"]
                self._changed.notify_all()
        elif "settings" in message:
            self.settings.update(message["settings"])
        elif "over" in message:
            self._events.put(None)
        elif (event := event_of(message)) is not None:
            self._events.put(event)
