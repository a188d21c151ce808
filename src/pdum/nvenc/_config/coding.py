"""The tools of a codec, and what else is in its stream: each setting's check, and what contradicts it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, TypeAlias

from .._errors import InvalidConfig
from .settings import codec_name, tuning_name, whole
from .values import choice, flag

EncoderConfig = Any  # a module above this one, which calls it

Aspect: TypeAlias = "str | Fraction | tuple[int, int]"
"""``"64:45"``, ``"64/45"``, ``(64, 45)`` or a fraction."""

ChromaOffset: TypeAlias = "int | tuple[int, int]"
"""One number for both planes, or those of Cb and Cr."""

Tiles: TypeAlias = "tuple[int, int]"
"""Columns and rows."""

LARGEST_ASPECT = 0xFFFF
OFFSETS = {"h264": (-12, 12), "hevc": (-12, 12), "av1": (-64, 63)}
TILE_COUNTS = (1, 2, 4, 8, 16, 32, 64)


def native(config: EncoderConfig, codec: str) -> dict[str, Any]:
    """The settings in the native module's form."""
    return {
        "aud": flag("aud", config.aud),
        "filler_data": flag("filler_data", config.filler_data),
        "sample_aspect": None if config.sample_aspect is None else aspect(config.sample_aspect),
        "entropy": choice("entropy", config.entropy, ("cabac", "cavlc")),
        "transform_8x8": flag("transform_8x8", config.transform_8x8),
        "deblocking": None if config.deblocking is None else _deblocking(config.deblocking),
        "constrained_intra": flag("constrained_intra", config.constrained_intra),
        "tiles": _tiles(config.tiles),
        "monochrome": flag("monochrome", config.monochrome),
        "single_slice_refresh": flag("single_slice_refresh", config.single_slice_refresh),
        "chroma_qp_offset": _chroma_offsets(config.chroma_qp_offset, codec),
    }


def aspect(value: Aspect) -> tuple[int, int]:
    """Width and height of a sample, in lowest terms."""
    try:
        ratio = _fraction(value)
    except (TypeError, ValueError, ZeroDivisionError):
        ratio = Fraction(0)
    if not 0 < max(ratio.numerator, ratio.denominator) <= LARGEST_ASPECT or ratio <= 0:
        raise InvalidConfig(
            "Expected the width of a sample by its height, such as (64, 45) or '64:45', each from 1 to "
            f"{LARGEST_ASPECT}, got sample_aspect={value!r}."
        )
    return ratio.numerator, ratio.denominator


def _fraction(value: Aspect) -> Fraction:
    if isinstance(value, str):
        value = tuple(int(part) for part in value.replace("/", ":").split(":"))  # type: ignore[assignment]
    if isinstance(value, (tuple, list)):
        width, height = (whole("sample_aspect", one, least=1) for one in value)
        return Fraction(width, height)
    if isinstance(value, bool) or not isinstance(value, (int, Fraction)):
        raise TypeError
    return Fraction(value)


def _deblocking(value: bool | str) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if not isinstance(value, str) or value.lower() != "within_slices":
        raise InvalidConfig(f"Expected True, False or 'within_slices', got deblocking={value!r}.")
    return value.lower()


def _tiles(value: Tiles | None) -> tuple[int, int] | None:
    if value is None:
        return None
    pair = tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(pair) != 2 or any(whole("tiles", one, 1, TILE_COUNTS[-1]) not in TILE_COUNTS for one in pair):
        raise InvalidConfig(
            f"Expected the columns and rows of tiles, such as (2, 2), each {', '.join(map(str, TILE_COUNTS[:-1]))} or "
            f"{TILE_COUNTS[-1]}, got tiles={value!r}."
        )
    columns, rows = pair
    return columns, rows


def _chroma_offsets(value: ChromaOffset | None, codec: str) -> tuple[int, int] | None:
    if value is None:
        return None
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2:
        raise InvalidConfig(f"Expected one number, or two for Cb and Cr, got chroma_qp_offset={value!r}.")
    least, most = OFFSETS[codec]
    cb, cr = (whole("chroma_qp_offset", one, least, most, codec) for one in pair)
    return cb, cr


def contradictions(config: EncoderConfig, meant_mode: str) -> Iterator[str]:
    """`meant_mode`: the rate control that the configuration names or implies."""
    codec, profile = codec_name(config.codec), config.profile.lower()
    yield from _only_in(config, codec)
    if config.filler_data and meant_mode != "cbr":
        yield (
            f"filler_data=True does not work with rate_control={config.rate_control!r} and tuning={config.tuning!r}: "
            "filler data keeps a constant bitrate. Give rate_control='cbr'."
        )
    if codec == "h264" and config.entropy == "cabac" and profile == "baseline":
        yield "entropy='cabac' does not work with profile='baseline'. Use profile='main', or entropy='cavlc'."
    if codec == "h264" and config.transform_8x8 and profile in ("baseline", "main"):
        yield f"transform_8x8=True does not work with profile={config.profile!r}. Use profile='high'."
    if config.chroma_qp_offset is not None and tuning_name(config.tuning) == "lossless":
        yield (
            f"chroma_qp_offset={config.chroma_qp_offset!r} does not work with tuning='lossless', which quantises "
            "nothing. Leave it out."
        )
    if config.single_slice_refresh and not config.intra_refresh_period:
        yield (
            "single_slice_refresh=True does not work with intra_refresh_period=0: there is no refresh. Give "
            "intra_refresh_period and intra_refresh_count."
        )
    yield from _of_two_offsets(config, codec, profile)
    if codec == "av1" and config.tiles is not None:
        yield from _of_tiles(config)
    if config.monochrome:
        yield from _of_monochrome(config, codec, profile)


ONLY_IN = {
    "aud": ("h264", "hevc"),
    "entropy": ("h264",),
    "transform_8x8": ("h264",),
    "deblocking": ("h264", "hevc"),
    "constrained_intra": ("h264", "hevc"),
    "single_slice_refresh": ("h264", "hevc"),
    "tiles": ("av1",),
    "film_grain": ("av1",),
    "interlaced": ("h264",),
    "alpha": ("hevc",),
    "stereo": ("hevc",),
}
"""The codecs that have a setting, if not all have it."""
NAMES = {"h264": "H.264", "hevc": "HEVC", "av1": "AV1"}


def _only_in(config: EncoderConfig, codec: str) -> Iterator[str]:
    for name, codecs in ONLY_IN.items():
        value = getattr(config, name)
        if value is not None and (name, value) not in (("alpha", False), ("stereo", False)) and codec not in codecs:
            yield (
                f"{name}={value!r} does not work with codec={config.codec!r}: it is for "
                f"{' and '.join(NAMES[one] for one in codecs)}. Leave it out, or use another codec."
            )


TILE_BLOCK = 64
"""Pixels of AV1's superblocks, which tiles are made of, in both directions."""
WIDEST_TILE = 4096
LARGEST_TILE = 4096 * 2304
"""In pixels, by AV1's tile_info()."""


def _of_tiles(config: EncoderConfig) -> Iterator[str]:
    asked, size = f"tiles={config.tiles!r}", f"{config.width}x{config.height}"
    columns, rows = config.tiles
    across, down = (-(-pixels // TILE_BLOCK) for pixels in (config.width, config.height))
    if columns > across or rows > down:
        yield (
            f"{asked} does not work with {size}, which has {across} columns and {down} rows of blocks of "
            f"{TILE_BLOCK}x{TILE_BLOCK} pixels. Give at most as many."
        )
    if across * TILE_BLOCK > columns * WIDEST_TILE:
        yield f"{asked} does not work with {size}: a tile is at most {WIDEST_TILE} pixels wide. Give more columns."
    if across * down * TILE_BLOCK**2 > columns * rows * LARGEST_TILE:
        yield f"{asked} does not work with {size}: a tile has at most 4096x2304 pixels. Give more columns or rows."


COLOUR_PROFILES = {"h264": ("baseline", "main"), "hevc": ("main", "main10"), "av1": ()}
"""Profiles whose streams always have colour."""


def _of_monochrome(config: EncoderConfig, codec: str, profile: str) -> Iterator[str]:
    chroma = config.settings()["chroma"]
    if chroma != "420":
        yield (
            f"monochrome=True does not work with format={config.format!r} and chroma={config.chroma!r}: only frames of "
            "4:2:0 become monochrome. Use format='nv12'."
        )
    if profile in COLOUR_PROFILES[codec]:
        yield f"monochrome=True does not work with profile={config.profile!r}, which has colour. profile='auto' fits."
    if config.chroma_qp_offset is not None:
        yield f"monochrome=True does not work with chroma_qp_offset={config.chroma_qp_offset!r}. Leave it out."
    if config.film_grain is not None and (config.film_grain.cb or config.film_grain.chroma_from_luma):
        yield f"monochrome=True does not work with film_grain={config.film_grain}, which has chroma. Give luma only."


def _of_two_offsets(config: EncoderConfig, codec: str, profile: str) -> Iterator[str]:
    pair = _chroma_offsets(config.chroma_qp_offset, codec)
    if pair is None or pair[0] == pair[1]:
        return
    if codec == "av1":
        yield (
            f"chroma_qp_offset={config.chroma_qp_offset!r} does not work with codec='av1', in which NVENC has one "
            "number for both planes. Give one number."
        )
    if codec == "h264" and profile in ("baseline", "main"):
        yield (
            f"chroma_qp_offset={config.chroma_qp_offset!r} does not work with profile={config.profile!r}, which has "
            "one number for both planes. Give one number, or use profile='high'."
        )
