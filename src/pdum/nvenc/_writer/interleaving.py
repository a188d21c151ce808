"""The order of packets of two tracks in a file: by their decode times, as far as that needs little memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from fractions import Fraction

from .packet_thread import Coded

LONGEST_WAIT = Fraction(1)
"""Seconds of video that wait for the sound. Nothing says that more of it comes."""
MOST_SOUND = 32 << 20
"""Bytes of sound that wait for the video: all of it may come before the first frame."""


class Interleaver:
    """Passes packets on to ``write`` in the order of time. The packets of each track come in order."""

    def __init__(self, bases: dict[str, Fraction], write: Callable[[Coded], object]) -> None:
        self._bases, self._write = bases, write
        self._waiting: dict[str, deque[Coded]] = {track: deque() for track in bases}
        self._bytes_of_sound = 0

    def put(self, packet: Coded) -> None:
        if len(self._bases) == 1:
            self._write(packet)
            return
        self._waiting[packet.track].append(packet)
        if packet.track == "sound":
            self._bytes_of_sound += len(packet.data)
        while self._can_pass_on():
            self._pass_on()

    def finish(self) -> None:
        while any(self._waiting.values()):
            self._pass_on()

    def _can_pass_on(self) -> bool:
        if all(self._waiting.values()):
            return True
        video = self._waiting["video"]
        is_long = len(video) > 1 and self._seconds(video[-1]) - self._seconds(video[0]) > LONGEST_WAIT
        return is_long or self._bytes_of_sound > MOST_SOUND

    def _pass_on(self) -> None:
        """The packet that is decoded first."""
        queue = min((queue for queue in self._waiting.values() if queue), key=lambda queue: self._seconds(queue[0]))
        packet = queue.popleft()
        if packet.track == "sound":
            self._bytes_of_sound -= len(packet.data)
        self._write(packet)

    def _seconds(self, packet: Coded) -> Fraction:
        return packet.dts * self._bases[packet.track]
