"""Short parts of a video. They are encoded to find out the size and the score of a quality value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._nvenc import Packet

SAMPLES = 4
SECONDS = 1.5
LEAST_FRAMES = 24


def sample_ranges(frames: int, fps: float) -> list[tuple[int, int]]:
    """Short parts, spread over the video. If the video is not much longer than its parts, it is one part."""
    length = max(LEAST_FRAMES, round(fps * SECONDS))
    if frames <= 2 * SAMPLES * length:
        return [(0, frames)]
    apart = frames / SAMPLES
    starts = [int(apart * (number + 0.5)) - length // 2 for number in range(SAMPLES)]
    return [(start, start + length) for start in starts]


@dataclass(kw_only=True)
class Sample:
    """One part as it comes from an engine."""

    first: int
    packets: list[bytes] = field(default_factory=list)
    header: bytes = b""
    last: int = 0

    @property
    def frames(self) -> int:
        return self.last - self.first

    @property
    def size(self) -> int:
        return sum(map(len, self.packets))

    def stream(self) -> list[bytes]:
        """Its packets, of which the first can be decoded by itself."""
        return [self.header + self.packets[0], *self.packets[1:]]


class Samples:
    """The parts of one video, encoded with one quality value. Several engines may add to them."""

    def __init__(self, ranges: Sequence[tuple[int, int]]) -> None:
        self.ranges = ranges
        self._lock = Lock()
        self._parts: dict[int, Sample] = {}
        self._began = self._ended = 0.0

    def sink(self, first: int) -> SampleSink:
        with self._lock:
            self._began = self._began or monotonic()
            part = self._parts[first] = Sample(first=first)
        return SampleSink(part, self)

    def completed(self) -> None:
        self._ended = monotonic()

    @property
    def parts(self) -> list[Sample]:
        return [part for part in self._parts.values() if part.packets]

    @property
    def frames(self) -> int:
        return sum(part.frames for part in self.parts)

    @property
    def bytes_a_frame(self) -> float:
        return sum(part.size for part in self.parts) / max(self.frames, 1)

    @property
    def seconds(self) -> float:
        """Seconds from the beginning of the first part to the end of the last one."""
        return max(self._ended - self._began, 0.0)


class SampleSink:
    """Keeps the packets of one part; a ``PieceSink``."""

    def __init__(self, part: Sample, samples: Samples) -> None:
        self._part, self._samples = part, samples

    def write(self, packets: Sequence[Packet]) -> None:
        self._part.packets += [packet.data for packet in packets]

    def complete(self, last: int, header: bytes) -> int:
        self._part.last, self._part.header = last, header
        self._samples.completed()
        return self._part.size

    def discard(self) -> None:
        self._part.packets.clear()
