"""The values that a configuration's fields may have, turned into what the native encoder takes."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from .._errors import InvalidConfig
from .colour import ENGINES_OWN_MATRIX, KNOWN, Colour, convertible
from .settings import one_of, whole

Qp: TypeAlias = "int | tuple[int, int, int]"
"""One quantiser for all pictures, or those of I, P and B."""

FORMATS = {
    "nv12": ("420", 8),
    "p010": ("420", 10),
    "yuv420": ("420", 8),
    "yuv444": ("444", 8),
    "yuv444_10": ("444", 10),
    "nv16": ("422", 8),
    "p210": ("422", 10),
    "argb": ("420", 8),
    "abgr": ("420", 8),
    "ayuv": ("444", 8),
    "argb10": ("420", 10),
    "abgr10": ("420", 10),
    "rgb": ("420", 8),
}
"""The formats that the encoder reads, with the stream's chroma format and bit depth unless others are given."""

FORMATS_ELSEWHERE = {
    "rgb24": "rgb",
    **dict.fromkeys(("yuv420p", "i420", "iyuv"), "yuv420"),
    "p010le": "p010",
    "p210le": "p210",
    "yuv444p": "yuv444",
    "bgra": "argb",
    "bgr0": "argb",
    "x2rgb10le": "argb10",
    "x2bgr10le": "abgr10",
}
"""Names of FFmpeg and others for the same bytes. In "argb", A is the highest byte of a word, so B comes first."""

OTHER_ORDERS = {
    **dict.fromkeys(
        ("bgr", "bgr24"), 'Use format="rgb", and give frames with their channels reversed: frame[..., ::-1].'
    ),
    **dict.fromkeys(
        ("rgba", "rgb0"),
        'Use format="rgb", which takes arrays of shape (height, width, 4) and ignores alpha, or "abgr", which the '
        "engine converts with BT.601.",
    ),
    **dict.fromkeys(
        ("gray", "grey", "l", "mono"), 'Repeat the channel three times for format="rgb", or give "nv12" with 128 as UV.'
    ),
    "yuv420p10le": 'Use "p010": the bits are the high ones of 16, and U and V alternate.',
    "nv21": 'Swap U and V for "nv12".',
}
"""Formats that users have and the encoder does not take, each with what to do."""


def format_name(value: object) -> str:
    """Our name of a frame format, for any of its names."""
    lower = value.lower() if isinstance(value, str) else ""
    if lower in OTHER_ORDERS:
        raise InvalidConfig(f"Unknown format {value!r}. {OTHER_ORDERS[lower]}")
    return one_of("format", FORMATS_ELSEWHERE.get(lower, value), {name: name for name in FORMATS})


RGB_FORMATS = ("argb", "abgr", "argb10", "abgr10")

RGB_SURFACES = {("420", 8): "nv12", ("420", 10): "p010", ("444", 8): "yuv444", ("444", 10): "yuv444_10"}
"""The format that ``"rgb"`` frames are converted into, by the stream's chroma format and bit depth."""

H264_LEVELS = ["1", "1.1", "1.2", "1.3", *(level for n in range(2, 7) for level in (f"{n}", f"{n}.1", f"{n}.2"))]
HEVC_LEVELS = ["1", "2", "2.1", "3", "3.1", "4", "4.1", "5", "5.1", "5.2", "6", "6.1", "6.2"]
LEVELS: dict[str, dict[str, int]] = {
    "h264": {"1b": 9, **{level: round(float(level) * 10) for level in H264_LEVELS}},
    "hevc": {level: round(float(level) * 30) for level in HEVC_LEVELS},
    "av1": {f"{major}.{minor}": (major - 2) * 4 + minor for major in range(2, 8) for minor in range(4)},
}

PROFILE_LIMITS = {
    "h264": {
        "baseline": ("420", 8),
        "main": ("420", 8),
        "high": ("420", 8),
        "high10": ("420", 10),
        "high422": ("422", 10),
        "high444": ("444", 10),
    },
    "hevc": {"main": ("420", 8), "main10": ("420", 10), "rext": ("444", 10)},
    "av1": {"main": ("420", 10)},
}
"""The most chroma and the most bits that a profile has."""

LARGEST_QP = {"h264": 51, "hevc": 51, "av1": 255}
LARGEST_CQ = {"h264": 51.0, "hevc": 51.0, "av1": 63.0}


def one_number(name: str, value: int, known: dict[int, int]) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value in known:
        return known[value]
    raise InvalidConfig(f"Expected {' or '.join(map(str, known))}, got {name}={value!r}.")


def choice(name: str, value: str | None, known: tuple[str, ...]) -> str | None:
    return None if value is None else one_of(name, value, {one: one for one in known})


def optional(name: str, value: int | None, most: int = 0xFFFFFFFF) -> int | None:
    return None if value is None else whole(name, value, most=most)


def gop(value: int | None) -> int | None:
    """None if the preset decides."""
    try:
        return optional("gop", value)
    except InvalidConfig:
        raise InvalidConfig(
            f"Expected the number of frames from one key frame to the next, got gop={value!r}. Use gop=0 for no key "
            "frame after the first, or gop=None for the preset's own number."
        ) from None


def flag(name: str, value: bool | None) -> bool | None:
    """True, False, or None if the preset decides. Other values that Python treats as true or false are refused."""
    if value is None or isinstance(value, bool):
        return value
    raise InvalidConfig(f"Expected True or False, got {name}={value!r}.")


def switch(name: str, value: bool) -> bool:
    """A flag that no preset decides."""
    if isinstance(value, bool):
        return value
    raise InvalidConfig(f"Expected True or False, got {name}={value!r}.")


def qp(name: str, value: Qp | None, most: int) -> tuple[int, int, int] | None:
    if value is None:
        return None
    three = tuple(value) if isinstance(value, (tuple, list)) else (value,) * 3
    if len(three) != 3:
        raise InvalidConfig(f"Expected one number, or three for I, P and B, got {name}={value!r}.")
    intra, p, b = (whole(name, one, most=most) for one in three)
    return intra, p, b


def cq(value: float | None, most: float) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= most:
        raise InvalidConfig(f"Expected a number above 0 (best) and up to {most:g}, got cq={value!r}.")
    return max(1, round(value * 256))


def lookahead_level(value: int | str | None) -> int | None:
    if value is None:
        return None
    if isinstance(value, str) and value.lower() == "auto":
        return 15
    return whole("lookahead_level", value, most=3)


def aq_strength(value: bool | int | None) -> int:
    return 0 if value is None or isinstance(value, bool) else whole("spatial_aq", value, most=15)


def slices(value: int | tuple[str, int] | None) -> tuple[str, int] | None:
    if value is None:
        return None
    pair = tuple(value) if isinstance(value, (tuple, list)) else ("count", value)
    if len(pair) != 2:
        raise InvalidConfig(f"Expected one number, or a mode and a number, got slices={value!r}.")
    mode = one_of("mode of slices", pair[0], {one: one for one in ("macroblocks", "bytes", "rows", "count")})
    return mode, whole("slices", pair[1], least=1)


def temporal_filter(value: bool | None) -> int | None:
    on = flag("temporal_filter", value)
    return None if on is None else 4 if on else 0  # the interface has only the levels 0 and 4


def split(value: str | int | None) -> str | None:
    return (
        None
        if value is None
        else one_of("split_encode", str(value), {one: one for one in ("auto", "off", "2", "3", "4")})
    )


def intra_refresh(period: int, count: int) -> tuple[int, int] | None:
    whole("intra_refresh_period", period)
    whole("intra_refresh_count", count)
    if not period and not count:
        return None
    if not 0 < count < period:
        raise InvalidConfig(
            f"intra_refresh_count={count} does not work with intra_refresh_period={period}: a refresh "
            "takes at least one frame and has to end before the next begins."
        )
    return period, count


def signalled_colour(value: str | Colour, form: str, height: int) -> Colour:
    """What the stream says of its colours."""
    given = value if isinstance(value, Colour) else None
    if given is None:
        automatic = "bt709" if height >= 720 else "bt601"
        given = Colour.named(one_of("colour", value, {"auto": automatic, **{name: name for name in KNOWN}}))
    if form == "rgb":
        return convertible(given)
    if form not in RGB_FORMATS:
        return given
    engines = replace(given, matrix=ENGINES_OWN_MATRIX, full_range=False)
    if str(value).lower() != "auto" and given.native() != engines.native():
        raise InvalidConfig(
            f"colour={value!r} does not work with format={form!r}, which the engine itself converts "
            f"with BT.601 in limited range. Leave colour out, or give Colour(matrix={ENGINES_OWN_MATRIX!r})."
        )
    return engines
