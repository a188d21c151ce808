"""The part of a source that is kept, for the streams and chapters beside its video."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .av import import_av, time_base
from .containers import nearest
from .decoder import is_picture

RUN_UP = 1
"""Second."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """Times in seconds of the source's clock. None: from its beginning, or to its end."""

    begin: Fraction | None
    end: Fraction | None
    offset: Fraction
    """What is subtracted from all times."""

    def kept(self, packet: Any) -> bool:
        """Moves the packet to its new time. Returns False for one that is not in the span.

        Sound that is copied is cut between its packets. What is shown for a while, such as a subtitle, is also cut to
        its length.
        """
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None or is_picture(packet.stream):
            return True
        unit = time_base(packet)
        begin, length = time * unit, (packet.duration or 0) * unit
        if packet.stream.type == "subtitle" and length:
            return self._kept_in_part(packet, begin, begin + length, unit)
        if not self._has(begin):
            return False
        self._move(packet, nearest(self.offset / unit))
        return True

    def may_be_heard(self, packet: Any) -> bool:
        """Whether to decode a packet of sound. What comes just before the span is decoded too: some codecs need it."""
        if packet.pts is None:
            return True
        time = packet.pts * time_base(packet)
        begin = None if self.begin is None else self.begin - RUN_UP
        return (begin is None or time >= begin) and (self.end is None or time < self.end)

    def heard(self, frame: Any) -> Any:
        """The part of a frame of sound that is in the span, to the sample, at its new time; None if there is none."""
        if frame.pts is None:
            return frame  # it follows the one before
        begin, rate = frame.pts * Fraction(frame.time_base), frame.sample_rate
        first = 0 if self.begin is None else max(0, nearest((self.begin - begin) * rate))
        last = frame.samples if self.end is None else min(frame.samples, nearest((self.end - begin) * rate))
        if first >= last:
            return None
        made = frame if (first, last) == (0, frame.samples) else _samples(frame, first, last)
        made.pts, made.time_base = nearest((begin - self.offset) * rate) + first, Fraction(1, rate)
        return made

    def _kept_in_part(self, packet: Any, begin: Fraction, end: Fraction, unit: Fraction) -> bool:
        first = begin if self.begin is None else max(begin, self.begin)
        last = end if self.end is None else min(end, self.end)
        if first >= last:
            return False
        packet.pts = packet.dts = nearest(first / unit)
        packet.duration = max(1, nearest((last - first) / unit))
        self._move(packet, nearest(self.offset / unit))
        return True

    def _has(self, time: Fraction) -> bool:
        return (self.begin is None or time >= self.begin) and (self.end is None or time < self.end)

    def _move(self, packet: Any, ticks: int) -> None:
        packet.pts = None if packet.pts is None else packet.pts - ticks
        packet.dts = None if packet.dts is None else packet.dts - ticks

    def chapters(self, chapters: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The chapters that are partly in the span, at their new times."""
        made = []
        for chapter in chapters:
            unit = Fraction(chapter["time_base"].numerator, chapter["time_base"].denominator)
            begin, end = chapter["start"] * unit, chapter["end"] * unit
            first = begin if self.begin is None else max(begin, self.begin)
            last = end if self.end is None else min(end, self.end)
            if first < last:
                times = {"start": nearest((first - self.offset) / unit), "end": nearest((last - self.offset) / unit)}
                made.append({**chapter, **times})
        return made


def _samples(frame: Any, first: int, last: int) -> Any:
    each = 1 if frame.format.is_planar else len(frame.layout.channels)
    part = frame.to_ndarray()[:, first * each : last * each].copy()
    made = import_av().AudioFrame.from_ndarray(part, format=frame.format.name, layout=frame.layout.name)
    made.sample_rate = frame.sample_rate
    return made
