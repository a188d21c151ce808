"""The open files of a job's source. The job closes them however it ends."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import Any

from .._media.background import BackgroundCall
from .._media.decode import frames_from
from .._media.decoder import Decoding, Start, open_source
from .._media.hardware_decode import make_ready
from .._media.idle_decoders import IDLE_DECODERS
from .._media.source import Index


class SourceFiles:
    """The source of one job. Engines may take frames from it in several threads."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._lock = Lock()
        self._start: Start | None = None
        """The decoder that has looked at the first frames, for the engine that encodes from there."""
        self._again: BackgroundCall[Any] | None = None
        self._decoders = ExitStack()
        self._ready: list[BackgroundCall[None]] = []
        self._ending: list[BackgroundCall[None]] = []

    def keep_decoders(self) -> None:
        """Until these files are closed, decoders stay open that files have given back."""
        self._decoders.enter_context(IDLE_DECODERS.job())

    def make_decoders_ready(self, gpu: int, engines: int) -> None:
        """Begins to make what these engines of the GPU will need."""
        self._ready.append(BackgroundCall(lambda: make_ready(gpu, self._source, engines)))

    def wait_for_decoders(self) -> None:
        """Until those are there which ``make_decoders_ready`` makes: others would be made beside them."""
        for call in self._ready:
            call.wait()

    def end_decoders(self) -> None:
        """Begins to end those that no other job could take, while the result is written. A GPU needs as long for one as
        for a hundred pictures."""
        decoders, self._decoders = self._decoders, ExitStack()
        self._ending.append(BackgroundCall(decoders.close))

    def keep_start(self, start: Start | None) -> None:
        self._start = start

    def frames_from(
        self,
        index: Index,
        first: int,
        decoding: Decoding,
        on_repeated: Callable[[int], object],
        before: Any = None,
        *,
        is_damaged: bool = False,
    ) -> Generator[Any, None, None]:
        """The frames from this one on. ``on_repeated`` is called for each frame that replaces an undecodable one.

        ``before``: the frame before ``first``, if it is known. ``is_damaged``: a decoder has found damage at ``first``.
        """
        start = self._take_start() if first == 0 else None
        if start is not None and not start.may_go_on_as(decoding):
            start.close()
            start = None
        try:
            yield from frames_from(
                self._source, index, first, decoding, on_repeated, start, before, is_damaged=is_damaged
            )
        finally:
            if start is not None:
                start.close()

    def open_again(self) -> None:
        """Begins to open the source once more, to copy its other streams at the end. That takes time, which there is
        while an engine encodes."""
        if self._again is None:
            self._again = BackgroundCall(self._open)

    def opened_again(self) -> Any:
        """The container, for a ``with`` block."""
        return self._open() if self._again is None else self._again.answer()

    def close(self) -> None:
        self.close_start()
        again, self._again = self._again, None
        if again is not None:
            again.undo(lambda container: container.close())
        calls, self._ready, self._ending = self._ready + self._ending, [], []
        for call in calls:
            call.wait()
        self._decoders.close()

    def close_start(self) -> None:
        start = self._take_start()
        if start is not None:
            start.close()

    def _open(self) -> Any:
        return open_source(self._source)

    def _take_start(self) -> Start | None:
        with self._lock:
            start, self._start = self._start, None
            return start
