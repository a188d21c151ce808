"""The settings of an encoder in the native module's form, each checked on its own."""

from __future__ import annotations

from typing import Any

from .._errors import InvalidConfig
from . import (
    alpha,
    attempts,
    coding,
    film_grain,
    hdr,
    interlacing,
    layers,
    motion_hints,
    picture_type,
    rates,
    stereo,
    values,
)
from .references import list_sizes
from .references import native as references_native
from .regions import MAP_MODES
from .settings import (
    MOST_FRAMES_AHEAD,
    codec_name,
    even_size,
    frame_rate,
    one_of,
    preset_number,
    profile_name,
    tuning_name,
    whole,
)

EncoderConfig = Any  # a module above this one, which calls it


def native_settings(config: EncoderConfig) -> dict[str, Any]:
    """All settings by their native names. Raises InvalidConfig, which names the field that is wrong."""
    codec = codec_name(config.codec)
    chroma, depth = stream_format(config)
    return {
        "codec": codec,
        "preset": preset_number(config.preset),
        "tuning": tuning_name(config.tuning),
        "profile": profile_name(codec, config.profile),
        "level": None if config.level is None else one_of(f"level of {codec}", config.level, values.LEVELS[codec]),
        "tier": None if config.tier is None else one_of("tier", config.tier, {"main": 0, "high": 1}),
        "format": surface_format(config, chroma, depth),
        "rgb_input": config.format == "rgb",
        "chroma": chroma,
        "bit_depth": depth,
        "width": size(config, "width"),
        "height": size(config, "height"),
        "max_width": whole("max_width", config.max_width),
        "max_height": whole("max_height", config.max_height),
        "fps": frame_rate(config.fps),
        "gop": values.gop(config.gop),
        "bframes": values.optional("bframes", config.bframes, most=MOST_FRAMES_AHEAD),
        "b_ref_mode": values.choice("b_ref_mode", config.b_ref_mode, ("off", "each", "middle", "hierarchical")),
        "weighted_prediction": values.flag("weighted_prediction", config.weighted_prediction),
        "temporal_filter": values.temporal_filter(config.temporal_filter),
        "unidirectional_b": values.flag("unidirectional_b", config.unidirectional_b),
        "colour": values.signalled_colour(config.colour, config.format, config.height).native(),
        **hdr.native(codec, config.mastering_display, config.content_light),
        "slices": values.slices(config.slices),
        "intra_refresh": values.intra_refresh(config.intra_refresh_period, config.intra_refresh_count),
        "split_encode": values.split(config.split_encode),
        "statistics": values.choice("statistics", config.statistics, ("picture", "rows", "blocks")),
        "sub_frames": values.switch("sub_frames", config.sub_frames),
        "reconstruction": values.switch("reconstruction", config.reconstruction),
        "attempts": attempts.native(codec, config.attempts),
        "time_code": values.switch("time_code", config.time_code),
        "qp_map": values.choice("qp_map", config.qp_map, MAP_MODES),
        "motion_hints": motion_hints.count(codec, config.motion_hints),
        "manual_types": picture_type.is_manual(config.picture_types),
        **coding.native(config, codec),
        "layers": layers.native(config.layers),
        "film_grain": film_grain.native(config.film_grain),
        "alpha": alpha.native(config.alpha),
        "stereo": stereo.native(config.stereo),
        "interlaced": interlacing.native(config.interlaced),
        "references": list_sizes(config.references, codec),
        **references_native(config.reference_frames, config.long_term_references, codec),
        **rates.native(config, codec),
    }


def stream_format(config: EncoderConfig) -> tuple[str, int]:
    """Chroma format and bit depth of the stream."""
    chroma, depth = values.FORMATS[config.format]
    return (
        one_of("chroma", config.chroma, {"auto": chroma, "420": "420", "422": "422", "444": "444"}),
        values.one_number("bit_depth", config.bit_depth, {0: depth, 8: 8, 10: 10}),
    )


def surface_format(config: EncoderConfig, chroma: str, depth: int) -> str:
    if config.format != "rgb":
        return str(config.format)
    if chroma == "422":
        raise InvalidConfig("chroma='422' does not work with format='rgb', which is converted to '420' or '444'.")
    return values.RGB_SURFACES[chroma, depth]


def size(config: EncoderConfig, name: str) -> int:
    can_be_full = values.FORMATS[config.format][0] == "444" or config.format == "rgb"
    full_resolution = can_be_full and stream_format(config)[0] == "444"
    value: int = getattr(config, name)
    return whole(name, value, least=1) if full_resolution else even_size(name, value)
