"""Rules about what one picture brings with it, each shown by a client that breaks it."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import pytest

from driver_tests.encode_client import Rig, picture, rig

from simulator import Simulator
from simulator.raw import Refused

WIDTH, HEIGHT = 320, 240
CONFIGS = {"H264": "h264Config", "HEVC": "hevcConfig", "AV1": "av1Config"}
PICTURES = {"H264": "h264PicParams", "HEVC": "hevcPicParams", "AV1": "av1PicParams"}


@pytest.fixture(scope="module")
def simulator(nvsim_dir: Path) -> Simulator:
    return Simulator()


def start(client: Rig, codec: str, config: dict[str, Any] | None = None, **fields: Any) -> None:
    """An encoder of the codec with these fields of its configuration, and further ones of the session's."""
    params = client.session.params(WIDTH, HEIGHT, codec)
    params.config.frameIntervalP = fields.pop("frameIntervalP", 1)
    params.config.rcParams.enableLookahead = 0
    for name, value in (config or {}).items():
        setattr(getattr(params.config.encodeCodecConfig, CONFIGS[codec]), name, value)
    for name, value in fields.items():
        setattr(params, name, value)
    client.session.initialize_with(params)
    client.started = True
    client.add_surface(picture(0))


def encode(client: Rig, codec: str, timestamp: int = 0, **fields: Any) -> int:
    """One picture with these fields of its codec's part."""
    own = {name: fields.pop(name) for name in ("pictureType", "encodePicFlags") if name in fields}
    params = client.session.picture(client.inputs[0], client.outputs[0], timestamp, **own)
    for name, value in fields.items():
        setattr(getattr(params.codecPicParams, PICTURES[codec]), name, value)
    return client.session.call("nvEncEncodePicture", ctypes.byref(params), allow=(0, 17))


def refusal(client: Rig, codec: str, **fields: Any) -> str:
    """Why the picture is refused; that is a violation, too."""
    before = len(client.machine.violations())
    with pytest.raises(Refused) as refused:
        encode(client, codec, **fields)
    assert len(client.machine.violations()) == before + 1
    return refused.value.text


@pytest.mark.parametrize("codec", ["HEVC", "AV1"])
def test_hdr_metadata_that_the_configuration_does_not_announce(simulator: Simulator, codec: str) -> None:
    with rig(simulator, "13.0", check=False) as client:
        display = client.abi.class_of("MASTERING_DISPLAY_INFO")()
        light = client.abi.class_of("CONTENT_LIGHT_LEVEL")()
        start(client, codec, {"outputMaxCll": 1})
        reason = refusal(client, codec, pMasteringDisplay=ctypes.addressof(display))
        assert "outputMasteringDisplay" in reason
        encode(client, codec, pMaxCll=ctypes.addressof(light))
        client.take(0)


@pytest.mark.parametrize("codec", ["H264", "HEVC"])
def test_long_term_references(simulator: Simulator, codec: str) -> None:
    with rig(simulator, check=False) as client:
        start(client, codec, {"enableLTR": 1, "ltrNumFrames": 2})
        encode(client, codec, ltrMarkFrame=1, ltrMarkFrameIdx=1)
        client.take(0)
        for fields, words in (
            ({"ltrMarkFrame": 1, "ltrMarkFrameIdx": 2}, "ltrMarkFrameIdx 2 of 2"),
            ({"ltrUseFrames": 1}, "empty ltrUseFrameBitmap"),
            ({"ltrUseFrames": 1, "ltrUseFrameBitmap": 0b100}, "0x4 of 2"),
            ({"ltrUseFrames": 1, "ltrUseFrameBitmap": 0b01}, "not marked"),
            ({"ltrUsageMode": 1}, "ltrUsageMode"),
        ):
            assert words in refusal(client, codec, **fields)
        encode(client, codec, ltrUseFrames=1, ltrUseFrameBitmap=0b10)
        client.take(0)
        encode(client, codec, encodePicFlags=client.abi.NV_ENC_PIC_FLAG_FORCEIDR)
        client.take(0)
        assert "not marked" in refusal(client, codec, ltrUseFrames=1, ltrUseFrameBitmap=0b10)


@pytest.mark.parametrize(
    ("config", "fields", "words"),
    [
        ({"enableLTR": 1, "ltrNumFrames": 2}, {"frameIntervalP": 2}, "enableLTR with frameIntervalP 2"),
        ({"enableLTR": 1, "ltrNumFrames": 200}, {}, "ltrNumFrames 200"),
        ({"enableLTR": 1, "ltrNumFrames": 2, "ltrTrustMode": 2}, {}, "ltrTrustMode"),
    ],
)
def test_long_term_references_that_cannot_be(
    simulator: Simulator, config: dict[str, Any], fields: dict[str, Any], words: str
) -> None:
    with rig(simulator, check=False) as client:
        with pytest.raises(Refused, match=words):
            start(client, "HEVC", config, **fields)
        assert len(client.machine.violations()) == 1


@pytest.mark.parametrize("codec", ["H264", "HEVC"])
def test_picture_types_of_the_clients(simulator: Simulator, codec: str) -> None:
    with rig(simulator, check=False) as client:
        idr, p = client.abi.NV_ENC_PIC_TYPE_IDR, client.abi.NV_ENC_PIC_TYPE_P
        start(client, codec, enablePTD=0)
        assert "first picture" in refusal(client, codec, pictureType=p, refPicFlag=1)
        assert "refPicFlag" in refusal(client, codec, pictureType=idr)
        force = client.abi.NV_ENC_PIC_FLAG_FORCEIDR
        assert "flag" in refusal(client, codec, pictureType=idr, refPicFlag=1, encodePicFlags=force)
        encode(client, codec, pictureType=idr, refPicFlag=1)
        assert client.take(0).pic_type == "IDR"
        encode(client, codec, 1, pictureType=client.abi.NV_ENC_PIC_TYPE_I, refPicFlag=1, displayPOCSyntax=1)
        assert client.take(0).pic_type == "I"


def test_invalidated_references(simulator: Simulator) -> None:
    gpu = {"name": "RTX 4090", "fps_1080p": 0}
    for cap, timestamp, words in ((1, 7, ""), (1, 8, "timestamp 8"), (0, 7, "SUPPORT_REF_PIC_INVALIDATION")):
        caps = {**gpu, "caps": {"SUPPORT_REF_PIC_INVALIDATION": cap}}
        with rig(simulator, check=False, gpus=[caps]) as client:
            start(client, "HEVC")
            encode(client, "HEVC", 7)
            client.take(0)
            if not words:
                client.session.call("nvEncInvalidateRefFrames", timestamp)
                continue
            with pytest.raises(Refused, match=words):
                client.session.call("nvEncInvalidateRefFrames", timestamp)
            assert len(client.machine.violations()) == 1


@pytest.mark.parametrize(
    ("two_views", "views", "message"),
    [(1, [1], "where 0 is expected"), (1, [0, 0], "where 1 is expected"), (0, [1], "without enableMVHEVC")],
)
def test_views_that_do_not_take_turns(simulator: Simulator, two_views: int, views: list[int], message: str) -> None:
    with rig(simulator, check=False, gpus=["RTX 5090"]) as client:
        start(client, "HEVC", {"enableMVHEVC": two_views})
        *good, bad = views
        for view in good:
            encode(client, "HEVC", viewId=view)
        assert message in refusal(client, "HEVC", viewId=bad)
        client.abandon()
