"""A call that runs in a separate thread while its caller does something else."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class BackgroundCall(Generic[Answer]):
    """Starts the call at once. ``answer`` waits for it to end."""

    def __init__(self, call: Callable[[], Answer]) -> None:
        self._call = call
        self._answers: list[Answer] = []
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="pdum.nvenc background call", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._answers.append(self._call())
        except BaseException as error:
            self._error = error

    def wait(self) -> None:
        """Waits for the call to end, however it ends."""
        self._thread.join()

    def answer(self) -> Answer:
        """Waits for the call. Raises what the call raised."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._answers[0]

    def undo(self, close: Callable[[Answer], object]) -> None:
        """Waits for the call, and closes what it made, if it made anything."""
        self.wait()
        for made in self._answers:
            close(made)
