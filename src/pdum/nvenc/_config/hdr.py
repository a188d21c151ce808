"""HDR10's static metadata: the mastering display and the content's light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from .._errors import InvalidConfig
from .settings import whole

Point: TypeAlias = "tuple[int, int]"
NativeDisplay: TypeAlias = "tuple[Point, Point, Point, Point, int, int]"


@dataclass(frozen=True, kw_only=True)
class MasteringDisplay:
    """The display on which the content was graded (SMPTE ST 2086): chromaticities in x and y, luminance in cd/m²."""

    red: tuple[float, float] = (0.708, 0.292)
    green: tuple[float, float] = (0.170, 0.797)
    blue: tuple[float, float] = (0.131, 0.046)
    white: tuple[float, float] = (0.3127, 0.3290)
    min_luminance: float = 0.0001
    max_luminance: float = 1000.0

    def __post_init__(self) -> None:
        for name in ("red", "green", "blue", "white"):
            point = getattr(self, name)
            if not _are_numbers(point) or len(point) != 2 or not all(0 <= value <= 1 for value in point):
                raise InvalidConfig(f"Expected x and y, both from 0 to 1, got mastering_display {name}={point!r}.")
        luminances = (self.min_luminance, self.max_luminance)
        if not _are_numbers(luminances) or not 0 <= self.min_luminance < self.max_luminance <= 400_000:
            raise InvalidConfig(
                "Expected a least luminance below the greatest, both from 0 to 400000 cd/m², got mastering_display "
                f"luminance from {self.min_luminance} to {self.max_luminance}."
            )

    def native(self, codec: str) -> NativeDisplay:
        """The form that the native module takes, in the units of the codec's own message."""
        is_av1 = codec == "av1"
        units = 1 << 16 if is_av1 else 50_000
        red, green, blue, white = (_point(one, units) for one in (self.red, self.green, self.blue, self.white))
        most = _fixed(self.max_luminance, 1 << 8 if is_av1 else 10_000)
        least = _fixed(self.min_luminance, 1 << 14 if is_av1 else 10_000)
        return red, green, blue, white, most, least


@dataclass(frozen=True)
class ContentLight:
    """The brightest pixel and the brightest frame's mean, in cd/m² (CTA-861.3: MaxCLL and MaxFALL)."""

    max_cll: int
    max_fall: int

    def __post_init__(self) -> None:
        for name in ("max_cll", "max_fall"):
            whole(f"content_light {name}", getattr(self, name), most=0xFFFF)

    def native(self) -> tuple[int, int]:
        """The form that the native module takes."""
        return self.max_cll, self.max_fall


def native(codec: str, display: object, light: object) -> dict[str, Any]:
    """Both in the form that the native module takes. Raises InvalidConfig for any other object."""
    for name, given, kind in (
        ("mastering_display", display, MasteringDisplay),
        ("content_light", light, ContentLight),
    ):
        if given is not None and not isinstance(given, kind):
            raise InvalidConfig(f"Expected a {kind.__name__}, got {name}={given!r}.")
    return {
        "mastering_display": display.native(codec) if isinstance(display, MasteringDisplay) else None,
        "content_light": light.native() if isinstance(light, ContentLight) else None,
    }


def _are_numbers(values: object) -> bool:
    return isinstance(values, tuple) and all(isinstance(one, (int, float)) for one in values)


def _point(point: tuple[float, float], units: int) -> Point:
    x, y = point
    return _fixed(x, units, 0xFFFF), _fixed(y, units, 0xFFFF)


def _fixed(value: float, units: int, most: int = 0xFFFFFFFF) -> int:
    return min(round(value * units), most)
