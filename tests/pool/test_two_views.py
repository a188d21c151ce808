"""Pairs of frames on all engines of a pool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pdum.nvenc import EncoderConfig, EncoderPool, InvalidConfig, UnsupportedFeature
from stereo_streams import HEIGHT, WIDTH, pair, views_in

from simulator import Simulator

pytestmark = pytest.mark.one_abi

COUNT = 12
CONFIG = EncoderConfig(width=WIDTH, height=HEIGHT, codec="hevc", stereo=True, qp=10)


def render(number: int, surface: Any) -> Any:
    return pair(number)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.h265", None])
def test_a_function_may_render_pairs(simulator: Simulator, tmp_path: Path, name: str | None) -> None:
    path = tmp_path / (name or "bytes.h265")
    with simulator.machine(gpus=["RTX 5090"], backend="codec"), EncoderPool(config=CONFIG) as pool:
        found = pool.render_video(render, COUNT, destination=name and path, segments=3)
    if isinstance(found, bytes):
        path.write_bytes(found)
    assert (b"vexu" in path.read_bytes()) == (path.suffix != ".h265")
    shown = views_in(path)
    assert len(shown) == COUNT
    for number, (given, seen) in enumerate(zip(map(pair, range(COUNT)), shown, strict=True)):
        for eye in range(2):
            assert np.abs(seen[eye][:HEIGHT].astype(int) - given[eye][:HEIGHT]).max() <= 2, (number, eye)


def test_what_cannot_have_two_views_is_refused(simulator: Simulator, tmp_path: Path) -> None:
    with simulator.machine(gpus=["RTX 5090"]), EncoderPool(config=CONFIG) as pool:
        with pytest.raises(InvalidConfig, match=r"a\.mkv.*two views"):
            pool.render_video(render, 4, destination=tmp_path / "a.mkv")
        with pytest.raises(UnsupportedFeature, match="pair"):
            pool.render_video(render, 4, surfaces=True)
    with EncoderPool(config=CONFIG, backend="software") as pool, pytest.raises(UnsupportedFeature, match="software"):
        pool.render_video(render, 4)
    assert list(tmp_path.iterdir()) == []
