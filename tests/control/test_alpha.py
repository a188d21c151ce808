"""HEVC with alpha: the second layer of the stream, as FFmpeg's parser and decoder see it."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from control.driver_calls import GPU, Driver
from frames import Gpu
from pdum.nvenc import InvalidFrame, NvencEncoder, NvencError, Packet, UnsupportedFeature

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


def plane_and_alpha(number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A grey frame of NV12, and its alpha."""
    picture = np.full((HEIGHT * 3 // 2, WIDTH), 90, np.uint8)
    picture[HEIGHT:] = 128
    return picture, transparency(number)


def encode_pairs(simulator: Simulator, pairs: Any = None, **settings: Any) -> list[Packet]:
    with (
        simulator.machine(gpus=GPU, backend="codec"),
        NvencEncoder(WIDTH, HEIGHT, codec="hevc", alpha=True, **{"qp": 20, **settings}) as encoder,
    ):
        given = pairs if pairs is not None else [plane_and_alpha(number) for number in range(COUNT)]
        packets = [packet for number, pair in enumerate(given) for packet in encoder.submit(pair, number)]
        return packets + encoder.flush_pipeline()


@pytest.mark.parametrize(
    "more", [{}, {"tuning": "hq", "bframes": 2, "gop": 6, "lookahead": 3}, {"extra_output_delay": 3}], ids=str
)
def test_alpha_beside_nv12_is_the_second_layer(simulator: Simulator, more: dict[str, Any]) -> None:
    packets = encode_pairs(simulator, **more)
    assert sorted(packet.seq for packet in packets) == list(range(COUNT))
    pictures = decode(alone(packets, 1), "hevc")
    assert len(pictures) == COUNT
    for number, picture in enumerate(pictures):
        assert psnr([transparency(number)], picture.planes[:1]) > 30
    for picture in decode(alone(packets, 0), "hevc"):
        assert np.abs(picture.planes[0].astype(int) - 90).max() < 6


def test_alpha_beside_a_frame_is_coded_as_alpha_in_it(simulator: Simulator) -> None:
    beside, inside = (decode(alone(made(simulator, alpha=True), 1), "hevc") for made in (encode_both, encode))
    for one, other in zip(beside, inside, strict=True):
        assert np.array_equal(one.planes[0], other.planes[0])


def encode_both(simulator: Simulator, alpha: bool) -> list[Packet]:
    assert alpha
    return encode_pairs(simulator)


def test_frames_and_alpha_on_the_gpu_and_padded(simulator: Simulator) -> None:
    pairs = []
    for number in range(3):
        picture, alpha = plane_and_alpha(number)
        wide = np.zeros((HEIGHT, WIDTH + 64), np.uint8)
        wide[:, :WIDTH] = alpha
        pairs.append((picture, wide[:, :WIDTH]))
    assert [one.data for one in encode_pairs(simulator, pairs)] == [
        one.data for one in encode_pairs(simulator, [plane_and_alpha(number) for number in range(3)])
    ]


@pytest.mark.usefixtures("abi")
def test_the_driver_gets_both_buffers(driver: Driver) -> None:

    def use(encoder: NvencEncoder) -> None:
        for number in range(3):
            encoder.encode(plane_and_alpha(number))

    calls = driver.calls(use, width=WIDTH, height=HEIGHT, codec="hevc", alpha=True)
    pictures = [call.args for call in calls if call.name == "nvEncEncodePicture"][:-1]
    assert len(pictures) == 3
    for told in pictures:
        assert told["alphaBuffer"] != told["inputBuffer"]
    rows = [call.args for call in calls if call.name == "nvEncRegisterResource"]
    assert {one["bufferFormat"] for one in rows} == {"NV_ENC_BUFFER_FORMAT_NV12"}


WRONG_PAIRS: list[tuple[Any, str]] = [
    (plane_and_alpha(1)[0], r"got one frame of type ndarray.*encode\(\(frame, alpha\)\)"),
    (plane_and_alpha(1)[:1], "not a pair"),
    ((plane_and_alpha(1)[0], plane_and_alpha(1)[0]), "Expected an array of shape .144, 256.* for format 'alpha'"),
    ((plane_and_alpha(1)[1], plane_and_alpha(1)[1]), "for format 'nv12'"),
    ((plane_and_alpha(1)[0], plane_and_alpha(1)[1].astype(np.uint16)), "for format 'alpha'"),
    ((plane_and_alpha(1)[0], None), "NoneType"),
]


@pytest.mark.parametrize(("pair", "message"), WRONG_PAIRS, ids=range(len(WRONG_PAIRS)))
def test_a_wrong_pair_costs_nothing(simulator: Simulator, pair: Any, message: str) -> None:
    with (
        simulator.machine(gpus=GPU, backend="codec"),
        NvencEncoder(WIDTH, HEIGHT, codec="hevc", alpha=True) as encoder,
    ):
        packets = encoder.submit(plane_and_alpha(0), 0)
        with pytest.raises(InvalidFrame, match=message):
            encoder.submit(pair, 1)
        packets += encoder.submit(plane_and_alpha(2), 2)
        with pytest.raises(UnsupportedFeature, match="alpha and format='nv12'"):
            encoder.surface()
    assert len(decode(alone(packets, 1), "hevc")) == 2


@pytest.mark.parametrize("call", ["nvEncEncodePicture", "nvEncMapInputResource", "nvEncLockBitstream"])
@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_failed_call_leaves_nothing(simulator: Simulator, call: str, nth: int) -> None:
    """The machine checks that no rule is broken and nothing is left."""
    fault = [{"call": call, "nth": nth, "status": 20}]
    with (
        simulator.machine(gpus=GPU, backend="codec", faults=fault),
        NvencEncoder(WIDTH, HEIGHT, codec="hevc", alpha=True) as encoder,
    ):
        packets = []
        for number in range(4):
            try:
                packets += encoder.submit(plane_and_alpha(number), number)
            except NvencError:
                packets += encoder.flush_pipeline()
        packets += encoder.flush_pipeline()
    assert len(packets) in (3, 4)
    assert len(decode(alone(packets, 1), "hevc")) == len(packets)


def test_both_may_lie_on_the_gpu(simulator: Simulator) -> None:
    with simulator.machine(gpus=GPU, backend="codec"):
        gpu = Gpu()
        try:
            pair = tuple(gpu.frame(array) for array in plane_and_alpha(3))
            with NvencEncoder(WIDTH, HEIGHT, codec="hevc", alpha=True, qp=20) as encoder:
                packets = encoder.submit(pair, 0)
        finally:
            gpu.close()
    (shown,) = decode(alone(packets, 1), "hevc")
    assert psnr([transparency(3)], shown.planes[:1]) > 30
