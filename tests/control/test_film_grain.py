"""Film grain of AV1: what a description of it may say, what reaches the driver, and what decoders make of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from control.coded import encode, stream_of, syntax_of
from control.driver_calls import Driver
from control.rows_coding import GRAIN, grain_fields
from control.test_pictures import pictures
from pdum.nvenc import EncoderConfig, FilmGrain, InvalidConfig, Layers, NvencEncoder, PictureOptions

from simulator import Simulator
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
