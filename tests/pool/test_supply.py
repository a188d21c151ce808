"""How many decoders an engine gets. A model of an engine and of decoders of any rates stands for the real ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdum.nvenc import EngineInfo, events
from pdum.nvenc._pool import supply
from pdum.nvenc._pool.supply import FIRST_FRAMES, SHORTEST_LOOK, STARVING, Chooser, Feed, Look, Supply

pytestmark = pytest.mark.one_abi


def seen(engine: float, each: float, decoders: int, chips: int = 99) -> Look:
    """One second with an engine and decoders of these rates. More decoders than chips share them."""
    supply = each * min(decoders, chips)
    rate = min(engine, supply)
    return Look(
        decoders=decoders, frames=round(rate * 1000), seconds=1000.0,
        engine_waited=1000 * (1 - rate / engine), idle=1000 * decoders * (1 - rate / supply),
    )  # fmt: skip


def settled(engine: float, each: float, chips: int = 99, looks: int = 40, begin: int = 1) -> list[int]:
    chooser, decoders, found = Chooser(), begin, []
    for _ in range(looks):
        decoders = chooser.choose(seen(engine, each, decoders, chips))
        found.append(decoders)
    return found


@given(engine=st.floats(10, 2000), each=st.floats(50, 500))
def test_an_engine_gets_what_it_needs_and_keeps_it(engine: float, each: float) -> None:
    found = settled(engine, each)
    least = ceil(engine * (1 - STARVING) / each - 1e-6)
    assert found[-1] in range(max(1, least), ceil(engine / each) + 2)
    assert len(set(found[-20:])) == 1


@given(engine=st.floats(10, 2000), each=st.floats(50, 500), begin=st.integers(2, 16))
def test_decoders_that_are_not_needed_are_taken_away(engine: float, each: float, begin: int) -> None:
    found = settled(engine, each, begin=begin)
    assert found[-1] <= max(ceil(engine / each) + 1, 1)


@pytest.mark.parametrize("chips", [1, 2, 3])
def test_decoders_that_do_not_help_are_taken_away(chips: int) -> None:
    """The chips are all busy. Later, one more is tried again."""
    found = settled(1000.0, 100.0, chips, looks=30)
    assert chips <= found[-1] < 2 * chips
    assert len(set(found[5:])) == 1
    assert len(set(settled(1000.0, 100.0, chips, looks=200)[30:])) == 2


def test_they_are_taken_away_one_by_one() -> None:
    """Each look may err."""
    found = [8, *settled(100.0, 100.0, begin=8)]
    assert all(before - after in (0, 1) for before, after in pairwise(found))


def test_a_decoder_that_ends_the_waiting_stays() -> None:
    """The engine cannot be faster, so the decoders are not, either."""
    chooser = Chooser()
    assert chooser.choose(Look(decoders=2, frames=600, seconds=1, engine_waited=0.1, idle=0)) == 3
    assert chooser.choose(Look(decoders=3, frames=600, seconds=1, engine_waited=0.0, idle=0.5)) == 3


def test_few_steps_are_needed() -> None:
    assert settled(800.0, 100.0)[:3] == [2, 4, 8]


def test_an_engine_that_hardly_waits_has_one() -> None:
    assert set(settled(100.0, 97.0)) == {1}


@dataclass
class Scene:
    """An engine, its frames and a clock that a test moves."""

    now: float = 0.0
    decoders: int = 1
    decoders_on_processor: int = 0
    idle_seconds: float = 0.0
    frames_a_round: int = 1
    frames_decoded: int = 0
    is_all_begun: bool = False
    most: int = 8
    chips: int = 1
    taker_waited: float = 0.0
    wanted: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    told: list[tuple[int, int]] = field(default_factory=list)

    def fair_share(self, engines: int) -> int:
        return max(1, self.chips // engines)

    def use_decoders(self, wanted: int) -> None:
        self.wanted.append(wanted)
        self.decoders = min(wanted, self.most)

    def end_at(self, last: int) -> None:
        self.ends.append(last)

    def emit(self, kind: type[events.Event], **values: Any) -> None:
        assert kind is events.DecodersChanged
        self.told.append((values["decoders"], values["on_processor"]))

    def passes(self, feed: Feed, frames: int, seconds: float, waited: float) -> None:
        self.now += seconds
        self.taker_waited += waited
        self.frames_decoded += frames
        feed.made(frames)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = Scene(now=100.0)
    monkeypatch.setattr(supply, "monotonic", lambda: made.now)
    return made


def supply_for(scene: Scene, engines: int = 1) -> Supply:
    return Supply(EngineInfo(index=0, kind="nvenc", gpu_id=0), scene.emit, lambda: engines)


def begun(scene: Scene) -> tuple[Supply, Feed]:
    """Behind the first frames, which tell nothing."""
    one = supply_for(scene)
    feed = one.begin(scene, cast(Any, scene))
    assert feed is not None
    scene.passes(feed, FIRST_FRAMES, 10.0, 10.0)
    return one, feed


def test_frames_that_nobody_decodes_have_no_decoders(scene: Scene) -> None:
    one = supply_for(scene)
    assert one.begin(iter([1, 2]), cast(Any, scene)) is None
    assert one.decoders == (0, 0)


def test_an_engine_that_waits_gets_another_and_says_so(scene: Scene) -> None:
    one, feed = begun(scene)
    scene.passes(feed, 10, SHORTEST_LOOK, SHORTEST_LOOK / 2)
    assert (scene.wanted, one.decoders, scene.told) == ([1, 2], (2, 0), [(2, 0)])


def test_the_first_frames_and_short_times_tell_nothing(scene: Scene) -> None:
    _, feed = begun(scene)
    scene.passes(feed, 10, SHORTEST_LOOK / 2, SHORTEST_LOOK / 2)
    assert scene.wanted == [1]


def test_a_pause_is_no_waiting(scene: Scene) -> None:
    _, feed = begun(scene)
    scene.now += 60.0
    scene.taker_waited += 60.0
    feed = feed.anew()
    scene.passes(feed, FIRST_FRAMES, 0.1, 0.0)
    scene.passes(feed, 10, SHORTEST_LOOK, 0.0)
    assert scene.wanted == [1]


def test_events_do_not_follow_fast(scene: Scene) -> None:
    _, feed = begun(scene)
    for _ in range(40):
        scene.decoders_on_processor ^= 1
        scene.passes(feed, 10, SHORTEST_LOOK, 0.0)
    assert len(scene.told) <= 40 * SHORTEST_LOOK + 1


def test_decoders_that_were_not_to_be_had_are_asked_for_again(scene: Scene) -> None:
    _, feed = begun(scene)
    scene.most = 1
    scene.passes(feed, 10, SHORTEST_LOOK, SHORTEST_LOOK / 2)
    assert scene.decoders == 1
    scene.most = 8
    scene.passes(feed, 1, 0.0, 0.0)
    assert scene.decoders == 2


def test_the_end_of_a_file_tells_nothing(scene: Scene) -> None:
    """Decoders leave there, because nothing is left to begin."""
    _, feed = begun(scene)
    scene.is_all_begun = True
    scene.passes(feed, 10, SHORTEST_LOOK, SHORTEST_LOOK / 2)
    assert scene.wanted == [1]


@pytest.mark.parametrize(("chips", "engines", "share"), [(7, 1, 7), (7, 3, 2), (4, 2, 2), (1, 2, 1), (0, 1, 1)])
def test_the_first_file_begins_with_the_engines_share_of_the_chips(
    scene: Scene, chips: int, engines: int, share: int
) -> None:
    scene.chips = chips
    one = supply_for(scene, engines)
    one.begin(scene, cast(Any, scene))
    assert (scene.wanted, one.decoders) == ([share], (share, 0))


def test_the_next_file_begins_with_what_was_learned(scene: Scene) -> None:
    one, feed = begun(scene)
    scene.passes(feed, 10, SHORTEST_LOOK, SHORTEST_LOOK / 2)
    following = Scene(chips=7)
    one.begin(following, cast(Any, following))
    assert following.wanted == [2]
