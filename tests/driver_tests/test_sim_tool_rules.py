"""What a client must not ask of the tools of a codec, shown by a client that asks for it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from driver_tests.encode_client import Rig, picture, rig

from simulator import Simulator
from simulator.raw import Refused

CARD: dict[str, Any] = {"name": "RTX PRO 6000 Blackwell", "fps_1080p": 0}
INFINITE = 0xFFFFFFFF
LOW_LATENCY, HIGH_QUALITY = 2, 1


class Broken(NamedTuple):
    """`fields` are set in the preset's configuration; those without a dot are of the codec's own struct. The card has
    the capabilities `caps` beyond its own."""

    codec: str
    fields: dict[str, int]
    message: str
    caps: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.codec}-{','.join(self.fields)}"


REFRESHED = {"config.gopLength": INFINITE, "enableIntraRefresh": 0, "singleSliceIntraRefresh": 1}
LAYERED = {"enableTemporalSVC": 1, "numTemporalLayers": 3, "maxTemporalLayers": 3}
LAYERED_HEVC = {"enableTemporalSVC": 1, "numTemporalLayers": 3, "maxTemporalLayersMinus1": 2}
MONOCHROME = ("SUPPORT_MONOCHROME",)
VBR = 1

BROKEN = [
    Broken("H264", {"config.rcParams.rateControlMode": VBR, "enableFillerDataInsertion": 1}, "filler data"),
    Broken("HEVC", {"config.rcParams.rateControlMode": VBR, "enableFillerDataInsertion": 1}, "filler data"),
    Broken("AV1", {"config.rcParams.rateControlMode": VBR, "enableBitstreamPadding": 1}, "filler data"),
    Broken("H264", {"config.rcParams.cbQPIndexOffset": -13}, "an offset of -13"),
    Broken("HEVC", {"config.rcParams.crQPIndexOffset": 13}, "an offset of 13"),
    Broken("AV1", {"config.rcParams.cbQPIndexOffset": 64, "config.rcParams.crQPIndexOffset": 64}, "an offset of 64"),
    Broken("AV1", {"config.rcParams.cbQPIndexOffset": 3}, "deltaQ_v_ac"),
    Broken("H264", {"numRefL0": 8}, "lists of 8 and"),
    Broken("HEVC", {"numRefL1": 8}, "and 8 references"),
    Broken("AV1", {"numFwdRefs": 5}, "lists of 5 and"),
    Broken("AV1", {"numBwdRefs": 4}, "and 4 references"),
    Broken("H264", {"numRefL0": 4, "maxNumRefFrames": 3}, "3 pictures are kept"),
    Broken("HEVC", {"numRefL0": 4, "maxNumRefFramesInDPB": 3}, "3 pictures are kept"),
    Broken("AV1", {"numFwdRefs": 4, "maxNumRefFramesInDPB": 3}, "3 pictures are kept"),
    Broken("H264", {"maxNumRefFrames": 17}, "17 pictures kept; there are 16"),
    Broken("HEVC", {"maxNumRefFramesInDPB": 17}, "17 pictures kept; there are 16"),
    Broken("AV1", {"maxNumRefFramesInDPB": 9}, "9 pictures kept; there are 8"),
    Broken("H264", REFRESHED, "without enableIntraRefresh"),
    Broken("HEVC", REFRESHED, "without enableIntraRefresh"),
    Broken("AV1", {"numTileColumns": 3}, "3 tiles"),
    Broken("AV1", {"numTileRows": 128}, "128 tiles"),
    Broken("H264", {"disableDeblockingFilterIDC": 3}, "0, 1 or 2"),
    Broken("HEVC", {"disableDeblockingFilterIDC": 3}, "0, 1 or 2"),
    Broken("H264", {"entropyCodingMode": 3}, "entropyCodingMode"),
    Broken("H264", {"adaptiveTransformMode": 3}, "adaptiveTransformMode"),
    Broken("H264", {**LAYERED, "numTemporalLayers": 0}, "numTemporalLayers 0"),
    Broken("H264", {**LAYERED, "maxTemporalLayers": 2}, "a maximum of 2 layers"),
    Broken("H264", {**LAYERED, "maxTemporalLayers": 4, "maxNumRefFrames": 3}, "they need 4"),
    Broken("H264", {**LAYERED, "numTemporalLayers": 5, "maxTemporalLayers": 5}, "more than the 4"),
    Broken("H264", {**LAYERED, "config.frameIntervalP": 2}, "with frameIntervalP 2"),
    Broken("H264", {"disableSVCPrefixNalu": 1}, "with enableTemporalSVC only"),
    Broken("H264", {"enableScalabilityInfoSEI": 1}, "with enableTemporalSVC only"),
    Broken("H264", {**LAYERED, "enableTemporalSVC": 0, "hierarchicalBFrames": 1}, "without B pictures"),
    Broken("HEVC", {**LAYERED_HEVC, "numTemporalLayers": 0}, "numTemporalLayers 0"),
    Broken("HEVC", {**LAYERED_HEVC, "maxTemporalLayersMinus1": 1}, "a maximum of 2 layers"),
    Broken("HEVC", {**LAYERED_HEVC, "maxTemporalLayersMinus1": 3, "maxNumRefFramesInDPB": 3}, "they need 4"),
    Broken("AV1", {**LAYERED_HEVC, "numTemporalLayers": 4, "maxTemporalLayersMinus1": 3}, "more than the 3"),
    Broken("AV1", {**LAYERED_HEVC, "config.frameIntervalP": 2}, "with frameIntervalP 2"),
    Broken("H264", {"config.frameFieldMode": 2, "encodeHeight": 242}, "fields of 242 lines"),
    Broken("H264", {"config.frameFieldMode": 2, "level": 51}, "fields at level 51"),
    Broken("HEVC", {"enableAlphaLayerEncoding": 1, "chromaFormatIDC": 3}, "4:2:2 or 4:4:4"),
    Broken("HEVC", {"enableAlphaLayerEncoding": 1, "outputBitDepth": 10}, "with 10 bits"),
    Broken("HEVC", {"enableAlphaLayerEncoding": 1, "enableWeightedPrediction": 1}, "weighted prediction"),
    Broken("HEVC", {"enableMVHEVC": 1, "numViews": 3}, "numViews 3"),
    Broken("HEVC", {"enableMVHEVC": 1, "chromaFormatIDC": 3}, "4:2:2 or 4:4:4"),
    Broken("HEVC", {"enableMVHEVC": 1, "outputBitDepth": 10}, "with 10 bits"),
    Broken("HEVC", {"enableMVHEVC": 1, "enableAlphaLayerEncoding": 1}, "an alpha layer"),
    Broken("HEVC", {"outputHevc3DReferenceDisplayInfo": 1}, "without enableMVHEVC"),
    Broken("H264", {"config.monoChromeEncoding": 2}, "0 or 1", MONOCHROME),
    Broken("HEVC", {"config.monoChromeEncoding": 1, "chromaFormatIDC": 3}, "chromaFormatIDC 3", MONOCHROME),
    Broken("H264", {"config.monoChromeEncoding": 1, "config.rcParams.cbQPIndexOffset": 1}, "of chroma", MONOCHROME),
]


@pytest.fixture(scope="module")
def simulator(nvsim_dir: Path) -> Simulator:
    return Simulator()


def put(params: Any, codec: str, fields: dict[str, int]) -> None:
    own = getattr(params.config.encodeCodecConfig, f"{codec.lower()}Config")
    for path, value in fields.items():
        *owners, name = path.split(".")
        setattr(reduce(getattr, owners, params) if owners else params if hasattr(params, name) else own, name, value)


@pytest.mark.parametrize("broken", BROKEN, ids=str)
def test_what_no_client_may_ask_for(simulator: Simulator, broken: Broken) -> None:
    with rig(simulator, check=False, gpus=[{**CARD, "caps": dict.fromkeys(broken.caps, 1)}]) as client:
        params = client.session.params(320, 240, codec=broken.codec)
        put(params, broken.codec, broken.fields)
        with pytest.raises(Refused, match=broken.message) as refused:
            client.session.initialize_with(params)
        assert refused.value.status != 0
        (violation,) = client.machine.violations()
        assert violation["call"] == "nvEncInitializeEncoder"
        assert broken.message in violation["message"]
        client.abandon()


GRAINS: list[tuple[dict[str, Any], str]] = [
    ({"numYPoints": 15}, "15 points of luma"),
    ({"numYPoints": 1, "numCbPoints": 11, "numCrPoints": 1}, "11 points of Cb"),
    ({"numYPoints": 2, "pointYValue": (9, 9)}, "points of luma do not ascend"),
    ({"numYPoints": 1, "numCbPoints": 1}, "one chroma plane and not of the other"),
    ({"numCbPoints": 1, "numCrPoints": 1}, "without points of luma"),
    ({"numYPoints": 1, "numCbPoints": 1, "numCrPoints": 1, "chromaScalingFromLuma": 1}, "chromaScalingFromLuma"),
    ({"cbOffset": 512}, "9 bits"),
    ({"reserved1": 1}, "reserved1 is not zero"),
]


def encode_with_grain(client: Rig, params: Any, grain: Any) -> None:
    client.session.initialize_with(params)
    client.add_surface(picture(0))
    put_grain(client, grain)


def put_grain(client: Rig, grain: Any) -> None:
    of_codec = client.abi.struct("NV_ENC_CODEC_PIC_PARAMS")
    of_codec.av1PicParams.filmGrainParamsUpdate = 1
    of_codec.av1PicParams.filmGrainParams = ctypes.addressof(grain)
    client.encode(0, codecPicParams=of_codec)


@pytest.mark.parametrize("of_picture", [False, True])
@pytest.mark.parametrize(("fields", "message"), GRAINS, ids=[message for _, message in GRAINS])
def test_film_grain_that_cannot_be(
    simulator: Simulator, fields: dict[str, Any], message: str, of_picture: bool
) -> None:
    with rig(simulator, check=False, gpus=[CARD]) as client:
        good, bad = (client.abi.struct("NV_ENC_FILM_GRAIN_PARAMS_AV1") for _ in range(2))
        for name, value in fields.items():
            if isinstance(value, tuple):
                for place, one in enumerate(value):
                    getattr(bad, name)[place] = one
            else:
                setattr(bad, name, value)
        params = client.session.params(320, 240, codec="AV1")
        of_session = ctypes.addressof(good if of_picture else bad)
        put(params, "AV1", {"enableFilmGrainParams": 1, "filmGrainParams": of_session})
        with pytest.raises(Refused, match=message):
            encode_with_grain(client, params, bad)
        (violation,) = client.machine.violations()
        assert violation["call"] == ("nvEncEncodePicture" if of_picture else "nvEncInitializeEncoder")
        client.abandon()


@pytest.mark.parametrize(
    ("of_session", "message"),
    [
        ({"enableFilmGrainParams": 1}, "filmGrainParams is null"),
        ({"filmGrainParams": 1}, "without enableFilmGrainParams"),
    ],
    ids=str,
)
def test_film_grain_needs_both_its_flag_and_its_numbers(
    simulator: Simulator, of_session: dict[str, int], message: str
) -> None:
    with rig(simulator, check=False, gpus=[CARD]) as client:
        numbers = client.abi.struct("NV_ENC_FILM_GRAIN_PARAMS_AV1")
        params = client.session.params(320, 240, codec="AV1")
        fields = {**of_session}
        if "filmGrainParams" in fields:
            fields["filmGrainParams"] = ctypes.addressof(numbers)
        put(params, "AV1", fields)
        with pytest.raises(Refused, match=message):
            client.session.initialize_with(params)
        client.abandon()


def test_grain_of_a_picture_without_grain_of_the_session(simulator: Simulator) -> None:
    with rig(simulator, check=False, gpus=[CARD]) as client:
        client.start(codec="AV1")
        with pytest.raises(Refused, match="without enableFilmGrainParams"):
            put_grain(client, client.abi.struct("NV_ENC_FILM_GRAIN_PARAMS_AV1"))
        client.abandon()


def test_fields_in_a_stream_of_frames(simulator: Simulator) -> None:
    with rig(simulator, check=False, gpus=[CARD]) as client:
        client.start()
        with pytest.raises(Refused, match="frameFieldMode is not FIELD"):
            client.encode(0, pictureStruct=client.abi.NV_ENC_PIC_STRUCT_FIELD_TOP_BOTTOM)
        assert [violation["call"] for violation in client.machine.violations()] == ["nvEncEncodePicture"]
        client.abandon()


def test_a_buffer_of_alpha_that_is_not_read(simulator: Simulator) -> None:
    with rig(simulator, check=False, gpus=[CARD]) as client:
        client.start(codec="HEVC")
        with pytest.raises(Refused, match="without enableAlphaLayerEncoding"):
            client.encode(0, alphaBuffer=client.inputs[0])
        assert [violation["call"] for violation in client.machine.violations()] == ["nvEncEncodePicture"]
        client.abandon()


def start_with_alpha(client: Rig) -> None:
    params = client.session.params(320, 240, codec="HEVC")
    put(params, "HEVC", {"enableAlphaLayerEncoding": 1})
    client.session.initialize_with(params)
    client.started = True
    for number in range(2):
        client.add_surface(picture(number))


def alpha_missing(client: Rig) -> None:
    client.encode(0)


def alpha_beside_rgb(client: Rig) -> None:
    client.encode(0, bufferFmt=client.abi.NV_ENC_BUFFER_FORMAT_ARGB, alphaBuffer=client.inputs[1])


def alpha_of_another_format(client: Rig) -> None:
    client.encode(0, bufferFmt=client.abi.NV_ENC_BUFFER_FORMAT_YUV420_10BIT, alphaBuffer=client.inputs[1])


def alpha_that_is_no_input(client: Rig) -> None:
    client.encode(0, alphaBuffer=client.outputs[0])


def alpha_in_another_layout(client: Rig) -> None:
    pointer = client.cuda.allocate(320 * 240 * 3 // 2)
    other = client.session.map(client.session.register(pointer, pixels="IYUV"))
    client.encode(0, alphaBuffer=other)


def alpha_unmapped_too_early(client: Rig) -> None:
    grey = client.add_surface(np.full_like(picture(2), 0x80))
    for number in range(3, 23):  # which keep the engine busy, however long this process has to wait
        client.add_surface(picture(number))
        client.encode(number, alphaBuffer=grey)
    client.encode(0, alphaBuffer=client.inputs[1])
    client.session.call("nvEncUnmapInputResource", ctypes.c_void_p(client.inputs[1]))


@pytest.mark.parametrize(
    ("breach", "message"),
    [
        (alpha_missing, "and no alphaBuffer"),
        (alpha_beside_rgb, "have their own alpha"),
        (alpha_of_another_format, "neither NV12, ARGB nor ABGR"),
        (alpha_that_is_no_input, "is no input of"),
        (alpha_in_another_layout, "is not NV12"),
        (alpha_unmapped_too_early, "is unmapped while its picture is in flight"),
    ],
)
def test_rules_of_alpha_beside_nv12(simulator: Simulator, breach: Callable[[Rig], None], message: str) -> None:
    slow = {**CARD, "fps_1080p": 1, "engines": 1}
    with rig(simulator, check=False, gpus=[slow]) as client:
        start_with_alpha(client)
        with pytest.raises(Refused, match=message):
            breach(client)
        assert message in client.machine.violations()[0]["message"]
        client.abandon()


def test_alpha_has_no_colour(simulator: Simulator) -> None:
    with rig(simulator, check=False, gpus=[CARD]) as client:
        start_with_alpha(client)
        client.encode(0, alphaBuffer=client.inputs[1])
        client.take(0)
        assert "chroma of the alpha of picture 0" in client.machine.violations()[0]["message"]


def test_a_preset_breaks_no_rule(simulator: Simulator) -> None:
    for codec in ("H264", "HEVC", "AV1"):
        for tuning in (LOW_LATENCY, HIGH_QUALITY):
            with rig(simulator, gpus=[CARD]) as client:
                client.session.initialize_with(client.session.params(320, 240, codec=codec, tuning=tuning))
