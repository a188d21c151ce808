"""Random valid configurations: every field of EncoderConfig, in combinations without contradictions."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from pdum.nvenc import Colour, ContentLight, EncoderConfig, FilmGrain, Layers, MasteringDisplay, References
from pdum.nvenc._config.colour import MATRICES, PRIMARIES, TRANSFERS
from pdum.nvenc._config.values import LARGEST_QP, LEVELS, PROFILE_LIMITS

Fields = dict[str, Any]
FORMATS = {
    "h264": ["nv12", "yuv420", "p010", "yuv444", "nv16", "argb", "abgr"],
    "hevc": ["nv12", "p010", "yuv420", "yuv444", "yuv444_10", "nv16", "p210", "argb", "ayuv", "argb10", "abgr10"],
    "av1": ["nv12", "yuv420", "p010", "argb", "abgr10"],
}
RGB = ("argb", "abgr", "argb10", "abgr10")
DEEP = ("p010", "yuv444_10", "p210", "argb10", "abgr10")
CHROMA = {"yuv444": "444", "yuv444_10": "444", "ayuv": "444", "nv16": "422", "p210": "422"}


def some(draw: st.DrawFn, **strategies: st.SearchStrategy[Any]) -> Fields:
    """Any subset of these fields."""
    return {name: draw(strategy) for name, strategy in strategies.items() if draw(st.booleans())}


FLAG = st.booleans()
POINT = st.tuples(st.floats(0, 1), st.floats(0, 1))
RATES = st.integers(1, 0xFFFFFFFF)
DISPLAYS = st.builds(
    MasteringDisplay,
    red=POINT,
    green=POINT,
    blue=POINT,
    white=POINT,
    min_luminance=st.floats(0, 0.9),
    max_luminance=st.floats(1, 10_000),
)
LIGHTS = st.builds(ContentLight, st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
STRENGTHS = st.integers(0, 255)
POINTS = st.dictionaries(STRENGTHS, STRENGTHS, max_size=10).map(lambda points: tuple(sorted(points.items())))
GRAINS = st.one_of(
    st.builds(FilmGrain.of_strength, STRENGTHS, STRENGTHS),
    st.builds(
        FilmGrain,
        luma=POINTS,
        chroma_from_luma=FLAG,
        scaling_shift=st.integers(8, 11),
        coefficient_shift=st.integers(6, 9),
        pattern_shift=st.integers(0, 3),
        cb_mix=st.tuples(STRENGTHS, STRENGTHS, st.integers(0, 511)),
        overlap=FLAG,
        restricted_range=FLAG,
        apply=FLAG,
    ),
)
COLOURS = st.one_of(
    st.sampled_from(["auto", "bt601", "bt709", "hdr10", "hlg", "srgb", "unspecified"]),
    st.builds(
        Colour,
        primaries=st.sampled_from(sorted(PRIMARIES)),
        transfer=st.sampled_from(sorted(TRANSFERS)),
        matrix=st.sampled_from([name for name in sorted(MATRICES) if name != "gbr"]),
        full_range=FLAG,
    ),
)
FPS = st.one_of(
    st.integers(1, 240),
    st.fractions(min_value=1, max_value=240, max_denominator=1001),
    st.sampled_from([29.97, 23.976, "24000/1001", (60000, 1001), "25", 12.5]),
)


def quantisers(codec: str) -> st.SearchStrategy[Any]:
    one = st.integers(0, LARGEST_QP[codec])
    return st.one_of(one, st.tuples(one, one, one))


@st.composite
def streams(draw: st.DrawFn, tuning: str) -> Fields:
    codec = draw(st.sampled_from(["hevc"] if tuning == "uhq" else sorted(FORMATS)))
    form = draw(st.sampled_from(FORMATS[codec]))
    width, height = draw(st.integers(96, 200)) * 2, draw(st.integers(64, 150)) * 2
    more = some(
        draw,
        preset=st.sampled_from([f"p{number}" for number in range(1, 8)]),
        level=st.sampled_from(sorted(LEVELS[codec])[:-4]) if codec != "av1" else st.sampled_from(["4.0", "5.1"]),
        fps=FPS,
        gop=st.one_of(st.just(0), st.none(), st.integers(5, 300)),
        max_width=st.integers(width, 4096),
        max_height=st.integers(height, 4096),
        mastering_display=DISPLAYS,
        content_light=LIGHTS,
        time_code=FLAG,
        extra_output_delay=st.integers(0, 4),
        copy=st.sampled_from(["auto", "always"]),
    )
    if codec != "h264":
        more |= some(
            draw, tier=st.sampled_from(["main", "high"]), split_encode=st.sampled_from(["auto", "off", 2, 3, 4])
        )
    if codec != "av1":
        modes = st.sampled_from(["macroblocks", "rows", "count", "bytes"])
        more |= some(draw, slices=st.one_of(st.integers(1, 8), st.tuples(modes, st.integers(1, 200))))
    if form not in RGB:
        more |= some(draw, colour=COLOURS)
    more |= draw(samples(codec, form, tuning))
    return {"width": width, "height": height, "codec": codec, "tuning": tuning, "format": form, **more}


@st.composite
def samples(draw: st.DrawFn, codec: str, form: str, tuning: str) -> Fields:
    """Chroma, bit depth, and a profile that allows both."""
    chroma = CHROMA.get(form, "420")
    more = some(draw, chroma=st.sampled_from(["420", "444"]) if form in RGB and codec != "av1" else st.just(chroma))
    more |= some(draw, bit_depth=st.sampled_from([10] if form in DEEP else [8, 10]))
    wanted = more.get("chroma", chroma), more.get("bit_depth") or (10 if form in DEEP else 8)
    fitting = [name for name, most in PROFILE_LIMITS[codec].items() if wanted[0] <= most[0] and wanted[1] <= most[1]]
    if tuning == "lossless" and codec == "h264":
        fitting = ["high444"]
    usable = [name for name in fitting if name != "baseline"]
    return more | some(draw, profile=st.sampled_from(["auto", *usable]))


@st.composite
def rates(draw: st.DrawFn, codec: str, tuning: str) -> Fields:
    if tuning == "lossless":
        return {}
    kind = draw(st.sampled_from(["preset", "bitrate", "cbr", "vbr", "cq", "constqp"]))
    if kind == "constqp":
        return {"qp": draw(quantisers(codec)), **some(draw, rate_control=st.just("constqp"))}
    fields: Fields = {}
    if kind in ("bitrate", "cbr", "vbr"):
        fields["bitrate"] = draw(st.integers(1, 10**8))
        fields |= some(draw, max_bitrate=st.integers(fields["bitrate"], 0xFFFFFFFF))
    if kind in ("cbr", "vbr"):
        fields["rate_control"] = kind
    if kind == "cq":
        fields |= {"cq": draw(st.floats(0.01, 51)), **some(draw, max_bitrate=RATES, rate_control=st.just("vbr"))}
    if kind != "cq" and (kind == "cbr" or (tuning in ("ll", "ull") and kind != "vbr")):
        fields |= some(draw, low_delay_key_frame_scale=st.integers(0, 255))
    fields |= some(draw, vbv_size=st.integers(1000, 0xFFFFFFFF), strict_gop=FLAG)
    if "vbv_size" in fields:
        fields |= some(draw, vbv_initial_delay=st.integers(0, fields["vbv_size"]))
    return fields | some(draw, min_qp=st.integers(0, 10), initial_qp=st.integers(11, 30), max_qp=st.integers(31, 51))


@st.composite
def structures(draw: st.DrawFn, codec: str, tuning: str) -> Fields:
    fields: Fields = some(
        draw,
        multipass=st.sampled_from(["off", "quarter", "full"]),
        spatial_aq=st.one_of(FLAG, st.integers(1, 15)),
        temporal_aq=FLAG,
        nonref_p=FLAG,
    )
    holds = tuning in ("hq", "uhq", "lossless")
    bframes = draw(st.integers(0, 4)) if holds and draw(st.booleans()) else 0
    if bframes:
        fields |= {"bframes": bframes, **some(draw, b_ref_mode=st.sampled_from(["off", "each", "middle"]))}
    else:
        if codec != "av1" and not holds:
            fields |= some(draw, long_term_references=st.integers(0, 4), reference_frames=st.integers(5, 8))
        fields |= some(draw, picture_types=st.sampled_from(["auto", "manual"])) if not holds else {}
        fields |= some(draw, weighted_prediction=FLAG if codec != "av1" else st.just(False))
        if draw(st.booleans()):
            period = draw(st.integers(2, 100))
            count = draw(st.integers(1, period - 1))
            fields |= {"gop": 0, "intra_refresh_period": period, "intra_refresh_count": count}
    if holds and draw(st.booleans()):
        fields |= {"lookahead": draw(st.integers(1, 31 - bframes)), **some(draw, adaptive_i=FLAG)}
        fields |= some(draw, adaptive_b=FLAG) if bframes else {}
        levels = [0, 1, "auto"] if codec == "av1" else [0, 1, 2, 3, "auto"]  # as the newest recorded card has them
        fields |= some(draw, lookahead_level=st.sampled_from(levels)) if codec != "h264" else {}
    if codec != "h264":
        fields |= some(
            draw,
            temporal_filter=FLAG if bframes == 4 else st.just(False),
            unidirectional_b=FLAG if codec == "hevc" else st.just(False),  # no recorded card does it in AV1
        )
    return fields


@st.composite
def maps(draw: st.DrawFn, fields: Fields) -> Fields:
    if fields["tuning"] == "lossless":
        return {}
    with_emphasis = fields["codec"] == "h264" and not (fields.get("spatial_aq") or fields.get("temporal_aq"))
    return some(draw, qp_map=st.sampled_from(["delta", "emphasis"] if with_emphasis else ["delta"]))


@st.composite
def tools(draw: st.DrawFn, fields: Fields) -> Fields:
    codec, constant = fields["codec"], fields.get("rate_control") == "cbr"
    more = some(draw, sample_aspect=st.tuples(st.integers(1, 999), st.integers(1, 999)))
    more |= some(draw, filler_data=FLAG) if constant else {}
    if codec != "av1":
        more |= some(draw, aud=FLAG, constrained_intra=FLAG, deblocking=st.sampled_from([True, False, "within_slices"]))
        more |= some(draw, single_slice_refresh=FLAG) if fields.get("intra_refresh_period") else {}
    else:
        columns = st.sampled_from([1, 2, 4] if fields["width"] > 3 * 64 else [1, 2])
        more |= some(draw, film_grain=GRAINS, tiles=st.tuples(columns, st.sampled_from([1, 2])))
    if not fields.get("reference_frames") and not fields.get("long_term_references"):
        later = st.integers(1, 3) if fields.get("bframes") else st.none()
        more |= some(draw, references=st.builds(References, l0=st.integers(1, 4), l1=later, dpb=st.integers(4, 8)))
    more |= draw(layers({**fields, **more}))
    plain_rgb = fields.get("format") in ("argb", "abgr", "nv12") and fields.get("chroma", "420") in ("420", "auto")
    split = fields.get("split_encode") not in (None, "off")
    if codec == "hevc" and plain_rgb and not (split or fields.get("weighted_prediction") or "layers" in more):
        more |= some(draw, alpha=st.sampled_from([True, 3])) if fields.get("bit_depth", 0) != 10 else {}
    if codec == "h264":
        more |= some(draw, entropy=st.sampled_from(["cabac", "cavlc"]))
        in_fields = fields["height"] % 4 == fields.get("max_height", 0) % 4 == 0
        if in_fields and not fields.get("intra_refresh_period") and not fields.get("level"):
            more |= some(draw, interlaced=st.sampled_from(["top", "bottom"]))
        more |= some(draw, transform_8x8=FLAG if fields.get("profile") != "main" else st.just(False))
    if fields["tuning"] != "lossless":
        offset = st.integers(-12, 12) if codec != "av1" else st.integers(-64, 63)
        pairs = codec != "av1" and fields.get("profile") != "main"
        more |= some(draw, chroma_qp_offset=st.one_of(offset, st.tuples(offset, offset)) if pairs else offset)
    return more


@st.composite
def layers(draw: st.DrawFn, fields: Fields) -> Fields:
    if fields.get("long_term_references") or fields.get("picture_types") == "manual":
        return {}
    count = st.integers(2, 3 if fields["codec"] == "av1" else 4)
    if fields["codec"] != "h264":
        return some(draw, layers=count) if not fields.get("bframes") else {}
    hierarchical = st.builds(Layers, count, kind=st.just("hierarchical"))
    named = st.builds(Layers, count, prefixes=FLAG, scalability_info=FLAG)
    return some(draw, layers=hierarchical if fields.get("bframes") else st.one_of(count, named, hierarchical))


WITHOUT_VIEWS = {
    *("alpha", "bframes", "b_ref_mode", "lookahead", "lookahead_level", "adaptive_i", "adaptive_b", "qp_map"),
    *("long_term_references", "picture_types", "intra_refresh_period", "intra_refresh_count", "single_slice_refresh"),
    *("layers", "weighted_prediction", "split_encode", "motion_hints", "statistics", "reconstruction", "monochrome"),
    *("chroma", "bit_depth", "profile", "copy", "temporal_filter", "unidirectional_b", "format"),
    *("references", "attempts"),
}
"""Fields that do not go together with two views, or only with some values."""


def with_two_views(fields: Fields) -> Fields:
    return {"stereo": True, **{name: value for name, value in fields.items() if name not in WITHOUT_VIEWS}}


def may_have_hints(fields: Fields) -> bool:
    return not fields.get("bframes") and not fields.get("interlaced")


@st.composite
def fields_of_configs(draw: st.DrawFn) -> Fields:
    """Keywords of EncoderConfig that an encoder of the newest generation accepts under 13.0."""
    tuning = draw(st.sampled_from(["ll", "ull", "hq", "hq", "uhq", "lossless"]))
    stream = draw(streams(tuning))
    if tuning == "lossless" and stream["codec"] == "av1":
        stream["tuning"] = tuning = "ll"
    codec = stream["codec"]
    fields: Fields = {**stream, **draw(rates(codec, tuning)), **draw(structures(codec, tuning))}
    fields |= draw(maps(fields))
    fields |= draw(tools(fields))
    fields |= some(draw, motion_hints=st.integers(0, 1)) if may_have_hints(fields) else {}
    has_pairs = bool(fields.get("alpha")) and fields.get("format") == "nv12"
    if not (fields.get("bframes") or fields.get("extra_output_delay") or has_pairs):
        fields |= some(draw, attempts=st.integers(0, 16))
    fields |= some(draw, statistics=st.sampled_from(["picture", "rows"]))
    has_same_samples = not {"chroma", "bit_depth"} & fields.keys() and fields.get("format") in (None, "nv12", "p010")
    fields |= some(draw, reconstruction=FLAG) if has_same_samples and not (fields.get("bframes") or has_pairs) else {}
    if fields.get("weighted_prediction") and isinstance(fields.get("split_encode"), int):
        del fields["split_encode"]  # HEVC has one or the other
    return with_two_views(fields) if codec == "hevc" and draw(st.integers(0, 4)) == 4 else fields


def configs() -> st.SearchStrategy[EncoderConfig]:
    return fields_of_configs().map(lambda fields: EncoderConfig(**fields))


def takes_13_0(config: EncoderConfig) -> bool:
    """Whether the older interface has no field for it."""
    deep = 10 in (config.bit_depth, 10 if config.format in DEEP else 8)
    return (
        config.tuning == "uhq"
        or config.format in ("nv16", "p210")
        or (config.codec == "h264" and (deep or config.profile in ("high10", "high422")))
        or (config.codec == "hevc" and config.bit_depth == 10 and config.format not in DEEP)
        or config.lookahead_level is not None
        or bool(config.temporal_filter)
        or bool(config.unidirectional_b)
        or config.split_encode == 4
        or (config.codec == "hevc" and config.deblocking is False)
        or (config.codec != "h264" and config.layers is not None)
        or bool(config.stereo)
    )
