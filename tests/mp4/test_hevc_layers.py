"""Video parameter sets of two layers: alpha becomes a second view, whatever else they say, and all else stays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as some

from pdum.nvenc._mp4.bits import nal_units, with_emulation, without_emulation
from pdum.nvenc._mp4.hevc_layers import has_alpha, with_view_for_alpha

pytestmark = pytest.mark.one_abi

START = b"\0\0\0\1"
VIEW, AUXILIARY = 1, 3


@dataclass(frozen=True)
class Vps:
    """A set, and what it says of its second layer: for each kind of dimension, how many bits, and the layer's value."""

    layers: int
    profiles: tuple[tuple[bool, bool], ...]
    all_orders: bool
    sets: int
    timing: tuple[int, int] | None
    buffers: int
    extension: bool
    dimensions: tuple[tuple[int, int, int], ...]
    number: int | None
    view_ids: tuple[int, ...]
    """How many bits they have, and then each."""
    rest: str

    def unit(self) -> bytes:
        bits = self._begin() + (self._extension() if self.extension else "0") + self.rest + "1"
        bits += "0" * (-len(bits) % 8)
        return b"\x40\x01" + with_emulation(int(bits, 2).to_bytes(len(bits) // 8, "big"))

    def _begin(self) -> str:
        below = len(self.profiles)
        orders = below + 1 if self.all_orders else 1
        timing = "0"
        if self.timing is not None:
            timing = "1" + fixed(1, 32) + fixed(25, 32) + "1" + golomb(self.timing[0]) + golomb(self.buffers)
        return "".join((
            "0000" + "11" + fixed(self.layers - 1, 6) + fixed(below, 3) + "1" + "1" * 16,
            "1" * 8 + "0" * 80 + fixed(93, 8) + self._below(with_profile=True),
            fixed(self.all_orders, 1) + "".join(golomb(4) + golomb(2) + golomb(0) for _ in range(orders)),
            fixed(self.layers - 1, 6) + golomb(self.sets) + "1" * self.layers * self.sets,
            timing,
        ))  # fmt: skip

    def _below(self, with_profile: bool) -> str:
        found = "".join(fixed(profile and with_profile, 1) + fixed(level, 1) for profile, level in self.profiles)
        if self.profiles:
            found += "00" * (8 - len(self.profiles))
        return found + "".join("1" * 88 * (one and with_profile) + fixed(60, 8) * level for one, level in self.profiles)

    def _extension(self) -> str:
        kinds = [kind for kind, _, _ in self.dimensions]
        begun = len(self._begin()) + 1
        return "".join((
            "1" + "1" * (-begun % 8) + fixed(93, 8) + self._below(with_profile=False),
            "0" + "".join("01"[kind in kinds] for kind in range(16)),
            "".join(fixed(length - 1, 3) for _, length, _ in self.dimensions),
            "0" if self.number is None else "1" + fixed(self.number, 6),
            "".join(fixed(value, length) for _, length, value in self.dimensions),
            fixed(self.view_ids[0] if self.view_ids else 0, 4),
            "".join(fixed(one, self.view_ids[0]) for one in self.view_ids[1:]),
        ))  # fmt: skip


def fixed(value: int, length: int) -> str:
    return f"{value:0{length}b}" if length else ""


def golomb(value: int) -> str:
    digits = f"{value + 1:b}"
    return "0" * (len(digits) - 1) + digits


@some.composite
def with_alpha(draw: some.DrawFn) -> Vps:
    """The second layer may also count as another view, as x265 writes it."""
    view = draw(some.sampled_from([None, 0, 1]))
    alpha = (AUXILIARY, length := draw(some.integers(1, 8)), 1 % (1 << length) or 1)
    bits = draw(some.integers(0, 3))
    ids = [draw(some.integers(0, (1 << bits) - 1)) for _ in range(2 if view else 1)] if bits else []
    return Vps(
        layers=2,
        profiles=tuple(draw(some.lists(some.tuples(some.booleans(), some.booleans()), max_size=6))),
        all_orders=draw(some.booleans()),
        sets=draw(some.integers(0, 3)),
        timing=draw(some.none() | some.tuples(some.integers(0, 9), some.just(0))),
        buffers=0,
        extension=True,
        dimensions=((VIEW, 1, view), alpha) if view is not None else (alpha,),
        number=draw(some.none() | some.integers(0, 62)),
        view_ids=(bits, *ids) if bits else (),
        rest=draw(some.text("01", max_size=90)),
    )


@given(with_alpha())
def test_alpha_becomes_a_view(vps: Vps) -> None:
    view = replace(vps, dimensions=((VIEW, 1, 1),), view_ids=(1, 0, 1))
    unit = vps.unit()
    assert has_alpha(START + unit)
    made = with_view_for_alpha(unit)
    assert made == view.unit()
    assert list(nal_units(START + made)) == [made]
    assert not has_alpha(START + made)
    assert with_view_for_alpha(made) == made


@given(with_alpha(), some.data())
def test_other_sets_stay(vps: Vps, data: some.DataObject) -> None:
    other = data.draw(
        some.sampled_from([
            replace(vps, extension=False),
            replace(vps, layers=1),
            replace(vps, layers=3),
            replace(vps, dimensions=((AUXILIARY, 2, 2),)),  # of depth
            replace(vps, dimensions=((VIEW, 1, 1),)),
            replace(vps, timing=(3, 0), buffers=1),
        ])
    )  # fmt: skip
    unit = other.unit()
    assert with_view_for_alpha(unit) == unit
    assert not has_alpha(START + unit)


@given(with_alpha(), some.integers(0, 80), some.binary(max_size=6))
def test_damage_raises_nothing(vps: Vps, place: int, other: bytes) -> None:
    unit = vps.unit()
    for spoilt in (unit[:place], unit[:place] + other, unit[:place] + other + unit[place + len(other) :]):
        if len(spoilt) >= 2:
            with_view_for_alpha(spoilt)


@given(some.lists(some.sampled_from([0, 0, 0, 1, 2, 3, 4, 255]), max_size=30).map(bytes))
def test_emulation(unit: bytes) -> None:
    made = with_emulation(unit)
    assert without_emulation(made) == unit
    assert not any(unit in made for unit in (b"\0\0\0", b"\0\0\1", b"\0\0\2"))


@given(some.integers(1, 63).filter(lambda kind: kind != 32), some.binary(max_size=40))
def test_other_units_stay(kind: int, payload: bytes) -> None:
    unit = bytes((kind << 1, 1)) + payload
    assert with_view_for_alpha(unit) == unit
