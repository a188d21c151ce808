"""A source's frames in order, decoded by one decoder, or by several that work ahead and take stretches in turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from math import ceil
from threading import Condition, Thread
from time import monotonic
from typing import Any, Protocol

from .decoder import Stumbled
from .stretches import Stretch, Stretches

ROUNDS = 2
"""Stretches of each decoder that may be decoded ahead."""
RESERVED = 8
"""Frames of the room that only the decoder whose frames are next may take: it always gets on."""


class StretchDecoder(Protocol):
    """Decodes one stretch after the other, each in the thread that asks for it."""

    is_on_processor: bool

    def frames(self, stretch: Stretch) -> Generator[Any, None, None]:
        """Raises Stumbled, or another error, at the first frame that it cannot decode."""
        ...

    def close(self) -> None: ...


class Plain(Protocol):
    """Decodes as if there were one decoder."""

    def __call__(self, first: int, stumbled: Stumbled | None, before: Any) -> Generator[Any, None, None]:
        """The frames from ``first`` on; ``before`` is the one before. ``stumbled``: why others gave up at ``first``."""
        ...


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What the frames of one engine may take."""

    decoders: int
    room: int
    """Frames that are decoded ahead."""


@dataclass(frozen=True, kw_only=True)
class SharedDecoding:
    """How several decoders share one source."""

    stretches: Stretches
    bounds: Bounds
    open_decoder: Callable[[], StretchDecoder | None]
    """One more decoder; None if there is none to be had."""


@dataclass
class Part:
    """A stretch that a decoder works on, or has decoded."""

    stretch: Stretch
    frames: deque[Any] = field(default_factory=deque)
    is_complete: bool = False
    trouble: BaseException | None = None


@dataclass(eq=False)
class Worker:
    decoder: StretchDecoder
    leaves: bool = False
    """It ends after its stretch."""
    idle_since: float | None = None
    """Since when it waits for room."""


class FramesAhead:
    """The frames from ``first`` on. One thread iterates and calls the methods.

    It begins with one decoder. ``use_decoders`` lets several take stretches in turn, and may be called again and again:
    they begin with the first frame if none was taken yet, else with the next key frame. If one of them cannot decode a
    frame, one decoder goes on from there as it would have without the others. They may help again behind the next
    stretch, and later each time: whatever was wrong may be wrong everywhere.
    """

    def __init__(
        self, first: int, plain: Plain, shared: Callable[[], SharedDecoding], name: str = "pdum.nvenc decoder"
    ) -> None:
        """``shared`` is called if more than one decoder is wanted."""
        self._plain, self._make_shared, self._name = plain, shared, name
        self._first = self._at = first
        """Where it begins, and the next frame."""
        self._last: Any = None
        self._alone: Generator[Any, None, None] | None = plain(first, None, None)
        self._alone_until: int | None = None
        """The frame at which others take over from the decoder that works alone."""
        self._wanted = self._most_wanted = 1
        self._shares_from = first
        """Before this frame, nobody is to help the decoder that works alone."""
        self._pause = 1
        """For how many stretches one decoder goes on alone after the next trouble."""
        self._made_shared: SharedDecoding | None = None
        self._changed = Condition()
        """Guards what follows."""
        self._parts: deque[Part] = deque()
        """In the order of the video. The first one has the next frame."""
        self._next = 0
        """The number of the next stretch to be decoded."""
        self._end: int | None = None
        self._held = 0
        self._decoded = 0
        self._workers: list[Worker] = []
        self._threads: list[Thread] = []
        self._is_closed = False
        self._idle = 0.0

    @property
    def _shared(self) -> SharedDecoding:
        if self._made_shared is None:
            self._made_shared = self._make_shared()
        return self._made_shared

    # --- who decodes ---

    @property
    def decoders(self) -> int:
        """How many decode now, with those that finish their last stretch; 1 if enough is decoded and nobody has to."""
        with self._changed:
            return max(1, len(self._workers) + (self._alone is not None))

    @property
    def decoders_on_processor(self) -> int:
        """How many of them help on the processor."""
        with self._changed:
            return sum(worker.decoder.is_on_processor for worker in self._workers)

    @property
    def frames_decoded(self) -> int:
        """How many frames have been decoded, also those that nobody has taken yet."""
        return self._decoded

    @property
    def idle_seconds(self) -> float:
        """How long those who work ahead have waited for room, all of them together."""
        now = monotonic()
        with self._changed:
            waiting = [worker.idle_since for worker in self._workers if worker.idle_since is not None]
            return self._idle + sum(now - since for since in waiting)

    @property
    def frames_a_round(self) -> int:
        """Frames after which each decoder has had a stretch, about."""
        decoders = self.decoders
        return round(decoders * self._shared.stretches.mean) if decoders > 1 else 1

    @property
    def is_all_begun(self) -> bool:
        """Whether no stretch is left to begin."""
        with self._changed:
            return (self._alone is None or self._alone_until is not None) and self._is_over()

    def use_decoders(self, wanted: int) -> None:
        """Lets so many decode, or as many as there can be."""
        self._wanted = max(1, min(wanted, self._shared.bounds.decoders)) if wanted > 1 else 1
        self._most_wanted = max(self._most_wanted, self._wanted)
        with self._changed:
            self._let_go(len(self._workers) - self._wanted_workers())
            staying = len(self._staying()) + (self._alone is not None)
        if self._at >= self._shares_from and self._wanted > staying:
            if self._alone is None or self._alone_until is not None:
                self._add_decoders()
            elif self._last is None:
                self._share_from_first()
            else:
                self._share_from_next_key()

    def end_at(self, last: int) -> None:
        """Frames from this one on are not wanted, as far as is known."""
        with self._changed:
            self._end = last

    def _staying(self) -> list[Worker]:
        return [worker for worker in self._workers if not worker.leaves]

    def _wanted_workers(self) -> int:
        """One stays after others have left: without it, a decoder would begin anew, with nothing decoded ahead."""
        return self._wanted if self._alone is None else self._wanted - 1

    def _let_go(self, surplus: int) -> None:
        for place, worker in enumerate(reversed(self._workers)):
            worker.leaves = place < surplus
        self._changed.notify_all()

    def _share_from_first(self) -> None:
        stretches = self._shared.stretches
        number = stretches.of(self._first)
        if number + 1 == len(stretches) or self._is_beyond_end(stretches[number + 1]):
            return
        alone = self._alone
        with self._changed:
            self._next, self._alone = number, None
        self._add_decoders()
        if not self._workers and not self._parts:
            self._alone = alone

    def _share_from_next_key(self) -> None:
        stretches = self._shared.stretches
        number = stretches.after(self._at)
        if number is None or self._is_beyond_end(stretches[number]):
            return
        with self._changed:
            self._next = number
        self._alone_until = stretches[number].first
        self._add_decoders()
        if not self._workers and not self._parts:
            self._alone_until = None

    def _is_beyond_end(self, stretch: Stretch) -> bool:
        return self._end is not None and stretch.first >= self._end

    def _add_decoders(self) -> None:
        while True:
            with self._changed:
                are_enough = len(self._staying()) >= self._wanted_workers() or self._is_over()
            decoder = None if are_enough else self._shared.open_decoder()
            if decoder is None:
                return
            worker = Worker(decoder)
            thread = Thread(target=self._work, args=(worker,), name=self._name, daemon=True)
            with self._changed:
                self._workers.append(worker)
                self._threads = [one for one in self._threads if one.is_alive()] + [thread]
            thread.start()

    # --- the frames ---

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._alone is not None and self._at == self._alone_until:
            self._hand_over()
        if self._alone is None and self._at < self._shared.stretches.frames:
            self._last = self._from_parts()
        elif self._alone is not None:
            self._last = next(self._alone)
            self._decoded += 1
        else:
            raise StopIteration
        self._at += 1
        return self._last

    def _hand_over(self) -> None:
        alone = self._alone
        with self._changed:
            self._alone = self._alone_until = None
            self._changed.notify_all()  # the first part may take the whole room now
        if alone is not None:
            alone.close()
        self._add_decoders()

    def _from_parts(self) -> Any:
        with self._changed:
            part = self._first_part()
            if part is not None and part.frames:
                self._held -= 1
                self._changed.notify_all()
                return part.frames.popleft()
        stumbled = None if part is None else self._give_up_sharing(part.trouble)
        self._alone = self._plain(self._at, stumbled, self._last)
        return next(self._alone)

    def _first_part(self) -> Part | None:
        """Waits for the part that has the next frame, or the reason why it has none. None: nobody decodes it."""
        while self._parts or self._workers:
            part = self._parts[0] if self._parts else None
            if part is not None and (part.frames or part.trouble is not None):
                return part
            if part is not None and part.is_complete:
                self._parts.popleft()
                self._changed.notify_all()
            else:
                self._changed.wait()
        return None

    def _give_up_sharing(self, trouble: BaseException | None) -> Stumbled | None:
        """Whatever else went wrong goes wrong again, if it lasts."""
        self._stop()
        self._is_closed = False
        stretches = self._shared.stretches
        number, self._pause = stretches.of(self._at) + self._pause, 2 * self._pause
        self._shares_from = stretches[number].first if number < len(stretches) else stretches.frames
        return trouble if isinstance(trouble, Stumbled) else None

    def _stop(self) -> None:
        with self._changed:
            self._is_closed = True
            self._parts.clear()
            self._held = 0
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def close(self) -> None:
        """Waits for the decoders to end."""
        self._stop()
        self._last = None
        alone, self._alone = self._alone, None
        if alone is not None:
            alone.close()

    # --- the threads of those who work ahead ---

    def _work(self, worker: Worker) -> None:
        try:
            while (part := self._take(worker)) is not None:
                self._decode(worker, part)
        finally:
            with suppress(Exception):  # its frames were good
                worker.decoder.close()

    def _take(self, worker: Worker) -> Part | None:
        """The worker's next stretch; None if it has to leave."""
        with self._changed:
            if worker.leaves or self._is_over():
                self._workers.remove(worker)
                self._changed.notify_all()
                return None
            stretch = self._shared.stretches[self._next]
            part = Part(replace(stretch, first=max(stretch.first, self._first)))
            self._next += 1
            self._parts.append(part)
            return part

    def _is_over(self) -> bool:
        """Whether nothing is left to begin."""
        stretches = self._shared.stretches
        is_done = self._next >= len(stretches) or self._is_beyond_end(stretches[self._next])
        return self._is_closed or is_done or any(part.trouble is not None for part in self._parts)

    def _decode(self, worker: Worker, part: Part) -> None:
        try:
            with closing(worker.decoder.frames(part.stretch)) as frames:
                for frame in frames:
                    if not self._put(worker, part, frame):
                        return
        except BaseException as error:
            with self._changed:
                part.trouble = error.with_traceback(None)  # which would refer to the part, in a circle
                self._changed.notify_all()
        else:
            with self._changed:
                part.is_complete = True
                self._changed.notify_all()

    def _put(self, worker: Worker, part: Part, frame: Any) -> bool:
        """Waits for room. Returns False if no more frames are wanted."""
        with self._changed:
            if not self._has_room(part):
                worker.idle_since = began = monotonic()
                self._changed.wait_for(lambda: self._is_closed or self._has_room(part))
                self._idle += monotonic() - began
                worker.idle_since = None
            if self._is_closed:
                return False
            part.frames.append(frame)
            self._held += 1
            self._decoded += 1
            self._changed.notify_all()
            return True

    def _has_room(self, part: Part) -> bool:
        room = self._room()
        if self._parts and part is self._parts[0] and self._alone is None:
            return self._held < room or len(part.frames) < RESERVED
        return self._held < room - RESERVED

    def _room(self) -> int:
        """So many that no decoder waits for one that is half as fast. More would only fill the memory.

        It does not shrink when decoders leave: the others would wait until the frames are taken, as if they were too
        many.
        """
        enough = ROUNDS * self._most_wanted * self._shared.stretches.mean + RESERVED
        return min(self._shared.bounds.room, ceil(enough))
