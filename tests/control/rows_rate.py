"""Rate control, lookahead and AQ: each setting, and the fields of the driver's structs that it changes."""

from __future__ import annotations

from typing import Any

from control.rows import AV1, HEVC, HQ, Row

MODE = "rc.rateControlMode"
CBR = {MODE: "NV_ENC_PARAMS_RC_CBR"}
VBR = {MODE: "NV_ENC_PARAMS_RC_VBR"}
CONSTQP = {MODE: 0}
LOOKING: dict[str, Any] = {**HQ, "lookahead": 8}


def qp(member: str, intra: int, p: int, b: int) -> dict[str, int]:
    return {f"rc.{member}.qpIntra": intra, f"rc.{member}.qpInterP": p, f"rc.{member}.qpInterB": b}


RATE = [
    Row({"rate_control": "cbr"}, CBR, over=HQ),
    Row({"rate_control": "vbr"}, VBR),
    Row({"rate_control": "constqp", "qp": 21}, {**CONSTQP, **qp("constQP", 21, 21, 21)}),
    Row({"qp": 21}, {**CONSTQP, **qp("constQP", 21, 21, 21)}),
    Row({"qp": 0}, {**CONSTQP, **qp("constQP", 0, 0, 0)}),
    Row({"qp": (20, 22, 24)}, {**CONSTQP, **qp("constQP", 20, 22, 24)}, over=HQ),
    Row({"qp": 200}, {**CONSTQP, **qp("constQP", 200, 200, 200)}, over=AV1),
    Row({"bitrate": 3_000_000}, {"rc.averageBitRate": 3_000_000}),
    Row({"bitrate": 3_000_000}, {"rc.averageBitRate": 3_000_000}, over=HQ),
    Row(
        {"bitrate": 3_000_000},
        {"rc.averageBitRate": 3_000_000, "rc.vbvBufferSize": 100_000},
        over={"tuning": "ull"},
    ),
    Row({"max_bitrate": 5_000_000}, {"rc.maxBitRate": 5_000_000}, over={**HQ, "bitrate": 3_000_000}),
    Row({"vbv_size": 4_000_000}, {"rc.vbvBufferSize": 4_000_000}),
    Row({"vbv_initial_delay": 2_000_000}, {"rc.vbvInitialDelay": 2_000_000}, over={"vbv_size": 4_000_000}),
    Row({"min_qp": 10}, {"rc.enableMinQP": 1, **qp("minQP", 10, 10, 10)}),
    Row({"min_qp": (10, 11, 12)}, {"rc.enableMinQP": 1, **qp("minQP", 10, 11, 12)}),
    Row({"max_qp": 40}, {"rc.enableMaxQP": 1, **qp("maxQP", 40, 40, 40)}),
    Row({"max_qp": (38, 39, 40)}, {"rc.enableMaxQP": 1, **qp("maxQP", 38, 39, 40)}),
    Row({"initial_qp": 25}, {"rc.enableInitialRCQP": 1, **qp("initialRCQP", 25, 25, 25)}),
    Row({"initial_qp": (24, 25, 26)}, {"rc.enableInitialRCQP": 1, **qp("initialRCQP", 24, 25, 26)}),
    Row({"cq": 23}, {"rc.targetQuality": 23}, over=HQ),
    Row({"cq": 23.5}, {"rc.targetQuality": 23, "rc.targetQualityLSB": 128}, over=HQ),
    Row({"cq": 0.001}, {"rc.targetQualityLSB": 1}, over=HQ),
    Row({"cq": 60.25}, {**VBR, "rc.targetQuality": 60, "rc.targetQualityLSB": 64}, over=AV1),
    Row({"multipass": "off"}, {"rc.multiPass": 0}, over={"tuning": "ull"}),
    Row({"multipass": "quarter"}, {"rc.multiPass": "NV_ENC_TWO_PASS_QUARTER_RESOLUTION"}, over={"preset": "p1"}),
    Row({"multipass": "full"}, {"rc.multiPass": "NV_ENC_TWO_PASS_FULL_RESOLUTION"}),
    Row({"spatial_aq": True}, {"rc.enableAQ": 1}),
    Row({"spatial_aq": False}, {"rc.enableAQ": 0}, over={**HEVC, "tuning": "uhq"}, since="13.0", names="uhq"),
    Row({"spatial_aq": 9}, {"rc.enableAQ": 1, "rc.aqStrength": 9}),
    Row({"temporal_aq": True}, {"rc.enableTemporalAQ": 1}),
    Row(
        {"temporal_aq": False},
        {"rc.enableTemporalAQ": 0},
        over={**HEVC, "tuning": "uhq"},
        since="13.0",
        names="uhq",
    ),
    Row({"low_delay_key_frame_scale": 3}, {"rc.lowDelayKeyFrameScale": 3}),
    Row({"strict_gop": True}, {"rc.strictGOPTarget": 1}),
    Row({"nonref_p": True}, {"rc.enableNonRefP": 1}),
    *(Row({"qp_map": "delta"}, {"rc.qpMapMode": "NV_ENC_QP_MAP_DELTA"}, over=codec) for codec in ({}, HEVC, AV1)),
    Row({"qp_map": "emphasis"}, {"rc.qpMapMode": "NV_ENC_QP_MAP_EMPHASIS"}),
]

LOOKAHEAD = [
    Row({"lookahead": 16}, {"rc.enableLookahead": 1, "rc.lookaheadDepth": 16, "rc.zeroReorderDelay": 0}, over=HQ),
    *(
        Row(
            {"lookahead_level": level},
            {"rc.lookaheadLevel": f"NV_ENC_LOOKAHEAD_LEVEL_{name}"} if name else {},
            over={**LOOKING, **HEVC},
            since="13.0",
            names="lookahead_level",
        )
        for level, name in ((0, ""), (1, "1"), (2, "2"), (3, "3"), ("auto", "AUTOSELECT"))
    ),
    Row({"adaptive_i": False}, {"rc.disableIadapt": 1}, over=LOOKING),
    Row({"adaptive_i": True}, {}, over=LOOKING),
    Row({"adaptive_b": False}, {"rc.disableBadapt": 1}, over={**LOOKING, "bframes": 3}),
    Row({"adaptive_b": True}, {}, over={**LOOKING, "bframes": 3}),
]
