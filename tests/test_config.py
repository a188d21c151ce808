"""Each setting reaches the driver's struct unchanged, or is refused with helpful words."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frames import created_context, nv12
from pdum.nvenc import CudaFailed, EncoderConfig, InvalidConfig, NvencEncoder, NvencError, UnsupportedFeature
from pdum.nvenc._config.native_settings import native_settings
from pdum.nvenc._config.settings import frame_rate

from simulator import Simulator, parse
from simulator.trace import Call, read_calls

pytestmark = pytest.mark.one_abi

WIDTH, HEIGHT = 256, 144
FAST = {"name": "RTX 4090", "fps_1080p": 0}
INFINITE = 0xFFFFFFFF

Trace = Callable[..., list[Call]]


@pytest.fixture
def trace(simulator: Simulator, tmp_path: Path) -> Trace:
    """All calls from making an encoder with these settings, using it and closing it."""

    def run(
        use: Callable[[NvencEncoder], object] = lambda _: None, backend: str = "echo", **settings: Any
    ) -> list[Call]:
        path = tmp_path / "trace.jsonl"
        path.unlink(missing_ok=True)
        with (
            simulator.machine(gpus=FAST, backend=backend, trace=str(path)),
            NvencEncoder(**{"width": WIDTH, "height": HEIGHT, **settings}) as encoder,
        ):
            use(encoder)
        return read_calls(path)

    return run


def one(calls: list[Call], name: str) -> dict[str, Any]:
    (found,) = [call for call in calls if call.name == name]
    return found.args


def initialized(calls: list[Call]) -> dict[str, Any]:
    return one(calls, "nvEncInitializeEncoder")


def refusal(**settings: Any) -> NvencError:
    """The error that these settings lead to."""
    with pytest.raises(NvencError) as caught:
        NvencEncoder(**{"width": WIDTH, "height": HEIGHT, **settings}).close()
    return caught.value


# Settings that reach the driver


def test_defaults_are_those_of_the_signature(abi: str, trace: Trace) -> None:
    given_all = trace(
        codec="h264",
        preset="p3",
        tuning="ll",
        fps=30,
        gop=30,
        bitrate=0,
        gpu_id=0,
        cuda_context=0,
        extra_output_delay=0,
        profile="auto",
        max_bitrate=0,
        bframes=0,
        lookahead=0,
    )
    assert initialized(trace()) == initialized(given_all)


def test_positional_use(abi: str, simulator: Simulator, tmp_path: Path) -> None:
    path = tmp_path / "trace"
    with (
        simulator.machine(gpus=FAST, trace=str(path)),
        NvencEncoder(320, 192, "hevc", "p5", "hq", 25, 50, 2_000_000, 0, 0, 3, "main") as encoder,
    ):
        assert (encoder.width, encoder.height, encoder.codec, encoder.gpu_id) == (320, 192, "hevc", 0)
        for number in range(5):
            encoder.submit(nv12(320, 192, number), number)
        assert encoder.in_flight == 3
    args = initialized(read_calls(path))
    config = args["encodeConfig"]
    assert args["encodeGUID"] == "NV_ENC_CODEC_HEVC_GUID"
    assert args["presetGUID"] == "NV_ENC_PRESET_P5_GUID"
    assert args["tuningInfo"] == "NV_ENC_TUNING_INFO_HIGH_QUALITY"
    assert (args["frameRateNum"], args["frameRateDen"]) == (25, 1)
    assert config["gopLength"] == 50
    assert config["rcParams"]["averageBitRate"] == 2_000_000
    assert config["profileGUID"] == "NV_ENC_HEVC_PROFILE_MAIN_GUID"


@pytest.mark.parametrize(("width", "height"), [(256, 144), (1920, 1080), (4096, 4096), (146, 50)])
def test_size(abi: str, trace: Trace, width: int, height: int) -> None:
    args = initialized(trace(width=width, height=height))
    for name in ("encodeWidth", "darWidth", "maxEncodeWidth"):
        assert args[name] == width
    for name in ("encodeHeight", "darHeight", "maxEncodeHeight"):
        assert args[name] == height


def test_sizes_may_be_any_whole_numbers(abi: str, trace: Trace) -> None:
    args = initialized(trace(width=np.int64(320), height=np.uint16(240), gop=np.int32(7)))
    assert (args["encodeWidth"], args["encodeHeight"], args["encodeConfig"]["gopLength"]) == (320, 240, 7)


@pytest.mark.parametrize(
    ("name", "member", "codec"),
    [
        ("h264", "H264", "h264"),
        ("avc", "H264", "h264"),
        ("hevc", "HEVC", "hevc"),
        ("h265", "HEVC", "hevc"),
        ("av1", "AV1", "av1"),
        ("H264", "H264", "h264"),
        ("HEVC", "HEVC", "hevc"),
    ],
)
def test_codec(abi: str, trace: Trace, name: str, member: str, codec: str) -> None:
    told = []
    calls = trace(lambda encoder: told.append(encoder.codec), codec=name)
    assert initialized(calls)["encodeGUID"] == f"NV_ENC_CODEC_{member}_GUID"
    assert told == [codec]


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@pytest.mark.parametrize("number", range(1, 8))
def test_preset(abi: str, trace: Trace, number: int, codec: str) -> None:
    calls = trace(preset=f"p{number}", codec=codec)
    assert initialized(calls)["presetGUID"] == f"NV_ENC_PRESET_P{number}_GUID"
    assert one(calls, "nvEncGetEncodePresetConfigEx")["presetGUID"] == f"NV_ENC_PRESET_P{number}_GUID"


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("ll", "LOW_LATENCY"),
        ("low_latency", "LOW_LATENCY"),
        ("ull", "ULTRA_LOW_LATENCY"),
        ("ultra_low_latency", "ULTRA_LOW_LATENCY"),
        ("hq", "HIGH_QUALITY"),
        ("high_quality", "HIGH_QUALITY"),
        ("lossless", "LOSSLESS"),
        ("uhq", "ULTRA_HIGH_QUALITY"),
        ("ultra_high_quality", "ULTRA_HIGH_QUALITY"),
    ],
)
def test_tuning(abi: str, trace: Trace, simulator: Simulator, name: str, member: str) -> None:
    if member == "ULTRA_HIGH_QUALITY" and abi == "12.1":
        with simulator.machine(gpus=FAST):
            error = refusal(tuning=name, codec="hevc")
        assert isinstance(error, UnsupportedFeature)
        assert "uhq" in str(error)
        assert "12.1" in str(error)
        assert "13.0" in error.advice
        return
    calls = trace(tuning=name, codec="hevc")
    assert initialized(calls)["tuningInfo"] == f"NV_ENC_TUNING_INFO_{member}"
    assert one(calls, "nvEncGetEncodePresetConfigEx")["tuningInfo"] == f"NV_ENC_TUNING_INFO_{member}"


@pytest.mark.parametrize(
    ("codec", "profile", "member"),
    [
        ("h264", "auto", "CODEC_PROFILE_AUTOSELECT"),
        ("h264", "baseline", "H264_PROFILE_BASELINE"),
        ("h264", "main", "H264_PROFILE_MAIN"),
        ("h264", "high", "H264_PROFILE_HIGH"),
        ("hevc", "auto", "CODEC_PROFILE_AUTOSELECT"),
        ("hevc", "main", "HEVC_PROFILE_MAIN"),
        ("hevc", "main10", "HEVC_PROFILE_MAIN10"),
        ("hevc", "Main10", "HEVC_PROFILE_MAIN10"),
        ("av1", "auto", "CODEC_PROFILE_AUTOSELECT"),
        ("av1", "main", "AV1_PROFILE_MAIN"),
    ],
)
def test_profile(abi: str, trace: Trace, codec: str, profile: str, member: str) -> None:
    config = initialized(trace(codec=codec, profile=profile))["encodeConfig"]
    assert config["profileGUID"] == f"NV_ENC_{member}_GUID"


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (1, (1, 1)),
        (60, (60, 1)),
        (INFINITE, (INFINITE, 1)),
        (np.int64(50), (50, 1)),
        (30.0, (30, 1)),
        (12.5, (25, 2)),
        (29.97, (30000, 1001)),
        (59.94, (60000, 1001)),
        (23.976, (24000, 1001)),
        (119.88, (120000, 1001)),
        ("24", (24, 1)),
        ("30000/1001", (30000, 1001)),
        ("25.5", (51, 2)),
        (Fraction(24000, 1001), (24000, 1001)),
        (Fraction(60, 2), (30, 1)),
        ((30000, 1001), (30000, 1001)),
        ((50, 2), (25, 1)),
        ((1, 4), (1, 4)),
        (Fraction(1, 4), (1, 4)),
    ],
)
def test_fps(abi: str, trace: Trace, fps: Any, rate: tuple[int, int]) -> None:
    args = initialized(trace(fps=fps))
    assert (args["frameRateNum"], args["frameRateDen"]) == rate


@given(st.fractions(min_value=Fraction(1, 1000), max_value=1000, max_denominator=1001))
def test_any_fraction_stays_what_it_is(rate: Fraction) -> None:
    assert frame_rate(rate) == frame_rate(str(rate)) == frame_rate((rate.numerator, rate.denominator))
    assert Fraction(*frame_rate(rate)) == rate


@given(st.floats(min_value=0.5, max_value=1000))
def test_a_float_stays_near(rate: float) -> None:
    assert abs(Fraction(*frame_rate(rate)) - Fraction(rate)) <= Fraction(1, 200)


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@pytest.mark.parametrize(("gop", "length"), [(1, 1), (30, 30), (250, 250), (0, INFINITE), (INFINITE, INFINITE)])
def test_gop(abi: str, trace: Trace, codec: str, gop: int, length: int) -> None:
    config = initialized(trace(codec=codec, gop=gop))["encodeConfig"]
    assert config["gopLength"] == length
    assert config["encodeCodecConfig"]["idrPeriod"] == length


@pytest.mark.parametrize(("tuning", "mode"), [("ll", "CBR"), ("ull", "CBR"), ("hq", "VBR")])
def test_bitrate(abi: str, trace: Trace, tuning: str, mode: str) -> None:
    rates = initialized(trace(tuning=tuning, bitrate=3_000_000, max_bitrate=4_000_000))["encodeConfig"]["rcParams"]
    assert rates["averageBitRate"] == 3_000_000
    assert rates["maxBitRate"] == 4_000_000
    assert rates["rateControlMode"] == f"NV_ENC_PARAMS_RC_{mode}"


def looking_no_further(preset: dict[str, Any]) -> dict[str, Any]:
    """Rate control of a preset without its lookahead, which is off by default."""
    return {name: value for name, value in preset.items() if name not in ("enableLookahead", "lookaheadDepth")}


def test_without_a_bitrate_the_presets_rate_control_holds(abi: str, trace: Trace) -> None:
    calls = trace(tuning="hq", preset="p6")
    preset = one(calls, "nvEncGetEncodePresetConfigEx")["presetCfg"]["rcParams"]
    assert initialized(calls)["encodeConfig"]["rcParams"] == {**looking_no_further(preset), "zeroReorderDelay": 1}


@pytest.mark.parametrize(
    ("fps", "bits"), [(30, 100_000), ((30000, 1001), 100_100), (60, 50_000), ((1, 2000), INFINITE)]
)
def test_ultra_low_latency_buffers_one_frame(abi: str, trace: Trace, fps: Any, bits: int) -> None:
    rates = initialized(trace(tuning="ull", bitrate=3_000_000, fps=fps))["encodeConfig"]["rcParams"]
    assert rates["vbvBufferSize"] == bits


@pytest.mark.parametrize("bframes", range(5))
def test_bframes_and_lookahead(abi: str, trace: Trace, bframes: int) -> None:
    config = initialized(trace(tuning="hq", bframes=bframes, lookahead=bframes * 3))["encodeConfig"]
    assert config["frameIntervalP"] == bframes + 1
    assert config["rcParams"].get("lookaheadDepth", 0) == bframes * 3
    assert config["rcParams"].get("enableLookahead", 0) == (bframes > 0)
    assert config["rcParams"].get("zeroReorderDelay", 0) == (bframes == 0)


@pytest.mark.parametrize("tuning", ["ll", "ull"])
@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_low_latency_streams(abi: str, trace: Trace, codec: str, tuning: str) -> None:
    config = initialized(trace(codec=codec, tuning=tuning))["encodeConfig"]
    assert config["frameIntervalP"] == 1
    assert config["rcParams"]["zeroReorderDelay"] == 1
    of_codec = config["encodeCodecConfig"]
    if codec == "av1":
        assert of_codec["repeatSeqHdr"] == 1
    else:
        assert of_codec["repeatSPSPPS"] == 1
        assert of_codec[f"{codec}VUIParameters"]["bitstreamRestrictionFlag"] == 1


def test_driver_decides_picture_types(abi: str, trace: Trace) -> None:
    assert initialized(trace())["enablePTD"] == 1


# Which GPU, which context


def test_gpu_id(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=[FAST, {"name": "L4", "fps_1080p": 0}]), NvencEncoder(256, 144, gpu_id=1) as encoder:
        assert encoder.gpu_id == 1
        unit = parse(encoder.encode(nv12(256, 144)))[0]
    assert (unit.gpu, unit.gpu_index) == ("NVIDIA L4", 1)


@pytest.mark.parametrize("index", [0, 1])
def test_a_context_of_the_callers(abi: str, simulator: Simulator, tmp_path: Path, index: int) -> None:
    path = tmp_path / "trace"
    with simulator.machine(gpus=[FAST, FAST], trace=str(path)), created_context(index) as context:
        for gpu_id in {0, index}:
            with NvencEncoder(256, 144, cuda_context=context, gpu_id=gpu_id) as encoder:
                assert encoder.gpu_id == index
                assert parse(encoder.encode(nv12(256, 144)))[0].gpu_index == index
    opened = read_calls(path, "nvEncOpenEncodeSessionEx")
    assert {int(call.args["device"], 16) for call in opened} == {context}
    assert not read_calls(path, "cuDevicePrimaryCtxRetain")


def test_a_context_of_another_gpu_is_refused(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=[FAST, FAST]), created_context(0) as context:
        error = refusal(cuda_context=context, gpu_id=1)
    assert isinstance(error, InvalidConfig)
    assert "gpu_id=1" in str(error)
    assert "GPU 0" in str(error)
    assert "gpu_id" in error.advice


def test_a_handle_that_is_not_a_context_is_refused(abi: str, simulator: Simulator) -> None:
    with simulator.machine(check=False, gpus=FAST):
        error = refusal(cuda_context=0xDEAD0)
        assert isinstance(error, CudaFailed)
        assert error.status_name == "CUDA_ERROR_INVALID_CONTEXT"
        assert error.call
        NvencEncoder(256, 144).close()


@pytest.mark.parametrize(("gpu_id", "gpus"), [(1, 1), (2, 2), (99, 1)])
def test_wrong_gpu_id(abi: str, simulator: Simulator, gpu_id: int, gpus: int) -> None:
    with simulator.machine(gpus=[FAST] * gpus):
        error = refusal(gpu_id=gpu_id)
    assert isinstance(error, InvalidConfig)
    assert f"gpu_id={gpu_id}" in str(error)
    assert f"{gpus} GPU" in str(error)
    assert "CUDA_VISIBLE_DEVICES" in error.advice


# Settings that no encoder takes: refused before any call of the driver

REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"width": 257}, ["width=257", "even", "Crop or pad"]),
    ({"height": 145}, ["height=145", "even"]),
    ({"width": 0}, ["width=0", "from 2"]),
    ({"height": -2}, ["height=-2", "from 2"]),
    ({"width": 2**33}, ["width=8589934592", "4294967295"]),
    ({"width": 256.0}, ["width=256.0", "whole number"]),
    ({"width": "256"}, ["width='256'", "whole number"]),
    ({"width": True}, ["width=True", "whole number"]),
    ({"height": None}, ["height=None", "whole number"]),
    ({"codec": "vp9"}, ["'vp9'", "codec", "h264", "hevc", "h265", "av1"]),
    ({"codec": None}, ["None", "codec"]),
    ({"codec": b"h264"}, ["b'h264'", "codec"]),
    ({"preset": "p0"}, ["'p0'", "preset", "p1", "p7"]),
    ({"preset": "p8"}, ["'p8'", "preset"]),
    ({"preset": 3}, ["Unknown preset 3", "p3"]),
    ({"preset": "slow"}, ["'slow'", "p1"]),
    ({"tuning": "film"}, ["'film'", "tuning", "ll", "ull", "hq", "uhq", "lossless"]),
    ({"profile": "main10"}, ["'main10'", "profile for h264", "baseline", "main", "high"]),
    ({"codec": "hevc", "profile": "high"}, ["'high'", "profile for hevc", "main", "main10"]),
    ({"codec": "av1", "profile": "high"}, ["'high'", "profile for av1", "main"]),
    ({"fps": 0}, ["fps=0"]),
    ({"fps": -30}, ["fps=-30"]),
    ({"fps": "fast"}, ["fps='fast'", "number or a fraction"]),
    ({"fps": float("nan")}, ["fps=nan"]),
    ({"fps": float("inf")}, ["fps=inf"]),
    ({"fps": 0.0}, ["fps=0.0"]),
    ({"fps": (30, 0)}, ["fps=(30, 0)"]),
    ({"fps": (30, 1, 1)}, ["fps=(30, 1, 1)"]),
    ({"fps": (-30, 1)}, ["fps=(-30, 1)"]),
    ({"fps": None}, ["fps=None"]),
    ({"fps": [30, 1]}, ["fps=[30, 1]"]),
    ({"fps": Fraction(1, 2**40)}, ["fps=Fraction(1, 1099511627776)"]),
    ({"gop": -1}, ["gop=-1", "Use gop=0 for no key frame after the first", "gop=None"]),
    ({"gop": float("inf")}, ["gop=inf", "Use gop=0"]),
    ({"gop": 1.5}, ["gop=1.5"]),
    ({"bitrate": -1}, ["bitrate=-1"]),
    ({"bitrate": 2**32}, ["bitrate=4294967296"]),
    ({"bitrate": "4X"}, ["bitrate='4X'", '"8M"']),
    ({"bitrate": "M"}, ["bitrate='M'"]),
    ({"bitrate": "-1M"}, ["bitrate=-1000000"]),
    ({"bitrate": "nan"}, ["bitrate='nan'"]),
    ({"bitrate": "infG"}, ["bitrate='infG'"]),
    ({"bitrate": float("inf")}, ["bitrate=inf"]),
    ({"bitrate": 5.5}, ["bitrate=5.5"]),
    ({"bitrate": "5G"}, ["bitrate=5000000000"]),
    ({"bitrate": 4e6, "max_bitrate": "3.9M"}, ["max_bitrate=3900000", "bitrate=4000000"]),
    ({"format": "bgr24"}, ["frame[..., ::-1]"]),
    ({"format": "RGBA"}, ['format="rgb"', '"abgr"']),
    ({"gpu_id": -1}, ["gpu_id=-1"]),
    ({"gpu_id": "cuda:0"}, ["gpu_id='cuda:0'"]),
    ({"cuda_context": -1}, ["cuda_context=-1"]),
    ({"cuda_context": 2**64}, ["cuda_context=18446744073709551616"]),
    ({"extra_output_delay": -1}, ["extra_output_delay=-1"]),
    ({"extra_output_delay": 10**6}, ["extra_output_delay=1000000", "to 64"]),
    ({"bframes": 1}, ["bframes=1", "'ll'", "hq"]),
    ({"bframes": 2, "tuning": "ull"}, ["bframes=2", "'ull'"]),
    ({"bframes": 32, "tuning": "hq"}, ["bframes=32", "to 31"]),
    ({"bframes": 1, "tuning": "hq", "profile": "baseline"}, ["bframes=1", "baseline", "main"]),
    ({"lookahead": 32, "tuning": "hq"}, ["lookahead=32", "to 31"]),
    ({"max_bitrate": 5}, ["max_bitrate=5", "bitrate"]),
    ({"max_bitrate": 5, "bitrate": 6}, ["max_bitrate=5", "bitrate=6"]),
    ({"tuning": "lossless", "bitrate": 5}, ["lossless", "bitrate"]),
]


@pytest.mark.parametrize(("settings", "words"), REFUSED, ids=[json.dumps(s, default=repr) for s, _ in REFUSED])
def test_settings_that_cannot_be_right(simulator: Simulator, settings: dict[str, Any], words: list[str]) -> None:
    with simulator.machine(count=True) as machine:
        error = refusal(**settings)
        assert machine.calls() == {}
    assert isinstance(error, InvalidConfig)
    assert isinstance(error, ValueError)
    for word in words:
        assert word in str(error), str(error)


def test_unknown_keywords_are_a_type_error() -> None:
    with pytest.raises(TypeError, match="bit_rate"):
        NvencEncoder(256, 144, bit_rate=5)  # type: ignore[call-overload]


def test_further_settings_are_keyword_only() -> None:
    with pytest.raises(TypeError):
        NvencEncoder(256, 144, "h264", "p3", "ll", 30, 30, 0, 0, 0, 0, "auto", 0)  # type: ignore[call-overload]


# Settings that this GPU does not support

LIMITS = {"WIDTH_MIN": 200, "HEIGHT_MIN": 100, "WIDTH_MAX": 1000, "HEIGHT_MAX": 600, "MB_NUM_MAX": 2000}


@pytest.mark.parametrize(
    ("width", "height"), [(198, 144), (256, 98), (1002, 144), (256, 602), (2, 2), (INFINITE - 1, 144)]
)
@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_sizes_beyond_the_gpu(abi: str, simulator: Simulator, codec: str, width: int, height: int) -> None:
    with simulator.machine(gpus={**FAST, "caps": LIMITS}):
        error = refusal(width=width, height=height, codec=codec)
    assert isinstance(error, InvalidConfig)
    for word in (f"{width}x{height}", "200x100", "1000x600", codec, "GPU 0", "RTX 4090"):
        assert word in str(error), str(error)
    assert error.advice


def test_sizes_at_the_limits_are_taken(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus={**FAST, "caps": {**LIMITS, "MB_NUM_MAX": 63 * 38}}):
        for width, height in ((200, 100), (1000, 600)):
            with NvencEncoder(width, height) as encoder:
                assert parse(encoder.encode(nv12(width, height)))[0].width == width


def test_too_many_macroblocks(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus={**FAST, "caps": LIMITS}):
        error = refusal(width=1000, height=600)
        with NvencEncoder(16 * 50, 16 * 37):
            pass
    assert isinstance(error, InvalidConfig)
    for word in ("1000x600", "2394", "2000", "h264"):
        assert word in str(error), str(error)


def test_a_codec_that_the_gpu_lacks(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus="RTX 3090"):
        error = refusal(codec="av1")
    assert isinstance(error, UnsupportedFeature)
    for word in ("RTX 3090", "av1", "h264, hevc"):
        assert word in str(error), str(error)
    assert "gpu_id" in error.advice


@pytest.mark.parametrize(
    ("codec", "gpu", "most"), [("h264", "RTX 4090", 4), ("hevc", "RTX 4090", 5), ("hevc", "GTX 1080", 0)]
)
def test_more_bframes_than_the_gpu_has(abi: str, simulator: Simulator, codec: str, gpu: str, most: int) -> None:
    with simulator.machine(gpus=gpu):
        error = refusal(codec=codec, tuning="hq", bframes=most + 1)
        with NvencEncoder(256, 144, codec=codec, tuning="hq", bframes=most):
            pass
    assert isinstance(error, UnsupportedFeature)
    for word in ("bframes", f"NUM_MAX_BFRAMES is {most}", str(most + 1), codec, gpu):
        assert word in str(error), str(error)


def test_lookahead_without_the_capability(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus={**FAST, "caps": {"SUPPORT_LOOKAHEAD": 0}}):
        error = refusal(tuning="hq", lookahead=4)
        with NvencEncoder(256, 144, tuning="hq"):
            pass
    assert isinstance(error, UnsupportedFeature)
    for word in ("lookahead", "SUPPORT_LOOKAHEAD is 0", "RTX 4090"):
        assert word in str(error), str(error)


# Changes while it runs


def test_reconfigure_changes_what_is_given_and_nothing_else(abi: str, trace: Trace) -> None:
    def use(encoder: NvencEncoder) -> None:
        encoder.encode(nv12(WIDTH, HEIGHT, 0))
        encoder.reconfigure(bitrate=2_500_000)
        encoder.reconfigure(max_bitrate=6_000_000)
        encoder.reconfigure(fps="60000/1001")
        encoder.reconfigure(bitrate=1_000_000, max_bitrate=1_500_000, fps=25)
        encoder.reconfigure()

    calls = trace(use, tuning="hq", bitrate=2_000_000, max_bitrate=4_000_000, preset="p5")
    wanted = initialized(calls)
    steps = [call.args for call in calls if call.name == "nvEncReconfigureEncoder"]
    changes: list[dict[str, int]] = [
        {"averageBitRate": 2_500_000},
        {"maxBitRate": 6_000_000},
        {"frameRateNum": 60000, "frameRateDen": 1001},
        {"averageBitRate": 1_000_000, "maxBitRate": 1_500_000, "frameRateNum": 25, "frameRateDen": 1},
        {},
    ]
    assert len(steps) == len(changes)
    for step, change in zip(steps, changes, strict=True):
        for name, value in change.items():
            target = wanted["encodeConfig"]["rcParams"] if "BitRate" in name else wanted
            target[name] = value
        assert step["reInitEncodeParams"] == wanted
        assert set(step) == {"version", "reInitEncodeParams"}, "no reset, no IDR"


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_reconfigure_makes_no_idr(abi: str, simulator: Simulator, codec: str) -> None:
    with simulator.machine(gpus=FAST), NvencEncoder(WIDTH, HEIGHT, codec=codec, bitrate=1_000_000) as encoder:
        units = parse(encoder.encode(nv12(WIDTH, HEIGHT, 0)))
        encoder.reconfigure(bitrate=2_000_000, fps=60)
        units += parse(encoder.encode(nv12(WIDTH, HEIGHT, 1)))
    assert [unit.pic_type for unit in units] == ["IDR", "P"]
    assert units[0].settings != units[1].settings


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bitrate": 0}, ["bitrate=0", "from 1"]),
        ({"bitrate": -5}, ["bitrate=-5"]),
        ({"bitrate": 2**32}, ["bitrate=4294967296"]),
        ({"bitrate": 1.5}, ["bitrate=1.5"]),
        ({"max_bitrate": -1}, ["max_bitrate=-1"]),
        ({"fps": 0}, ["fps=0"]),
        ({"fps": "x"}, ["fps='x'"]),
        ({"bitrate": 5_000_000}, ["max_bitrate=4000000", "bitrate=5000000"]),
        ({"max_bitrate": 1_000_000}, ["max_bitrate=1000000", "bitrate=2000000"]),
    ],
)
def test_changes_that_cannot_be_right(abi: str, trace: Trace, changes: dict[str, Any], words: list[str]) -> None:
    def use(encoder: NvencEncoder) -> None:
        with pytest.raises(InvalidConfig) as caught:
            encoder.reconfigure(**changes)
        for word in words:
            assert word in str(caught.value), str(caught.value)
        assert parse(encoder.encode(nv12(WIDTH, HEIGHT, 5)))[0].is_idr

    calls = trace(use, tuning="hq", bitrate=2_000_000, max_bitrate=4_000_000)
    assert "nvEncReconfigureEncoder" not in {call.name for call in calls}


def test_a_lossless_stream_takes_no_bitrate_later_either(abi: str, trace: Trace) -> None:
    def use(encoder: NvencEncoder) -> None:
        with pytest.raises(InvalidConfig, match="lossless"):
            encoder.reconfigure(bitrate=1_000_000)
        encoder.reconfigure(fps=60)

    trace(use, tuning="lossless")


def test_max_bitrate_wants_a_bitrate_later_too(abi: str, trace: Trace) -> None:
    def use(encoder: NvencEncoder) -> None:
        with pytest.raises(InvalidConfig, match="max_bitrate=5000000"):
            encoder.reconfigure(max_bitrate=5_000_000)
        encoder.reconfigure(bitrate=1_000_000, max_bitrate=5_000_000)

    trace(use, tuning="hq")


def test_a_refused_change_is_forgotten(abi: str, simulator: Simulator, tmp_path: Path) -> None:
    """The next accepted change contains nothing of the refused one."""
    path = tmp_path / "trace"
    fault = {"call": "nvEncReconfigureEncoder", "nth": 1, "status": 8}
    with (
        simulator.machine(gpus=FAST, faults=[fault], trace=str(path)),
        NvencEncoder(WIDTH, HEIGHT, bitrate=1_000_000) as encoder,
    ):
        with pytest.raises(NvencError, match="nvEncReconfigureEncoder"):
            encoder.reconfigure(bitrate=2_000_000, fps=60)
        encoder.reconfigure(max_bitrate=3_000_000)
    args = read_calls(path, "nvEncReconfigureEncoder")[-1].args["reInitEncodeParams"]
    rates = args["encodeConfig"]["rcParams"]
    assert (rates["averageBitRate"], rates["maxBitRate"], args["frameRateNum"]) == (1_000_000, 3_000_000, 30)


@pytest.mark.parametrize(("modes", "allowed"), [(0, []), (1, ["each"]), (2, ["middle"]), (3, ["each", "middle"])])
def test_b_reference_modes_are_bits_of_their_capability(
    abi: str, simulator: Simulator, modes: int, allowed: list[str]
) -> None:
    gpu = {"name": "L4", "fps_1080p": 0, "caps": {"SUPPORT_BFRAME_REF_MODE": modes}}
    with simulator.machine(gpus=[gpu]):
        for mode in ("each", "middle"):
            if mode in allowed:
                NvencEncoder(256, 144, tuning="hq", bframes=3, b_ref_mode=mode).close()
            else:
                with pytest.raises(UnsupportedFeature, match="SUPPORT_BFRAME_REF_MODE"):
                    NvencEncoder(256, 144, tuning="hq", bframes=3, b_ref_mode=mode)


def test_an_encoder_is_opened_with_settings_that_were_computed_once(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[EncoderConfig] = []

    def counted(config: EncoderConfig) -> dict[str, Any]:
        computed.append(config)
        return native_settings(config)

    monkeypatch.setattr("pdum.nvenc._config.config.native_settings", counted)
    with simulator.machine(gpus=["RTX 4090"]), NvencEncoder(640, 480, bitrate=1_000_000) as encoder:
        assert len(computed) == 1
        encoder.reconfigure(bitrate=2_000_000)
        assert len(computed) == 2, "a change makes another configuration"


def test_what_is_done_to_the_settings_does_not_change_the_configuration() -> None:
    config = EncoderConfig(width=640, height=480)
    config.settings().clear()
    assert config.settings()["width"] == 640
    assert pickle.loads(pickle.dumps(config)).settings() == config.replaced().settings() == config.settings()
