"""One of several engines that share a video: its encoder, its groups of pictures, and when it will finish them."""

from __future__ import annotations

from collections import deque
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, Any

from .._config.settings import LARGEST_EXTRA_DELAY
from .._encoders.nvenc import NvencEncoder
from .._pool.sessions import for_engine

if TYPE_CHECKING:
    from .._config.config import EncoderConfig
    from .._nvenc import Packet
    from ..events import EngineInfo

MEASUREMENTS = 9
"""An engine's time for a frame is the median of so many, because a busy processor adds to some of them."""

WAITED = 10
"""If an engine's speed is unknown, a call that took so many times as long as the shortest one must have waited."""

SPREAD = 8
"""A frame takes at least this part of the median, so a shorter call found a finished frame."""


def lane_config(config: EncoderConfig, engine: EngineInfo, lanes: int, lanes_of_gpu: int) -> EncoderConfig:
    """The configuration for one of these engines, with as many frames in flight as keep it busy.

    While a loop gives a group of ``gop`` frames to each of the other engines, this one has to live on what it has. In
    the time of a whole round it encodes one group, and gets a group within an n-th of that time. So it needs
    ``gop * (n - 1) / n`` frames in flight, besides those that a single engine needs to never wait for Python. Of these
    there are twice as many, since what one engine has in reserve, another one has not.
    """
    own = for_engine(config, engine, lanes_of_gpu)
    needed = 2 * own.extra_output_delay + -(-(config.gop or 0) * (lanes - 1) // lanes)
    return own.replaced(extra_output_delay=min(needed, LARGEST_EXTRA_DELAY))


def longest_shared_gop(config: EncoderConfig, engine: EngineInfo, lanes: int) -> int:
    """The longest GOP with which all of these engines stay busy."""
    spare = for_engine(config.replaced(extra_output_delay=0), engine).extra_output_delay
    return max(LARGEST_EXTRA_DELAY - min(spare, LARGEST_EXTRA_DELAY // 8), 1) * lanes // (lanes - 1)


class Group:
    """A closed group of pictures: it begins with an IDR, and none of its pictures refers to another group."""

    __slots__ = ("arrived", "first", "given", "has_ended", "lane", "numbers", "waiting")

    def __init__(self, first: int, lane: EngineLane) -> None:
        self.first = first
        """The place of its first frame in the whole video, from 0."""
        self.lane = lane
        self.numbers: list[int] = []
        """The caller's number of each frame."""
        self.has_ended = False
        """No frame is added any more."""
        self.arrived = 0
        """Packets that its encoder has given."""
        self.given = 0
        """Packets that were passed on."""
        self.waiting: deque[Packet] = deque()

    @property
    def has_arrived(self) -> bool:
        return self.has_ended and self.arrived == len(self.numbers)

    @property
    def is_over(self) -> bool:
        return self.has_ended and self.given == len(self.numbers)


class EngineLane:
    """An engine with its encoder, which is opened when it is used for the first time."""

    def __init__(self, engine: EngineInfo, config: EncoderConfig) -> None:
        self.engine = engine
        self.config = config
        self.encoder: NvencEncoder | None = None
        self.groups: deque[Group] = deque()
        """Groups of which packets are still to come, in order."""
        self.in_flight = 0
        self.last_used = -1
        """The number of the last group that it got."""
        self.failure: Exception | None = None
        self._idle_at = 0.0
        self._measured: deque[float] = deque(maxlen=MEASUREMENTS)
        self._seconds = 0.0  # seconds of the engine for a frame; 0: not known
        self._last_end = 0.0
        self._shortest_call = inf
        self._has_waited = False

    @property
    def label(self) -> str:
        return self.engine.label

    def open(self) -> NvencEncoder:
        if self.encoder is None:
            self.encoder = NvencEncoder(self.config)
        return self.encoder

    def submit(self, frame: Any, place: int, force_idr: bool, stream: Any, picture: Any) -> list[Packet]:
        """Waits only if as many frames are in flight as may be."""
        encoder = self.open()
        begin = perf_counter()
        packets = encoder.submit(frame, place, force_idr, stream=stream, picture=picture)
        self.in_flight += 1 - len(packets)
        self._learn(begin, perf_counter(), bool(packets))
        return packets

    def flush(self) -> list[Packet]:
        """Waits for everything that is in flight. The next frame has to be an IDR."""
        packets = self.open().flush_pipeline()
        self.in_flight -= len(packets)
        self._idle_at = perf_counter()
        return packets

    def close(self) -> None:
        encoder, self.encoder = self.encoder, None
        if encoder is not None:
            encoder.close()

    def idle_at(self, now: float) -> float:
        """When the engine will finish all its frames, by the clock of ``perf_counter``."""
        return max(self._idle_at, now)

    def _learn(self, begin: float, end: float, is_full: bool) -> None:
        """If a call waited for a packet, the engine finished a frame just then, and has the other ones before it.

        Between the ends of two such calls in a row it encoded one frame. Calls that find finished frames are short.
        """
        took, passed = end - begin, end - self._last_end
        self._shortest_call = min(self._shortest_call, took)
        waited = is_full and took > (self._seconds / SPREAD or WAITED * self._shortest_call)
        if waited and self._has_waited and took > passed / 2:
            self._measured.append(passed)
            self._seconds = sorted(self._measured)[len(self._measured) // 2]
        all_done = end + self._seconds * self.in_flight  # at the latest
        self._idle_at = all_done if waited else min(self.idle_at(end) + self._seconds, all_done)
        self._last_end, self._has_waited = end, waited
