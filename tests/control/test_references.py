"""Long-term references: which pictures are kept as such and which ones refer to them."""

from __future__ import annotations

from typing import Any

import pytest

from control.driver_calls import Driver, Flat
from control.rows import short
from control.test_pictures import FORCE_IDR, FRAME, WITH_HEADERS, pictures
from pdum.nvenc import EncoderConfig, InvalidConfig, NvencEncoder, PictureOptions, UnsupportedFeature

pytestmark = pytest.mark.one_abi


def marked(slot: int) -> Flat:
    """A field at zero is not traced."""
    return {"ltrMarkFrame": 1, **({"ltrMarkFrameIdx": slot} if slot else {})}


def used(bitmap: int) -> Flat:
    return {"ltrUseFrames": 1, "ltrUseFrameBitmap": bitmap}


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_pictures_are_marked_and_used(abi: str, driver: Driver, codec: str) -> None:
    settings: dict[str, Any] = {"codec": codec, "gop": 0, "long_term_references": 3}
    if abi == "12.1" and codec == "av1":
        assert isinstance(driver.refusal(**settings), UnsupportedFeature)
        return
    told = pictures(
        driver,
        PictureOptions(mark_long_term=0),
        None,
        PictureOptions(mark_long_term=2),
        PictureOptions(use_long_term=[2]),
        None,
        PictureOptions(use_long_term=(0, 2), mark_long_term=1),
        **settings,
    )
    assert told == [marked(0), {}, marked(2), used(0b100), {}, {**used(0b101), **marked(1)}]


def test_an_idr_refers_to_nothing_and_forgets_what_was_marked(abi: str, driver: Driver) -> None:
    def use(encoder: NvencEncoder) -> None:
        encoder.submit(FRAME, 0, picture=PictureOptions(mark_long_term=1))
        encoder.submit(FRAME, 1, picture=PictureOptions(force_idr=True, use_long_term=[1], mark_long_term=0))
        with pytest.raises(InvalidConfig) as caught:
            encoder.submit(FRAME, 2, picture=PictureOptions(use_long_term=[1]))
        assert "use_long_term has 1" in str(caught.value)
        assert "since the last IDR" in str(caught.value)
        assert encoder.in_flight == 0
        encoder.submit(FRAME, 3, picture=PictureOptions(use_long_term=[0]))

    calls = driver.calls(use, name="nvEncEncodePicture", gop=0, long_term_references=2)
    told = [call.args["codecPicParams"] for call in calls if call.args.get("inputBuffer")]
    assert told == [marked(1), marked(0), used(1)]
    assert calls[1].args["encodePicFlags"] == FORCE_IDR | WITH_HEADERS


@pytest.mark.parametrize(
    ("settings", "options", "words"),
    [
        ({}, PictureOptions(mark_long_term=0), ["mark_long_term=0", "long_term_references"]),
        ({}, PictureOptions(use_long_term=[0]), ["use_long_term=[0]", "long_term_references"]),
        ({"long_term_references": 2}, PictureOptions(mark_long_term=2), ["mark_long_term=2", "from 0 to 1"]),
        ({"long_term_references": 2}, PictureOptions(use_long_term=[0, 5]), ["use_long_term=[0, 5]", "from 0 to 1"]),
    ],
    ids=str,
)
def test_slots_that_are_not_there(
    abi: str, driver: Driver, settings: dict[str, Any], options: PictureOptions, words: list[str]
) -> None:
    def use(encoder: NvencEncoder) -> None:
        with pytest.raises(InvalidConfig) as caught:
            encoder.submit(FRAME, 0, picture=options)
        for word in words:
            assert word in str(caught.value)
        assert encoder.encode(FRAME), "it stays usable"

    driver.calls(use, **settings)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: PictureOptions(mark_long_term=-1), "mark_long_term=-1"),
        (lambda: PictureOptions(mark_long_term=True), "mark_long_term=True"),
        (lambda: PictureOptions(use_long_term=3), "use_long_term=3"),  # type: ignore[arg-type]
        (lambda: PictureOptions(use_long_term=["a"]), "use_long_term"),  # type: ignore[list-item]
        (lambda: EncoderConfig(width=320, height=240, long_term_references=-1), "long_term_references=-1"),
        (lambda: EncoderConfig(width=320, height=240, reference_frames=0), "reference_frames=0"),
        (lambda: EncoderConfig(width=320, height=240, reference_frames=17), "reference_frames=17"),
        (lambda: EncoderConfig(width=320, height=240, long_term_references=17), "long_term_references=17"),
    ],
)
def test_what_can_be_no_reference(make: Any, word: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        make()
    assert word in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"long_term_references": 1, "tuning": "hq", "bframes": 2},
        {"long_term_references": 1, "tuning": "hq", "bframes": None},
        {"long_term_references": 1, "tuning": "hq", "lookahead": 8},
        {"long_term_references": 1, "reference_frames": 1},
    ],
    ids=short,
)
def test_contradictions(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig) as caught:
        EncoderConfig(width=320, height=240, **settings)
    assert "long_term_references=1" in str(caught.value)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_card_that_keeps_fewer(abi: str, driver: Driver, codec: str) -> None:
    gpu = {"name": "RTX 4090", "caps": {"NUM_MAX_LTR_FRAMES": 2}}
    assert "NUM_MAX_LTR_FRAMES" in str(driver.refusal(gpu, codec=codec, long_term_references=3))
    driver.calls(gpu=gpu, codec=codec, long_term_references=2)
