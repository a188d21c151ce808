"""What is done to the pictures of a file before they are encoded: a few usual things, and any filter of FFmpeg's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .._errors import InvalidConfig
from .filter_text import parsed
from .filter_words import AUTO, BARE, DEINTERLACE, DENOISE
from .settings import FrameRate, frame_rate, one_of

TURNS_BY_WORD = {**dict.fromkeys(("none", "off", "no", ""), 0), "right": 90, "cw": 90, "left": 270, "ccw": 270}
KNOWN_HEIGHTS = {"hd": 720, "fhd": 1080, "qhd": 1440, "4k": 2160, "uhd": 2160, "8k": 4320}
NOTHING = ("", "off", "none", "no")
LARGEST = 32_768
AS_THE_OTHER_SIDE = ("", "-1", "-2", "0")
"""Ways to write a side that follows from the other one."""


@dataclass(frozen=True)
class Box:
    """Pictures are made smaller so that they fit into it, upright or on their side. Smaller ones stay as they are."""

    width: int
    height: int


@dataclass(frozen=True)
class Size:
    """The exact size. A side of 0 follows from the other one."""

    width: int
    height: int


@dataclass(frozen=True)
class Share:
    """A part of each side, in percent."""

    percent: float


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What is done to the pictures of a file, in this order: trim, deinterlace, crop, rotate, denoise, scale, fps, vf.

    Positions and sizes mean the picture as players show it. A phone's video may store it on its side.

    Args:
        scale: ``"1080p"`` makes larger pictures fit into 1920x1080; ``"1280x720"`` is an exact size; ``"1280x"`` and
            ``"x720"`` leave the other side to the shape of the picture; ``"50%"``.
        fps: frames a second, such as ``30`` or ``"30000/1001"``. Frames are repeated or left out.
        crop: ``"W:H:X:Y"`` keeps a part of the picture: its size, and the place of its upper left corner. ``"W:H"``
            keeps the middle. ``"auto"`` finds black bars and crops them off.
        deinterlace: ``"auto"`` takes the pictures that are marked as interlaced, if there are any; ``"always"`` takes
            all.
        denoise: ``"light"``, ``"medium"`` (or ``True``) or ``"strong"``.
        trim: ``"0:10-1:20"`` keeps what is shown from 10 to 80 seconds after the first frame; either end may be
            left out.
        rotate: 90, 180 or 270 degrees clockwise; ``"right"`` and ``"left"`` are 90 and 270.
        vf: any graph of FFmpeg's video filters with one input and one output.
    """

    scale: str = ""
    fps: FrameRate = ""
    crop: str = ""
    deinterlace: str = ""
    denoise: str = ""
    trim: str = ""
    rotate: int = 0
    vf: str = ""

    def __post_init__(self) -> None:
        checked = {
            "scale": _scale(self.scale),
            "fps": _fps(self.fps),
            "crop": _crop(self.crop),
            "deinterlace": _word("deinterlace", self.deinterlace, DEINTERLACE),
            "denoise": _word("denoise", self.denoise, DENOISE),
            "trim": _trim(self.trim),
            "rotate": _rotate(self.rotate),
            "vf": _vf(self.vf),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def target_size(self) -> Box | Size | Share | None:
        return None if not self.scale else _size_of(self.scale)

    @property
    def rate(self) -> Fraction | None:
        return Fraction(*frame_rate(self.fps)) if self.fps else None

    @property
    def crop_area(self) -> tuple[int, int, int | None, int | None] | None:
        """Width, height, and the upper left corner, if it is named. None as long as ``"auto"`` is to find them."""
        if self.crop in ("", AUTO):
            return None
        width, height, *corner = map(int, self.crop.split(":"))
        return (width, height, *corner) if corner else (width, height, None, None)  # type: ignore[return-value]

    @property
    def seconds(self) -> tuple[Fraction, Fraction | None]:
        """What ``trim`` keeps; None: to the end."""
        start, _, end = self.trim.partition("-")
        return _seconds(start) or Fraction(0), _seconds(end)

    @property
    def given(self) -> dict[str, Any]:
        """The filters that are used, by name, in the form in which two of them are compared."""
        return {name: getattr(self, name) for name in FILTERS if getattr(self, name)}


FILTERS = tuple(Filters.__dataclass_fields__)


def _wrong(name: str, value: object, wanted: str) -> InvalidConfig:
    return InvalidConfig(f"Expected {wanted}, got {name}={value!r}.")


def _text(name: str, value: Any, wanted: str = "text") -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or "\0" in value:
        raise _wrong(name, value, wanted)
    text = value.strip()
    return "" if text.lower() in NOTHING else text


def _vf(value: Any) -> str:
    text = _text("vf", ",".join(map(str, value)) if isinstance(value, (tuple, list)) else value)
    if text:
        parsed(text)  # raises if it is not a graph
    return text


def _word(name: str, value: Any, known: tuple[str, ...]) -> str:
    value = _unbared(name, value)
    return "" if value is None or str(value).lower() in NOTHING else one_of(name, value, {one: one for one in known})


def _unbared(name: str, value: Any) -> Any:
    """The value that True and False stand for, and their words."""
    if value is False:
        return ""
    return BARE[name] if value is True or str(value).lower() in ("on", "yes", "true") else value


def _rotate(value: Any) -> int:
    turn = int(value) if isinstance(value, str) and re.fullmatch(r"-?\d{1,3}", value) else value
    turn = TURNS_BY_WORD.get(str(value).lower(), turn)
    if isinstance(turn, bool) or not isinstance(turn, int) or turn % 90 or abs(turn) > 360:
        raise _wrong("rotate", value, "90, 180 or 270 degrees, clockwise")
    return turn % 360


def _fps(value: Any) -> str:
    if value in (None, 0) or str(value).lower() in NOTHING:
        return ""
    if isinstance(value, str) and re.fullmatch(r"\d+\.\d+", value):
        value = float(value)  # "29.97" means 30000/1001
    rate = Fraction(*frame_rate(value))
    if rate > 1000:
        raise _wrong("fps", value, "at most 1000 frames a second")
    return str(rate)


def _scale(value: Any) -> str:
    wanted = "a height such as '1080p', a size of 16 pixels or more such as '1280x720' or '1280x', or '50%'"
    if isinstance(value, (tuple, list)) and len(value) == 2:
        value = "x".join("" if side is None else str(side) for side in value)
    if isinstance(value, float) and value < 16:
        value = f"{value * 100:g}%"  # 0.5 is half
    text = _text("scale", str(value) if isinstance(value, int) and not isinstance(value, bool) else value, wanted)
    text = text.lower().replace(" ", "")
    if text and _size_of(text) is None:
        raise _wrong("scale", value, wanted)
    return text


def _size_of(text: str) -> Box | Size | Share | None:
    """The size that the text means; None if it is not a size."""
    if match := re.fullmatch(r"(\d{2,5})p|(\d{3,5})|([a-z4-8]+)", text):
        height = KNOWN_HEIGHTS.get(match[3], LARGEST) if match[3] else int(match[1] or match[2])
        return Box(round(height * 16 / 9 / 2) * 2, height) if height <= LARGEST // 2 else None
    if match := re.fullmatch(r"(\d{1,3}(?:\.\d+)?)%", text):
        percent = float(match[1])
        return Share(percent) if 1 <= percent <= 800 else None
    if match := re.fullmatch(r"(\d*|-[12])[x:×](\d*|-[12])", text):
        sides = [0 if side in AS_THE_OTHER_SIDE else int(side) for side in match.groups()]
        fits = any(sides) and all(side == 0 or 16 <= side <= LARGEST for side in sides)
        return Size(*sides) if fits else None
    return None


def _crop(value: Any) -> str:
    value = _unbared("crop", value)
    if isinstance(value, (tuple, list)):
        value = ":".join(map(str, value))
    text = _text("crop", value).lower().replace(" ", "")
    if text in ("", AUTO):
        return text
    match = re.fullmatch(r"(\d{1,5})[:x×](\d{1,5})(?:[:+](\d{1,5})[:+](\d{1,5}))?", text)
    if not match or not int(match[1]) or not int(match[2]):
        raise _wrong("crop", value, "'auto', or WIDTH:HEIGHT:X:Y in pixels such as '1920:800:0:140' or '1920:800'")
    return ":".join(str(int(number)) for number in match.groups() if number is not None)


def _trim(value: Any) -> str:
    if isinstance(value, (tuple, list)) and len(value) == 2:
        value = "-".join("" if one is None else str(one) for one in value)
    wanted = "a start and an end such as '0:10-1:20', '90-' or '-1:20'"
    text = re.sub(r"(?<=\d)s(?=-|$)", "", _text("trim", value, wanted).replace(" ", "").replace("–", "-"))
    if not text:
        return ""
    start, dash, end = text.partition("-")
    try:
        times = _seconds(start), _seconds(end)
    except ValueError:
        times = None, None
    if not dash or times == (None, None):
        raise _wrong("trim", value, wanted)
    if times[1] is not None and times[1] <= (times[0] or 0):
        raise _wrong("trim", value, "an end after the start")
    return "-".join("" if time is None else _decimal(time) for time in times)


def _seconds(text: str) -> Fraction | None:
    """Seconds from ``S``, ``M:S`` or ``H:M:S``, with decimals; None for no text. Raises ValueError otherwise."""
    if not text:
        return None
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d{1,9})?", text):
        raise ValueError(text)
    *above, seconds = text.split(":")
    if above and (float(seconds) >= 60 or any(int(part) >= 60 for part in above[1:])):
        raise ValueError(text)
    total = Fraction(seconds)
    for factor, part in zip((60, 3600), reversed(above), strict=False):
        total += factor * int(part)
    return total


def _decimal(seconds: Fraction) -> str:
    return f"{float(seconds):.9f}".rstrip("0").rstrip(".")
