"""The same settings for a client that runs on millions of cards, and for ours."""

from __future__ import annotations

from typing import Any

Settings = dict[str, Any]
WIDTH, HEIGHT, FPS, GOP = 256, 160, 30, 30
BITRATE = 2_000_000
COMMON: Settings = {"width": WIDTH, "height": HEIGHT, "fps": FPS, "gop": GOP, "colour": "bt709"}
BT709 = 1
TUNES = {"hq": "hq", "ll": "ll", "ull": "ull"}


def ffmpeg(codec: str, preset: str, tune: str, rc: str, ours: Settings | None = None, **options: Any) -> Twin:
    """FFmpeg's options and ours. ``bit_rate`` and ``pix_fmt`` are fields of FFmpeg's context."""
    job: Settings = {"codec": f"{codec}_nvenc", "width": WIDTH, "height": HEIGHT, "gop": GOP, "colour": BT709}
    for name in ("bit_rate", "pix_fmt", "gop"):
        if name in options:
            job[name] = options.pop(name)
    named = {name.replace("_", "-") if name in DASHED else name: str(value) for name, value in options.items()}
    job["options"] = {"preset": preset, "tune": tune, "rc": rc, **named}
    wish = {**COMMON, "codec": codec, "preset": preset, "tuning": TUNES.get(tune, tune), "rate_control": rc}
    if "gop" in job:
        wish["gop"] = max(job["gop"], 0)
    return job, {**wish, **(ours or {})}


Twin = tuple[Settings, Settings]
DASHED = {"rc_lookahead", "spatial_aq", "temporal_aq", "aq_strength", "intra_refresh", "forced_idr"}
RATE = {"bitrate": BITRATE}
CODECS = ("h264", "hevc", "av1")

FFMPEG: list[Twin] = [
    *(
        ffmpeg(codec, preset, "ll", "cbr", RATE, bit_rate=BITRATE)
        for codec in CODECS
        for preset in ("p1", "p4", "p7")
    ),
    *(ffmpeg(codec, "p3", "ull", "cbr", RATE, bit_rate=BITRATE) for codec in CODECS),
    *(ffmpeg(codec, "p5", "hq", "vbr", RATE | {"bframes": 0}, bit_rate=BITRATE, bf=0) for codec in CODECS),
    *(
        ffmpeg(
            codec, "p6", "hq", "vbr", RATE | {"bframes": 3, "b_ref_mode": "middle"}, bit_rate=BITRATE, bf=3,
            b_ref_mode="middle",
        )
        for codec in CODECS
    ),
    *(
        ffmpeg(codec, "p4", "hq", "vbr", RATE | {"lookahead": 16}, bit_rate=BITRATE, bf=0, rc_lookahead=16)
        for codec in CODECS
    ),
    *(
        ffmpeg(codec, "p4", "hq", "vbr", {"cq": 28, "bframes": 2}, bit_rate=0, bf=2, cq=28)
        for codec in CODECS
    ),
    *(
        ffmpeg(codec, "p4", "hq", "constqp", {"qp": 24, "bframes": 0}, bit_rate=0, bf=0, qp=24)
        for codec in CODECS
    ),
    *(
        ffmpeg(
            codec, "p4", "hq", "vbr", RATE | {"spatial_aq": 8, "temporal_aq": True}, bit_rate=BITRATE, bf=0,
            spatial_aq=1, temporal_aq=1, aq_strength=8,
        )
        for codec in CODECS
    ),
    *(
        ffmpeg(codec, "p4", "ll", "cbr", RATE | {"multipass": "full"}, bit_rate=BITRATE, multipass="fullres")
        for codec in CODECS
    ),
    *(
        ffmpeg(codec, "p4", "ll", "cbr", RATE | {"format": "p010"}, bit_rate=BITRATE, pix_fmt="p010le")
        for codec in ("hevc", "av1")
    ),
    *(ffmpeg(codec, "p4", "ll", "cbr", RATE, bit_rate=BITRATE, gop=-1) for codec in CODECS),
]  # fmt: skip

# Fields that differ for a reason; a difference in any other field fails.
FFMPEG_DIFFERS = {
    "config.profileGUID": "FFmpeg sets the lowest profile that fits. We let the driver choose one that fits.",
    "codec.hevcVUIParameters.bitstreamRestrictionFlag": "We tell decoders how few pictures they must hold back.",
    "codec.outputPictureTimingSEI": "FFmpeg always asks for it. We do so only with time codes.",
    "codec.enableTimeCode": "See `codec.outputPictureTimingSEI`.",
    "codec.sliceMode": "FFmpeg asks for one slice for each picture, which the presets have anyway.",
    "codec.sliceModeData": "See `codec.sliceMode`.",
    "codec.useBFramesAsRef": "With fewer than 3 B-frames, we turn it off. FFmpeg keeps the preset's value.",
    "rc.enableLookahead": "If you ask for no lookahead, FFmpeg keeps the preset's. We turn it off.",
    "rc.lookaheadDepth": "See `rc.enableLookahead`.",
    "darWidth": "FFmpeg reduces the fraction.",
    "darHeight": "See `darWidth`.",
    "maxEncodeWidth": "We set the first size. 0 means the same.",
    "maxEncodeHeight": "See `maxEncodeWidth`.",
    "rc.enableInitialRCQP": "FFmpeg sets start values for VBR. We leave them to the driver.",
    "rc.initialRCQP.qpIntra": "See `rc.enableInitialRCQP`.",
    "rc.initialRCQP.qpInterP": "See `rc.enableInitialRCQP`.",
    "rc.initialRCQP.qpInterB": "See `rc.enableInitialRCQP`.",
    "rc.vbvBufferSize": "FFmpeg asks for two seconds. We leave it to the driver (with ultra low latency: one frame).",
    "rc.multiPass": "FFmpeg turns it off unless you ask for it. We keep the preset's value.",
    "rc.zeroReorderDelay": "We set it whenever no frame waits for a later one.",
    "rc.constQP.qpInterB": "FFmpeg scales the quantiser of B-pictures.",
    "rc.constQP.qpIntra": "FFmpeg scales the quantiser of I-pictures.",
}


def pynvvideocodec(codec: str, preset: str, tuning: str, rc: str, ours: Settings | None = None, **options: Any) -> Twin:
    """PyNvVideoCodec's keywords and ours."""
    given = {"codec": codec, "preset": preset.upper(), "tuning_info": PYNV_TUNINGS[tuning], "rc": rc, **options}
    wish = {**COMMON, "codec": codec, "preset": preset, "tuning": tuning, "rate_control": rc, **(ours or {})}
    return {"width": WIDTH, "height": HEIGHT, "options": {"fps": FPS, "gop": GOP, "bf": 0, **given}}, wish


PYNV_TUNINGS = {"hq": "high_quality", "ll": "low_latency", "ull": "ultra_low_latency"}

PYNVVIDEOCODEC: list[Twin] = [
    twin
    for codec in CODECS
    for twin in (
        pynvvideocodec(codec, "p3", "ll", "cbr", RATE, bitrate="2000000"),
        pynvvideocodec(codec, "p1", "ull", "cbr", RATE, bitrate="2000000"),
        pynvvideocodec(
            codec, "p5", "hq", "vbr", RATE | {"max_bitrate": 3_000_000, "bframes": 3}, bitrate="2000000",
            maxbitrate="3000000", bf=3,
        ),
        pynvvideocodec(codec, "p4", "hq", "constqp", {"qp": 24}, constqp="24"),
    )
]  # fmt: skip

PYNVVIDEOCODEC_DIFFERS = {
    **{
        f"codec.{vui}{field}": "PyNvVideoCodec cannot signal colours. We always signal them."
        for vui in ("h264VUIParameters.", "hevcVUIParameters.")
        for field in (
            "colourDescriptionPresentFlag",
            "colourMatrix",
            "colourPrimaries",
            "transferCharacteristics",
            "videoSignalTypePresentFlag",
        )
    },
    "codec.colorPrimaries": "The same as for H.264 and HEVC.",
    "codec.matrixCoefficients": "The same as for H.264 and HEVC.",
    "codec.transferCharacteristics": "The same as for H.264 and HEVC.",
    "codec.hevcVUIParameters.bitstreamRestrictionFlag": "We tell decoders how few pictures they must hold back.",
    "codec.outputBufferingPeriodSEI": "PyNvVideoCodec always asks for it.",
    "codec.outputPictureTimingSEI": "PyNvVideoCodec always asks for it. We do so only with time codes.",
    "codec.inputBitDepth": "We set 8 bits explicitly. Presets have 0.",
    "codec.outputBitDepth": "See `codec.inputBitDepth`.",
    "codec.sliceMode": "PyNvVideoCodec asks for one slice for each picture, which the presets have anyway.",
    "codec.sliceModeData": "See `codec.sliceMode`.",
    "codec.useBFramesAsRef": "With fewer than 3 B-frames, we turn it off. PyNvVideoCodec keeps the preset's value.",
    "rc.enableInitialRCQP": "PyNvVideoCodec sets start values for VBR. We leave them to the driver.",
    "rc.initialRCQP.qpIntra": "See `rc.enableInitialRCQP`.",
    "rc.initialRCQP.qpInterP": "See `rc.enableInitialRCQP`.",
    "rc.initialRCQP.qpInterB": "See `rc.enableInitialRCQP`.",
    "rc.multiPass": "PyNvVideoCodec turns it off unless you ask for it. We keep the preset's value.",
    "rc.vbvBufferSize": "With ultra low latency, our buffer holds the bits of one frame's time.",
    "rc.zeroReorderDelay": "We set it whenever no frame waits for a later one.",
}


# NVENC's interface 11.1, which GStreamer 1.22 speaks, has older presets; its encoders of 4:2:2 crash on Blackwell.
GSTREAMER_GPU: Settings = {"name": "L40S", "fps_1080p": 0}
KILOBIT = 1024  # GStreamer's
GST_RATE = {"bitrate": 2000 * KILOBIT}


def gstreamer(element: str, rc: str, tuning: str = "hq", ours: Settings | None = None, **options: Any) -> Twin:
    """The element's properties beside ours, in the names of the older elements; the newer ones have some others."""
    newer = element.startswith("nvcuda")
    mode = {"constqp": "cqp"}.get(rc, rc) if newer else rc
    given = {"rate_control" if newer else "rc_mode": mode, "gop_size": GOP, "preset": "hq"} | options
    names = GST_NEWER_NAMES if newer else {}
    properties = [f"{names.get(name, name).replace('_', '-')}={value}" for name, value in given.items()]
    codec = "h264" if "264" in element else "hevc"
    wish = {**COMMON, "codec": codec, "preset": "p4", "tuning": tuning, "rate_control": rc, **(ours or {})}
    return {"element": element, "properties": properties, "pixels": GST_PIXELS[wish.get("format", "nv12")]}, wish


GST_NEWER_NAMES = {
    "bframes": "b_frames",
    "zerolatency": "zero_reorder_delay",
    **{f"qp_{limit}_{kind}": f"{limit}_qp_{kind}" for limit in ("min", "max") for kind in "ipb"},
    **{f"qp_const_{kind}": f"qp_{kind}" for kind in "ipb"},
}
GST_PIXELS = {"nv12": "NV12", "p010": "P010_10LE"}


def each(prefix: str, intra: int, p: int, b: int) -> Settings:
    return {f"{prefix}_i": intra, f"{prefix}_p": p, f"{prefix}_b": b}


GSTREAMER: list[Twin] = [
    twin
    for element in ("nvh264enc", "nvh265enc", "nvcudah264enc", "nvcudah265enc")
    for twin in (
        gstreamer(element, "cbr", ours=GST_RATE, bitrate=2000),
        gstreamer(element, "cbr", "ll", GST_RATE, bitrate=2000, preset="low-latency-hq", zerolatency=True),
        gstreamer(
            element, "vbr", ours=GST_RATE | {"max_bitrate": 3000 * KILOBIT}, bitrate=2000, max_bitrate=3000
        ),
        gstreamer(element, "vbr", ours=GST_RATE | {"bframes": 3, "b_ref_mode": None}, bitrate=2000, bframes=3),
        gstreamer(element, "vbr", ours=GST_RATE | {"lookahead": 16}, bitrate=2000, rc_lookahead=16),
        gstreamer(
            element, "vbr", ours=GST_RATE | {"lookahead": 8, "adaptive_i": False}, bitrate=2000, rc_lookahead=8,
            i_adapt=False,
        ),
        gstreamer(
            element, "vbr", ours=GST_RATE | {"spatial_aq": 8, "temporal_aq": True}, bitrate=2000, spatial_aq=True,
            aq_strength=8, temporal_aq=True,
        ),
        gstreamer(element, "vbr", ours={"cq": 28.5}, const_quality=28.5),
        gstreamer(element, "constqp", ours={"qp": (22, 24, 26)}, **each("qp_const", 22, 24, 26)),
        gstreamer(
            element, "vbr", ours=GST_RATE | {"min_qp": (10, 11, 12), "max_qp": (38, 39, 40)}, bitrate=2000,
            **each("qp_min", 10, 11, 12), **each("qp_max", 38, 39, 40),
        ),
        gstreamer(element, "cbr", ours=GST_RATE | {"vbv_size": 1000 * KILOBIT}, bitrate=2000, vbv_buffer_size=1000),
        gstreamer(element, "cbr", ours=GST_RATE | {"strict_gop": True}, bitrate=2000, strict_gop=True),
        gstreamer(element, "cbr", ours=GST_RATE | {"nonref_p": True}, bitrate=2000, nonref_p=True),
        gstreamer(element, "cbr", ours=GST_RATE | {"gop": 0}, bitrate=2000, gop_size=-1),
    )
] + [
    gstreamer(element, "cbr", ours=GST_RATE | {"weighted_prediction": True}, bitrate=2000, weighted_pred=True)
    for element in ("nvh264enc", "nvcudah264enc")
] + [
    gstreamer(element, "cbr", ours=GST_RATE | {"format": "p010"}, bitrate=2000)
    for element in ("nvh265enc", "nvcudah265enc")
]  # fmt: skip

GSTREAMER_DIFFERS = {
    "presetGUID": "GStreamer 1.22 speaks NVENC's interface 11.1 and uses its older presets.",
    "tuningInfo": "The older presets have no tuning.",
    "rc.enableLookahead": "If you ask for no lookahead, GStreamer keeps the preset's. We turn it off.",
    "rc.lookaheadDepth": "See `rc.enableLookahead`.",
    "rc.lowDelayKeyFrameScale": "The newer elements always use the default preset, whatever preset you choose.",
    "codec.minCUSize": "See `rc.lowDelayKeyFrameScale`.",
    "config.profileGUID": "GStreamer sets the lowest profile that the next elements accept. We leave it to the driver.",
    "codec.entropyCodingMode": "The newer element chooses the Baseline profile, which has no CABAC.",
    "codec.outputAUD": "GStreamer asks for access unit delimiters by default.",
    "codec.repeatSPSPPS": "GStreamer itself puts the headers before IDR pictures.",
    "codec.h264VUIParameters.bitstreamRestrictionFlag": "We tell decoders how few pictures they must hold back.",
    "codec.hevcVUIParameters.bitstreamRestrictionFlag": "The same as for H.264.",
    "codec.useBFramesAsRef": "With fewer than 3 B-frames, we turn it off. GStreamer keeps the preset's value.",
    "darWidth": "GStreamer reduces the fraction.",
    "darHeight": "See `darWidth`.",
    "rc.zeroReorderDelay": "We set it whenever no frame waits for a later one.",
    "rc.disableIadapt": "With lookahead, GStreamer turns adaptive I-frames off unless you ask for them.",
    "rc.disableBadapt": "See `rc.disableIadapt`; this one is for adaptive B-frames.",
    "rc.enableMaxQP": "GStreamer's newer elements overwrite the minimum quantisers with the maximum ones.",
    **{
        f"rc.{limit}.{kind}": "See `rc.enableMaxQP`."
        for limit in ("minQP", "maxQP")
        for kind in ("qpIntra", "qpInterP", "qpInterB")
    },
}
