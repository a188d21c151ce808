"""The structure of the stream: each setting, and the fields of the driver's structs that it changes."""

from __future__ import annotations

from typing import Any

from control.rows import AV1, HEVC, HQ, Row

B_MODE = "NV_ENC_BFRAME_REF_MODE_"
CODECS: tuple[dict[str, Any], ...] = ({}, HEVC, AV1)
FOUR = {**HQ, "bframes": 4}
TF = {"codec.tfLevel": "NV_ENC_TEMPORAL_FILTER_LEVEL_4"}
REFRESH = {"codec.enableIntraRefresh": 1, "codec.intraRefreshPeriod": 30, "codec.intraRefreshCnt": 5}
ONE = "NV_ENC_NUM_REF_FRAMES_1"
RECOVERY = {"codec.outputRecoveryPointSEI": 1}  # the point where a decoder that started in between has a whole picture

BFRAMES = [
    *(
        Row(
            {"bframes": 3},
            {"config.frameIntervalP": 4, "rc.zeroReorderDelay": 0, "codec.useBFramesAsRef": B_MODE + mode},
            over={**HQ, **codec},
        )
        for codec, mode in zip(CODECS, ("MIDDLE", "EACH", "EACH"), strict=True)  # as the presets have them
    ),
    *(
        Row({"b_ref_mode": mode.lower()}, {"codec.useBFramesAsRef": B_MODE + mode}, over={**FOUR, **codec, **preset})
        for mode, preset in (("EACH", {"preset": "p5"}), ("MIDDLE", {"preset": "p1"}))
        for codec in CODECS
    ),
    *(
        Row(
            {"b_ref_mode": "hierarchical"},
            {"codec.useBFramesAsRef": f"{B_MODE}HIERARCHICAL"},
            over={**FOUR, **codec},
            since="13.1",
            names="b_ref_mode='hierarchical'",
            gpu={"caps": {"SUPPORT_BFRAME_REF_MODE": 7}},
        )
        for codec in CODECS
    ),
    Row({"b_ref_mode": "off"}, {"codec.useBFramesAsRef": 0}, over={**FOUR, "preset": "p5"}),
    Row({"weighted_prediction": True}, {"enableWeightedPrediction": 1}),
    Row({"weighted_prediction": True}, {"enableWeightedPrediction": 1}, over=HEVC),
    Row({"temporal_filter": True}, TF, over={**FOUR, **HEVC}, since="13.0", names="temporal_filter"),
    Row({"temporal_filter": True}, TF, over={**FOUR, **AV1}, since="13.0", names="temporal_filter"),
    Row(
        {"temporal_filter": False},
        {"codec.tfLevel": 0},
        over={**HEVC, "tuning": "uhq", "bframes": 4},
        since="13.0",
        names="uhq",
    ),
    Row({"unidirectional_b": True}, {"enableUniDirectionalB": 1}, over=HEVC, since="13.0", names="unidirectional_b"),
]

PARTS = [
    *(
        Row(
            {"slices": given},
            {"codec.sliceMode": mode, "codec.sliceModeData": count} if mode else {"codec.sliceModeData": count},
            over=codec,
        )
        for codec in ({}, HEVC)
        for given, mode, count in (
            (4, 3, 4),
            (("count", 4), 3, 4),
            (("macroblocks", 40), 0, 40),
            (("bytes", 1200), 1, 1200),
            (("rows", 2), 2, 2),
        )
    ),
    *(
        Row({"intra_refresh_period": 30, "intra_refresh_count": 5}, REFRESH | recovery, over={**codec, "gop": 0})
        for codec, recovery in (({}, RECOVERY), (HEVC, RECOVERY), (AV1, {}))
    ),
    *(
        Row({"split_encode": given}, {"splitEncodeMode": mode} if mode else {}, over=codec)
        for codec in (HEVC, AV1)
        for given, mode in (("auto", 0), ("off", 15), (2, 2), ("3", 3))
    ),
    Row({"split_encode": 4}, {"splitEncodeMode": 4}, over=HEVC, since="13.0", names="split_encode=4"),
    Row({"picture_types": "manual"}, {"enablePTD": 0}),
    Row({"reference_frames": 4}, {"codec.maxNumRefFrames": 4, "codec.numRefL0": ONE}),
    Row({"reference_frames": 4}, {"codec.maxNumRefFramesInDPB": 4, "codec.numRefL0": ONE}, over=HEVC),
    Row({"reference_frames": 4}, {"codec.maxNumRefFramesInDPB": 4, "codec.numFwdRefs": ONE}, over=AV1),
    *(
        Row({"long_term_references": 2}, {"codec.enableLTR": 1, "codec.ltrNumFrames": 2}, over=codec)
        for codec in ({}, HEVC)
    ),
    Row(
        {"long_term_references": 2},
        {"codec.enableLTR": 1, "codec.ltrNumFrames": 2},
        over=AV1,
        since="13.0",
        names="long_term_references",
    ),
    *(
        Row({"sub_frames": True}, {"enableSubFrameWrite": 1, "reportSliceOffsets": 1}, over={"slices": 4, **codec})
        for codec in ({}, HEVC)
    ),
    *(
        Row(
            {"reconstruction": True},
            {"enableReconFrameOutput": 1},
            over=codec,
            gpu={"caps": {"OUTPUT_RECON_SURFACE": 1}},
        )
        for codec in CODECS
    ),
    *(
        Row(
            {"motion_hints": most},
            {"enableExternalMEHints": 1, f"maxMEHintCountsPerBlock[0].{count}": most},
            over=codec,
        )
        for codec, count, most in (
            ({}, "numCandsPerBlk16x16", 15),
            (HEVC, "numCandsPerBlk16x16", 1),
            (AV1, "numCandsPerSb", 255),
        )
    ),
    *(Row({"statistics": "picture"}, {}, over=codec) for codec in CODECS),
    *(
        Row(
            {"statistics": given},
            {"enableOutputStats": 1, "outputStatsLevel": f"NV_ENC_OUTPUT_STATS_{level}_LEVEL"},
            over=codec,
            gpu={"caps": {"OUTPUT_BLOCK_STATS": 1, "OUTPUT_ROW_STATS": 1}},
        )
        for codec in CODECS
        for given, level in (("blocks", "BLOCK"), ("rows", "ROW"))
    ),
    *(
        Row({"attempts": most}, {"numStateBuffers": most}, over=codec)
        for codec, most in (({}, 16), (HEVC, 4), (AV1, 32))
    ),
    Row(
        {"attempts": 3},
        {"numStateBuffers": 3, "rc.enableLookahead": 0, "rc.enableExtLookahead": 1, "rc.zeroReorderDelay": 1},
        over={"tuning": "hq", "lookahead": 8},
    ),
    Row({"time_code": True}, {"codec.enableTimeCode": 1, "codec.outputPictureTimingSEI": 1}),
    # Their time codes are messages and metadata of the pictures that have one.
    *(Row({"time_code": True}, {}, over=codec) for codec in (HEVC, AV1)),
]

TUNINGS = [
    Row(
        {"tuning": "hq"},
        {
            "tuningInfo": "NV_ENC_TUNING_INFO_HIGH_QUALITY",
            "rc.rateControlMode": "NV_ENC_PARAMS_RC_VBR",
            "rc.lowDelayKeyFrameScale": 0,
            "codec.adaptiveTransformMode": 0,
        },
    ),
    Row(
        {"tuning": "ull"},
        {
            "tuningInfo": "NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY",
            "rc.multiPass": "NV_ENC_TWO_PASS_QUARTER_RESOLUTION",
            "rc.lowDelayKeyFrameScale": 1,
        },
    ),
    Row(
        {"tuning": "lossless"},
        {
            "tuningInfo": "NV_ENC_TUNING_INFO_LOSSLESS",
            "rc.rateControlMode": 0,
            "rc.lowDelayKeyFrameScale": 0,
            "codec.adaptiveTransformMode": 0,
            "codec.bdirectMode": "NV_ENC_H264_BDIRECT_MODE_DISABLE",
            "codec.entropyCodingMode": "NV_ENC_H264_ENTROPY_CODING_MODE_CAVLC",
            "rc.constQP.qpIntra": 0,
            "rc.constQP.qpInterP": 0,
            "rc.constQP.qpInterB": 0,
            "codec.qpPrimeYZeroTransformBypassFlag": 1,
        },
    ),
    Row(
        {"tuning": "uhq"},
        {
            "tuningInfo": "NV_ENC_TUNING_INFO_ULTRA_HIGH_QUALITY",
            "rc.rateControlMode": "NV_ENC_PARAMS_RC_VBR",
            "rc.lowDelayKeyFrameScale": 0,
            "codec.minCUSize": 0,
            "rc.enableAQ": 1,
            "rc.enableTemporalAQ": 1,
        },
        over=HEVC,
        since="13.0",
        names="uhq",
    ),
]
