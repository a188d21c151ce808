"""Settings that contradict each other raise an InvalidConfig that names both, before any call of the driver."""

from __future__ import annotations

from typing import Any

import pytest

from control.rows import AV1, HEVC, HQ, short
from pdum.nvenc import Colour, EncoderConfig, FilmGrain, InvalidConfig, Layers, References

pytestmark = pytest.mark.one_abi

LOSSLESS: dict[str, Any] = {"tuning": "lossless"}

CONTRADICTIONS: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({"tuning": "ll", "bframes": 2}, ("bframes=2", "tuning='ll'")),
    ({"tuning": "ull", "bframes": 2}, ("bframes=2", "tuning='ull'")),
    ({"tuning": "low_latency", "bframes": 2}, ("bframes=2", "tuning")),
    ({"tuning": "ll", "lookahead": 8}, ("lookahead=8", "tuning='ll'")),
    ({"tuning": "ull", "lookahead": 8}, ("lookahead=8", "tuning='ull'")),
    ({"cq": 20, "rate_control": "cbr"}, ("cq=20", "rate_control='cbr'")),
    ({"cq": 20, "rate_control": "CBR"}, ("cq=20", "rate_control='CBR'")),
    ({"cq": 20, "rate_control": "constqp", "qp": 20}, ("cq=20", "rate_control='constqp'")),
    ({"cq": 20, "qp": 20}, ("cq=20", "qp=20")),
    ({"qp": 20, "bitrate": 1_000_000}, ("qp=20", "bitrate=1000000")),
    ({"qp": 20, "max_bitrate": 5, "bitrate": 3}, ("qp=20", "bitrate=3")),
    ({"qp": 20, "vbv_size": 5}, ("qp=20", "vbv_size=5")),
    ({"qp": 20, "strict_gop": True}, ("qp=20", "strict_gop=True")),
    ({"qp": 20, "rate_control": "vbr"}, ("qp=20", "rate_control='vbr'")),
    ({"qp": 20, "rate_control": "cbr"}, ("qp=20", "rate_control='cbr'")),
    ({"qp": 20, "min_qp": 10}, ("qp=20", "min_qp=10")),
    ({"qp": 20, "max_qp": 30}, ("qp=20", "max_qp=30")),
    ({"qp": 20, "initial_qp": 30}, ("qp=20", "initial_qp=30")),
    ({"rate_control": "constqp"}, ("rate_control='constqp'", "qp")),
    ({"rate_control": "ConstQP"}, ("rate_control='constqp'", "qp")),
    ({"max_bitrate": 5}, ("max_bitrate=5", "bitrate=0")),
    ({"max_bitrate": 5, "bitrate": 6}, ("max_bitrate=5", "bitrate=6")),
    ({"vbv_size": 10, "vbv_initial_delay": 11}, ("vbv_size=10", "vbv_initial_delay=11")),
    ({"min_qp": 31, "max_qp": 30}, ("min_qp=31", "max_qp=30")),
    ({"min_qp": (1, 2, 40), "max_qp": 30}, ("min_qp=(1, 2, 40)", "max_qp=30")),
    ({"min_qp": 31, "initial_qp": 30}, ("min_qp=31", "initial_qp=30")),
    ({"max_qp": 29, "initial_qp": 30}, ("max_qp=29", "initial_qp=30")),
    ({**HQ, "low_delay_key_frame_scale": 2}, ("low_delay_key_frame_scale=2", "tuning='hq'")),
    (
        {"rate_control": "vbr", "low_delay_key_frame_scale": 2},
        ("low_delay_key_frame_scale=2", "rate_control='vbr'"),
    ),
    ({**HQ, "lookahead_level": 2}, ("lookahead_level=2", "lookahead=0")),
    ({**HQ, "adaptive_i": True}, ("adaptive_i=True", "lookahead=0")),
    ({**HQ, "bframes": 2, "adaptive_b": True}, ("adaptive_b=True", "lookahead=0")),
    ({**HQ, "lookahead": 8, "adaptive_b": True}, ("adaptive_b=True", "bframes=0")),
    ({**HQ, "b_ref_mode": "middle"}, ("b_ref_mode='middle'", "bframes=0")),
    ({**HQ, "bframes": 2, "weighted_prediction": True}, ("weighted_prediction=True", "bframes=2")),
    (
        {**HQ, "gop": 0, "bframes": 2, "intra_refresh_period": 30, "intra_refresh_count": 3},
        ("intra_refresh_period=30", "bframes=2"),
    ),
    (
        {**HEVC, "weighted_prediction": True, "split_encode": 2},
        ("weighted_prediction=True", "split_encode=2"),
    ),
    ({**HQ, **HEVC, "bframes": 3, "temporal_filter": True}, ("temporal_filter=True", "bframes=3")),
    ({"intra_refresh_period": 30}, ("intra_refresh_count=0", "intra_refresh_period=30")),
    ({"intra_refresh_count": 3}, ("intra_refresh_count=3", "intra_refresh_period=0")),
    ({"intra_refresh_period": 3, "intra_refresh_count": 3}, ("intra_refresh_count=3", "intra_refresh_period=3")),
    (
        {"gop": 30, "intra_refresh_period": 30, "intra_refresh_count": 3},
        ("intra_refresh_period=30", "gop=30"),
    ),
    (
        {"gop": None, "intra_refresh_period": 30, "intra_refresh_count": 3},
        ("intra_refresh_period=30", "gop=None"),
    ),
    ({"references": References(l0=2), "reference_frames": 4}, ("References(l0=2", "reference_frames=4")),
    ({"references": References(l1=2)}, ("l1=2", "bframes=0")),
    ({"references": References(l0=4, dpb=2)}, ("l0=4", "dpb")),
    ({"references": References(dpb=2), "long_term_references": 2}, ("dpb=2", "long_term_references=2")),
    ({"references": References(l0=5), **AV1}, ("from 1 to 4", "references.l0=5")),
    ({"single_slice_refresh": True}, ("single_slice_refresh=True", "intra_refresh_period=0")),
    ({"layers": 2, **HQ, "bframes": 2}, ("Layers(count=2", "bframes=2")),
    ({"layers": 2, "tuning": "hq", "bframes": None}, ("Layers(count=2", "bframes=None")),
    ({"layers": 2, "long_term_references": 1}, ("Layers(count=2", "long_term_references=1")),
    ({"layers": 2, "picture_types": "manual"}, ("Layers(count=2", "picture_types='manual'")),
    ({"layers": 4, "references": References(dpb=3)}, ("Layers(count=4", "references.dpb=3")),
    ({"layers": 4, "reference_frames": 3}, ("Layers(count=4", "reference_frames=3")),
    ({"layers": Layers(2, "hierarchical"), **HEVC}, ("codec='hevc'", "kind='hierarchical'")),
    ({"layers": Layers(2, prefixes=False), **AV1}, ("codec='av1'", "prefixes=False")),
    ({"layers": Layers(2, scalability_info=True), **HEVC}, ("codec='hevc'", "scalability_info=True")),
    ({"layers": Layers(2, "hierarchical", scalability_info=True)}, ("scalability_info=True", "kind='svc'")),
    ({"layers": 1}, ("from 2 to 8", "layers.count=1")),
    ({"layers": "2"}, ("Layers(count", "layers='2'")),
    ({"film_grain": FilmGrain.of_strength(9), **HEVC}, ("film_grain=FilmGrain", "codec='hevc'")),
    ({"film_grain": 9, **AV1}, ("FilmGrain", "film_grain=9")),
    ({"monochrome": True, "format": "yuv444"}, ("monochrome=True", "format='yuv444'")),
    ({"monochrome": True, "profile": "main"}, ("monochrome=True", "profile='main'")),
    ({"monochrome": True, "chroma_qp_offset": 2}, ("monochrome=True", "chroma_qp_offset=2")),
    ({"monochrome": True, **AV1, "film_grain": FilmGrain.of_strength(9, 9)}, ("monochrome=True", "cb=((0, 9)")),
    ({"tiles": (2, 2)}, ("tiles=(2, 2)", "codec='h264'")),
    ({"tiles": (3, 2), **AV1}, ("1, 2, 4", "tiles=(3, 2)")),
    ({"aud": True, **AV1}, ("aud=True", "codec='av1'")),
    ({"entropy": "cavlc", **HEVC}, ("entropy='cavlc'", "codec='hevc'")),
    ({"transform_8x8": True, **AV1}, ("transform_8x8=True", "codec='av1'")),
    ({"deblocking": False, **AV1}, ("deblocking=False", "codec='av1'")),
    ({"constrained_intra": True, **AV1}, ("constrained_intra=True", "codec='av1'")),
    ({**HQ, "filler_data": True}, ("filler_data=True", "tuning='hq'")),
    ({"rate_control": "vbr", "filler_data": True}, ("filler_data=True", "rate_control='vbr'")),
    ({"profile": "baseline", "entropy": "cabac"}, ("entropy='cabac'", "profile='baseline'")),
    ({"profile": "main", "transform_8x8": True}, ("transform_8x8=True", "profile='main'")),
    ({**LOSSLESS, "chroma_qp_offset": 3}, ("chroma_qp_offset=3", "tuning='lossless'")),
    ({"profile": "main", "chroma_qp_offset": (1, 2)}, ("chroma_qp_offset=(1, 2)", "profile='main'")),
    ({**AV1, "chroma_qp_offset": (1, 2)}, ("chroma_qp_offset=(1, 2)", "codec='av1'")),
    ({**HQ, "gop": 3, "bframes": 3}, ("gop=3", "bframes=3")),
    ({**HQ, "gop": 1, "bframes": 4}, ("gop=1", "bframes=4")),
    ({**HQ, "lookahead": 28, "bframes": 4}, ("lookahead=28", "bframes=4")),
    ({**HQ, "lookahead": 32}, ("lookahead=32", "to 31")),
    ({"tuning": "uhq"}, ("tuning='uhq'", "codec='h264'")),
    ({"tuning": "ultra_high_quality", "codec": "H264"}, ("tuning='ultra_high_quality'", "codec='H264'")),
    ({**LOSSLESS, "qp_map": "delta"}, ("qp_map='delta'", "tuning='lossless'")),
    ({**HEVC, "qp_map": "emphasis"}, ("qp_map='emphasis'", "codec='hevc'")),
    ({**AV1, "qp_map": "Emphasis"}, ("qp_map='Emphasis'", "codec='av1'")),
    ({"qp_map": "emphasis", "spatial_aq": True}, ("qp_map='emphasis'", "spatial_aq=True")),
    ({"qp_map": "emphasis", "spatial_aq": 8}, ("qp_map='emphasis'", "spatial_aq=8")),
    ({"qp_map": "emphasis", "temporal_aq": True}, ("qp_map='emphasis'", "temporal_aq=True")),
    ({**LOSSLESS, "bitrate": 5}, ("bitrate=5", "tuning='lossless'")),
    ({**LOSSLESS, "cq": 5}, ("cq=5", "tuning='lossless'")),
    ({**LOSSLESS, "qp": 0}, ("qp=0", "tuning='lossless'")),
    ({**LOSSLESS, "max_qp": 5}, ("max_qp=5", "tuning='lossless'")),
    ({**LOSSLESS, "rate_control": "cbr"}, ("rate_control='cbr'", "tuning='lossless'")),
    ({**LOSSLESS, "profile": "high"}, ("profile='high'", "tuning='lossless'")),
    ({**HQ, "bframes": 1, "profile": "baseline"}, ("bframes=1", "profile='baseline'")),
    ({**HQ, "bframes": 1, "profile": "Baseline"}, ("bframes=1", "profile='baseline'")),
    ({"split_encode": 2}, ("split_encode=2", "codec='h264'")),
    ({"tier": "high"}, ("tier='high'", "codec='h264'")),
    ({**AV1, "slices": 2}, ("slices=2", "codec='av1'")),
    ({"format": "nv12", "chroma": "444"}, ("chroma='444'", "format='nv12'")),
    ({**HEVC, "format": "yuv444", "chroma": "420"}, ("chroma='420'", "format='yuv444'")),
    ({**HEVC, "format": "argb", "chroma": "422"}, ("chroma='422'", "format='argb'")),
    ({"format": "rgb", "chroma": "422"}, ("chroma='422'", "format='rgb'")),
    ({"format": "rgb", "copy": "never"}, ("copy='never'", "format='rgb'")),
    ({**HEVC, "format": "p010", "bit_depth": 8}, ("bit_depth=8", "format='p010'")),
    ({**HEVC, "format": "p010", "profile": "main"}, ("profile='main'", "format='p010'")),
    ({**HEVC, "format": "yuv444", "profile": "main10"}, ("profile='main10'", "format='yuv444'")),
    ({"bit_depth": 10, "profile": "high"}, ("profile='high'", "bit_depth=10")),
    ({"format": "yuv444", "profile": "high422"}, ("profile='high422'", "format='yuv444'")),
    ({"format": "argb", "colour": "bt709"}, ("colour='bt709'", "format='argb'")),
    ({"format": "ARGB", "colour": Colour(full_range=True)}, ("colour=", "format='argb'")),
]


@pytest.mark.parametrize(("settings", "both"), CONTRADICTIONS, ids=[short(c[0]) for c in CONTRADICTIONS])
def test_both_are_named(settings: dict[str, Any], both: tuple[str, str]) -> None:
    with pytest.raises(InvalidConfig) as caught:
        EncoderConfig(width=256, height=160, **settings)
    for word in both:
        assert word in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {**HQ, "cq": 20, "rate_control": "vbr", "bitrate": 5, "max_bitrate": 9},
        {**HQ, "cq": 20, "max_bitrate": 9},
        {"rate_control": "constqp", "qp": 20},
        {"min_qp": 20, "initial_qp": 20, "max_qp": 20},
        {"gop": 0, "intra_refresh_period": 30, "intra_refresh_count": 3},
        {**HQ, "gop": 4, "bframes": 3},
        {**HQ, "gop": 0, "bframes": 3},
        {**HQ, "lookahead": 27, "bframes": 4},
        {**HQ, "lookahead": 31},
        {**HEVC, "tuning": "uhq"},
        {**AV1, "tuning": "uhq"},
        {**HQ, "adaptive_i": False, "adaptive_b": False, "b_ref_mode": "off"},
        {**HQ, "rate_control": "cbr", "low_delay_key_frame_scale": 2},
        {"format": "P010", "profile": "High422", "bit_depth": 10, "chroma": "420"},
        {**LOSSLESS, "profile": "high444", "rate_control": None},
        {**HEVC, **LOSSLESS, "profile": "main"},
        {"split_encode": "off"},
        {"qp_map": "delta", "spatial_aq": True, "temporal_aq": True},
        {"qp_map": "emphasis", "spatial_aq": False, "temporal_aq": False},
        {"qp_map": "delta", "qp": 30},
        {**HQ, "bframes": 4, "weighted_prediction": False, "temporal_filter": False},
    ],
    ids=short,
)
def test_neighbours_of_contradictions_are_none(settings: dict[str, Any]) -> None:
    EncoderConfig(width=256, height=160, **settings)
