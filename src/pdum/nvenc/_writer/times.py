"""When frames are shown and when their packets are decoded, in ticks of the file's time base."""

from __future__ import annotations

import math
from fractions import Fraction
from numbers import Rational
from operator import index
from typing import TYPE_CHECKING, Any

from .._errors import InvalidConfig

if TYPE_CHECKING:
    from .._nvenc import Packet

TICKS_A_SECOND = 90_000
"""At least so many, so that times which are given are exact to a hundredth of a millisecond."""


def fine_time_base(rate: Fraction) -> Fraction:
    """A tick that is short enough for times of any kind, and of which a frame lasts a whole number."""
    return Fraction(1, rate.numerator * math.ceil(TICKS_A_SECOND / rate.numerator))


class FrameTimes:
    """Gives each frame its time. Without a time of its own, a frame follows the previous one at the video's rate.

    The first frame is shown at 0, whatever time it is given: all times are relative to its.
    """

    def __init__(self, rate: Fraction, unit: Fraction | None = None) -> None:
        self.base = fine_time_base(rate)
        self.step = int(1 / rate / self.base)
        """Ticks of a frame."""
        self._unit = 1 / rate if unit is None else unit
        """Of ``pts``, in seconds."""
        self._origin: Fraction | None = None
        self._last = -self.step
        self._last_given: Any = None

    def next(self, pts: Any = None, time: Any = None) -> int:
        """The time of the next frame, in ticks. Raises InvalidConfig if it does not come after the one before."""
        if pts is None and time is None:
            seconds: Fraction | None = None
            ticks = self._last + self.step
        else:
            name, given, seconds = self._seconds(pts, time)
            origin = seconds if self._last < 0 else self._origin or Fraction(0)
            ticks = round((seconds - origin) / self.base)
            if ticks <= self._last:
                before = (
                    "the frame before" if self._last_given is None else f"{self._last_given}, that of the last frame"
                )
                raise InvalidConfig(
                    f"Expected a {name} after {before}, got {name}={given!r}. Give increasing times, or leave "
                    "them all out."
                )
            self._last_given = f"{name}={given!r}"
        if self._last < 0:
            self._origin = seconds
        self._last = ticks
        return ticks

    @property
    def now(self) -> tuple[int, Any, Any]:
        """The current state, for ``go_back``."""
        return self._last, self._origin, self._last_given

    def go_back(self, state: tuple[int, Any, Any]) -> None:
        """Goes back to a state: the frames since then were refused."""
        self._last, self._origin, self._last_given = state

    @property
    def seconds(self) -> float:
        """The duration of all frames so far."""
        return float((self._last + self.step) * self.base)

    def _seconds(self, pts: Any, time: Any) -> tuple[str, Any, Fraction]:
        if pts is not None and time is not None:
            raise InvalidConfig(f"Expected either pts or time, got pts={pts!r} and time={time!r}.")
        try:
            if pts is not None:
                return "pts", pts, index(pts) * self._unit
            return "time", time, Fraction(time) if isinstance(time, Rational) else Fraction(float(time))
        except (TypeError, ValueError, OverflowError) as error:
            what = f"a whole number, got pts={pts!r}" if pts is not None else f"a number of seconds, got time={time!r}"
            raise InvalidConfig(f"Expected {what}.") from error


class PacketTimes:
    """The times of packets, which come in coding order, from those of the frames.

    Decoding runs ahead of showing by as many pictures as the encoder says with its first packet. So the i-th packet is
    decoded when the picture number i minus that many is shown.
    """

    def __init__(self, step: int) -> None:
        self._step = step
        self._times: dict[int, int] = {}
        self._coded = 0
        self._delay: int | None = None

    def add(self, number: int, ticks: int) -> None:
        """The frame of this number goes to the encoder now."""
        self._times[number] = ticks

    def forget(self, number: int) -> None:
        """The encoder refused the frame."""
        self._times.pop(number, None)

    def take(self, packet: Packet) -> tuple[int, int, int]:
        """Presentation time, decode time and duration."""
        if self._delay is None:
            self._delay = packet.pts - packet.dts
        place = self._coded - self._delay
        self._coded += 1
        pts = self._times[packet.seq]
        dts = self._times[place] if place >= 0 else place * self._step
        following = self._times.get(packet.seq + 1)
        self._times.pop(place - 1, None)
        return pts, dts, self._step if following is None else following - pts
