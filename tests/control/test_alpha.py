"""HEVC with alpha: the second layer of the stream, as FFmpeg's parser and decoder see it."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from control.driver_calls import GPU
from pdum.nvenc import NvencEncoder, Packet

from simulator import Simulator
from streams import START_CODE, decode, nal_type, nal_units, psnr

pytestmark = pytest.mark.one_abi

WIDTH, HEIGHT, COUNT = 256, 144, 9
SEI, ALPHA_CHANNEL_INFORMATION = 39, 165


def transparency(number: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.asarray((x + y + 8 * number) % 256, np.uint8)


def frame(number: int) -> NDArray[np.uint8]:
    """Bytes as the formats "argb" and "abgr" have them: alpha is the last one of each pixel."""
    picture = np.full((HEIGHT, WIDTH, 4), 90, np.uint8)
    picture[..., 3] = transparency(number)
    return picture


def encode(simulator: Simulator, **settings: Any) -> list[Packet]:
    with (
        simulator.machine(gpus=GPU, backend="codec"),
        NvencEncoder(WIDTH, HEIGHT, codec="hevc", **{"format": "argb", "qp": 20, **settings}) as encoder,
    ):
        packets = [packet for number in range(COUNT) for packet in encoder.submit(frame(number), number)]
        return packets + encoder.flush_pipeline()


def layer_of(unit: bytes) -> int:
    return (unit[0] & 1) << 5 | unit[1] >> 3


def alone(packets: list[Packet], layer: int) -> bytes:
    """The stream of one layer, as if it were the only one. Both layers use the parameter sets of the first."""
    found = b""
    for packet in packets:
        for unit in nal_units(packet.data):
            if layer_of(unit) == layer or nal_type(unit, "hevc") >= 32:
                found += START_CODE + bytes((unit[0], unit[1] & 7)) + unit[2:]
    return found


@pytest.mark.parametrize("form", ["argb", "abgr"])
@pytest.mark.parametrize("more", [{}, {"tuning": "hq", "bframes": 2, "gop": 6}], ids=str)
def test_the_second_layer_is_alpha(simulator: Simulator, form: str, more: dict[str, Any]) -> None:
    packets = encode(simulator, format=form, alpha=True, **more)
    pictures = decode(alone(packets, 1), "hevc")
    assert len(pictures) == COUNT
    for number, picture in enumerate(pictures):
        assert psnr([transparency(number)], picture.planes[:1]) > 30
    for picture in decode(alone(packets, 0), "hevc"):
        assert np.ptp(picture.planes[0]) < 6, "the colour is the same everywhere"


def test_parsers_know_the_layer(simulator: Simulator) -> None:
    """FFmpeg reads the extension of the video parameter set. Decoders without alpha show the colours."""
    packets = encode(simulator, alpha=True)
    av.logging.set_level(av.logging.DEBUG)
    try:
        with av.logging.Capture() as told:
            stream = io.BytesIO(b"".join(packet.data for packet in packets))
            with av.open(stream, "r", format="hevc") as container:
                assert len(list(container.decode(video=0))) == COUNT
    finally:
        av.logging.set_level(None)
    words = {message.strip() for _, _, message in told}
    assert "Multi layer video, is alpha video" in words
    assert not [one for one in words if "rror" in one or "nsupported" in one or "gnoring" in one]


def test_each_idr_says_what_the_values_mean(simulator: Simulator) -> None:
    for packet in encode(simulator, alpha=True, gop=4):
        units = nal_units(packet.data)
        messages = [unit for unit in units if nal_type(unit, "hevc") == SEI and unit[2] == ALPHA_CHANNEL_INFORMATION]
        assert len(messages) == packet.keyframe
        assert all(message[3:8] == bytes((4, 0, 0, 0x7F, 0x90)) for message in messages)


def test_the_share_of_the_bits(simulator: Simulator) -> None:
    """A bitrate that is too low for both, and a picture that needs few bits."""
    rate: dict[str, Any] = {"qp": None, "bitrate": 300_000}
    shares = []
    for ratio in (1, 15):
        packets = encode(simulator, alpha=ratio, **rate)
        units = [unit for packet in packets for unit in nal_units(packet.data)]
        shares.append(sum(len(unit) for unit in units if layer_of(unit) == 1))
    assert shares[0] > 1.2 * shares[1]


def test_streams_without_alpha_have_one_layer(simulator: Simulator) -> None:
    for packet in encode(simulator):
        assert {layer_of(unit) for unit in nal_units(packet.data)} == {0}
