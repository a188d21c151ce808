"""Where the threads of a live encoder meet: the latest frame waits on one side, finished packets on the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition
from typing import TYPE_CHECKING, Any

from .._errors import EncoderClosed

if TYPE_CHECKING:
    from .._config.picture import PictureOptions
    from .._encoders.frame_layout import FrameLayout
    from .packet import LivePacket

MOST_WAITING = 4
"""While so many packets wait to be taken, no frame is encoded: the latest one waits for its turn."""
CHECK = 0.05
"""Seconds after which the thread looks again whether there is room, since answers may be lost."""


@dataclass(frozen=True)
class OfferedFrame:
    """A frame and what belongs to it, before its turn."""

    frame: Any
    layout: FrameLayout
    timestamp: int
    stream: Any
    picture: PictureOptions | None


class Exchange:
    """One frame at most, and the packets that were not taken yet. Closing lets packets be taken, and ends the rest."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._frame: OfferedFrame | None = None
        self._packets: deque[LivePacket] = deque()
        self._is_encoding = False
        self._flushers = 0
        self._is_ended = False
        self._errors: dict[str, BaseException] = {}  # by who has not been told yet
        self._awaiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self.replaced = 0
        """Frames that a later one replaced before their turn."""

    def offer(self, frame: OfferedFrame) -> None:
        with self._changed:
            self._raise_for("offer")
            if self._is_ended:
                raise EncoderClosed("The live encoder is closed. Make a new one.")
            self.replaced += self._frame is not None
            self._frame = frame
            self._changed.notify_all()

    def next_frame(self, has_room: Callable[[], bool]) -> OfferedFrame | None:
        """For the thread that encodes: waits for a frame and for room. None: there is no more to do."""
        with self._changed:
            while not self._is_ended:
                if self._frame is not None and (self._flushers or (self._has_shelf_room() and has_room())):
                    frame, self._frame, self._is_encoding = self._frame, None, True
                    return frame
                self._changed.wait(CHECK if self._frame is not None else None)
            return None

    def encoded(self, packets: list[LivePacket], error: BaseException | None = None) -> None:
        """The thread is done with its frame."""
        with self._changed:
            self._is_encoding = False
            self._packets += packets
            if error is not None:
                self._errors = {"offer": error, "take": error}
            self._wake()

    def add(self, packets: list[LivePacket]) -> None:
        with self._changed:
            self._packets += packets
            self._wake()

    def answered(self) -> None:
        """There may be room for another frame."""
        with self._changed:
            self._changed.notify_all()

    def wait_until_idle(self) -> None:
        """Waits until every offered frame has been encoded, however many packets wait or are on their way."""
        with self._changed:
            self._flushers += 1
            self._changed.notify_all()
            try:
                self._changed.wait_for(lambda: self._is_ended or (self._frame is None and not self._is_encoding))
            finally:
                self._flushers -= 1
            self._raise_for("offer")

    def end(self) -> None:
        with self._changed:
            self._is_ended = True
            self._frame = None
            self._wake()

    def take(self) -> LivePacket | None:
        """The next packet, when there is one; None: there will be no more."""
        with self._changed:
            self._changed.wait_for(self._has_answer)
            return self._pop()

    async def take_async(self) -> LivePacket | None:
        """``take`` for asyncio. A call that is cancelled takes nothing."""
        loop = asyncio.get_running_loop()
        while True:
            with self._changed:
                if self._has_answer():
                    return self._pop()
                woken = loop.create_future()
                self._awaiting.append((loop, woken))
            try:
                await woken
            finally:
                with self._changed:
                    self._awaiting = [one for one in self._awaiting if one[1] is not woken]

    def _has_answer(self) -> bool:
        return bool(self._packets) or self._is_ended or "take" in self._errors

    def _pop(self) -> LivePacket | None:
        if self._packets:
            self._changed.notify_all()
            return self._packets.popleft()
        self._raise_for("take")
        return None

    def _raise_for(self, who: str) -> None:
        error = self._errors.pop(who, None)
        if error is not None:
            raise error

    def _has_shelf_room(self) -> bool:
        return len(self._packets) < MOST_WAITING

    def _wake(self) -> None:
        self._changed.notify_all()
        for loop, woken in self._awaiting:
            try:
                loop.call_soon_threadsafe(_finish, woken)
            except RuntimeError:  # the event loop is closed, so no call waits in it
                continue


def _finish(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
