"""Settings that contradict each other, and what to do instead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .._errors import InvalidConfig
from . import alpha, attempts, coding, interlacing, layers, motion_hints, outputs, references, stereo
from .settings import MOST_FRAMES_AHEAD, codec_name, tuning_name
from .values import FORMATS, PROFILE_LIMITS, RGB_FORMATS

EncoderConfig = Any  # a module above this one, which calls it

LOW_LATENCY = ("ll", "ull")


def require_compatible(config: EncoderConfig) -> None:
    """Raises InvalidConfig for the first contradiction."""
    for rules in RULES:
        for contradiction in rules(config):
            raise InvalidConfig(contradiction)


def meant_mode(config: EncoderConfig) -> str:
    """The rate control that the fields name or imply, or the preset's if they say nothing."""
    if config.rate_control is not None:
        return str(config.rate_control).lower()
    if config.qp is not None:
        return "constqp"
    if config.cq is not None:
        return "vbr"
    tuning = tuning_name(config.tuning)
    return "constqp" if tuning == "lossless" else "cbr" if tuning in LOW_LATENCY else "vbr"


def may_have_b_frames(config: EncoderConfig) -> bool:
    """Whether B-frames are asked for, or left to a preset that may have some."""
    if config.bframes is None:
        return tuning_name(config.tuning) not in LOW_LATENCY
    return bool(config.bframes)


def _of_rates(config: EncoderConfig) -> Iterator[str]:
    mode, qp, cq = config.rate_control, config.qp, config.cq
    if config.max_bitrate and not config.bitrate and cq is None:
        yield f"max_bitrate={config.max_bitrate} needs bitrate or cq, got bitrate=0. Give the mean as bitrate."
    if 0 < config.max_bitrate < config.bitrate:
        yield f"max_bitrate={config.max_bitrate} is less than bitrate={config.bitrate}. Give at least that much."
    if meant_mode(config) == "constqp" and mode is not None and qp is None:
        yield "rate_control='constqp' needs qp. Give one number, or three: of I, P and B."
    if meant_mode(config) != "constqp" and qp is not None:
        yield f"qp={qp} does not work with rate_control={mode!r}. Use min_qp, max_qp or cq."
    if meant_mode(config) != "vbr" and cq is not None and mode is not None:
        yield f"cq={cq} does not work with rate_control={mode!r}: it is part of 'vbr'."
    if qp is not None and cq is not None:
        yield f"qp={qp} does not work with cq={cq}. Choose one."
    for name in ("bitrate", "vbv_size", "vbv_initial_delay", "strict_gop"):
        if qp is not None and getattr(config, name):
            yield f"qp={qp} does not work with {name}={getattr(config, name)}: constant quantisers keep no rate."
    if config.vbv_size and (config.vbv_initial_delay or 0) > config.vbv_size:
        yield (
            f"vbv_initial_delay={config.vbv_initial_delay} is more than vbv_size={config.vbv_size}. Give at most that "
            "much."
        )
    if config.low_delay_key_frame_scale is not None and meant_mode(config) != "cbr":
        yield (
            f"low_delay_key_frame_scale={config.low_delay_key_frame_scale} does not work with rate_control={mode!r} "
            f"and tuning={config.tuning!r}: it is part of 'cbr'."
        )


def _of_quantisers(config: EncoderConfig) -> Iterator[str]:
    bounds = {name: getattr(config, name) for name in ("min_qp", "max_qp", "initial_qp")}
    given = {name: _three(value) for name, value in bounds.items() if value is not None}
    if config.qp is not None:
        for name in given:
            yield f"{name}={bounds[name]} does not work with qp={config.qp}, which is constant already. Choose one."
    for low, high in (("min_qp", "max_qp"), ("min_qp", "initial_qp"), ("initial_qp", "max_qp")):
        if low in given and high in given and any(a > b for a, b in zip(given[low], given[high], strict=True)):
            yield f"{low}={bounds[low]} is more than {high}={bounds[high]}. Give at most that much."


def _of_tuning(config: EncoderConfig) -> Iterator[str]:
    tuning = tuning_name(config.tuning)
    if tuning == "lossless":
        for name in ("bitrate", "max_bitrate", "cq", "qp", "min_qp", "max_qp", "initial_qp"):
            value = getattr(config, name)
            if value if name.endswith("bitrate") else value is not None:
                yield (
                    f"{name}={value} does not work with tuning='lossless': such a stream takes the bits that it needs."
                )
        if config.rate_control is not None and meant_mode(config) != "constqp":
            yield (
                f"rate_control={config.rate_control!r} does not work with tuning='lossless': such a stream takes the "
                "bits that it needs."
            )
    if tuning in LOW_LATENCY and config.bframes:
        yield (
            f"bframes={config.bframes} does not work with tuning={tuning!r}: B-frames wait for later frames. Use "
            "tuning='hq'."
        )
    if tuning in LOW_LATENCY and config.lookahead:
        yield (
            f"lookahead={config.lookahead} does not work with tuning={tuning!r}: it waits for later frames. Use "
            "tuning='hq'."
        )


def _of_lookahead(config: EncoderConfig) -> Iterator[str]:
    """Settings that the driver silently ignores without lookahead."""
    if config.lookahead != 0:
        return
    for name in ("lookahead_level", "adaptive_i", "adaptive_b"):
        value = getattr(config, name)
        if value is not None and value is not False:
            yield f"{name}={value!r} needs frames to look ahead, got lookahead=0. Give lookahead, too."


def _of_structure(config: EncoderConfig) -> Iterator[str]:
    """How many frames a group has, and how many may wait."""
    bframes, lookahead = config.bframes or 0, config.lookahead or 0  # a preset's own numbers fit
    if 0 < (config.gop or 0) <= bframes:
        yield (
            f"gop={config.gop} does not work with bframes={config.bframes}: a group has to be longer than its "
            "B-frames. Give a larger gop, fewer bframes, or gop=0 for a single group."
        )
    if lookahead + bframes > MOST_FRAMES_AHEAD:
        yield (
            f"lookahead={config.lookahead} does not work with bframes={config.bframes}: together they are at most "
            f"{MOST_FRAMES_AHEAD}. Give fewer of one."
        )
    if config.intra_refresh_period and config.gop != 0:
        yield (
            f"intra_refresh_period={config.intra_refresh_period} does not work with gop={config.gop}: the driver "
            "refreshes only streams without further key frames. Give gop=0."
        )


def _of_references(config: EncoderConfig) -> Iterator[str]:
    """Only pictures that are coded in the order in which they come can be kept for later ones."""
    slots, manual = config.long_term_references, config.picture_types.lower() == "manual"
    if manual and may_have_b_frames(config):
        yield (
            f"picture_types='manual' does not work with bframes={config.bframes}: only the driver places B-frames. "
            "Give bframes=0."
        )
    if manual and config.lookahead != 0:
        yield (
            f"picture_types='manual' does not work with lookahead={config.lookahead}, by which the driver decides the "
            "types. Give lookahead=0."
        )
    if slots and may_have_b_frames(config):
        yield (
            f"long_term_references={slots} does not work with bframes={config.bframes}: only streams without B-frames "
            "have them. Give bframes=0."
        )
    if slots and config.reference_frames is not None and config.reference_frames <= slots:
        yield (
            f"long_term_references={slots} does not work with reference_frames={config.reference_frames}, which counts "
            f"them too. Give reference_frames={slots + 1} or more."
        )
    if slots and config.lookahead != 0:
        yield (
            f"long_term_references={slots} does not work with lookahead={config.lookahead}, with which the encoder "
            "decides about frames later. Give lookahead=0."
        )


def _of_outputs(config: EncoderConfig) -> Iterator[str]:
    yield from outputs.contradictions(config, may_have_b_frames(config))


def _of_attempts(config: EncoderConfig) -> Iterator[str]:
    yield from attempts.contradictions(config, may_have_b_frames(config))


def _of_hints(config: EncoderConfig) -> Iterator[str]:
    yield from motion_hints.contradictions(config, may_have_b_frames(config))


def _of_lists(config: EncoderConfig) -> Iterator[str]:
    yield from references.contradictions(config, may_have_b_frames(config))


def _of_layers(config: EncoderConfig) -> Iterator[str]:
    yield from layers.contradictions(config, may_have_b_frames(config))


def _of_fields(config: EncoderConfig) -> Iterator[str]:
    yield from interlacing.contradictions(config)


def _of_alpha(config: EncoderConfig) -> Iterator[str]:
    yield from alpha.contradictions(config)
    yield from stereo.contradictions(config)


def _of_bframes(config: EncoderConfig) -> Iterator[str]:
    count = config.bframes
    if count == 0 and config.settings()["b_ref_mode"] not in (None, "off"):
        yield (
            f"b_ref_mode={config.b_ref_mode!r} does not work with bframes=0: there is no B-frame to refer to. Give "
            "bframes."
        )
    if count == 0 and config.adaptive_b:
        yield (
            f"adaptive_b={config.adaptive_b} does not work with bframes=0: there is no B-frame to place. Give bframes."
        )
    if may_have_b_frames(config) and config.weighted_prediction:
        yield (
            f"weighted_prediction=True does not work with bframes={count}: weighted prediction works only without "
            "B-frames."
        )
    if may_have_b_frames(config) and config.intra_refresh_period:
        yield (
            f"intra_refresh_period={config.intra_refresh_period} does not work with bframes={count}: the encoder "
            "refreshes only streams without B-frames."
        )
    if config.temporal_filter and (count or 0) < LEAST_FILTERED:
        yield f"temporal_filter=True needs at least {LEAST_FILTERED} B-frames, got bframes={count}."


LEAST_FILTERED = 4
"""The temporal filter has too few pictures with fewer B-frames than these."""


def _of_codec(config: EncoderConfig) -> Iterator[str]:
    codec = codec_name(config.codec)
    profile = config.profile.lower()
    if codec == "h264" and profile == "baseline" and may_have_b_frames(config):
        yield f"bframes={config.bframes} does not work with profile='baseline', which has none. Use profile='main'."
    if codec == "h264" and config.settings()["split_encode"] not in (None, "off"):
        yield f"split_encode={config.split_encode!r} does not work with codec='h264': it is for HEVC and AV1."
    if codec == "h264" and tuning_name(config.tuning) == "uhq":
        yield (
            f"tuning={config.tuning!r} does not work with codec={config.codec!r}: it is for HEVC and AV1. Use "
            "tuning='hq', or another codec."
        )
    if codec == "hevc" and config.weighted_prediction and isinstance(config.split_encode, int):
        yield (
            f"weighted_prediction=True does not work with split_encode={config.split_encode!r}: HEVC has one or the "
            "other. Leave one out."
        )
    if codec == "h264" and config.tier is not None:
        yield f"tier={config.tier!r} does not work with codec='h264', which has none."
    if codec == "av1" and config.slices is not None:
        yield f"slices={config.slices!r} does not work with codec='av1', which has tiles instead."
    if codec == "h264" and tuning_name(config.tuning) == "lossless" and profile not in ("auto", "high444"):
        yield (
            f"profile={config.profile!r} does not work with tuning='lossless', which in H.264 takes profile='high444'."
        )


def _of_coding(config: EncoderConfig) -> Iterator[str]:
    yield from coding.contradictions(config, meant_mode(config))


def _of_maps(config: EncoderConfig) -> Iterator[str]:
    """Facts of NVIDIA's interface (NV_ENC_RC_PARAMS.qpMapMode): emphasis is for H.264 and does not go with AQ."""
    mode = None if config.qp_map is None else str(config.qp_map).lower()
    if mode is not None and tuning_name(config.tuning) == "lossless":
        yield f"qp_map={config.qp_map!r} does not work with tuning='lossless', which quantises nothing. Leave it out."
    if mode != "emphasis":
        return
    if codec_name(config.codec) != "h264":
        yield f"qp_map={config.qp_map!r} does not work with codec={config.codec!r}. Use H.264, or qp_map='delta'."
    for name in ("spatial_aq", "temporal_aq"):
        value = getattr(config, name)
        if value:
            yield f"qp_map={config.qp_map!r} does not work with {name}={value!r}. Choose one, or use qp_map='delta'."


def _of_format(config: EncoderConfig) -> Iterator[str]:
    if config.format == "rgb" and config.session()["copy"] == "never":
        yield (
            f"copy={config.copy!r} does not work with format='rgb', whose frames are converted and never read in "
            "place. Leave copy out."
        )


def _of_samples(config: EncoderConfig) -> Iterator[str]:
    """The engine turns RGB into either of two chroma formats and 8 bits into 10, and changes nothing else."""
    native = config.settings()
    own_chroma, own_depth = FORMATS[config.format]
    chroma, depth = native["chroma"], native["bit_depth"]
    wanted = ("420", "444") if config.format in ("rgb", *RGB_FORMATS) else (own_chroma,)
    if chroma not in wanted:
        yield (
            f"chroma={config.chroma!r} does not work with format={config.format!r}, which is coded as "
            f"{' or '.join(wanted)}."
        )
    if depth < own_depth:
        yield f"bit_depth={config.bit_depth} does not work with format={config.format!r}, which has {own_depth} bits."
    profile = config.profile.lower()
    most = PROFILE_LIMITS[native["codec"]].get(profile)
    if most is not None and (chroma > most[0] or depth > most[1]):
        yield (
            f"profile={config.profile!r} does not work with format={config.format!r}, chroma={config.chroma!r} and "
            f"bit_depth={config.bit_depth}: it goes up to 4:{most[0][1]}:{most[0][2]} and {most[1]} bits. "
            "profile='auto' fits."
        )


def _three(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple) else (value,) * 3


RULES = (
    _of_rates,
    _of_quantisers,
    _of_tuning,
    _of_lookahead,
    _of_structure,
    _of_references,
    _of_lists,
    _of_layers,
    _of_fields,
    _of_alpha,
    _of_bframes,
    _of_codec,
    _of_coding,
    _of_maps,
    _of_format,
    _of_samples,
    _of_outputs,
    _of_hints,
    _of_attempts,
)
