"""Decides from the viewers' answers about the next frame: whether to send it, at which rate, and as a key frame."""

from __future__ import annotations

import math
from threading import Lock
from typing import TYPE_CHECKING

from .._config.settings import whole
from .._errors import InvalidConfig
from .bitrate import BitrateController
from .losses import InFlight, KeyFrames

if TYPE_CHECKING:
    from .settings import LiveSettings

MOST_LOSSES = 100
"""If more packets are lost between two frames, a key frame repairs them, without looking at each."""
PATIENCE = 2.0
"""Seconds after which a packet without an answer no longer counts as on its way."""


class Pacing:
    """Any thread may report answers at any time. No call waits for the encoder."""

    def __init__(self, settings: LiveSettings, max_in_flight: int | None, spacing: float) -> None:
        self._lock = Lock()
        self._settings = settings
        self._fps = float(settings.rate)
        self._most = None if max_in_flight is None else whole("max_in_flight", max_in_flight, least=1)
        self._key_frames = KeyFrames(_seconds("keyframe_spacing", spacing))
        self._in_flight = InFlight(PATIENCE)
        self._controller: BitrateController | None = None
        self._size = (0, 0)
        self._losses: set[int] = set()

    def heard(
        self, now: float, rtt: float | None = None, acked: int | None = None, bandwidth: float | None = None
    ) -> None:
        rtt = None if rtt is None else _seconds("rtt", rtt)
        bandwidth = None if bandwidth is None else _number("bandwidth", bandwidth, "bits a second")
        seq = None if acked is None else whole("acked", acked)
        with self._lock:
            if seq is not None:
                self._in_flight.acked(seq)
            if self._controller is None:
                return
            if seq is not None:
                self._controller.acked(seq, now)
            self._controller.heard(now, rtt=rtt, bandwidth=bandwidth)

    def lost(self, seq: int, now: float) -> None:
        number = whole("seq", seq)
        with self._lock:
            self._in_flight.lost(number)
            if self._controller is not None:
                self._controller.lost(number, now)
            if self._key_frames.is_healed(number):
                return
            self._losses.add(number)
            if len(self._losses) > MOST_LOSSES:
                self._losses.clear()
                self._key_frames.request(is_urgent=True)

    def request_key_frame(self, *, is_urgent: bool = False) -> None:
        """``is_urgent``: for a lost packet. Otherwise a viewer starts again and does not answer for earlier ones."""
        with self._lock:
            self._key_frames.request(is_urgent)
            if not is_urgent:
                self._in_flight.forget()
                if self._controller is not None:
                    self._controller.forget()

    def bitrate(self, width: int, height: int) -> int:
        """The rate to aim at for pictures of this size."""
        with self._lock:
            if self._size != (width, height):
                self._size = (width, height)
                self._set_bounds(*self._settings.bitrate_bounds(width, height))
            assert self._controller is not None
            return self._controller.bitrate

    def _set_bounds(self, lowest: int, highest: int) -> None:
        if self._controller is None:
            self._controller = BitrateController(lowest, highest, self._settings.start_bitrate)
        else:
            self._controller.set_bounds(lowest, highest)

    def has_room(self, now: float) -> bool:
        with self._lock:
            most = self._most
            if most is None and self._controller is not None:
                most = self._controller.frames_in_flight(self._fps)
            return most is None or self._in_flight.count(now) < most

    def take_losses(self) -> list[int]:
        """The packets that were reported as lost and that no key frame has followed yet."""
        with self._lock:
            losses, self._losses = self._losses, set()
            return sorted(seq for seq in losses if not self._key_frames.is_healed(seq))

    def is_key_frame_due(self, now: float) -> bool:
        with self._lock:
            return self._key_frames.is_due(now)

    def key_frame_made(self, seq: int, now: float) -> None:
        with self._lock:
            self._key_frames.made(seq, now)

    def sent(self, seq: int, size: int, now: float, *, is_key_frame: bool) -> None:
        with self._lock:
            if is_key_frame:
                self._key_frames.came_out(seq, now)
            self._in_flight.sent(seq, now)
            if self._controller is not None:
                self._controller.sent(seq, size, now)

    def in_flight(self, now: float) -> int:
        with self._lock:
            return self._in_flight.count(now)

    def measured(self, now: float) -> tuple[float | None, float | None]:
        """The last round trip and the delay by the queue, in seconds."""
        with self._lock:
            controller = self._controller
            return (None, None) if controller is None else (controller.rtt, controller.queue_delay(now))


def _seconds(name: str, value: float) -> float:
    return _number(name, value, "seconds")


def _number(name: str, value: float, unit: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, str) or not (0 <= number < math.inf):
        raise InvalidConfig(f"Expected a number of {unit}, 0 or more, got {name}={value!r}.")
    return number
