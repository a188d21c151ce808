"""Live changes: each field that can change reaches nvEncReconfigureEncoder, all others are refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from control.driver_calls import GPU, HEIGHT, WIDTH, Driver, Flat, changed, flat
from control.rows import AV1, HEVC, HQ
from frames import nv12
from pdum.nvenc import EncoderConfig, InvalidConfig, NvencEncoder, NvencError
from pdum.nvenc._config.live_changes import LIVE

from simulator import Simulator
from simulator.trace import read_calls

pytestmark = pytest.mark.one_abi

MODE = "rc.rateControlMode"
PREFIX = "reInitEncodeParams."
# No recorded card changes the mode of its rate control in a running session.
ANY_MODE: dict[str, Any] = {**GPU, "caps": {"SUPPORT_DYN_RCMODE_CHANGE": 1}}
RATE = {**HQ, "bitrate": 2_000_000, "max_bitrate": 4_000_000}


def qp(member: str, intra: int, p: int, b: int) -> Flat:
    return {f"rc.{member}.qpIntra": intra, f"rc.{member}.qpInterP": p, f"rc.{member}.qpInterB": b}


# The first settings, the change, and the driver's fields that change.
CHANGES: list[tuple[dict[str, Any], dict[str, Any], Flat]] = [
    (RATE, {"bitrate": 3_000_000}, {"rc.averageBitRate": 3_000_000}),
    (RATE, {"max_bitrate": 5_000_000}, {"rc.maxBitRate": 5_000_000}),
    (RATE, {"max_bitrate": 0}, {"rc.maxBitRate": 0}),
    (RATE, {"vbv_size": 1_000_000}, {"rc.vbvBufferSize": 1_000_000}),
    ({**RATE, "vbv_size": 1_000_000}, {"vbv_size": None}, {"rc.vbvBufferSize": 0}),
    ({**RATE, "vbv_size": 9_000_000}, {"vbv_initial_delay": 5_000_000}, {"rc.vbvInitialDelay": 5_000_000}),
    (RATE, {"fps": "60000/1001"}, {"frameRateNum": 60000, "frameRateDen": 1001}),
    (RATE, {"rate_control": "cbr"}, {MODE: "NV_ENC_PARAMS_RC_CBR"}),
    ({"rate_control": "cbr", **RATE}, {"rate_control": None}, {MODE: "NV_ENC_PARAMS_RC_VBR"}),
    ({"qp": 30}, {"qp": (20, 21, 22)}, qp("constQP", 20, 21, 22)),
    (
        {**HQ, "qp": 30},
        {"qp": None, "cq": 24.5},
        # Constant quantisers are the preset's again, which counts for nothing then.
        {
            MODE: "NV_ENC_PARAMS_RC_VBR",
            "rc.targetQuality": 24,
            "rc.targetQualityLSB": 128,
            **qp("constQP", 25, 28, 31),
        },
    ),
    (RATE, {"min_qp": 12}, {"rc.enableMinQP": 1, **qp("minQP", 12, 12, 12)}),
    ({**RATE, "min_qp": 12}, {"min_qp": None}, {"rc.enableMinQP": 0, **qp("minQP", 0, 0, 0)}),
    (RATE, {"max_qp": (40, 41, 42)}, {"rc.enableMaxQP": 1, **qp("maxQP", 40, 41, 42)}),
    ({**HQ, "cq": 20}, {"cq": 30.25}, {"rc.targetQuality": 30, "rc.targetQualityLSB": 64}),
    (RATE, {"multipass": "full"}, {"rc.multiPass": "NV_ENC_TWO_PASS_FULL_RESOLUTION"}),
    (
        {"tuning": "ull", "multipass": "full"},
        {"multipass": None},
        {"rc.multiPass": "NV_ENC_TWO_PASS_QUARTER_RESOLUTION"},
    ),
    (RATE, {"spatial_aq": 7}, {"rc.enableAQ": 1, "rc.aqStrength": 7}),
    ({**RATE, "spatial_aq": 7}, {"spatial_aq": True}, {"rc.aqStrength": 0}),
    ({**RATE, "spatial_aq": True}, {"spatial_aq": False}, {"rc.enableAQ": 0}),
    (RATE, {"temporal_aq": True}, {"rc.enableTemporalAQ": 1}),
    (
        {"max_width": 640, "max_height": 480},
        {"width": 640},
        {"encodeWidth": 640, "darWidth": 640},
    ),
    (
        {"max_width": 640, "max_height": 480, **HEVC},
        {"height": 480, "bitrate": 1_000_000},
        {"encodeHeight": 480, "darHeight": 480, "rc.averageBitRate": 1_000_000},
    ),
]


def reconfigured(args: dict[str, Any]) -> tuple[Flat, Flat]:
    """The fields inside and outside the struct of all settings."""
    return flat(args["reInitEncodeParams"]), {
        k: v for k, v in args.items() if k not in ("version", "reInitEncodeParams")
    }


@pytest.mark.parametrize(("made_with", "change", "told"), CHANGES, ids=lambda value: str(value)[:60])
def test_a_live_change_reaches_the_driver(
    abi: str, driver: Driver, made_with: dict[str, Any], change: dict[str, Any], told: Flat
) -> None:
    def use(encoder: NvencEncoder) -> None:
        encoder.reconfigure(**change)
        assert encoder.config is not None
        assert {name: getattr(encoder.config, name) for name in change} == {
            name: getattr(EncoderConfig(**{"width": WIDTH, "height": HEIGHT, **made_with, **change}), name)
            for name in change
        }

    calls = driver.calls(use, gpu=ANY_MODE, **made_with)
    (initial,) = [flat(call.args) for call in calls if call.name == "nvEncInitializeEncoder"]
    (call,) = [call for call in calls if call.name == "nvEncReconfigureEncoder"]
    settings, beside = reconfigured(call.args)
    assert changed(initial, settings) == told
    resized = {"width", "height"} & change.keys()
    assert beside == ({"resetEncoder": 1, "forceIDR": 1} if resized else {})


def test_every_live_field_is_in_the_table() -> None:
    assert {name for _, change, _ in CHANGES for name in change} == set(LIVE)


@pytest.mark.parametrize("name", [name for name in EncoderConfig.names() if name not in LIVE])
def test_settings_that_cannot_change_are_refused_by_name(abi: str, driver: Driver, name: str) -> None:
    def use(encoder: NvencEncoder) -> None:
        before = encoder.config
        with pytest.raises(InvalidConfig) as caught:
            encoder.reconfigure(**{name: getattr(before, name), "bitrate": 5_000_000})
        assert f"{name} cannot change" in str(caught.value)
        assert "bitrate, max_bitrate" in str(caught.value), "says what can"
        assert encoder.config == before

    calls = driver.calls(use)
    assert not [call for call in calls if call.name == "nvEncReconfigureEncoder"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bit_rate": 5}, ["Unknown encoder setting 'bit_rate'", "'bitrate'"]),
        ({"width": 642}, ["642x160", "at most 640x480", "max_width"]),
        ({"height": 482}, ["256x482", "at most 640x480"]),
        ({"width": 641}, ["width=641", "even"]),
        ({"width": 2}, ["2x160", "from"]),
        ({"bitrate": 0}, ["bitrate=0"]),
        ({"cq": 99}, ["cq=99"]),
        ({"cq": 20, "qp": 20}, ["cq=20", "qp=20"]),
        ({"qp": 20}, ["qp=20", "bitrate=2000000"]),
        ({"rate_control": "crf"}, ["'crf'", "rate_control"]),
        ({"min_qp": 40, "max_qp": 30}, ["min_qp=40", "max_qp=30"]),
        ({"multipass": "half"}, ["'half'", "multipass"]),
        ({"fps": 0}, ["fps=0"]),
        ({"spatial_aq": 16}, ["spatial_aq=16"]),
        ({"temporal_aq": 1}, ["temporal_aq=1"]),
    ],
    ids=str,
)
def test_a_change_that_cannot_be_right_changes_nothing(
    abi: str, driver: Driver, change: dict[str, Any], words: list[str]
) -> None:
    def use(encoder: NvencEncoder) -> None:
        before = encoder.config
        with pytest.raises(NvencError) as caught:
            encoder.reconfigure(**change)
        for word in words:
            assert word in str(caught.value), str(caught.value)
        assert encoder.config == before
        encoder.reconfigure(bitrate=2_500_000)

    calls = driver.calls(use, bitrate=2_000_000, max_width=640, max_height=480)
    (call,) = [call for call in calls if call.name == "nvEncReconfigureEncoder"]
    (initial,) = [flat(call.args) for call in calls if call.name == "nvEncInitializeEncoder"]
    assert changed(initial, reconfigured(call.args)[0]) == {"rc.averageBitRate": 2_500_000}


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@pytest.mark.parametrize("change", [{"bitrate": 9_000_000}, {"width": 512, "height": 320}], ids=str)
def test_a_change_that_the_driver_refuses_changes_nothing(
    abi: str, simulator: Simulator, driver: Driver, codec: str, change: dict[str, Any]
) -> None:
    fault = {"call": "nvEncReconfigureEncoder", "nth": 1, "status": 8}
    settings: dict[str, Any] = {"codec": codec, "bitrate": 1_000_000, "max_width": 512, "max_height": 320}
    with (
        simulator.machine(gpus=GPU, faults=[fault], trace=str(driver.path)),
        NvencEncoder(WIDTH, HEIGHT, **settings) as encoder,
    ):
        before = encoder.config
        with pytest.raises(NvencError, match="nvEncReconfigureEncoder"):
            encoder.reconfigure(**change)
        assert encoder.config == before
        assert (encoder.width, encoder.height) == (WIDTH, HEIGHT)
        assert encoder.encode(nv12(WIDTH, HEIGHT)), "frames of the size from before are taken"
        encoder.reconfigure(max_bitrate=3_000_000)
    (initial,) = read_calls(driver.path, "nvEncInitializeEncoder")
    last = read_calls(driver.path, "nvEncReconfigureEncoder")[-1]
    assert changed(flat(initial.args), reconfigured(last.args)[0]) == {"rc.maxBitRate": 3_000_000}


@pytest.mark.parametrize("codec", [{}, HEVC, AV1], ids=str)
def test_sizes_up_to_the_greatest_and_back(abi: str, driver: Driver, codec: dict[str, Any]) -> None:
    """The next picture of each size is an IDR. The declared maximum stays."""
    sizes = [(512, 320), (300, 200), (512, 200), (WIDTH, HEIGHT)]
    keys = []

    def use(encoder: NvencEncoder) -> None:
        for seq, (width, height) in enumerate(sizes):
            encoder.reconfigure(width=width, height=height)
            for packet in encoder.submit(nv12(width, height), 2 * seq) + encoder.submit(
                nv12(width, height), 2 * seq + 1
            ):
                keys.append(packet.keyframe)

    calls = driver.calls(use, gop=0, max_width=512, max_height=320, **codec, backend="echo")
    told = [reconfigured(call.args)[0] for call in calls if call.name == "nvEncReconfigureEncoder"]
    assert [(one["encodeWidth"], one["encodeHeight"]) for one in told] == sizes
    assert {(one["maxEncodeWidth"], one["maxEncodeHeight"]) for one in told} == {(512, 320)}
    assert keys == [True, False] * len(sizes)


def test_a_smaller_size_can_grow_back(driver: Driver) -> None:
    """The largest size is the initial one, even after the encoder has shrunk."""

    def shrink_and_grow(encoder: NvencEncoder) -> None:
        encoder.reconfigure(width=160, height=128)
        encoder.reconfigure(width=WIDTH, height=HEIGHT)

    calls = driver.calls(shrink_and_grow, name="nvEncReconfigureEncoder")
    sizes = [
        (call.args["reInitEncodeParams"]["encodeWidth"], call.args["reInitEncodeParams"]["encodeHeight"])
        for call in calls
    ]
    assert sizes == [(160, 128), (WIDTH, HEIGHT)]
