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
