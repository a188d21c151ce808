"""Turns names and numbers as users write them into what the native encoder takes, or raises a clear error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from .._errors import InvalidConfig

if TYPE_CHECKING:
    from fractions import Fraction
    from typing import TypeVar

    Value = TypeVar("Value")

FrameRate: TypeAlias = "int | float | str | Fraction | tuple[int, int]"
Bits: TypeAlias = "int | float | str"
"""``8_000_000``, ``8e6`` or ``"8M"``."""

CODECS = {"h264": "h264", "avc": "h264", "hevc": "hevc", "h265": "hevc", "av1": "av1"}
CODECS_ELSEWHERE = {
    **dict.fromkeys(("h.264", "x264", "libx264", "h264_nvenc", "nvh264enc", "avc1"), "h264"),
    **dict.fromkeys(("h.265", "x265", "libx265", "hevc_nvenc", "nvh265enc", "hvc1", "hev1"), "hevc"),
    **dict.fromkeys(("av1_nvenc", "nvav1enc", "libsvtav1", "svt-av1", "libaom-av1", "av01"), "av1"),
}
"""The names of codecs in other tools and in files."""

NAMES_ELSEWHERE = {
    **dict.fromkeys(("crf", "quality", "quantizer"), "cq"),
    **dict.fromkeys(("gop_size", "gop_length", "keyint", "idr_period", "key_frame_interval", "g"), "gop"),
    **dict.fromkeys(("pix_fmt", "pixel_format", "fmt"), "format"),
    **dict.fromkeys(("framerate", "frame_rate", "rate"), "fps"),
    **dict.fromkeys(("b_frames", "max_b_frames", "bf"), "bframes"),
    **dict.fromkeys(("bit_rate", "average_bitrate"), "bitrate"),
    **dict.fromkeys(("maxrate", "maxbitrate", "peak_bitrate"), "max_bitrate"),
    **dict.fromkeys(("bufsize", "vbv_buffer_size"), "vbv_size"),
    **dict.fromkeys(("rc", "rc_mode"), "rate_control"),
    **dict.fromkeys(("qmin", "qp_min"), "min_qp"),
    **dict.fromkeys(("qmax", "qp_max"), "max_qp"),
    **dict.fromkeys(("tune", "tuning_info"), "tuning"),
    **dict.fromkeys(("gpu", "device", "device_id"), "gpu_id"),
    **dict.fromkeys(("rc_lookahead", "lookahead_depth"), "lookahead"),
    **dict.fromkeys(("color", "colorspace", "color_space"), "colour"),
    **dict.fromkeys(("sar", "aspect", "sample_aspect_ratio"), "sample_aspect"),
    **dict.fromkeys(("temporal_layers", "num_temporal_layers", "temporal_svc", "svc"), "layers"),
    **dict.fromkeys(("gray", "grey", "grayscale", "greyscale", "black_and_white"), "monochrome"),
    **dict.fromkeys(("field_order", "interlace", "fields", "top_field_first"), "interlaced"),
    **dict.fromkeys(("grain", "film_grain_params", "photon_noise"), "film_grain"),
    **dict.fromkeys(("mv_hevc", "mvhevc", "multiview", "views", "stereo3d", "spatial"), "stereo"),
    **dict.fromkeys(("alpha_layer", "transparency", "enable_alpha"), "alpha"),
    **dict.fromkeys(("coder", "entropy_coding"), "entropy"),
    **dict.fromkeys(("access_unit_delimiter", "access_unit_delimiters"), "aud"),
    **dict.fromkeys(("refs", "ref", "dpb", "dpb_size", "num_ref_frames", "max_ref_frames"), "references"),
    **dict.fromkeys(("ltr", "ltr_frames", "num_ltr_frames"), "long_term_references"),
    **dict.fromkeys(("subframe", "subframe_readback", "slice_output"), "sub_frames"),
    **dict.fromkeys(("recon", "reconstructed", "reconstructed_frames"), "reconstruction"),
    **dict.fromkeys(("dct8x8", "adaptive_transform"), "transform_8x8"),
    **dict.fromkeys(("loop_filter", "deblock", "no_deblock"), "deblocking"),
    **dict.fromkeys(("qp_cb_offset", "qp_cr_offset", "chroma_offset"), "chroma_qp_offset"),
    **dict.fromkeys(("cbr_padding", "bitstream_padding"), "filler_data"),
    **dict.fromkeys(("tile_columns", "tile_rows", "tile_cols"), "tiles"),
    "b_adapt": "adaptive_b",
}
"""Settings by the names that other tools have for them."""

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
NATIVE_PROFILES = {
    codec: {name: name if name == "auto" else f"{codec} {name}" for name in names} for codec, names in PROFILES.items()
}
"""The native module's names begin with the codec, because two codecs have a profile "main"."""
PRESETS = {f"p{number}": number for number in range(1, 8)}

LARGEST_UNSIGNED = 0xFFFFFFFF
LARGEST_EXTRA_DELAY = 64
MOST_FRAMES_AHEAD = 31
"""Frames that the driver keeps waiting for later ones: those that it looks at ahead, and B-frames."""


def codec_name(codec: str) -> str:
    if isinstance(codec, str) and codec.lower() in CODECS_ELSEWHERE:
        return CODECS_ELSEWHERE[codec.lower()]
    return one_of("codec", codec, CODECS)


def auto_codecs(kind: str, depth: int = 8, lossless: bool = False) -> tuple[str, ...]:
    """What ``codec="auto"`` means for files, by the kind of engine: the first that works and keeps the source's format.

    docs/quality.md has the sizes and times that decided between the software codecs. Few players take H.264 of 10 bits
    or without loss.
    """
    if kind == "nvenc":
        return "av1", "hevc", "h264"
    return ("hevc", "h264", "av1") if depth > 8 or lossless else ("h264", "hevc", "av1")


def tuning_name(tuning: str) -> str:
    return one_of("tuning", tuning, TUNINGS)


def profile_name(codec: str, profile: str) -> str:
    return one_of(f"profile for {codec}", profile, NATIVE_PROFILES[codec])


def preset_number(preset: str) -> int:
    return one_of("preset", preset, PRESETS)


def even_size(name: str, value: int) -> int:
    size = whole(name, value, least=2)
    if size % 2:
        raise InvalidConfig(
            f"Expected an even {name}, got {name}={size}: NV12 has one pair of colour samples for each 2x2 pixels. "
            "Crop or pad the picture by one pixel."
        )
    return size


def whole(name: str, value: object, least: int = 0, most: int = LARGEST_UNSIGNED, of: str = "") -> int:
    """A whole number within bounds; anything with ``__index__`` is one, bool is not.

    ``of`` is the codec that has these bounds, if others have different ones.
    """
    wanted = f"Expected a whole number from {least} to {most}{of and f' for {of}'}"
    index = getattr(value, "__index__", None)
    if index is None or isinstance(value, bool):
        raise InvalidConfig(f"{wanted}, got {name}={value!r}.")
    try:
        number = int(index())
    except TypeError as error:  # an array has __index__ too, and refuses when asked
        raise InvalidConfig(f"{wanted}, got {name}={value!r}.") from error
    if not least <= number <= most:
        raise InvalidConfig(f"{wanted}, got {name}={number}.")
    return number


def shown(value: Any) -> str:
    """A dataclass as one would write it: without the fields that have their defaults."""
    from dataclasses import fields  # which importing the package must not take the time for

    given = [one for one in fields(value) if getattr(value, one.name) != one.default]
    return f"{type(value).__name__}({', '.join(f'{one.name}={getattr(value, one.name)!r}' for one in given)})"


RATE_UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}


def bits(name: str, value: object, least: int = 0) -> int:
    """A number of bits, or of bits a second: ``8_000_000``, ``8e6``, ``"8M"``, ``"800k"``."""
    number = value
    if isinstance(value, str):
        number = _bits_of_text(value)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if isinstance(number, (str, float)):
        raise InvalidConfig(f'Expected a number of bits, such as 8_000_000, "8M" or "800k", got {name}={value!r}.')
    return whole(name, number, least)


def _bits_of_text(text: str) -> float | str:
    """The number, or the text itself if it is not a number."""
    stripped = text.strip().lower()
    unit = stripped[-1:] if stripped[-1:] in RATE_UNITS else ""
    try:
        return round(float(stripped.removesuffix(unit)) * RATE_UNITS[unit], 6)
    except ValueError:
        return text


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
    """NTSC's rates are whole rates times 1000/1001. Users write them with two or three digits."""
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
    """A sentence that offers the right name, or the most similar one; empty if no name is similar."""
    from difflib import get_close_matches

    if NAMES_ELSEWHERE.get(name) in known:
        return f" It is called {NAMES_ELSEWHERE[name]!r} here."
    near = get_close_matches(name, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""
