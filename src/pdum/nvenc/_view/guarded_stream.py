"""An output stream that may be closed, full or gone. Losing it must not stop a run."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TextIO


class GuardedStream:
    """A text stream that drops everything once writing has failed.

    ``lost`` is the reason, or None while writing works. ``on_loss`` is called once, with the reason.
    """

    def __init__(self, stream: TextIO, on_loss: Callable[[str], object]) -> None:
        self.lost: str | None = None
        self._stream = stream
        self._on_loss = on_loss

    def write(self, text: str) -> int:
        self._write_or_lose(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._write_or_lose(self._stream.flush)

    def _write_or_lose(self, action: Callable[[], object]) -> None:
        if self.lost is not None:
            return
        try:
            action()
        except (OSError, ValueError) as error:  # ValueError: the stream was closed
            self.lose(getattr(error, "strerror", None) or str(error))

    def lose(self, reason: str) -> None:
        """Callers that notice the loss in another way call this, too."""
        if self.lost is None:
            self.lost = reason
            discard_output(self._stream)
            self._on_loss(reason)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)  # isatty, encoding, fileno and whatever else a console needs


def discard_output(stream: TextIO) -> None:
    """Discards buffered output. Otherwise the interpreter tries to write it when it exits, and fails."""
    try:
        target = stream.fileno()
    except (OSError, ValueError):
        return  # not a file
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, target)
    finally:
        os.close(nowhere)
