"""The log of a command (``--log``): its events as lines of JSON, appended to a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from threading import Lock

from .. import events
from .._errors import InvalidConfig
from .._version import __version__
from .event_lines import event_line
from .standard_streams import complain

SECONDS_BETWEEN_PROGRESS = 30.0
"""Seconds between two events of progress in a log, as in the output without a terminal."""

BEGINNING = b'{"schema": '
"""The beginning of every log. Other files, which may be named by mistake, are not appended to."""


class LogFile:
    """A file to which events are appended.

    Each line is one call of the system, so that a killed process leaves whole lines, and several processes may append
    to one file. If a line cannot be written, the user is told once, and nothing more is written.
    """

    def __init__(self, path: str, arguments: Sequence[str]) -> None:
        """Raises InvalidConfig if the file cannot be written."""
        self.lost: str | None = None
        """Why the log is not complete."""
        self._path = path
        self._lock = Lock()
        self._last_progress = 0.0
        if path == "-":
            raise InvalidConfig("--log needs the name of a file, got '-'. --json prints events on standard output.")
        self._file = -1
        try:
            self._file = _opened(path)
            self._append(_started(arguments))
        except OSError as error:
            if self._file >= 0:
                os.close(self._file)
            raise InvalidConfig(f"--log {path} cannot be written: {error.strerror}. Name another file.") from error

    def write(self, event: events.Event) -> None:
        """May be called in any thread."""
        with self._lock:
            if self.lost is None and not self._is_too_much(event):
                self._append_or_lose(event)

    def close(self, code: int, message: str) -> None:
        """Records how the command ended."""
        self.write(events.CommandEnded(at=0.0, code=code, message=message))
        os.close(self._file)

    def _is_too_much(self, event: events.Event) -> bool:
        if isinstance(event, events.RunStarted):
            self._last_progress = 0.0
        if isinstance(event, events.RunProgress) and event.at - self._last_progress >= SECONDS_BETWEEN_PROGRESS:
            self._last_progress = event.at
            return False
        return isinstance(event, (events.Progress, events.RunProgress))

    def _append_or_lose(self, event: events.Event) -> None:
        try:
            self._append(event)
        except OSError as error:
            self.lost = error.strerror
            complain(f"The log {self._path} cannot be written: {self.lost}. Encoding continues without it.")

    def _append(self, event: events.Event) -> None:
        line = event_line(event).encode()
        while line:  # a full disk takes a part of a line and refuses the rest
            line = line[os.write(self._file, line) :]


def _started(arguments: Sequence[str]) -> events.CommandStarted:
    return events.CommandStarted(at=0.0, version=__version__, arguments=tuple(arguments), process=os.getpid())


def _opened(path: str) -> int:
    """Opens the file for appending, and ends a line that an earlier process could not complete."""
    needs_newline = _ends_within_a_line(path)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    if needs_newline:
        os.write(file, b"\n")
    return file


def _ends_within_a_line(path: str) -> bool:
    """Raises InvalidConfig for a file that is not a log."""
    if not os.path.isfile(path) or not os.path.getsize(path):
        return False
    with open(path, "rb") as file:
        if file.read(len(BEGINNING)) != BEGINNING:
            raise InvalidConfig(f"--log {path}: This file is not a log of pdum-nvenc. Name another file.")
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"
