"""A setting that needs a capability is refused by name without it, and works when only this capability is added."""

from __future__ import annotations

from typing import Any

import pytest

from control.driver_calls import GPU, Driver, changed, flat
from control.rows import AV1, HEVC, HQ, short
from pdum.nvenc import Layers, NvencEncoder, References, UnsupportedFeature

pytestmark = pytest.mark.one_abi

LEVEL_42 = 42
FOUR = {**HQ, "bframes": 4}

# Settings, the setting's name in the error, the capability, and its highest value that is too low.
DEMANDS: list[tuple[dict[str, Any], str, str, int]] = [
    ({**HQ, "bframes": 3}, "bframes", "NUM_MAX_BFRAMES", 2),
    ({**HQ, "bframes": 1}, "bframes", "NUM_MAX_BFRAMES", 0),
    ({**FOUR, "b_ref_mode": "each"}, "b_ref_mode", "SUPPORT_BFRAME_REF_MODE", 2),
    ({**FOUR, "b_ref_mode": "middle"}, "b_ref_mode", "SUPPORT_BFRAME_REF_MODE", 1),
    ({**HQ, "lookahead": 8}, "lookahead", "SUPPORT_LOOKAHEAD", 0),
    ({**HEVC, **HQ, "lookahead": 8, "lookahead_level": 2}, "lookahead_level", "SUPPORT_LOOKAHEAD_LEVEL", 1),
    ({**HEVC, **HQ, "lookahead": 8, "lookahead_level": "auto"}, "lookahead_level", "SUPPORT_LOOKAHEAD_LEVEL", 0),
    ({"qp_map": "emphasis"}, "qp_map='emphasis'", "SUPPORT_EMPHASIS_LEVEL_MAP", 0),
    ({"temporal_aq": True}, "temporal_aq", "SUPPORT_TEMPORAL_AQ", 0),
    ({"vbv_size": 1_000_000}, "vbv_size", "SUPPORT_CUSTOM_VBV_BUF_SIZE", 0),
    ({"weighted_prediction": True}, "weighted_prediction", "SUPPORT_WEIGHTED_PREDICTION", 0),
    ({**HEVC, **FOUR, "temporal_filter": True}, "temporal_filter", "SUPPORT_TEMPORAL_FILTER", 0),
    ({**HEVC, "unidirectional_b": True}, "unidirectional_b", "SUPPORT_UNIDIRECTIONAL_B", 0),
    (
        {"gop": 0, "intra_refresh_period": 30, "intra_refresh_count": 5},
        "intra_refresh_period",
        "SUPPORT_INTRA_REFRESH",
        0,
    ),
    ({**HEVC, "format": "p010"}, "bit_depth=10", "SUPPORT_10BIT_ENCODE", 0),
    ({**AV1, "bit_depth": 10}, "bit_depth=10", "SUPPORT_10BIT_ENCODE", 0),
    ({**HEVC, "format": "yuv444"}, "chroma='444'", "SUPPORT_YUV444_ENCODE", 0),
    ({**HEVC, "format": "argb", "chroma": "444"}, "chroma='444'", "SUPPORT_YUV444_ENCODE", 0),
    ({**HEVC, "format": "nv16"}, "chroma='422'", "SUPPORT_YUV422_ENCODE", 0),
    ({"tuning": "lossless"}, "tuning='lossless'", "SUPPORT_LOSSLESS_ENCODE", 0),
    ({**HQ, "rate_control": "cbr"}, "rate_control='cbr'", "SUPPORTED_RATECONTROL_MODES", 1),
    ({"bitrate": 1_000_000}, "rate_control='cbr'", "SUPPORTED_RATECONTROL_MODES", 1),
    ({"rate_control": "vbr"}, "rate_control='vbr'", "SUPPORTED_RATECONTROL_MODES", 2),
    ({"cq": 20}, "rate_control='vbr'", "SUPPORTED_RATECONTROL_MODES", 2),
    ({"level": "4.2"}, "level", "LEVEL_MAX", LEVEL_42 - 1),
    ({"references": References(l0=2)}, "references", "SUPPORT_MULTIPLE_REF_FRAMES", 0),
    (
        {"gop": 0, "intra_refresh_period": 30, "intra_refresh_count": 5, "single_slice_refresh": True},
        "single_slice_refresh",
        "SINGLE_SLICE_INTRA_REFRESH",
        0,
    ),
    ({"layers": 4}, "layers", "NUM_MAX_TEMPORAL_LAYERS", 3),
    ({"layers": 2}, "layers", "SUPPORT_TEMPORAL_SVC", 0),
    ({"layers": Layers(2, "hierarchical")}, "layers", "SUPPORT_HIERARCHICAL_PFRAMES", 0),
    ({**HQ, "bframes": 2, "layers": Layers(2, "hierarchical")}, "layers", "SUPPORT_HIERARCHICAL_BFRAMES", 0),
    ({"interlaced": "top"}, "interlaced", "SUPPORT_FIELD_ENCODING", 0),
    ({"attempts": 2}, "attempts", "DISABLE_ENC_STATE_ADVANCE", 0),
    ({**HEVC, "stereo": True}, "stereo", "SUPPORT_MVHEVC_ENCODE", 0),
    ({**HEVC, "format": "argb", "alpha": True}, "alpha", "SUPPORT_ALPHA_LAYER_ENCODING", 0),
    ({"entropy": "cabac"}, "entropy='cabac'", "SUPPORT_CABAC", 0),
    ({**HQ, "transform_8x8": True}, "transform_8x8", "SUPPORT_ADAPTIVE_TRANSFORM", 0),
    ({"slices": ("bytes", 1200)}, "slices=('bytes', n)", "SUPPORT_DYNAMIC_SLICE_MODE", 0),
    ({"sub_frames": True, "slices": 4}, "sub_frames", "SUPPORT_SUBFRAME_READBACK", 0),
    ({"reconstruction": True}, "reconstruction", "OUTPUT_RECON_SURFACE", 0),
    ({"statistics": "rows"}, "statistics='rows'", "OUTPUT_ROW_STATS", 0),
    ({"statistics": "blocks"}, "statistics='blocks'", "OUTPUT_BLOCK_STATS", 0),
    ({**HEVC, "split_encode": 2}, "split_encode", "NUM_ENCODER_ENGINES", 1),
    ({**HEVC, "split_encode": 3}, "split_encode", "NUM_ENCODER_ENGINES", 2),
]
ADDED = {"OUTPUT_BLOCK_STATS": {"OUTPUT_BLOCK_STATS": 1}}
"""What no recorded card has."""

LATER = {"SUPPORT_LOOKAHEAD_LEVEL", "SUPPORT_TEMPORAL_FILTER", "SUPPORT_UNIDIRECTIONAL_B", "SUPPORT_YUV422_ENCODE"}
LATER |= {"SUPPORT_MVHEVC_ENCODE"}


def without(capability: str, value: int) -> dict[str, Any]:
    return {**GPU, "caps": {capability: value}}


@pytest.mark.parametrize(
    ("settings", "setting", "capability", "too_little"), DEMANDS, ids=[f"{short(d[0])}-{d[2]}" for d in DEMANDS]
)
def test_a_missing_capability_is_named(
    abi: str, driver: Driver, settings: dict[str, Any], setting: str, capability: str, too_little: int
) -> None:
    error = driver.refusal(gpu=without(capability, too_little), **settings)
    assert isinstance(error, UnsupportedFeature)
    if abi == "12.1" and capability in LATER:
        assert "570" in error.advice
        return
    for word in (setting, f"capability {capability} is {too_little}", "RTX PRO 6000", settings.get("codec", "h264")):
        assert word in str(error), str(error)
    driver.initialized(gpu={**GPU, "caps": ADDED.get(capability, {})}, **settings)


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_no_recorded_card_leaves_colour_out(abi: str, driver: Driver, codec: str) -> None:
    error = driver.refusal(gpu=GPU, codec=codec, monochrome=True)
    assert isinstance(error, UnsupportedFeature)
    assert "monochrome" in str(error)
    assert "capability SUPPORT_MONOCHROME is 0" in str(error)


LIVE_MODES = ("SUPPORT_DYN_RCMODE_CHANGE", "SUPPORT_DYN_FORCE_CONSTQP")


def test_settings_without_a_capability_ask_for_none(abi: str, driver: Driver) -> None:
    """A GPU without any optional capability makes plain streams."""
    nothing = {
        capability: 0 for _, _, capability, _ in DEMANDS if capability not in ("NUM_ENCODER_ENGINES", "LEVEL_MAX")
    }
    for codec in ("h264", "hevc", "av1"):
        driver.initialized(gpu={**GPU, "caps": nothing}, codec=codec, qp=20)


@pytest.mark.parametrize(
    ("made_with", "change", "setting", "capability"),
    [
        ({"bitrate": 1_000_000}, {"bitrate": 2_000_000}, "bitrate", "SUPPORT_DYN_BITRATE_CHANGE"),
        ({"bitrate": 1_000_000}, {"max_bitrate": 2_000_000}, "bitrate", "SUPPORT_DYN_BITRATE_CHANGE"),
        ({"max_width": 512}, {"width": 512}, "width", "SUPPORT_DYN_RES_CHANGE"),
        ({}, {"temporal_aq": True}, "temporal_aq", "SUPPORT_TEMPORAL_AQ"),
        ({}, {"vbv_size": 1_000_000}, "vbv_size", "SUPPORT_CUSTOM_VBV_BUF_SIZE"),
    ],
    ids=str,
)
def test_a_live_change_that_the_gpu_lacks(
    abi: str, driver: Driver, made_with: dict[str, Any], change: dict[str, Any], setting: str, capability: str
) -> None:
    def use(encoder: NvencEncoder) -> None:
        before = encoder.config
        with pytest.raises(UnsupportedFeature, match=capability) as caught:
            encoder.reconfigure(**change)
        assert setting in str(caught.value)
        assert encoder.config == before

    calls = driver.calls(use, gpu=without(capability, 0), **made_with)
    assert not [call for call in calls if call.name == "nvEncReconfigureEncoder"], "refused before the driver is asked"
    able = {**GPU, "caps": dict.fromkeys(LIVE_MODES, 0) | {capability: 1}}
    calls = driver.calls(lambda encoder: encoder.reconfigure(**change), gpu=able, **made_with)
    assert [call for call in calls if call.name == "nvEncReconfigureEncoder"], "it alone was missing"


@pytest.mark.parametrize(
    ("made_with", "change", "capability"),
    [
        ({"bitrate": 1_000_000}, {"rate_control": "vbr"}, "SUPPORT_DYN_RCMODE_CHANGE"),
        ({**HQ, "cq": 30}, {"cq": None, "qp": 30}, "SUPPORT_DYN_FORCE_CONSTQP"),
        ({"qp": 30}, {"qp": None, "rate_control": "cbr"}, "SUPPORT_DYN_RCMODE_CHANGE"),
    ],
    ids=str,
)
@pytest.mark.parametrize("live", [False, True])
def test_a_mode_that_cannot_change_live_takes_a_new_session(
    abi: str, driver: Driver, made_with: dict[str, Any], change: dict[str, Any], capability: str, live: bool
) -> None:
    """Each change asks for the capability that it needs. All other settings reach the new session unchanged."""
    gpu = {**GPU, "caps": {name: int(live == (name == capability)) for name in LIVE_MODES}}
    calls = driver.calls(lambda encoder: encoder.reconfigure(**change), gpu=gpu, **made_with)
    names = [call.name for call in calls]
    assert names.count("nvEncOpenEncodeSessionEx") == (1 if live else 2)
    assert names.count("nvEncReconfigureEncoder") == live
    if live:
        return
    first, second = (flat(call.args) for call in calls if call.name == "nvEncInitializeEncoder")
    anew = driver.initialized(gpu=gpu, **{**made_with, **change})
    assert second == anew
    assert all(path.startswith("rc.") for path in changed(first, second))
