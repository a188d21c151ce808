"""A picture that was lost on its way: the encoder refers to an earlier one that is intact, or makes an IDR."""

from __future__ import annotations

import asyncio
from typing import Any

import av
import pytest

from control.coded import HEIGHT, WIDTH, frame_of, planes_of
from control.driver_calls import GPU, Driver
from control.test_pictures import FORCE_IDR, FRAME, WITH_HEADERS
from pdum.nvenc import EncoderClosed, InvalidConfig, NvencEncoder, Packet, PictureOptions

from simulator import Simulator
from simulator.trace import Call

pytestmark = pytest.mark.one_abi

STREAM: dict[str, Any] = {"gop": 0, "reference_frames": 4}


def submit(encoder: NvencEncoder, *seqs: int) -> None:
    for seq in seqs:
        encoder.submit(FRAME, seq)


def told(calls: list[Call]) -> list[str]:
    """Pictures as P or IDR, and the pts of those that the driver may no longer refer to."""
    names = {0: "P", FORCE_IDR | WITH_HEADERS: "IDR"}
    found = []
    for call in calls:
        if call.name == "nvEncEncodePicture" and call.args.get("inputBuffer"):
            found.append(names[call.args.get("encodePicFlags", 0)])
        if call.name == "nvEncInvalidateRefFrames":
            found.append(f"without {call.args.get('invalidRefFrameTimeStamp', 0)}")
    return found


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_later_pictures_refer_to_one_before_the_lost_one(abi: str, driver: Driver, codec: str) -> None:
    """Those after it refer to it, so that the driver is told of them, too. Seqs are the caller's own."""

    def use(encoder: NvencEncoder) -> None:
        submit(encoder, 10, 11, 12, 13)
        assert encoder.lost(12) is True
        submit(encoder, 14)

    assert told(driver.calls(use, codec=codec, **STREAM)) == ["P"] * 4 + ["without 2", "without 3", "P"]


def test_what_was_told_before_is_not_told_again(abi: str, driver: Driver) -> None:
    def use(encoder: NvencEncoder) -> None:
        submit(encoder, 0, 1, 2, 3)
        assert encoder.lost(2)
        assert encoder.lost(3)
        assert encoder.lost(2)
        submit(encoder, 4)
        assert encoder.lost(3)

    assert told(driver.calls(use, **STREAM)) == ["P"] * 4 + ["without 2", "without 3", "P"]


def test_a_second_loss_has_to_find_another_intact_picture(abi: str, driver: Driver) -> None:
    """The encoder keeps three. When 5 is lost, they are 3, 4 and 5, of which none is intact."""

    def use(encoder: NvencEncoder) -> None:
        submit(encoder, 0, 1, 2, 3)
        assert encoder.lost(3)
        submit(encoder, 4)
        assert encoder.lost(4)
        submit(encoder, 5)
        assert not encoder.lost(5)
        submit(encoder, 6)

    sequence = ["P"] * 4 + ["without 3", "P", "without 4", "P"]
    assert told(driver.calls(use, **{**STREAM, "reference_frames": 3})) == [*sequence, "IDR"]


@pytest.mark.parametrize(
    ("settings", "lost"),
    [
        ({"reference_frames": None}, 3),  # how many the driver keeps is not known
        ({"reference_frames": 2}, 2),  # 2 and 3 are all that it keeps
        ({}, 0),  # nothing before the IDR is left
        ({}, 77),  # an unknown seq
        ({"tuning": "hq", "bframes": 2}, 2),  # later ones may be held back already
        ({"tuning": "hq", "lookahead": 2}, 2),
    ],
    ids=str,
)
def test_otherwise_the_next_picture_is_an_idr(abi: str, driver: Driver, settings: dict[str, Any], lost: int) -> None:
    def use(encoder: NvencEncoder) -> None:
        submit(encoder, 0, 1, 2, 3)
        assert encoder.lost(lost) is False
        assert encoder.lost(lost) is False
        submit(encoder, 4, 5)

    assert told(driver.calls(use, **{**STREAM, **settings})) == ["P"] * 4 + ["IDR", "P"]


def test_a_card_that_cannot_makes_an_idr(abi: str, driver: Driver) -> None:
    gpu = {"name": "RTX 4090", "caps": {"SUPPORT_REF_PIC_INVALIDATION": 0}}

    def use(encoder: NvencEncoder) -> None:
        submit(encoder, 0, 1, 2)
        assert encoder.lost(2) is False
        submit(encoder, 3)

    assert told(driver.calls(use, gpu=gpu, **STREAM)) == ["P"] * 3 + ["IDR"]


def test_a_driver_that_refuses_makes_an_idr(abi: str, driver: Driver) -> None:
    fault = {"call": "nvEncInvalidateRefFrames", "nth": 2, "status": 8}
    with driver.simulator.machine(faults=[fault], trace=str(driver.path)), NvencEncoder(256, 160, **STREAM) as encoder:
        submit(encoder, 0, 1, 2)
        assert encoder.lost(1) is False
        (packet,) = encoder.submit(FRAME, 3)
        assert packet.pic_type == "IDR"


def test_a_picture_before_the_last_idr_needs_nothing(abi: str, driver: Driver) -> None:
    def use(encoder: NvencEncoder) -> None:
        submit(encoder, 0, 1)
        encoder.submit(FRAME, 2, force_idr=True)
        assert encoder.lost(1) is True
        submit(encoder, 3)

    assert told(driver.calls(use, **STREAM)) == ["P", "P", "IDR", "P"]


def test_a_long_term_reference_that_was_lost_is_gone(abi: str, driver: Driver) -> None:
    def use(encoder: NvencEncoder) -> None:
        encoder.submit(FRAME, 0, picture=PictureOptions(mark_long_term=0))
        encoder.submit(FRAME, 1, picture=PictureOptions(mark_long_term=1))
        submit(encoder, 2)
        assert encoder.lost(1)
        with pytest.raises(InvalidConfig, match="use_long_term has 1"):
            encoder.submit(FRAME, 3, picture=PictureOptions(use_long_term=[1]))
        encoder.submit(FRAME, 3, picture=PictureOptions(use_long_term=[0]))

    driver.calls(use, **STREAM, long_term_references=2)


def test_awaited(abi: str, driver: Driver) -> None:
    async def live(encoder: NvencEncoder) -> None:
        for seq in range(3):
            await encoder.submit_async(FRAME, seq)
        assert await encoder.lost_async(2)
        assert not await encoder.lost_async(0)

    calls = driver.calls(lambda encoder: asyncio.run(live(encoder)), **STREAM)
    assert told(calls) == ["P"] * 3 + ["without 2"]


def test_seqs_are_numbers_and_the_encoder_open(abi: str, driver: Driver) -> None:
    def use(encoder: NvencEncoder) -> None:
        with pytest.raises(TypeError):
            encoder.lost("1")  # type: ignore[arg-type]
        encoder.close()
        with pytest.raises(EncoderClosed):
            encoder.lost(1)

    driver.calls(use, **STREAM)


@pytest.mark.parametrize("late", [1, 2, 3])
def test_a_decoder_without_the_lost_packets_shows_the_later_pictures(simulator: Simulator, late: int) -> None:
    """A viewer who never got them decodes the very pictures that the others see. H.264 by x264, read by FFmpeg."""
    pictures = planes_of("nv12", 14)
    packets: list[Packet] = []
    with (
        simulator.machine(gpus=GPU, backend="codec"),
        NvencEncoder(WIDTH, HEIGHT, gop=0, reference_frames=6) as encoder,
    ):
        for seq, planes in enumerate(pictures):
            if seq == 6 + late:
                assert encoder.lost(6)
            packets += encoder.submit(frame_of(planes, "nv12"), seq)
    missed = set(range(6, 6 + late))
    everybody = shown(packets)
    viewer = shown([packet for packet in packets if packet.seq not in missed])
    assert viewer[-(14 - 6 - late) :] == everybody[-(14 - 6 - late) :]
    assert len(set(everybody)) == 14


def shown(packets: list[Packet]) -> list[bytes]:
    """The decoded pictures. A decoder may put others in the place of missing ones."""
    decoder = av.CodecContext.create("h264", "r")
    frames = [frame for packet in packets for frame in decoder.decode(av.Packet(packet.data))]
    return [frame.to_ndarray().tobytes() for frame in frames + decoder.decode(None)]
