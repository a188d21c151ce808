"""A call in a thread of its own, while its caller does something else."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Beside(Generic[Answer]):
    """Runs the call from now on; ``answer`` waits for it."""

    def __init__(self, call: Callable[[], Answer]) -> None:
        self._call = call
        self._answers: list[Answer] = []
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="pdum.nvenc beside", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._answers.append(self._call())
        except BaseException as error:
            self._error = error

    def answer(self) -> Answer:
        """Raises what the call has raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._answers[0]

    def undo(self, close: Callable[[Answer], object]) -> None:
        """Waits, and closes what it has made, if anything."""
        self._thread.join()
        for made in self._answers:
            close(made)
