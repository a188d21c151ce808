"""Picture types by hand: flags while the driver decides, and all of I, P and IDR if the caller does."""

from __future__ import annotations

from typing import Any

import pytest

from control.coded import encode, stream_of
from control.driver_calls import GPU, Driver, Flat, flat
from control.rows import short
from control.test_pictures import FORCE_IDR, FORCE_INTRA, FRAME, WITH_HEADERS, pictures
from frames import nv12
from pdum.nvenc import EncoderConfig, InvalidConfig, NvencEncoder, PictureOptions, UnsupportedFeature

from simulator import Simulator
from streams import decode

pytestmark = pytest.mark.one_abi

MANUAL: dict[str, Any] = {"picture_types": "manual"}
CODECS = ["h264", "hevc", "av1"]
NAMES = {None: "P", "NV_ENC_PIC_TYPE_I": "I", "NV_ENC_PIC_TYPE_IDR": "IDR"}


@pytest.mark.parametrize("codec", CODECS)
def test_flags_while_the_driver_decides(abi: str, driver: Driver, codec: str) -> None:
    kinds = ["IDR", "idr", "I"]
    told = pictures(driver, None, *(PictureOptions(type=kind) for kind in kinds), codec=codec, gop=0)
    assert told == [{}, *[{"flags": FORCE_IDR | WITH_HEADERS}] * 2, {"flags": FORCE_INTRA}]


def types_of(driver: Driver, *types: str | None, **settings: Any) -> list[Flat]:
    def use(encoder: NvencEncoder) -> None:
        for seq, kind in enumerate(types):
            encoder.submit(FRAME, seq, picture=None if kind is None else PictureOptions(type=kind))

    calls = driver.calls(use, name="nvEncEncodePicture", **MANUAL, **settings)
    return [flat(call.args) for call in calls if call.args.get("inputBuffer")]


@pytest.mark.parametrize("codec", CODECS)
def test_types_of_the_callers(abi: str, driver: Driver, codec: str) -> None:
    """The first one is always an IDR. A picture without a type is P."""
    told = types_of(driver, "P", None, "I", "P", "IDR", None, codec=codec, gop=0)
    assert [NAMES[one.get("pictureType")] for one in told] == ["IDR", "P", "I", "P", "IDR", "P"]
    assert [one.get("encodePicFlags", 0) for one in told] == [0, 0, 0, 0, WITH_HEADERS, 0], "no flag forces a type"
    assert all(one["codecPicParams.refPicFlag"] == 1 for one in told)
    step = 2 if codec == "h264" else 1  # H.264 counts fields
    orders = [one.get("codecPicParams.displayPOCSyntax", 0) for one in told]
    assert orders == [0, step, 2 * step, 3 * step, 0, step]


def test_without_a_type_the_period_holds(abi: str, driver: Driver) -> None:
    told = types_of(driver, None, None, None, "P", None, None, gop=3)
    assert [NAMES[one.get("pictureType")] for one in told] == ["IDR", "P", "P", "P", "IDR", "P"]


@pytest.mark.parametrize("codec", CODECS)
def test_pictures_that_no_other_refers_to(abi: str, driver: Driver, codec: str) -> None:
    """The first picture is an IDR, and so is the fourth, whatever is asked for."""

    def use(encoder: NvencEncoder) -> None:
        for seq, reference in enumerate((False, True, False, False, False, True)):
            encoder.submit(FRAME, seq, picture=PictureOptions(reference=reference))

    calls = driver.calls(use, name="nvEncEncodePicture", codec=codec, gop=3, **MANUAL)
    told = [flat(call.args).get("codecPicParams.refPicFlag", 0) for call in calls if call.args.get("inputBuffer")]
    assert told == [1, 1, 0, 1, 0, 1]


def test_the_loss_of_such_a_picture_is_harmless(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=GPU), NvencEncoder(320, 192, gop=0, reference_frames=2, **MANUAL) as encoder:
        for seq, reference in enumerate((True, True, False, False, True)):
            encoder.submit(nv12(320, 192, seq), seq, picture=PictureOptions(reference=reference))
        assert encoder.lost(2)
        assert not encoder.submit(nv12(320, 192, 5), 5)[0].keyframe
        assert encoder.lost(5), "the picture with seq 4 is intact and kept"
        assert not encoder.submit(nv12(320, 192, 6), 6)[0].keyframe


def test_such_pictures_take_no_place_among_those_that_are_kept(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=GPU), NvencEncoder(320, 192, gop=0, reference_frames=2, **MANUAL) as encoder:
        for seq, reference in enumerate((True, True, False, False)):
            encoder.submit(nv12(320, 192, seq), seq, picture=PictureOptions(reference=reference))
        assert encoder.lost(1), "the first picture is intact and kept"
        assert not encoder.submit(nv12(320, 192, 4), 4)[0].keyframe


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"reference": 0}, "True or False, got reference=0"),
        ({"reference": False, "type": "IDR"}, "reference=False does not work with an IDR"),
        ({"reference": False, "force_idr": True}, "reference=False does not work with an IDR"),
        ({"reference": False, "mark_long_term": 1}, "mark_long_term=1"),
    ],
)
def test_what_can_be_no_reference(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidConfig, match=words):
        PictureOptions(**fields)


def test_references_are_the_drivers_choice_by_default(simulator: Simulator) -> None:
    with simulator.machine(gpus=GPU), NvencEncoder(320, 192) as encoder:
        with pytest.raises(InvalidConfig, match="needs an encoder that was made with picture_types='manual'"):
            encoder.encode(nv12(320, 192, 0), picture=PictureOptions(reference=False))
        assert encoder.encode(nv12(320, 192, 0))


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_types_in_the_stream(abi: str, simulator: Simulator, codec: str) -> None:
    options = {2: PictureOptions(type="I"), 4: PictureOptions(type="IDR"), 6: PictureOptions(type="P")}
    packets = encode(simulator, count=8, codec=codec, gop=3, options=options, **MANUAL)
    assert [packet.pic_type for packet in packets] == ["IDR", "P", "I", "IDR", "IDR", "P", "P", "IDR"]
    assert "".join(picture.kind for picture in decode(stream_of(packets), codec)) == "IPIIIPPI"


@pytest.mark.parametrize(
    ("settings", "kind", "error", "words"),
    [
        ({}, "P", InvalidConfig, ["type='P'", "picture_types='manual'"]),
        ({}, "B", UnsupportedFeature, ["type='B'", "bframes"]),
        (MANUAL, "B", UnsupportedFeature, ["type='B'", "bframes"]),
    ],
)
def test_types_that_this_encoder_cannot_make(
    abi: str, driver: Driver, settings: dict[str, Any], kind: str, error: type[Exception], words: list[str]
) -> None:
    def use(encoder: NvencEncoder) -> None:
        with pytest.raises(error) as caught:
            encoder.submit(FRAME, 0, picture=PictureOptions(type=kind))
        for word in words:
            assert word in str(caught.value)
        assert encoder.encode(FRAME), "it stays usable"

    driver.calls(use, **settings)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"type": "X"}, ["type='X'"]),
        ({"type": 3}, ["type=3"]),
        ({"type": "P", "force_idr": True}, ["type='P'", "force_idr=True"]),
        ({"type": "I", "force_idr": True}, ["type='I'", "force_idr=True"]),
        ({"type": "P", "force_intra": True}, ["type='P'", "force_intra=True"]),
    ],
)
def test_what_can_be_no_type(fields: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InvalidConfig) as caught:
        PictureOptions(**fields)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [{"tuning": "hq", "bframes": 2}, {"tuning": "hq", "bframes": None}, {"tuning": "hq", "lookahead": 8}],
    ids=short,
)
def test_contradictions(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig) as caught:
        EncoderConfig(width=320, height=240, **MANUAL, **settings)
    assert "picture_types='manual'" in str(caught.value)
