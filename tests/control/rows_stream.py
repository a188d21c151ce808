"""Codec, format, size and colour: each setting, and the fields of the driver's structs that it changes."""

from __future__ import annotations

from typing import Any

from control.rows import AV1, HEVC, INFINITE, Row
from pdum.nvenc import Colour, ContentLight, MasteringDisplay

PROFILE = "config.profileGUID"
DEPTH = "NV_ENC_BIT_DEPTH_10"
OUT_10 = {"codec.outputBitDepth": DEPTH}
BOTH_10 = {"codec.inputBitDepth": DEPTH, **OUT_10}
OLD_10 = {"codec.pixelBitDepthMinus8": 2}
MAIN10 = {PROFILE: "NV_ENC_HEVC_PROFILE_MAIN10_GUID"}
REXT = {PROFILE: "NV_ENC_HEVC_PROFILE_FREXT_GUID"}
HIGH10 = {PROFILE: "NV_ENC_H264_PROFILE_HIGH_10_GUID"}
HIGH422 = {PROFILE: "NV_ENC_H264_PROFILE_HIGH_422_GUID"}
HIGH444 = {PROFILE: "NV_ENC_H264_PROFILE_HIGH_444_GUID"}
FULL = {"codec.chromaFormatIDC": 3}
HALF = {"codec.chromaFormatIDC": 2}
ENGINES_MATRIX = "NV_ENC_VUI_MATRIX_COEFFS_BT470BG"
HEVC_RGB = {"codec.hevcVUIParameters.colourMatrix": ENGINES_MATRIX}


def colours(prefix: str, primaries: str, transfer: str, matrix: str, names: tuple[str, str, str]) -> dict[str, Any]:
    return {
        f"codec.{prefix}{names[0]}": f"NV_ENC_VUI_COLOR_PRIMARIES_{primaries}",
        f"codec.{prefix}{names[1]}": f"NV_ENC_VUI_TRANSFER_CHARACTERISTIC_{transfer}",
        f"codec.{prefix}{names[2]}": f"NV_ENC_VUI_MATRIX_COEFFS_{matrix}",
    }


VUI_NAMES = ("colourPrimaries", "transferCharacteristics", "colourMatrix")
AV1_NAMES = ("colorPrimaries", "transferCharacteristics", "matrixCoefficients")
HDR10 = ("BT2020", "SMPTE2084", "BT2020_NCL")
FULL_SRGB = Colour(primaries="bt709", transfer="srgb", matrix="bt709", full_range=True)

PROFILES = [
    Row({"profile": "baseline"}, {PROFILE: "NV_ENC_H264_PROFILE_BASELINE_GUID"}),
    Row({"profile": "main"}, {PROFILE: "NV_ENC_H264_PROFILE_MAIN_GUID"}),
    Row({"profile": "high"}, {PROFILE: "NV_ENC_H264_PROFILE_HIGH_GUID"}),
    Row({"profile": "high10"}, HIGH10, since="13.0", names="H.264"),
    Row({"profile": "high422"}, HIGH422, since="13.0", names="H.264"),
    Row({"profile": "high444"}, HIGH444),
    Row({"profile": "main"}, {PROFILE: "NV_ENC_HEVC_PROFILE_MAIN_GUID"}, over=HEVC),
    Row({"profile": "main10"}, MAIN10, over=HEVC),
    Row({"profile": "rext"}, REXT, over=HEVC),
    Row({"profile": "main"}, {PROFILE: "NV_ENC_AV1_PROFILE_MAIN_GUID"}, over=AV1),
    Row({"level": "4.1"}, {"codec.level": 41}),
    Row({"level": "1b"}, {"codec.level": 9}),
    Row({"level": "5.1"}, {"codec.level": 153}, over=HEVC),
    Row({"level": "6.0"}, {"codec.level": 16}, over=AV1),
    Row({"tier": "high"}, {"codec.tier": 1}, over=HEVC),
    Row({"tier": "high"}, {"codec.tier": 1}, over=AV1),
    Row({"tier": "main"}, {}, over=HEVC),
]

FORMATS = [
    Row({"format": "yuv420"}, {}),
    Row({"format": "p010"}, {**HIGH10, **BOTH_10}, since="13.0", names="H.264"),
    Row({"format": "yuv444"}, {**HIGH444, **FULL}),
    Row({"format": "nv16"}, {**HIGH422, **HALF}, since="13.0", names="SUPPORT_YUV422_ENCODE"),
    Row({"format": "argb"}, {"codec.h264VUIParameters.colourMatrix": ENGINES_MATRIX}),
    Row({"format": "p010"}, {**MAIN10, **BOTH_10}, over=HEVC, told_12_1={**MAIN10, **OLD_10}),
    Row({"format": "yuv444"}, {**REXT, **FULL}, over=HEVC),
    Row({"format": "yuv444_10"}, {**REXT, **FULL, **BOTH_10}, over=HEVC, told_12_1={**REXT, **FULL, **OLD_10}),
    Row({"format": "nv16"}, {**REXT, **HALF}, over=HEVC, since="13.0", names="SUPPORT_YUV422_ENCODE"),
    Row({"format": "p210"}, {**REXT, **HALF, **BOTH_10}, over=HEVC, since="13.0", names="SUPPORT_YUV422_ENCODE"),
    Row({"format": "argb"}, HEVC_RGB, over=HEVC),
    Row({"format": "abgr"}, HEVC_RGB, over=HEVC),
    Row({"format": "ayuv"}, {**REXT, **FULL}, over=HEVC),
    *(
        Row(
            {"format": form},
            {**MAIN10, **BOTH_10, **HEVC_RGB},
            over=HEVC,
            told_12_1={**MAIN10, **OLD_10, **HEVC_RGB},
        )
        for form in ("argb10", "abgr10")
    ),
    Row({"format": "p010"}, BOTH_10, over=AV1, told_12_1={"codec.inputPixelBitDepthMinus8": 2, **OLD_10}),
    Row({"format": "rgb"}, {}),  # converted by this package into the NV12 that the encoder reads
    Row({"format": "rgb", "chroma": "444"}, {**REXT, **FULL}, over=HEVC),
    Row({"format": "rgb", "bit_depth": 10}, {**MAIN10, **BOTH_10}, over=HEVC, told_12_1={**MAIN10, **OLD_10}),
    Row({"chroma": "444"}, {**HIGH444, **FULL}, over={"format": "argb"}),
    Row({"chroma": "444"}, {**REXT, **FULL}, over={**HEVC, "format": "abgr"}),
    Row({"chroma": "422"}, {}, over={**HEVC, "format": "nv16"}, since="13.0", names="SUPPORT_YUV422_ENCODE"),
    Row({"bit_depth": 10}, {**HIGH10, **OUT_10}, since="13.0", names="H.264"),
    Row({"bit_depth": 10}, {**MAIN10, **OUT_10}, over=HEVC, since="13.0", names="8-bit frames"),
    Row({"bit_depth": 10}, OUT_10, over=AV1, told_12_1=OLD_10),
]

COLOURS = [
    Row({"colour": "hdr10"}, colours("h264VUIParameters.", *HDR10, VUI_NAMES)),
    Row({"colour": "hdr10"}, colours("hevcVUIParameters.", *HDR10, VUI_NAMES), over=HEVC),
    Row({"colour": "hdr10"}, colours("", *HDR10, AV1_NAMES), over=AV1),
    Row({"colour": "bt709"}, colours("h264VUIParameters.", "BT709", "BT709", "BT709", VUI_NAMES)),
    Row(
        {"colour": FULL_SRGB},
        {
            **colours("hevcVUIParameters.", "BT709", "SRGB", "BT709", VUI_NAMES),
            "codec.hevcVUIParameters.videoFullRangeFlag": 1,
        },
        over=HEVC,
    ),
    Row(
        {"colour": FULL_SRGB},
        {**colours("", "BT709", "SRGB", "BT709", AV1_NAMES), "codec.colorRange": 1},
        over=AV1,
    ),
]

DISPLAY = {"mastering_display": MasteringDisplay()}
LIGHT = {"content_light": ContentLight(1000, 400)}
# Version 12.1 has no fields for it, and H.264 has none in any version.
HDR = [
    *(Row(given, {}) for given in (DISPLAY, LIGHT)),
    *(Row(DISPLAY, {"codec.outputMasteringDisplay": 1}, over=codec, told_12_1={}) for codec in (HEVC, AV1)),
    *(Row(LIGHT, {"codec.outputMaxCll": 1}, over=codec, told_12_1={}) for codec in (HEVC, AV1)),
]

SIZES = [
    Row({"width": 640}, {"encodeWidth": 640, "darWidth": 640, "maxEncodeWidth": 640}),
    Row({"height": 480}, {"encodeHeight": 480, "darHeight": 480, "maxEncodeHeight": 480}),
    Row({"max_width": 1920}, {"maxEncodeWidth": 1920}),
    Row({"max_height": 1080}, {"maxEncodeHeight": 1080}),
    Row({"fps": "30000/1001"}, {"frameRateNum": 30000, "frameRateDen": 1001}),
    Row(
        {"preset": "p7"},
        {"presetGUID": "NV_ENC_PRESET_P7_GUID"},  # all low-latency presets set the same
    ),
    *(
        Row({"gop": gop}, {"config.gopLength": length, "codec.idrPeriod": length}, over=codec)
        for gop, length in ((250, 250), (0, INFINITE))
        for codec in ({}, HEVC, AV1)
    ),
]
