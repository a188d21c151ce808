"""Film grain of AV1: what a description of it may say, what reaches the driver, and what decoders make of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from control.coded import HEIGHT as CODED_HEIGHT
from control.coded import encode, frame_of, planes_of, stream_of, syntax_of
from control.driver_calls import GPU, HEIGHT, WIDTH, Driver, flat
from control.rows_coding import GRAIN, grain_fields
from control.test_pictures import pictures
from frames import nv12
from pdum.nvenc import EncoderConfig, FilmGrain, InvalidConfig, Layers, NvencEncoder, PictureOptions

from simulator import Simulator
from simulator.trace import Call
from streams import Syntax, decode, psnr

pytestmark = pytest.mark.one_abi

WEAK, STRONG, NONE = FilmGrain.of_strength(20), FilmGrain.of_strength(80, chroma=40), FilmGrain(apply=False)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"luma": [(0, 256)]}, r"from 0 to 255, got film_grain.luma=\[\(0, 256"),
        ({"luma": [(5, 1), (5, 2)]}, "in ascending order"),
        ({"luma": [(value, 1) for value in range(15)]}, "up to 14 points"),
        ({"luma": 30}, "pairs of a sample value"),
        ({"luma": [(0, 1)], "cb": [(0, 1)]}, "both chroma planes or none"),
        ({"cb": [(0, 1)], "cr": [(0, 1)]}, "need points for luma"),
        ({"luma": [(0, 1)], "cb": [(0, 1)], "cr": [(0, 1)], "chroma_from_luma": True}, "chroma_from_luma=True"),
        ({"scaling_shift": 12}, "from 8 to 11"),
        ({"lag": 1}, "Expected 4 numbers with lag=1"),
        ({"cb_coefficients": ()}, "Expected 1 numbers with lag=0"),
        ({"cr_coefficients": (128,)}, "from -128 to 127"),
        ({"cb_mix": (1, 2)}, "a factor of chroma"),
        ({"cr_mix": (0, 0, 512)}, "from 0 to 511"),
        ({"overlap": 1}, "True or False"),
    ],
    ids=str,
)
def test_what_av1_cannot_say(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidConfig, match=words):
        FilmGrain(**given)


def test_it_survives_files_of_configuration() -> None:
    config = EncoderConfig(width=64, height=64, codec="av1", film_grain=GRAIN)
    assert EncoderConfig.from_toml(config.to_toml()) == config
    table = {"luma": [[0, 30], [255, 30]]}
    assert EncoderConfig.of({"width": 64, "height": 64, "codec": "av1", "film_grain": table}).film_grain == (
        FilmGrain.of_strength(30)
    )


def test_a_picture_brings_other_grain(abi: str, driver: Driver) -> None:
    options = [None, PictureOptions(film_grain=GRAIN), None, PictureOptions(film_grain=NONE)]
    told = pictures(driver, *options, codec="av1", film_grain=WEAK)
    assert told[0].keys().isdisjoint(told[1])
    assert told[1] == {"filmGrainParamsUpdate": 1, **grain_fields("filmGrainParams")}
    assert told[2] == {}
    assert told[3]["filmGrainParamsUpdate"] == 1
    assert "filmGrainParams.applyGrain" not in told[3]


@pytest.mark.parametrize("settings", [{"codec": "av1"}, {"codec": "h264"}], ids=str)
def test_a_picture_of_a_stream_without_grain(driver: Driver, settings: dict[str, Any]) -> None:
    def use(encoder: NvencEncoder) -> None:
        with pytest.raises(InvalidConfig, match="made with film_grain"):
            encoder.submit(np.zeros((216, 256), np.uint8), 0, picture=PictureOptions(film_grain=WEAK))

    driver.calls(use, **settings)


def test_a_picture_takes_only_grain() -> None:
    with pytest.raises(InvalidConfig, match="got film_grain='30'"):
        PictureOptions(film_grain="30")  # type: ignore[arg-type]


def test_errors_show_only_what_was_given() -> None:
    assert repr(FilmGrain(luma=[(0, 9)], scaling_shift=10)) == "FilmGrain(luma=((0, 9),), scaling_shift=10)"
    assert repr(FilmGrain()) == "FilmGrain()"
    assert repr(Layers(3, prefixes=False)) == "Layers(count=3, prefixes=False)"


def test_a_number_is_a_strength() -> None:
    assert PictureOptions(film_grain=30).film_grain == FilmGrain.of_strength(30)
    assert EncoderConfig(width=64, height=64, codec="av1", film_grain=30).film_grain == FilmGrain.of_strength(30)
    with pytest.raises(InvalidConfig, match="from 1 to 255, got film_grain=256"):
        EncoderConfig(width=64, height=64, codec="av1", film_grain=256)


def numbers(syntax: Syntax, name: str, count: int) -> list[int]:
    return [syntax.first(f"{name}[{place}]") for place in range(count)]


def test_all_of_it_is_in_the_frame_header(simulator: Simulator, tmp_path: Path) -> None:
    """libaom does not write the flag of the restricted range, which `test_fields.py` covers."""
    syntax = syntax_of(encode(simulator, count=2, codec="av1", film_grain=GRAIN), "av1", tmp_path)
    assert syntax.first("film_grain_params_present") == 1
    wanted = {
        "apply_grain": 1,
        "num_y_points": 3,
        "num_cb_points": 2,
        "num_cr_points": 1,
        "chroma_scaling_from_luma": 0,
        "grain_scaling_minus_8": 2,
        "ar_coeff_lag": 1,
        "ar_coeff_shift_minus_6": 2,
        "grain_scale_shift": 2,
        "cb_mult": 200,
        "cb_luma_mult": 130,
        "cb_offset": 300,
        "cr_mult": 1,
        "cr_luma_mult": 2,
        "cr_offset": 511,
        "overlap_flag": 1,
    }
    assert {name: syntax.first(name) for name in wanted} == wanted
    assert numbers(syntax, "point_y_value", 3) == [0, 128, 255]
    assert numbers(syntax, "point_y_scaling", 3) == [20, 40, 60]
    assert numbers(syntax, "point_cb_scaling", 2) == [5, 6]
    assert numbers(syntax, "point_cr_value", 1) == [9]
    assert [one - 128 for one in numbers(syntax, "ar_coeffs_y_plus_128", 4)] == list(GRAIN.luma_coefficients)
    assert [one - 128 for one in numbers(syntax, "ar_coeffs_cb_plus_128", 5)] == list(GRAIN.cb_coefficients)
    assert [one - 128 for one in numbers(syntax, "ar_coeffs_cr_plus_128", 5)] == list(GRAIN.cr_coefficients)


def test_a_decoder_adds_it_from_a_picture_on(simulator: Simulator) -> None:
    """Without it, the pictures are the same: none at first, some, much, none again."""
    options = {number: PictureOptions(film_grain=grain) for number, grain in ((2, WEAK), (4, STRONG), (6, NONE))}
    packets = encode(simulator, 8, options, codec="av1", qp=60, film_grain=NONE)
    decoded = decode(stream_of(packets), "av1")
    plain = decode(stream_of(encode(simulator, 8, codec="av1", qp=60)), "av1")
    noise = [psnr(one.planes, other.planes) for one, other in zip(plain, decoded, strict=True)]
    assert noise[:2] == noise[6:] == [float("inf")] * 2
    assert 60 > min(noise[2:4]) > max(noise[4:6]) + 6


def strengths(call: Call) -> list[int]:
    """Of luma, in what a call tells the driver; empty if it tells nothing of grain."""
    return next((value[:2] for path, value in flat(call.args).items() if path.endswith("pointYScaling")), [])


SLOW_TO_CHANGE = {**GPU, "caps": {"SUPPORT_DYN_RCMODE_CHANGE": 0}}
"""It needs another session for another mode of rate control."""


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("nvEncReconfigureEncoder", {"qp": 40}),
        ("nvEncReconfigureEncoder", {"width": 224, "height": 128}),
        ("nvEncInitializeEncoder", {"qp": None, "rate_control": "vbr", "bitrate": 10**6}),
    ],
    ids=["qp", "size", "session"],
)
def test_a_change_keeps_the_grain_of_pictures(abi: str, driver: Driver, name: str, change: dict[str, Any]) -> None:
    """Drivers get the whole configuration with it, in which the encoder's own grain would be the first one."""

    def use(encoder: NvencEncoder) -> None:
        encoder.submit(nv12(WIDTH, HEIGHT), 0)
        encoder.submit(nv12(WIDTH, HEIGHT), 1, picture=PictureOptions(film_grain=STRONG))
        encoder.reconfigure(**change)

    calls = driver.calls(use, name=name, gpu=SLOW_TO_CHANGE, codec="av1", film_grain=WEAK, qp=30)
    assert strengths(calls[-1]) == [80, 80]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("nvEncReconfigureEncoder", {"width": 224, "height": 128}),
        ("nvEncInitializeEncoder", {"qp": None, "rate_control": "vbr", "bitrate": 10**6}),
    ],
    ids=["size", "session"],
)
def test_frames_that_a_change_finishes_bring_their_grain(driver: Driver, name: str, change: dict[str, Any]) -> None:
    """The encoder itself holds them back if it looks ahead for attempts."""

    def use(encoder: NvencEncoder) -> None:
        for seq in range(2):
            encoder.submit(nv12(WIDTH, HEIGHT), seq, picture=PictureOptions(film_grain=40 + seq))
        encoder.reconfigure(**change)

    settings: dict[str, Any] = {"tuning": "hq", "attempts": 2, "lookahead": 4, "film_grain": WEAK, "qp": 30}
    calls = driver.calls(use, name=name, gpu=SLOW_TO_CHANGE, codec="av1", **settings)
    assert strengths(calls[-1]) == [41, 41]


def test_a_new_sequence_begins_with_the_grain_of_pictures(simulator: Simulator) -> None:
    """A driver may begin with the encoder's own, which would be none here."""
    with simulator.machine(gpus=GPU, backend="codec"):
        noisy, clean = (decode(stream_after_another(grain), "av1") for grain in (STRONG, NONE))
    assert len(noisy) == len(clean) == 3
    assert max(psnr(one.planes, other.planes) for one, other in zip(noisy, clean, strict=True)) < 60


def stream_after_another(grain: FilmGrain) -> bytes:
    """Of an encoder without grain, in whose stream before a picture brought some."""
    frames = [frame_of(planes, "nv12") for planes in planes_of("nv12", 6)]
    options: dict[str, Any] = {"codec": "av1", "tuning": "hq", "lookahead": 2, "qp": 60, "film_grain": NONE}
    with NvencEncoder(WIDTH, CODED_HEIGHT, **options) as encoder:
        for frame in frames[:3]:
            encoder.encode(frame, picture=PictureOptions(film_grain=grain))
        encoder.flush()
        return b"".join(encoder.encode(frame) for frame in frames[3:]) + encoder.flush()
