"""A stream that may be closed, full or gone: losing it must not stop a run."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TextIO


class GuardedStream:
    """A text stream that drops everything once it cannot be written any more.

    ``lost`` is the reason, and None as long as all is well. ``on_loss`` is called once, with that reason.
    """

    def __init__(self, stream: TextIO, on_loss: Callable[[str], object]) -> None:
        self.lost: str | None = None
        self._stream = stream
        self._on_loss = on_loss

    def write(self, text: str) -> int:
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def _attempt(self, action: Callable[[], object]) -> None:
        if self.lost is not None:
            return
        try:
            action()
        except (OSError, ValueError) as error:  # ValueError: the stream was closed
            self.lose(getattr(error, "strerror", None) or str(error))

    def lose(self, reason: str) -> None:
        """Also for those who notice the loss in another way."""
        if self.lost is None:
            self.lost = reason
            discard_output(self._stream)
            self._on_loss(reason)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)  # isatty, encoding, fileno and whatever else a console asks


def discard_output(stream: TextIO) -> None:
    """Sends what is still buffered nowhere. Otherwise the interpreter tries to write it when it exits, and fails."""
    try:
        target = stream.fileno()
    except (OSError, ValueError):
        return  # not a file
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, target)
    finally:
        os.close(nowhere)
