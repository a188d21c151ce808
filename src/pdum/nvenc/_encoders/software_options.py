"""Translates an ``EncoderConfig`` for the software codecs, as closely as possible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._config.settings import preset_number, tuning_name
from .._errors import InvalidConfig, UnsupportedFeature
from .pixel_formats import STREAM_FORMATS
from .software_tools import tool_options

if TYPE_CHECKING:
    from .._config.config import EncoderConfig

CODECS = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1"}

LEAST_SIZE = {"h264": 1, "hevc": 16, "av1": 4}
"""Width and height of the smallest pictures that x264, x265 and SVT-AV1 take."""

# From the fastest to the best. Hardware's p1 is no worse than the second fastest of each software codec.
X26_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow")
SVT_PRESETS = (9, 8, 8, 7, 6, 5, 4)
"""From 10 on, SVT-AV1 warns of damage, and its lossless streams cannot be decoded."""
SVT_LOW_LATENCY_PRESETS = (11, 10, 9, 9, 8, 7, 6)
SVT_MOST_PARALLEL = 4
"""The highest used level of parallelism, of six. Higher ones take 0.25 s longer to start and are no faster."""

X26_PROFILES = {
    "h264 baseline": "baseline",
    "h264 main": "main",
    "h264 high": "high",
    "h264 high10": "high10",
    "h264 high422": "high422",
    "h264 high444": "high444",
    "hevc main": "main",
    "hevc main10": "main10",
}

NEVER = (
    "initial_qp",
    "multipass",
    "lookahead_level",
    "low_delay_key_frame_scale",
    "strict_gop",
    "nonref_p",
    "temporal_filter",
    "unidirectional_b",
    "split_encode",
    "vbv_initial_delay",
    "qp_map",
)
"""Settings that only the hardware has. None is the default of each."""

PER_PICTURE = ("time_code", "motion_hints", "long_term_references")
"""Settings for what single pictures carry, which software does not take."""

OUTPUTS = ("statistics", "reconstruction", "sub_frames", "attempts")
"""Settings for what packets bring besides their bytes. Leaving one out would leave its user with None."""

NOT_IN_SVT = (
    "reference_frames",
    "b_ref_mode",
    "adaptive_i",
    "adaptive_b",
    "level",
    "tier",
    "temporal_aq",
    "weighted_prediction",
)

UNBOUNDED_GOP = 1 << 20
PRESETS_GOP = 250
"""Of NVENC's presets for files. Those for low latency have no key frame after the first."""
AVX512_MACROBLOCKS = 8
"""How many pictures are handled at once."""


@dataclass
class Software:
    """How a codec's context is opened."""

    codec: str
    pix_fmt: str
    rate: Fraction
    gop: int
    colour: tuple[int, int, int, bool]
    options: dict[str, str] = field(default_factory=dict)
    """FFmpeg's options."""
    params: dict[str, str] = field(default_factory=dict)
    """The codec's own options, under its own names."""
    bitrate: int = 0
    max_bitrate: int = 0
    vbv: int = 0
    bframes: int | None = None
    sample_aspect: tuple[int, int] | None = None
    low_latency: bool = False
    """Threads share each picture, so that none waits for later ones. Otherwise each thread has its own pictures."""
    unmapped: list[str] = field(default_factory=list)

    def all_options(self) -> dict[str, str]:
        own = {"libx264": "x264-params", "libx265": "x265-params", "libsvtav1": "svtav1-params"}[self.codec]
        rates = {"maxrate": self.max_bitrate, "bufsize": self.vbv}
        given = {name: str(value) for name, value in rates.items() if value}
        joined = ":".join(f"{name}={value}" for name, value in self.params.items())
        return {**self.options, **given, **({own: joined} if joined else {})}


def software_options(config: EncoderConfig, threads: int) -> Software:
    """The options for the software codec. ``unmapped`` names the settings that it has no equivalent for."""
    settings = config.settings()
    codec = settings["codec"]
    pix_fmt = STREAM_FORMATS[settings["chroma"], settings["bit_depth"]]
    if codec == "av1" and settings["chroma"] != "420":
        raise UnsupportedFeature(
            f"chroma={settings['chroma']!r} does not work with AV1 in software: SVT-AV1 encodes only 4:2:0. Use "
            "codec='hevc' or 'h264'."
        )
    if codec == "av1" and settings["bit_depth"] > 8 and tuning_name(config.tuning) == "lossless":
        raise UnsupportedFeature(
            "tuning='lossless' does not work with AV1 of 10 bits, which SVT-AV1 does not keep exactly. Use "
            "codec='hevc'."
        )
    if not takes_size(codec, config.width, config.height):
        raise InvalidConfig(
            f"{CODECS[codec]} does not work with {config.width}x{config.height}: it takes no picture smaller than "
            f"{LEAST_SIZE[codec]}x{LEAST_SIZE[codec]}. Use codec='h264', which takes any size."
        )
    if settings["stereo"] is not None:
        raise UnsupportedFeature(
            "stereo=True does not work in software: x265 codes one view here. Use NvencEncoder, or encode each "
            "view into a file of its own."
        )
    for name in OUTPUTS:
        if getattr(config, name):
            raise UnsupportedFeature(
                f"{name}={getattr(config, name)!r} does not work in software: only NVIDIA's encoders tell it. Leave it "
                "out, or use NvencEncoder."
            )
    made = Software(CODECS[codec], pix_fmt, Fraction(*settings["fps"]), _gop(config), settings["colour"])
    made.unmapped += [name for name in NEVER if getattr(config, name) is not None]
    made.unmapped += [name for name in PER_PICTURE if getattr(config, name)]
    if settings["manual_types"]:
        made.unmapped.append("picture_types")
    if codec == "av1":
        _svt(made, config, settings, threads)
    else:
        _x26(made, config, settings)
        (_x264 if codec == "h264" else _x265)(made, config, threads)
    _rates(made, config, settings)
    options, unmapped = tool_options(made.codec, settings)
    made.params |= options
    made.unmapped += unmapped
    made.sample_aspect = settings["sample_aspect"]
    return made


def _gop(config: EncoderConfig) -> int:
    presets = 0 if tuning_name(config.tuning) in ("ll", "ull") else PRESETS_GOP
    return (presets if config.gop is None else config.gop) or UNBOUNDED_GOP


def takes_size(codec: str, width: int, height: int) -> bool:
    return min(width, height) >= LEAST_SIZE[codec]


def _x26(made: Software, config: EncoderConfig, settings: Mapping[str, Any]) -> None:
    """Options that have the same names in x264 and x265."""
    tuning = tuning_name(config.tuning)
    made.options |= {"preset": X26_PRESETS[preset_number(config.preset) - 1], "forced-idr": "1"}
    if tuning in ("ll", "ull"):
        made.options["tune"] = "zerolatency"
        made.low_latency = True
    made.bframes = config.bframes
    if config.reference_frames is not None:
        made.params["ref"] = str(config.reference_frames)
    if settings["profile"] in X26_PROFILES and tuning != "lossless":
        made.options["profile"] = X26_PROFILES[settings["profile"]]
    if config.lookahead and tuning not in ("ll", "ull"):
        made.params["rc-lookahead"] = str(config.lookahead)
    made.params["scenecut"] = "40" if config.lookahead and config.adaptive_i is not False else "0"
    if config.adaptive_b is not None:
        made.params["b-adapt"] = "1" if config.adaptive_b else "0"
    if settings["spatial_aq"] is not None and tuning != "lossless":
        made.params["aq-mode"] = "1" if settings["spatial_aq"] else "0"
        if settings["aq_strength"]:
            made.params["aq-strength"] = f"{settings['aq_strength'] / 8:g}"


def _x264(made: Software, config: EncoderConfig, threads: int) -> None:
    params = made.params
    if config.b_ref_mode is not None:
        params["b-pyramid"] = "none" if config.b_ref_mode == "off" else "normal"
    if config.temporal_aq is not None and tuning_name(config.tuning) == "hq":
        params["mbtree"] = "1" if config.temporal_aq else "0"
    if config.weighted_prediction is not None:
        params["weightp"] = "2" if config.weighted_prediction else "0"
    if _reads_behind_rows(config.width):
        params["asm"] = "avx2"  # which is no slower
    if config.level is not None:
        made.options["level"] = config.level
    if isinstance(config.slices, int):
        params["slices"] = str(config.slices)
    elif config.slices is not None:
        made.unmapped.append("slices")
    if config.intra_refresh_period:
        params |= {"intra-refresh": "1", "keyint": str(config.intra_refresh_period)}
        made.unmapped.append("intra_refresh_count")
    _hdr(made, config)
    if threads:
        # Two pictures for each core. x264's default of one and a half leaves two cores idle for a tenth of the time.
        made.options["threads"] = str(2 * threads if threads > 1 else 1)


def _reads_behind_rows(width: int) -> bool:
    """Whether x264's AVX-512 code for macroblock trees reads memory behind the end of a row of macroblocks.

    It does unless a row is a multiple of 8 macroblocks. The same frames then give different bytes each time.
    """
    return -(-width // 16) % AVX512_MACROBLOCKS != 0 and "avx512f" in processor_flags()


@cache
def processor_flags() -> frozenset[str]:
    """The features of this processor, as Linux names them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line for line in lines if line.startswith("flags")), "").split())


def _x265(made: Software, config: EncoderConfig, threads: int) -> None:
    params = made.params
    params |= {"log-level": "none", "open-gop": "0", "info": "0"}
    if config.b_ref_mode is not None:
        params["b-pyramid"] = "0" if config.b_ref_mode == "off" else "1"
    if config.temporal_aq is not None:
        params["cutree"] = "1" if config.temporal_aq else "0"
    if config.weighted_prediction is not None:
        params["weightp"] = "1" if config.weighted_prediction else "0"
    if config.level is not None:
        params["level-idc"] = config.level
    if config.tier is not None:
        params["high-tier"] = "1" if config.tier == "high" else "0"
    if isinstance(config.slices, int):
        params["slices"] = str(config.slices)
    elif config.slices is not None:
        made.unmapped.append("slices")
    if config.intra_refresh_period:
        made.unmapped.append("intra_refresh_period")
    _hdr(made, config)
    if threads:
        params["pools"] = str(threads)
        if threads in (2, 3):  # x265 would work on one picture at a time, and its last rows wait for each other
            params["frame-threads"] = "2"


def _svt(made: Software, config: EncoderConfig, settings: Mapping[str, Any], threads: int) -> None:
    low_latency = tuning_name(config.tuning) in ("ll", "ull")
    presets = SVT_LOW_LATENCY_PRESETS if low_latency else SVT_PRESETS
    made.options["preset"] = str(presets[preset_number(config.preset) - 1])
    params = made.params
    params["irefresh-type"] = "2"  # closed groups
    if low_latency:
        params |= {"pred-struct": "1", "rtc": "1"}
    if config.lookahead:
        params["lookahead"] = str(min(config.lookahead, 120))
    params["scd"] = "0"  # SVT-AV1 no longer detects scene changes
    if tuning_name(config.tuning) == "lossless":
        params["lossless"] = "1"
    elif settings["spatial_aq"] is not None:
        params["aq-mode"] = "2" if settings["spatial_aq"] else "0"
    made.unmapped += ["bframes"] * bool(config.bframes)
    made.unmapped += [name for name in NOT_IN_SVT if getattr(config, name) is not None]
    if config.intra_refresh_period:
        made.unmapped.append("intra_refresh_period")
    _hdr(made, config)
    if threads:
        params["lp"] = str(min(threads, SVT_MOST_PARALLEL))


def _hdr(made: Software, config: EncoderConfig) -> None:
    """HDR10's static metadata, in each codec's units."""
    display, light = config.mastering_display, config.content_light
    svt = made.codec == "libsvtav1"
    if display is not None:
        points = (("G", display.green), ("B", display.blue), ("R", display.red), ("WP", display.white))
        unit, nits = (1, 1) if svt else (50_000, 10_000)
        places = "".join(f"{name}({_number(x * unit, svt)},{_number(y * unit, svt)})" for name, (x, y) in points)
        bounds = f"L({_number(display.max_luminance * nits, svt)},{_number(display.min_luminance * nits, svt)})"
        name = "master-display" if made.codec == "libx265" else "mastering-display"
        made.params[name] = places + bounds
    if light is not None:
        name = {"libx264": "cll", "libx265": "max-cll", "libsvtav1": "content-light"}[made.codec]
        made.params[name] = f"{light.max_cll},{light.max_fall}"


def _number(value: float, is_real: bool) -> str:
    return f"{value:.5f}" if is_real else str(round(value))


def _rates(made: Software, config: EncoderConfig, settings: Mapping[str, Any]) -> None:
    codec = settings["codec"]
    for name, own in (("min_qp", "min-qp" if codec == "av1" else "qpmin"), ("max_qp", "qpmax")):
        value = getattr(config, name)
        if value is not None:
            made.params[own.replace("qpmax", "max-qp") if codec == "av1" else own] = str(_one_qp(value))
    if tuning_name(config.tuning) == "lossless":
        _lossless(made)
    elif config.qp is not None:
        qp = _one_qp(config.qp)
        made.options["qp"] = str(round(qp * 63 / 255) if codec == "av1" else qp)
        if not isinstance(config.qp, int):
            made.unmapped.append("qp of P and B")
    elif config.cq is not None:
        made.options["crf"] = f"{config.cq:g}" if codec != "av1" else str(round(config.cq))
    made.bitrate, made.max_bitrate = config.bitrate, config.max_bitrate
    if config.rate_control == "cbr":
        made.max_bitrate = config.bitrate
        if codec == "av1":
            made.params["rc"] = "2"
    if made.max_bitrate:
        made.vbv = config.vbv_size or made.max_bitrate
    if config.cq is not None and config.bitrate:
        made.bitrate = 0
        made.unmapped.append("bitrate beside cq")


def _one_qp(qp: Any) -> int:
    return qp if isinstance(qp, int) else int(qp[0])


def _lossless(made: Software) -> None:
    if made.codec == "libx264":
        made.options["qp"] = "0"
    elif made.codec == "libx265":
        made.params["lossless"] = "1"
