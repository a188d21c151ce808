"""The tools of the codecs: each setting, and the fields of the driver's structs that it changes."""

from __future__ import annotations

from typing import Any

from control.rows import AV1, HEVC, HQ, Row
from pdum.nvenc import FilmGrain, Layers, References

MONOCHROME = {"caps": {"SUPPORT_MONOCHROME": 1}}  # which no recorded card has
CBR = {"rate_control": "cbr", "bitrate": 1_000_000}
B_FRAMES = {**HQ, "bframes": 2}
REFRESH = {"gop": 0, "intra_refresh_period": 30, "intra_refresh_count": 5}
ENTROPY = "NV_ENC_H264_ENTROPY_CODING_MODE_"
TRANSFORM = "NV_ENC_H264_ADAPTIVE_TRANSFORM_"

GRAIN = FilmGrain(
    luma=((0, 20), (128, 40), (255, 60)),
    cb=((0, 5), (255, 6)),
    cr=((9, 7),),
    scaling_shift=10,
    lag=1,
    luma_coefficients=(1, -2, 3, -128),
    cb_coefficients=(4, 5, 6, 7, 127),
    cr_coefficients=(0, 0, 0, 0, -9),
    coefficient_shift=8,
    pattern_shift=2,
    cb_mix=(200, 130, 300),
    cr_mix=(1, 2, 511),
    restricted_range=True,
)
GRAIN_PARAMS = {
    "applyGrain": 1,
    "overlapFlag": 1,
    "clipToRestrictedRange": 1,
    "grainScalingMinus8": 2,
    "arCoeffLag": 1,
    "numYPoints": 3,
    "numCbPoints": 2,
    "numCrPoints": 1,
    "arCoeffShiftMinus6": 2,
    "grainScaleShift": 2,
    "pointYValue": [0, 128, 255],
    "pointYScaling": [20, 40, 60],
    "pointCbValue": [0, 255],
    "pointCbScaling": [5, 6],
    "pointCrValue": [9],
    "pointCrScaling": [7],
    "arCoeffsYPlus128": [129, 126, 131, 0],
    "arCoeffsCbPlus128": [132, 133, 134, 135, 255],
    "arCoeffsCrPlus128": [128, 128, 128, 128, 119],
    "cbMult": 200,
    "cbLumaMult": 130,
    "cbOffset": 300,
    "crMult": 1,
    "crLumaMult": 2,
    "crOffset": 511,
}


def grain_fields(owner: str) -> dict[str, Any]:
    """Of GRAIN, in the struct that `owner` points to. Arrays are shown as long as they are."""
    lengths = {"pointY": 14, "pointC": 10, "arCoeffsY": 24, "arCoeffsC": 25}
    told: dict[str, Any] = {}
    for name, value in GRAIN_PARAMS.items():
        if isinstance(value, list):
            length = next(length for start, length in lengths.items() if name.startswith(start))
            value = [*value, *[0] * (length - len(value))]
        told[f"{owner}.{name}"] = value
    return told


CODING = [
    *(Row({"aud": True}, {"codec.outputAUD": 1}, over=codec) for codec in ({}, HEVC)),
    *(
        Row({"filler_data": True}, {"codec.enableFillerDataInsertion": 1}, over={**CBR, **codec})
        for codec in ({}, HEVC)
    ),
    Row({"filler_data": True}, {"codec.enableBitstreamPadding": 1}, over={**CBR, **AV1}),
    # 256x144 samples of 64:45 make 640:253 squares.
    *(
        Row({"sample_aspect": "64:45"}, {"darWidth": 1024, "darHeight": 405}, over=codec)
        for codec in ({"width": 256, "height": 144}, {**HEVC, "width": 256, "height": 144})
    ),
    Row({"sample_aspect": (3, 2)}, {"darWidth": 384}, over={**AV1, "width": 256, "height": 144}),
    Row({"sample_aspect": (1, 3)}, {"darHeight": 432}, over={**AV1, "width": 256, "height": 144}),
    Row({"entropy": "cavlc"}, {"codec.entropyCodingMode": f"{ENTROPY}CAVLC"}),
    Row({"entropy": "cabac"}, {"codec.entropyCodingMode": f"{ENTROPY}CABAC"}, over={"tuning": "lossless"}),
    Row({"transform_8x8": False}, {"codec.adaptiveTransformMode": f"{TRANSFORM}DISABLE"}),
    Row({"transform_8x8": True}, {"codec.adaptiveTransformMode": f"{TRANSFORM}ENABLE"}, over=HQ),
    Row({"deblocking": True}, {}),
    Row({"deblocking": False}, {"codec.disableDeblockingFilterIDC": 1}),
    Row({"deblocking": "within_slices"}, {"codec.disableDeblockingFilterIDC": 2}),
    Row({"deblocking": True}, {}, over=HEVC),
    Row(
        {"deblocking": False},
        {"codec.disableDeblockingFilterIDC": 1},
        over=HEVC,
        since="13.0",
        names="deblocking=False in HEVC",
    ),
    Row({"deblocking": "within_slices"}, {"codec.disableDeblockAcrossSliceBoundary": 1}, over=HEVC),
    *(Row({"constrained_intra": True}, {"codec.useConstrainedIntraPred": 1}, over=codec) for codec in ({}, HEVC)),
    *(
        Row({"chroma_qp_offset": given}, {"rc.cbQPIndexOffset": cb, "rc.crQPIndexOffset": cr}, over=codec)
        for codec in ({}, HEVC)
        for given, cb, cr in ((-3, -3, -3), ((12, -12), 12, -12))
    ),
    Row(
        {"chroma_qp_offset": -60},
        {
            "rc.cbQPIndexOffset": -60,
            "rc.crQPIndexOffset": -60,
            "rc.uDcQPIndexOffset": -60,
            "rc.vDcQPIndexOffset": -60,
        },
        over=AV1,
    ),
    *(
        Row(
            {"references": References(l0=4, dpb=6)},
            {field: 6, "codec.numRefL0": "NV_ENC_NUM_REF_FRAMES_4"},
            over=codec,
        )
        for codec, field in (({}, "codec.maxNumRefFrames"), (HEVC, "codec.maxNumRefFramesInDPB"))
    ),
    *(
        Row({"references": References(l1=2)}, {"codec.numRefL1": "NV_ENC_NUM_REF_FRAMES_2"}, over={**B_FRAMES, **codec})
        for codec in ({}, HEVC)
    ),
    Row(
        {"references": References(l0=3, l1=2, dpb=5)},
        {
            "codec.maxNumRefFramesInDPB": 5,
            "codec.numFwdRefs": "NV_ENC_NUM_REF_FRAMES_3",
            "codec.numBwdRefs": "NV_ENC_NUM_REF_FRAMES_2",
        },
        over={**B_FRAMES, **AV1},
    ),
    *(
        Row({"single_slice_refresh": True}, {"codec.singleSliceIntraRefresh": 1}, over={**REFRESH, **codec})
        for codec in ({}, HEVC)
    ),
    Row(
        {"layers": Layers(3, scalability_info=True)},
        {
            "codec.enableTemporalSVC": 1,
            "codec.numTemporalLayers": 3,
            "codec.maxTemporalLayers": 3,
            "codec.enableScalabilityInfoSEI": 1,
        },
    ),
    Row(
        {"layers": Layers(2, prefixes=False)},
        {
            "codec.enableTemporalSVC": 1,
            "codec.numTemporalLayers": 2,
            "codec.maxTemporalLayers": 2,
            "codec.disableSVCPrefixNalu": 1,
        },
    ),
    *(
        Row(
            {"layers": Layers(4, kind="hierarchical")},
            {"codec.numTemporalLayers": 4, "codec.maxTemporalLayers": 4, field: 1},
            over=over,
        )
        for over, field in (({}, "codec.hierarchicalPFrames"), (B_FRAMES, "codec.hierarchicalBFrames"))
    ),
    *(
        Row(
            {"layers": 3},
            {"codec.enableTemporalSVC": 1, "codec.numTemporalLayers": 3, "codec.maxTemporalLayersMinus1": 2},
            over=codec,
            since="13.0",
            names="layers in HEVC and AV1",
        )
        for codec in (HEVC, AV1)
    ),
    Row({"film_grain": GRAIN}, {"codec.enableFilmGrainParams": 1, **grain_fields("codec.filmGrainParams")}, over=AV1),
    *(
        Row({"monochrome": True}, {"config.monoChromeEncoding": 1, **profile}, over=codec, gpu=MONOCHROME)
        for codec, profile in (
            ({}, {"config.profileGUID": "NV_ENC_H264_PROFILE_HIGH_GUID"}),
            (HEVC, {"config.profileGUID": "NV_ENC_HEVC_PROFILE_FREXT_GUID"}),
            (AV1, {}),
        )
    ),
    Row({"monochrome": False}, {}),
    *(
        Row({"alpha": given}, {"codec.enableAlphaLayerEncoding": 1, **ratio}, over={**HEVC, "format": form})
        for form in ("argb", "abgr")
        for given, ratio in ((True, {}), (3, {"rc.alphaLayerBitrateRatio": 3}))
    ),
    Row({"alpha": False}, {}, over=HEVC),
    Row(
        {"stereo": True},
        {"codec.enableMVHEVC": 1, "codec.numViews": 2, "codec.outputHevc3DReferenceDisplayInfo": 1},
        over=HEVC,
        since="13.0",
    ),
    Row({"stereo": False}, {}, over=HEVC),
    *(
        Row({"interlaced": first}, {"config.frameFieldMode": "NV_ENC_PARAMS_FRAME_FIELD_MODE_FIELD"})
        for first in ("top", "bottom")
    ),
    Row({"tiles": (4, 2)}, {"codec.numTileColumns": 4, "codec.numTileRows": 2}, over=AV1),
]
