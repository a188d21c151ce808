"""Film grain of AV1: what decoders add to the pictures, so that it need not be coded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

from .._errors import InvalidConfig
from .settings import shown, whole
from .values import switch

Points: TypeAlias = "Sequence[tuple[int, int]]"
"""Sample values in ascending order, each with the strength of the grain there; between them lie straight lines."""

MOST_POINTS = {"luma": 14, "cb": 10, "cr": 10}
LARGEST_LAG = 3
NO_MIX = (192, 128, 256)
"""With this, the strength of the grain of a chroma plane follows its own samples."""


@dataclass(frozen=True, kw_only=True, repr=False)
class FilmGrain:
    """The grain of a picture, as in the frame header of AV1.

    ``FilmGrain.of_strength(30)`` is the same grain everywhere, and ``film_grain=30`` is short for that.

    Args:
        luma: up to 14 points: a sample value from 0 to 255, and the strength there.
        cb, cr: the same for the chroma planes, up to 10 points each. Both or none, and only together with ``luma``.
        chroma_from_luma: the chroma planes have the strength of ``luma`` at the place.
        scaling_shift: 8 to 11. One more halves the strength.
        lag: how far the pattern depends on its neighbours, 0 to 3.
        luma_coefficients: of the pattern, 2 * lag * (lag + 1) numbers from -128 to 127.
        cb_coefficients, cr_coefficients: the same, and one more, for the dependence on luma.
        coefficient_shift: 6 to 9: the coefficients are divided by two to the power of this.
        pattern_shift: 0 to 3: the pattern is divided by two to the power of this.
        cb_mix, cr_mix: which samples decide about the strength: factors of chroma and luma from 0 to 255, where 128
            is nothing, and an offset from 0 to 511, where 256 is nothing.
        overlap: blocks of the pattern overlap.
        restricted_range: the pictures with grain stay within the limited range.
        apply: False: no grain, such as from one picture on.
    """

    luma: Points = ()
    cb: Points = ()
    cr: Points = ()
    chroma_from_luma: bool = False
    scaling_shift: int = 11
    lag: int = 0
    luma_coefficients: Sequence[int] = ()
    cb_coefficients: Sequence[int] = (0,)
    cr_coefficients: Sequence[int] = (0,)
    coefficient_shift: int = 7
    pattern_shift: int = 0
    cb_mix: tuple[int, int, int] = NO_MIX
    cr_mix: tuple[int, int, int] = NO_MIX
    overlap: bool = True
    restricted_range: bool = False
    apply: bool = True

    @classmethod
    def of_strength(cls, strength: int, chroma: int = 0) -> FilmGrain:
        """Grain of the same strength at all samples, from 1 (hardly visible) to 255."""
        luma = ((0, strength), (255, strength))
        colour = ((0, chroma), (255, chroma)) if chroma else ()
        return cls(luma=luma, cb=colour, cr=colour)

    def __repr__(self) -> str:
        return shown(self)

    def __post_init__(self) -> None:
        for name, most in MOST_POINTS.items():
            object.__setattr__(self, name, _points(name, getattr(self, name), most))
        for name, least, greatest in NUMBERS:
            whole(f"film_grain.{name}", getattr(self, name), least, greatest)
        for name in ("chroma_from_luma", "overlap", "restricted_range", "apply"):
            switch(f"film_grain.{name}", getattr(self, name))
        count = 2 * self.lag * (self.lag + 1)
        for name, wanted in (("luma", count), ("cb", count + 1), ("cr", count + 1)):
            field = f"{name}_coefficients"
            object.__setattr__(self, field, _coefficients(field, getattr(self, field), wanted, self.lag))
        for name in ("cb_mix", "cr_mix"):
            object.__setattr__(self, name, _mix(name, getattr(self, name)))
        self._require_possible()

    def _require_possible(self) -> None:
        """What AV1 has no way to say."""
        if bool(self.cb) != bool(self.cr):
            raise InvalidConfig(f"Expected points for both chroma planes or none, got cb={self.cb!r}, cr={self.cr!r}.")
        if self.cb and self.chroma_from_luma:
            raise InvalidConfig(
                "cb and cr of film_grain do not work with chroma_from_luma=True, which takes luma's points. Choose one."
            )
        if self.cb and not self.luma:
            raise InvalidConfig("cb and cr of film_grain need points for luma, too.")

    def native(self) -> tuple[Any, ...]:
        """The form that the native module takes."""
        return (
            (self.apply, self.chroma_from_luma, self.overlap, self.restricted_range),
            (self.scaling_shift, self.lag, self.coefficient_shift, self.pattern_shift),
            (self.luma, self.cb, self.cr),
            (self.luma_coefficients, self.cb_coefficients, self.cr_coefficients),
            (self.cb_mix, self.cr_mix),
        )


NUMBERS = (("scaling_shift", 8, 11), ("lag", 0, LARGEST_LAG), ("coefficient_shift", 6, 9), ("pattern_shift", 0, 3))


def described(value: FilmGrain | int | None) -> FilmGrain | None:
    """Of a configuration or a picture, whose ``film_grain`` may be a strength alone."""
    if value is None or isinstance(value, FilmGrain):
        return value
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise InvalidConfig(f"Expected a strength from 1 to 255 or FilmGrain(…), got film_grain={value!r}.")
    return FilmGrain.of_strength(whole("film_grain", value, 1, 255))


def native(value: FilmGrain | int | None) -> tuple[Any, ...] | None:
    """The form that the native module takes."""
    grain = described(value)
    return None if grain is None else grain.native()


def native_of_picture(value: FilmGrain | int | None, codec: str, has_grain: bool) -> tuple[Any, ...] | None:
    """Of a picture's options, for an encoder that was made with grain or without."""
    if value is not None and (codec != "av1" or not has_grain):
        raise InvalidConfig(
            "film_grain of a picture needs an AV1 encoder that was made with film_grain. FilmGrain(apply=False) is "
            "none at first."
        )
    return native(value)


def _points(name: str, value: Points, most: int) -> tuple[tuple[int, int], ...]:
    try:
        pairs = tuple((whole(name, at, most=255), whole(name, strength, most=255)) for at, strength in value)
    except (TypeError, ValueError) as error:
        raise InvalidConfig(
            f"Expected pairs of a sample value and a strength, each from 0 to 255, got film_grain.{name}={value!r}."
        ) from error
    if len(pairs) > most or any(one[0] >= other[0] for one, other in pairwise(pairs)):
        raise InvalidConfig(f"Expected up to {most} points in ascending order, got film_grain.{name}={value!r}.")
    return pairs


def _coefficients(name: str, value: Sequence[int], count: int, lag: int) -> tuple[int, ...]:
    numbers = tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(numbers) != count:
        raise InvalidConfig(f"Expected {count} numbers with lag={lag}, got film_grain.{name}={value!r}.")
    return tuple(whole(f"film_grain.{name}", one, -128, 127) for one in numbers)


def _mix(name: str, value: Sequence[int]) -> tuple[int, int, int]:
    if not isinstance(value, (tuple, list)) or len(value) != 3:
        raise InvalidConfig(
            f"Expected a factor of chroma, one of luma, and an offset, got film_grain.{name}={value!r}."
        )
    chroma, luma, offset = (
        whole(f"film_grain.{name}", one, most=most) for one, most in zip(value, (255, 255, 511), strict=True)
    )
    return chroma, luma, offset
