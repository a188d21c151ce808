"""A run for other processes of the same user: its events go out through a socket, and requests to the run come in.

Both are lines of JSON. To a viewer go ``{"settings": …}`` first, then each event as ``events.to_dict`` has it,
``{"answer": number, "error": text or null}`` to requests, and ``{"over": true}`` after the last event. From a viewer
come ``{"ask": method, "with": arguments, "number": number}``, and ``{"drawn": true}`` when its last picture is there.
"""

from __future__ import annotations

import json
import shutil
import socket
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Condition, Event, Lock, Thread
from typing import Any

from .. import events
from .._text import one_line
from .._tui.controls import EventRun

REQUESTS = frozenset({"pause", "resume", "skip", "retry", "set_engines"})
"""The calls of a run that viewers may make. None of them ends the run."""
LONGEST_FOLDER = 70
"""Characters. The path of a socket has 107 at the most."""
PATIENCE = 3.0
"""Seconds for the viewers to draw the end of the run."""


class Feed:
    """Serves one run. Its folder can be read by this user alone."""

    def __init__(self) -> None:
        usual = tempfile.gettempdir()
        self._folder = tempfile.mkdtemp(prefix="pdum-nvenc-", dir=usual if len(usual) < LONGEST_FOLDER else "/tmp")
        self.path = Path(self._folder, "feed")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._run: EventRun | None = None
        self._settings: Mapping[str, object] = {}
        self._has_begun = Event()
        self._changed = Condition()
        self._viewers: set[_Viewer] = set()
        """The viewers that have not drawn the end yet."""
        self._sockets: set[socket.socket] = set()
        self._is_closed = False
        Thread(target=self._accept, name="pdum-nvenc-web-feed", daemon=True).start()

    def show(self, run: EventRun, settings: Mapping[str, object]) -> None:
        """Shows this run to all viewers, those that wait and those that come later."""
        self._run, self._settings = run, settings
        self._has_begun.set()

    def close(self) -> None:
        """Releases the viewers when they have drawn the end of the run."""
        if self._run is not None:
            deadline = time.monotonic() + PATIENCE
            with self._changed:
                while self._viewers and (left := deadline - time.monotonic()) > 0:
                    self._changed.wait(left)
        self._has_begun.set()
        with self._changed:
            sockets = [self._listener, *self._sockets]
            self._sockets.clear()
            self._is_closed = True
        for one in sockets:
            _shut(one)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            viewer = _Viewer(self, connection)
            with self._changed:
                if self._is_closed:  # meanwhile, and close() knows nothing of this one
                    _shut(connection)
                    return
                self._viewers.add(viewer)
                self._sockets.add(connection)
            for work in (viewer.send_events, viewer.take_requests):
                Thread(target=work, name="pdum-nvenc-web-viewer", daemon=True).start()

    def wait_for_run(self) -> tuple[EventRun | None, Mapping[str, object]]:
        self._has_begun.wait()
        return self._run, self._settings

    def has_drawn(self, viewer: _Viewer) -> None:
        with self._changed:
            self._viewers.discard(viewer)
            self._changed.notify_all()

    def forget(self, viewer: _Viewer, connection: socket.socket) -> None:
        self.has_drawn(viewer)
        with self._changed:
            is_known = connection in self._sockets
            self._sockets.discard(connection)
        if is_known:
            _shut(connection)


class _Viewer:
    """One connection. A slow or lost viewer delays nothing, because the run does not wait for its listeners."""

    def __init__(self, feed: Feed, connection: socket.socket) -> None:
        self._feed = feed
        self._connection = connection
        self._lock = Lock()

    def send_events(self) -> None:
        try:
            run, settings = self._feed.wait_for_run()
            self._send({"settings": dict(settings)})
            for event in run or ():
                self._send(events.to_dict(event))
            self._send({"over": True})
        except OSError:  # it is gone
            self._feed.forget(self, self._connection)

    def take_requests(self) -> None:
        try:
            with self._connection.makefile(encoding="utf-8") as lines:
                for line in lines:
                    self._take(json.loads(line))
        except (OSError, ValueError, TypeError, KeyError):
            pass  # it is gone, or it is no viewer
        self._feed.forget(self, self._connection)

    def _take(self, message: dict[str, Any]) -> None:
        if "drawn" in message:
            self._feed.has_drawn(self)
            return
        error: str | None = None
        run, _ = self._feed.wait_for_run()
        try:
            if message["ask"] not in REQUESTS:
                raise ValueError(f"a viewer cannot {message['ask']}")
            getattr(run, message["ask"])(*message["with"])
        except Exception as refused:
            error = one_line(str(refused))
        self._send({"answer": message["number"], "error": error})

    def _send(self, message: dict[str, Any]) -> None:
        line = json.dumps(message, default=str).encode() + b"\n"
        with self._lock:
            self._connection.sendall(line)


def _shut(connection: socket.socket) -> None:
    """Also wakes threads that wait for it."""
    with suppress(OSError):  # it may not be connected any more
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
