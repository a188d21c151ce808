"""What a map does to the picture, seen in the decoded streams of the software codecs behind the simulated encoder."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from control.coded import HEIGHT, WIDTH, encode, planes_of, stream_of
from control.driver_calls import GPU
from pdum.nvenc import Packet, PictureOptions, Region

from simulator import Simulator
from streams import decode

pytestmark = pytest.mark.one_abi

COUNT = 9
HALF = WIDTH // 2  # which is a multiple of the blocks of H.264 and HEVC
MODES: list[dict[str, Any]] = [
    {"codec": "h264", "qp": 38},
    {"codec": "h264", "bitrate": 400_000},
    {"codec": "h264", "format": "p010", "qp": 38},
    {"codec": "h264", "tuning": "hq", "bframes": 2, "qp": 38},
    {"codec": "hevc", "qp": 38},
    {"codec": "hevc", "bitrate": 400_000},
    {"codec": "hevc", "format": "p010", "qp": 38},
    {"codec": "hevc", "tuning": "hq", "bframes": 2, "qp": 38},
]


def errors(packets: list[Packet], codec: str, form: str) -> tuple[float, float]:
    """The mean squared error of the luma's left half and of its right half."""
    found = decode(stream_of(packets), codec)
    assert len(found) == COUNT
    both = np.zeros(2)
    for wanted, picture in zip(planes_of(form, COUNT), found, strict=True):
        squares = (wanted[0].astype(float) - picture.planes[0]) ** 2
        both += squares[:, :HALF].mean(), squares[:, HALF:].mean()
    return both[0] / COUNT, both[1] / COUNT


def coded(simulator: Simulator, picture: PictureOptions | None, mode: dict[str, Any]) -> tuple[float, float]:
    options = dict.fromkeys(range(COUNT), picture) if picture is not None else None
    packets = encode(simulator, COUNT, options=options, **mode)
    return errors(packets, mode["codec"], mode.get("format", "nv12"))


def contrast(halves: tuple[float, float]) -> float:
    """How much worse the left half looks than the right one. Rate control takes from one what it gives to the other."""
    return halves[0] / halves[1]


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_region_looks_better(simulator: Simulator, mode: dict[str, Any]) -> None:
    mode = {**mode, "qp_map": "delta"}
    left, right = Region(0, 0, HALF, HEIGHT, qp=-14), Region(HALF, 0, HALF, HEIGHT, qp=10)
    plain = coded(simulator, None, mode)
    better = coded(simulator, PictureOptions(regions=[left]), mode)
    worse = coded(simulator, PictureOptions(regions=[right]), mode)
    assert contrast(better) < 0.75 * contrast(plain)
    assert contrast(worse) < 0.75 * contrast(plain)
    assert better[0] < 0.9 * plain[0]
    assert worse[1] > 1.1 * plain[1]
    if "qp" in mode:
        assert better[1] == pytest.approx(plain[1], rel=0.15), "the other half has no part in it"
        assert worse[0] == pytest.approx(plain[0], rel=0.15)


def test_emphasis_looks_better(simulator: Simulator) -> None:
    mode = {"codec": "h264", "bitrate": 400_000, "qp_map": "emphasis"}
    plain = coded(simulator, None, mode)
    better = coded(simulator, PictureOptions(regions=[Region(0, 0, HALF, HEIGHT, emphasis=5)]), mode)
    assert contrast(better) < 0.75 * contrast(plain)
    assert better[0] < 0.9 * plain[0]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_one_picture_alone(simulator: Simulator, codec: str) -> None:
    """Key frames apart, so that no picture inherits from another: the next one is as it would be without the map."""
    mode: dict[str, Any] = {"codec": codec, "qp": 38, "gop": 1, "qp_map": "delta"}
    values = np.full((9, 16) if codec == "h264" else (5, 8), -20, np.int8)
    plain = encode(simulator, COUNT, **mode)
    mapped = encode(simulator, COUNT, options={4: PictureOptions(qp_map=values)}, **mode)
    differing = [one.seq for one, other in zip(plain, mapped, strict=True) if one.data != other.data]
    assert differing == [4]
    assert len(mapped[4].data) > 1.5 * len(plain[4].data)


def test_the_example(
    simulator: Simulator, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it prints for a stream with the region and for one without."""
    monkeypatch.setattr("sys.argv", ["regions.py", "--frames", "12", "--size", "320", "240", "--bitrate", "300000"])
    with simulator.machine(gpus=GPU, backend="codec"):
        runpy.run_path(str(root / "examples" / "regions.py"), run_name="__main__")
    without, followed = (float(ball) for ball in re.findall(r"error of the ball +([\d.]+)", capsys.readouterr().out))
    assert followed < 0.95 * without


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_a_map_of_zeros_changes_nothing(simulator: Simulator, codec: str) -> None:
    mode: dict[str, Any] = {"codec": codec, "qp": 30, "qp_map": "delta"}
    zeros = PictureOptions(regions=[Region(0, 0, WIDTH, HEIGHT, qp=0)])
    packets = encode(simulator, COUNT, options=dict.fromkeys(range(COUNT), zeros), **mode)
    assert stream_of(packets) == stream_of(encode(simulator, COUNT, **mode))
    assert len(decode(stream_of(packets), codec)) == COUNT
