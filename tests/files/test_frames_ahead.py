"""Several decoders for one engine: whoever decodes, each frame comes once and in order. Numbers stand for frames."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdum.nvenc._media.decoder import Stumbled
from pdum.nvenc._media.frames_ahead import RESERVED, Bounds, FramesAhead, SharedDecoding
from pdum.nvenc._media.source import Index, Key
from pdum.nvenc._media.stretches import Stretch, Stretches

pytestmark = pytest.mark.one_abi


def index_of(frames: int, gop: int, **more: Any) -> Index:
    keys = [Key(frame=first, pts=first, dts=first, is_first=first == 0) for first in range(0, frames, gop)]
    facts: dict[str, Any] = {"straight": False, "rate": Fraction(25), "last_duration": 1, **more}
    return Index(stream=0, time_base=Fraction(1, 25), pts=range(frames), keys=keys, look=cast(Any, None), **facts)


@dataclass
class Numbers:
    """A source whose frames are their own numbers, and who has it open."""

    frames: int
    gop: int
    shortest: int = 1
    further: int = 3
    room: int = 40
    broken: dict[int, BaseException] = field(default_factory=dict)
    """The frames that only the plain decoder can make, and why."""
    plain_calls: list[tuple[int, Stumbled | None, Any]] = field(default_factory=list)
    open: int = 0
    closed: int = 0
    made: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def plain(self, first: int, stumbled: Stumbled | None, before: Any) -> Generator[int, None, None]:
        self.plain_calls.append((first, stumbled, before))
        yield from range(first, self.frames)

    def open_decoder(self) -> Decoder | None:
        with self._lock:
            if self.open - self.closed >= self.further:
                return None
            self.open += 1
        return Decoder(self)

    def ahead(self, first: int = 0, decoders: int = 8) -> FramesAhead:
        stretches = Stretches(index_of(self.frames, self.gop), self.shortest)
        shared = SharedDecoding(
            stretches=stretches, bounds=Bounds(decoders=decoders, room=self.room), open_decoder=self.open_decoder
        )
        return FramesAhead(first, self.plain, lambda: shared)


class Decoder:
    is_on_processor = False

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers

    def frames(self, stretch: Stretch) -> Generator[int, None, None]:
        for number in range(stretch.first, stretch.last):
            if number in self._numbers.broken:
                raise self._numbers.broken[number]
            with self._numbers._lock:
                self._numbers.made += 1
            yield number

    def close(self) -> None:
        with self._numbers._lock:
            self._numbers.closed += 1


def taken(ahead: FramesAhead, steps: Callable[[int], object] = lambda _: None) -> list[int]:
    found = []
    for number in ahead:
        found.append(number)
        steps(number)
    ahead.close()
    return found


@given(
    frames=st.integers(1, 120), gop=st.integers(1, 50), shortest=st.integers(1, 30), first=st.integers(0, 60),
    further=st.integers(0, 4), room=st.integers(RESERVED + 1, 60),
    steps=st.dictionaries(st.integers(0, 120), st.integers(1, 5), max_size=6), broken=st.sets(st.integers(0, 120)),
)  # fmt: skip
@example(frames=100, gop=10, shortest=1, first=0, further=3, room=9, steps={0: 4}, broken=set())
@example(frames=100, gop=10, shortest=1, first=5, further=3, room=60, steps={7: 4, 30: 1, 31: 3, 60: 2}, broken=set())
@example(frames=100, gop=10, shortest=1, first=0, further=3, room=60, steps={0: 4, 30: 3, 50: 4}, broken={0, 25, 70})
def test_each_frame_comes_once_and_in_order(
    frames: int, gop: int, shortest: int, first: int, further: int, room: int, steps: dict[int, int], broken: set[int]
) -> None:
    first = min(first, frames - 1)
    numbers = Numbers(frames, gop, shortest, further, room, {number: Stumbled("damaged") for number in broken})
    ahead = numbers.ahead(first)
    if first in steps:
        ahead.use_decoders(steps[first])
    found = taken(ahead, lambda number: ahead.use_decoders(steps[number]) if number in steps else None)
    assert found == list(range(first, frames))
    assert numbers.open == numbers.closed
    assert not any(thread.is_alive() for thread in ahead._threads)


@pytest.mark.parametrize("decoders", [2, 3, 4])
def test_others_take_stretches_from_the_next_key_frame_on(decoders: int) -> None:
    numbers = Numbers(200, 10, further=8)
    ahead = numbers.ahead()
    assert next(ahead) == 0
    ahead.use_decoders(decoders)
    assert ahead.decoders == decoders
    assert taken(ahead) == list(range(1, 200))
    assert numbers.open == decoders, "the first decoder's place goes to another"
    assert numbers.made == 190
    assert [first for first, _, _ in numbers.plain_calls] == [0]


@pytest.mark.parametrize("first", [0, 7, 10, 133])
def test_several_begin_with_the_first_frame(first: int) -> None:
    """Also if it is no key frame. The first stretch is then shorter."""
    numbers = Numbers(200, 10, further=8)
    ahead = numbers.ahead(first)
    ahead.use_decoders(2)
    assert taken(ahead) == list(range(first, 200))
    assert (numbers.open, numbers.made) == (2, 200 - first)
    assert numbers.plain_calls == []


@pytest.mark.parametrize(("first", "end"), [(190, None), (193, None), (20, 30), (27, 30)])
def test_the_last_stretch_has_one_decoder(first: int, end: int | None) -> None:
    numbers = Numbers(200, 10)
    ahead = numbers.ahead(first)
    if end is not None:
        ahead.end_at(end)
    ahead.use_decoders(3)
    assert ahead.decoders == 1
    assert [next(ahead) for _ in range(3)] == list(range(first, first + 3))
    assert numbers.open == 0
    ahead.close()


@pytest.mark.parametrize("decoders", [1, 3])
def test_it_tells_when_nothing_is_left_to_begin(decoders: int) -> None:
    """One decoder alone begins nothing ahead."""
    numbers = Numbers(200, 10, room=40)
    ahead = numbers.ahead()
    ahead.use_decoders(decoders)
    seen = [ahead.is_all_begun for _ in ahead]
    ahead.close()
    assert not any(seen[:120])
    assert seen[190:] == [decoders > 1] * 10


def test_one_decoder_begins_if_no_other_can_be_had() -> None:
    numbers = Numbers(200, 10, further=0)
    ahead = numbers.ahead()
    ahead.use_decoders(3)
    assert taken(ahead) == list(range(200))
    assert numbers.plain_calls == [(0, None, None)]


def test_no_more_is_held_than_there_is_room_for() -> None:
    numbers = Numbers(400, 20, further=3, room=30)
    ahead = numbers.ahead()
    ahead.use_decoders(4)
    most = 0

    def look(number: int) -> None:
        nonlocal most
        with ahead._changed:
            most = max(most, ahead._held, sum(len(part.frames) for part in ahead._parts))
            assert ahead._held == sum(len(part.frames) for part in ahead._parts)

    assert taken(ahead, look) == list(range(400))
    assert RESERVED < most <= 30


def test_decoders_that_are_not_needed_leave_after_their_stretch_and_one_stays() -> None:
    numbers = Numbers(300, 10)
    ahead = numbers.ahead()
    ahead.use_decoders(4)
    found = [next(ahead) for _ in range(50)]
    ahead.use_decoders(1)
    found += taken(ahead)
    assert found == list(range(300))
    assert numbers.plain_calls == [], "the one that stays is ahead already"


def test_nothing_is_begun_beyond_the_end() -> None:
    numbers = Numbers(1000, 10, room=500)
    ahead = numbers.ahead()
    ahead.end_at(100)
    ahead.use_decoders(3)
    assert [next(ahead) for _ in range(100)] == list(range(100))
    assert numbers.made == 100
    ahead.close()
    assert numbers.open == numbers.closed


@pytest.mark.parametrize("error", [Stumbled("damaged"), OSError("gone"), MemoryError()], ids=type)
def test_one_decoder_goes_on_where_another_gave_up(error: BaseException) -> None:
    """Others help again from the next stretch on: they begin with the key frame after that."""
    numbers = Numbers(200, 10, broken={57: error})
    ahead = numbers.ahead()
    at_work = []

    def look(_: int) -> None:
        ahead.use_decoders(3)
        at_work.append(ahead.decoders)

    ahead.use_decoders(3)
    assert taken(ahead, look) == list(range(200))
    stumbled = error if isinstance(error, Stumbled) else None
    assert numbers.plain_calls == [(57, stumbled, 56)]
    assert at_work[57:59] == [1, 1]
    assert at_work[60:150] == [3] * 90
    assert numbers.open == numbers.closed == 6


def test_one_decoder_goes_on_for_longer_each_time() -> None:
    """A file that is damaged everywhere costs few attempts."""
    numbers = Numbers(2000, 10, broken={number: Stumbled("damaged") for number in range(5, 2000, 10)})
    ahead = numbers.ahead()
    ahead.use_decoders(3)
    assert taken(ahead, lambda _: ahead.use_decoders(3)) == list(range(2000))
    begins = [first for first, _, _ in numbers.plain_calls]
    assert begins == [5, 25, 55, 105, 195, 365, 695, 1345]
    assert numbers.open == numbers.closed


def test_a_video_without_key_frames_has_one_decoder() -> None:
    numbers = Numbers(100, 1000)
    ahead = numbers.ahead()
    ahead.use_decoders(4)
    assert ahead.decoders == 1
    assert taken(ahead) == list(range(100))
    assert numbers.open == 0


@pytest.mark.parametrize("what", ["straight", "careful"])
def test_damaged_and_timeless_videos_have_no_stretches(what: str) -> None:
    assert len(Stretches(index_of(100, 10, **{what: True}))) == 0


def test_closing_ends_those_who_wait_for_room() -> None:
    numbers = Numbers(1000, 100, room=20)
    ahead = numbers.ahead()
    ahead.use_decoders(4)
    next(ahead)
    ahead.close()
    assert numbers.open == numbers.closed == 3
    assert not any(thread.is_alive() for thread in ahead._threads)


@given(frames=st.integers(1, 300), gop=st.integers(1, 80), shortest=st.integers(1, 50))
def test_stretches_cover_the_video(frames: int, gop: int, shortest: int) -> None:
    stretches = Stretches(index_of(frames, gop), shortest)
    found = [stretches[number] for number in range(len(stretches))]
    assert [stretch.first for stretch in found] == [0, *(stretch.last for stretch in found[:-1])]
    assert found[-1].last == frames
    assert all(stretch.last - stretch.first >= min(shortest, frames) for stretch in found[:-1])
    for frame in range(frames):
        number = stretches.after(frame)
        assert number is None or found[number].first > frame
        assert number is None or found[number - 1].first <= frame


def test_it_counts_what_is_decoded_and_not_what_is_taken() -> None:
    numbers = Numbers(200, 10, room=40)
    ahead = numbers.ahead()
    assert [next(ahead), ahead.frames_decoded] == [0, 1]
    ahead.use_decoders(3)
    taken(ahead)
    assert ahead.frames_decoded == 200


def test_decoders_that_finish_their_stretch_still_count() -> None:
    """So a look at the others does not begin before they have left."""
    numbers = Numbers(300, 50, room=60)
    ahead = numbers.ahead()
    ahead.use_decoders(3)
    next(ahead)
    ahead.use_decoders(2)
    assert ahead.decoders == 3
    ahead.close()
