"""How many decoders an engine gets. A model of an engine and of decoders of any rates stands for the real ones."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdum.nvenc._pool.supply import STARVING, Chooser, Look

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


def test_few_steps_are_needed() -> None:
    assert settled(800.0, 100.0)[:3] == [2, 4, 8]


def test_an_engine_that_hardly_waits_has_one() -> None:
    assert set(settled(100.0, 97.0)) == {1}
