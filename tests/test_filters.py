"""The settings of filters: what is understood, and what is answered with what is wanted."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from pdum.nvenc import FileSettings, Filters, InvalidConfig

pytestmark = pytest.mark.one_abi


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"scale": " 1080P "}, {"scale": "1080p"}),
        ({"scale": (640, 360)}, {"scale": "640x360"}),
        ({"scale": "12.5%"}, {"scale": "12.5%"}),
        ({"crop": [1920, 800, 0, 140]}, {"crop": "1920:800:0:140"}),
        ({"scale": "720"}, {"scale": "720"}),
        ({"scale": "FHD"}, {"scale": "fhd"}),
        ({"scale": 720, "vf": ["hflip", "vflip"]}, {"scale": "720", "vf": "hflip,vflip"}),
        ({"scale": 0.5, "trim": "5s-10.5s"}, {"scale": "50%", "trim": "5-10.5"}),
        ({"scale": (640, None)}, {"scale": "640x"}),
        ({"crop": " Auto"}, {"crop": "auto"}),
        ({"crop": "640x360"}, {"crop": "640:360"}),
        ({"crop": "640x360+8+16"}, {"crop": "640:360:8:16"}),
        ({"rotate": "left"}, {"rotate": 270}),
        ({"rotate": 360}, {}),
        ({"denoise": "on", "deinterlace": "yes"}, {"denoise": "medium", "deinterlace": "auto"}),
        (dict.fromkeys(("scale", "fps", "crop", "deinterlace", "denoise", "trim", "rotate", "vf"), "off"), {}),
        ({"fps": 30}, {"fps": "30"}),
        ({"fps": "29.97"}, {"fps": "30000/1001"}),
        ({"fps": 23.976}, {"fps": "24000/1001"}),
        ({"rotate": "90"}, {"rotate": 90}),
        ({"rotate": -90}, {"rotate": 270}),
        ({"deinterlace": "Auto", "denoise": "strong"}, {"deinterlace": "auto", "denoise": "strong"}),
        (dict.fromkeys(("crop", "deinterlace"), True), {"crop": "auto", "deinterlace": "auto"}),
        ({"denoise": True, "crop": False, "deinterlace": False}, {"denoise": "medium"}),
        ({"trim": "0:10-1:20"}, {"trim": "10-80"}),
        ({"trim": "1:00:00.5-"}, {"trim": "3600.5-"}),
        ({"trim": (None, 2.5)}, {"trim": "-2.5"}),
        ({"vf": " hflip "}, {"vf": "hflip"}),
        ({"scale": "", "rotate": 0, "fps": None, "vf": None}, {}),
    ],
    ids=str,
)
def test_what_is_understood(given: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert Filters(**given).given == wanted
    assert Filters(**Filters(**given).given) == Filters(**given)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"scale": "big"}, r"Expected a height such as '1080p'.* got scale='big'"),
        ({"scale": "x"}, "got scale='x'"),
        ({"scale": "4x4"}, "a size of 16 pixels or more such as '1280x720'.* got scale='4x4'"),
        ({"scale": "50"}, "got scale='50'"),
        ({"scale": True}, "a height such as '1080p'.* got scale=True"),
        ({"trim": 5}, "a start and an end such as '0:10-1:20'.* got trim=5"),
        ({"scale": "99999"}, "got scale='99999'"),
        ({"scale": "0%"}, "got scale='0%'"),
        ({"crop": "1:2:3"}, r"Expected 'auto', or WIDTH:HEIGHT:X:Y in pixels.* got crop='1:2:3'"),
        ({"crop": "0:10:0:0"}, "got crop='0:10:0:0'"),
        ({"fps": "fast"}, "got fps='fast'"),
        ({"fps": 1001}, "at most 1000 frames a second"),
        ({"rotate": 45}, "90, 180 or 270 degrees, clockwise, got rotate=45"),
        ({"rotate": True}, "got rotate=True"),
        ({"deinterlace": "yadif"}, "Unknown deinterlace 'yadif'. Expected one of auto, always."),
        ({"denoise": "much"}, "Expected one of light, medium, strong."),
        ({"trim": "10"}, "a start and an end such as '0:10-1:20'"),
        ({"trim": "-"}, "got trim='-'"),
        ({"trim": "1:75-2:00"}, "got trim='1:75-2:00'"),
        ({"trim": "20-10"}, "an end after the start, got trim='20-10'"),
        ({"vf": 3}, "Expected text, got vf=3"),
    ],
    ids=str,
)
def test_what_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidConfig, match=told):
        Filters(**given)


def test_times_are_exact() -> None:
    assert Filters(trim="0.1-1:00:00.3").seconds == (Fraction(1, 10), Fraction(36003, 10))
    assert Filters(trim="-5").seconds == (Fraction(0), Fraction(5))
    assert Filters(trim="5-").seconds == (Fraction(5), None)


def test_a_filter_is_no_setting_of_an_encoder() -> None:
    with pytest.raises(InvalidConfig, match=r"'crop' is a filter: use filters=Filters\(crop='auto'\)"):
        FileSettings(encoder={"crop": "auto"})


def test_settings_take_nothing_else() -> None:
    with pytest.raises(InvalidConfig, match=r"Expected Filters, such as Filters\(scale='50%'\)"):
        FileSettings(filters={"scale": "50%"})  # type: ignore[arg-type]
