"""Names and numbers as people write them, turned into what the native encoder takes, or a clear error."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from .._errors import InvalidConfig

if TYPE_CHECKING:
    from fractions import Fraction
    from typing import TypeVar

    Value = TypeVar("Value")

FrameRate: TypeAlias = "int | float | str | Fraction | tuple[int, int]"

CODECS = {"h264": "h264", "avc": "h264", "hevc": "hevc", "h265": "hevc", "av1": "av1"}

TUNINGS = {
    "ll": "ll",
    "low_latency": "ll",
    "ull": "ull",
    "ultra_low_latency": "ull",
    "hq": "hq",
    "high_quality": "hq",
    "uhq": "uhq",
    "ultra_high_quality": "uhq",
    "lossless": "lossless",
}

PROFILES = {
    "h264": ("auto", "baseline", "main", "high", "high10", "high422", "high444"),
    "hevc": ("auto", "main", "main10", "rext"),
    "av1": ("auto", "main"),
}

LARGEST_UNSIGNED = 0xFFFFFFFF
LARGEST_EXTRA_DELAY = 64
MOST_FRAMES_AHEAD = 31
"""Frames that the driver keeps waiting for later ones: those that it looks at ahead, and B-frames."""


def codec_name(codec: str) -> str:
    return one_of("codec", codec, CODECS)


def tuning_name(tuning: str) -> str:
    return one_of("tuning", tuning, TUNINGS)


def profile_name(codec: str, profile: str) -> str:
    """As the native module names it: with the codec before it, since two codecs have a "main"."""
    known = {name: name if name == "auto" else f"{codec} {name}" for name in PROFILES[codec]}
    return one_of(f"profile for {codec}", profile, known)


def preset_number(preset: str) -> int:
    return one_of("preset", preset, {f"p{number}": number for number in range(1, 8)})


def even_size(name: str, value: int) -> int:
    size = whole(name, value, least=2)
    if size % 2:
        raise InvalidConfig(
            f"Expected an even {name}, got {name}={size}: NV12 has one pair of colour samples for each 2x2 pixels. "
            "Crop or pad the picture by one pixel."
        )
    return size


def whole(name: str, value: object, least: int = 0, most: int = LARGEST_UNSIGNED) -> int:
    """A whole number within bounds; anything with ``__index__`` is one, bool is not."""
    index = getattr(value, "__index__", None)
    if index is None or isinstance(value, bool):
        raise InvalidConfig(f"Expected a whole number from {least} to {most}, got {name}={value!r}.")
    try:
        number = int(index())
    except TypeError as error:  # an array has __index__ too, and refuses when asked
        raise InvalidConfig(f"Expected a whole number from {least} to {most}, got {name}={value!r}.") from error
    if not least <= number <= most:
        raise InvalidConfig(f"Expected a whole number from {least} to {most}, got {name}={number}.")
    return number


def frame_rate(fps: FrameRate) -> tuple[int, int]:
    """``30``, ``29.97``, ``"30000/1001"``, ``Fraction(24000, 1001)`` or ``(24000, 1001)``, in lowest terms.

    A float means the nearest fraction with a denominator up to 1001, so 23.976 is 24000/1001.
    """
    if isinstance(fps, int) and not isinstance(fps, bool):
        return whole("fps", fps, least=1), 1
    from fractions import Fraction  # imported late: it costs milliseconds, and whole rates do not need it

    try:
        if isinstance(fps, str) and "e" in fps.lower():  # Fraction would write "1e999999999" out in full
            raise ValueError("an exponent")
        rate = Fraction(*fps) if isinstance(fps, tuple) else Fraction(fps)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
        raise InvalidConfig(f"Expected a number or a fraction above 0, got fps={fps!r}.") from error
    if isinstance(fps, float):
        rate = _nearest_broadcast_rate(rate)
    if rate <= 0 or rate.numerator > LARGEST_UNSIGNED or rate.denominator > LARGEST_UNSIGNED:
        raise InvalidConfig(f"Expected a number or a fraction above 0, got fps={fps!r}.")
    return rate.numerator, rate.denominator


def _nearest_broadcast_rate(rate: Fraction) -> Fraction:
    """NTSC's rates are whole rates times 1000/1001, and people write them with two or three digits."""
    from fractions import Fraction

    slowed = Fraction(round(rate * 1001 / 1000) * 1000, 1001)
    if rate.denominator != 1 and abs(rate - slowed) < Fraction(1, 200):
        return slowed
    return rate.limit_denominator(1001)


def one_of(what: str, value: object, known: dict[str, Value]) -> Value:
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise InvalidConfig(f"Unknown {what} {value!r}. Expected one of {', '.join(known)}.")


def nearest(name: str, known: list[str]) -> str:
    """A sentence that offers the most similar name; empty if no name is similar."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
