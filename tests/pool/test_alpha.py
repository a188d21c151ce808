"""Frames with alpha on all engines of a pool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mp4_files import boxes
from pdum.nvenc import EncoderConfig, EncoderPool
from stereo_streams import arrays
from transparent_clips import alpha_in, packets_of, transparency

from simulator import Simulator

pytestmark = pytest.mark.one_abi

COUNT, WIDTH, HEIGHT = 12, 192, 144
ENTRY = ("moov", "trak", "mdia", "minf", "stbl", "stsd", "hvc1", "hvcC")
MESSAGE = bytes.fromhex("4e01a50400007f9080")
"""H.265's alpha_channel_info: straight, of 8 bits, 0 to 255."""


def config(form: str) -> EncoderConfig:
    return EncoderConfig(width=WIDTH, height=HEIGHT, codec="hevc", alpha=True, qp=8, format=form)


def beside(number: int, surface: Any) -> Any:
    return np.full((HEIGHT * 3 // 2, WIDTH), 90, np.uint8), transparency(number)


def inside(number: int, surface: Any) -> Any:
    return np.dstack([np.full((HEIGHT, WIDTH, 3), 90, np.uint8), transparency(number)])


@pytest.mark.parametrize(("form", "render"), [("nv12", beside), ("abgr", inside)])
@pytest.mark.parametrize("suffix", ["mov", "mp4"])
def test_a_function_may_render_alpha(simulator: Simulator, tmp_path: Path, suffix: str, form: str, render: Any) -> None:
    """Players find the message about it in the description of the samples."""
    path = tmp_path / f"a.{suffix}"
    with simulator.machine(gpus=["RTX 5090"], backend="codec"), EncoderPool(config=config(form)) as pool:
        pool.render_video(render, COUNT, destination=path, segments=3)
    found = alpha_in(packets_of(path))
    assert len(found) == COUNT
    for number, seen in enumerate(found):
        assert np.abs(seen[:HEIGHT, :WIDTH].astype(int) - transparency(number)).mean() < 2, number
    (record,) = boxes(path.read_bytes(), *ENTRY)
    assert arrays(record, 22)[39] == [MESSAGE]


@pytest.mark.filterwarnings("ignore:Ignored by software encoding:RuntimeWarning")
@pytest.mark.parametrize(("form", "render"), [("nv12", beside), ("abgr", inside)])
def test_software_makes_no_alpha_and_says_none(tmp_path: Path, form: str, render: Any) -> None:
    with EncoderPool(config=config(form), backend="software") as pool:
        pool.render_video(render, COUNT, destination=tmp_path / "a.mp4")
    assert MESSAGE not in (tmp_path / "a.mp4").read_bytes()
