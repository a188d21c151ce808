"""Every filter with every awkward source: times, shape, rotation, colour and HDR, as ffprobe sees them."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from files.test_filters import by_ffmpeg, filtered
from media_samples import sample

from loud import need_program

pytestmark = pytest.mark.one_abi

SOURCES = ("edit-list", "before-zero", "later-start", "variable-rate", "turned", "wide-pixels", "hdr10", "pyramid")
FILTERS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"scale": "80x48"}, "scale=80:48"),
    ({"crop": "64:32:8:4"}, "crop=64:32:8:4"),
    ({"rotate": 90}, "transpose=clock"),
    ({"denoise": "light"}, "atadenoise"),
    ({"fps": 10}, "fps=10"),
    ({"vf": "hflip"}, "hflip"),
    ({"vf": "framestep=2"}, "framestep=2"),
    ({"trim": "0.2-0.4"}, "trim=0.2:0.4,setpts=PTS-STARTPTS"),
    ({"crop": "auto", "deinterlace": "auto", "rotate": 180}, "hflip,vflip"),
    ({"trim": "0.12-", "crop": "64:64:8:4", "rotate": 90, "scale": "50%"},
     "trim=0.12,setpts=PTS-STARTPTS,crop=64:64:8:4,transpose=clock,scale=32:32"),
)  # fmt: skip
HDR = (
    *(f"{colour}_{axis}" for colour in ("red", "green", "blue", "white_point") for axis in "xy"),
    *("min_luminance", "max_luminance", "max_content", "max_average"),
)
PAIRS = [
    pytest.param(
        source, filters, graph, id=f"{source}-{'-'.join(filters)}",
        marks=() if (place + 3 * number) % len(FILTERS) < 2 else pytest.mark.slow,
    )
    for number, source in enumerate(SOURCES)
    for place, (filters, graph) in enumerate(FILTERS)
]  # fmt: skip
"""Each filter and each source is in some pair that is not slow."""


@dataclass(frozen=True)
class Facts:
    shape: float
    """The shape of the picture as it is shown: width to height."""
    rotation: int
    colour: tuple[str | None, ...]
    hdr: frozenset[tuple[str, tuple[float, ...]]]
    """The HDR metadata of the container and of the stream, which must agree."""
    times: list[float]
    """Seconds from the first frame."""


def facts(path: Path) -> Facts:
    program = need_program("ffprobe", "ffmpeg")
    told = subprocess.run(
        [program, "-v", "error", "-select_streams", "v:0", "-show_streams", "-show_frames", "-of", "json", path],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(told.stdout)
    stream, frames = found["streams"][0], found["frames"]
    side = [*stream.get("side_data_list", []), *frames[0].get("side_data_list", [])]
    aspect = stream.get("sample_aspect_ratio", "1:1").replace(":", "/")
    pixel = Fraction(aspect) if not aspect.startswith("0") else Fraction(1)
    shape = pixel * Fraction(stream["width"], stream["height"])
    rotation = next((one["rotation"] for one in side if "rotation" in one), 0)
    times = [float(frame.get("pts_time", frame["best_effort_timestamp_time"])) for frame in frames]
    return Facts(
        shape=float(1 / shape if rotation % 180 else shape),
        rotation=rotation,
        colour=tuple(stream.get(f"color_{name}") for name in ("space", "transfer", "primaries")),
        hdr=frozenset(
            (
                one["side_data_type"],
                tuple(round(float(Fraction(value)), 4) for name, value in one.items() if name in HDR),
            )
            for one in side
            if one.keys() & set(HDR)
        ),
        times=[time - times[0] for time in times],
    )


@pytest.mark.parametrize(("source", "filters", "graph"), PAIRS)
def test_all_but_the_pictures_is_right(
    folder: Path, tmp_path: Path, source: str, filters: dict[str, Any], graph: str
) -> None:
    suffix = ".mp4" if len(source) % 2 else ".mkv"
    filtered(sample(source), folder / f"result{suffix}", 1 if "framestep" in graph else 3, **filters)
    before, found = facts(sample(source)), facts(folder / f"result{suffix}")
    wanted = facts(by_ffmpeg(sample(source), graph, tmp_path))
    assert found.times == pytest.approx(wanted.times, abs=0.0015)
    assert found.shape == pytest.approx(wanted.shape, rel=0.01)
    assert found.rotation in (0, before.rotation)
    assert found.colour == before.colour
    assert found.hdr == before.hdr
