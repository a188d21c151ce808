"""Who waits for whom, the engine or its decoders, and how many decoders an engine gets for that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import events
from .._tasks import SharedFrames

if TYPE_CHECKING:
    from ..events import EngineInfo
    from .channel import Channel

SHORTEST_LOOK = 0.2
"""Seconds. Shorter waits may be chance."""
FIRST_FRAMES = 48
"""Frames that an engine takes at once when it begins, as fast as they come. They tell nothing about its speed."""
STARVING = 0.05
"""The share of its time for which an engine has to wait before it gets a further decoder."""
MOST_AT_ONCE = 2
"""The number of decoders grows to so many times as many, in one step."""
LEAST_GAIN = 0.25
"""A further decoder stays if it brings at least this share of what the engine has lost by waiting."""
SPARE = 0.25
"""A decoder is taken away if the others would still have this much time left, in decoders."""
SHORTEST_REPORT = 1.0
"""Seconds between two events about one engine."""
LOOKS_UNTIL_RETRY = 50
"""After so many looks, one more decoder is tried again, although it did not help before."""


class Waits(NamedTuple):
    """Who has waited for whom, in seconds or as shares of a time."""

    engine: float
    """How long the engine has waited for frames."""
    frames: float
    """How long frames have waited for the engine."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What was seen in some time with the same number of decoders. All times are in seconds."""

    decoders: int
    frames: int
    """So many were decoded. The engine may have taken others, from a stock."""
    seconds: float
    engine_waited: float
    idle: float
    """For how long decoders had no room for their frames, all of them together."""

    @property
    def rate(self) -> float:
        return self.frames / self.seconds

    @property
    def starving(self) -> float:
        """For which share of the time the engine waited."""
        return min(1.0, self.engine_waited / self.seconds)

    @property
    def needed(self) -> float:
        """How many decoders would do the same, if none ever waited."""
        return self.decoders - self.idle / self.seconds


class Chooser:
    """Chooses the number of decoders, one look after the other. It knows no clock and no thread."""

    def __init__(self) -> None:
        self._before: Look | None = None
        """What was seen before the last decoders were added, until it is known whether they helped."""
        self._most: int | None = None
        """More than this have not helped."""
        self._looks_left = 0

    def choose(self, look: Look) -> int:
        before, self._before = self._before, None
        if before is not None and look.decoders > before.decoders:
            hoped = before.starving * LEAST_GAIN
            if look.starving > STARVING and look.rate < before.rate * (1 + hoped):
                self._most, self._looks_left = before.decoders, LOOKS_UNTIL_RETRY
                return before.decoders
        self._forget_most()
        if look.starving > STARVING:
            return self._more(look)
        if look.decoders > 1 and look.needed < look.decoders - 1 - SPARE:
            return look.decoders - 1
        return look.decoders

    def _forget_most(self) -> None:
        if self._most is not None:
            self._looks_left -= 1
            if self._looks_left <= 0:
                self._most = None

    def _more(self, look: Look) -> int:
        enough = ceil(look.decoders / max(1 - look.starving, 0.01))
        wanted = max(look.decoders + 1, min(enough, look.decoders * MOST_AT_ONCE))
        if self._most is not None:
            wanted = min(wanted, max(self._most, look.decoders))
        if wanted > look.decoders:
            self._before = look
        return wanted


class Supply:
    """The decoders of one engine. The first piece begins with a fair share of those that the GPU has. What was learned
    with one piece serves for the next one.

    Args:
        engines_on_gpu: returns how many engines share the GPU's decoders.
    """

    def __init__(self, engine: EngineInfo, emit: Callable[..., object], engines_on_gpu: Callable[[], int]) -> None:
        self._engine, self._emit = engine, emit
        self._engines_on_gpu = engines_on_gpu
        self._chooser = Chooser()
        self._wanted: int | None = None
        """None before the first piece."""
        self.decoders = (0, 0)
        """How many decoders the engine has, and how many of them are the processor's. 0 if it needs none."""
        self._starved = 0.0
        """The share of its time for which the engine waited when it was last looked at."""
        self._told = (1, 0)
        self._told_at = 0.0

    def begin(self, source: Any, channel: Channel[Any]) -> Feed | None:
        """Says how many decoders the source gets; None if nothing can be chosen."""
        if not isinstance(source, SharedFrames):
            self.decoders = (0, 0)
            return None
        if self._wanted is None:
            self._wanted = source.fair_share(max(1, self._engines_on_gpu()))
        source.use_decoders(self._wanted)
        self.tell(source)
        return Feed(self, source, channel)

    def top_up(self, source: SharedFrames) -> None:
        """Asks for the decoders again that were not to be had before."""
        if self._wanted is not None and source.decoders < self._wanted:
            source.use_decoders(self._wanted)

    def learn(self, look: Look, source: SharedFrames) -> None:
        self._wanted = self._chooser.choose(look)
        if self._wanted != look.decoders:
            source.use_decoders(self._wanted)
        self._starved = look.starving
        self.tell(source)

    def tell(self, source: SharedFrames) -> None:
        """Reports a change, but not every one if they follow fast."""
        self.decoders = source.decoders, source.decoders_on_processor
        now = monotonic()
        if self.decoders != self._told and now - self._told_at >= SHORTEST_REPORT:
            self._told, self._told_at = self.decoders, now
            self._emit(
                events.DecodersChanged, engine=self._engine.index, decoders=self.decoders[0],
                on_processor=self.decoders[1], waited=self._starved,
            )  # fmt: skip


class Feed:
    """One source on its way to the engine, looked at now and then."""

    def __init__(self, supply: Supply, source: SharedFrames, channel: Channel[Any]) -> None:
        self._supply, self._source, self._channel = supply, source, channel
        self._since: float | None = None
        self._left_out = 0

    def _begin_look(self) -> None:
        self._since, self._frames = monotonic(), 0
        self._decoders, self._round = self._source.decoders, self._source.frames_a_round
        self._waited, self._idle = self._channel.taker_waited, self._source.idle_seconds
        self._decoded = self._source.frames_decoded

    def anew(self) -> Feed:
        """The same source, after a time that tells nothing."""
        return Feed(self._supply, self._source, self._channel)

    def end_at(self, last: int) -> None:
        self._source.end_at(last)

    def made(self, frames: int) -> None:
        """So many more frames were made."""
        self._supply.top_up(self._source)
        self._supply.tell(self._source)
        if self._since is None:
            self._left_out += frames
            if self._left_out >= FIRST_FRAMES:
                self._begin_look()
            return
        self._frames += frames
        seconds = monotonic() - self._since
        if seconds < SHORTEST_LOOK or self._frames < self._round:
            return
        if self._decoders == self._source.decoders and not self._source.is_all_begun:
            self._supply.learn(
                Look(
                    decoders=self._decoders, frames=self._source.frames_decoded - self._decoded, seconds=seconds,
                    engine_waited=self._channel.taker_waited - self._waited,
                    idle=self._source.idle_seconds - self._idle,
                ),
                self._source,
            )  # fmt: skip
        self._begin_look()
