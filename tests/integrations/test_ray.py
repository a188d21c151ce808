"""examples/ray_videos.py with the real Ray: actors encode, and each row becomes a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peer_packages import ROOT, installed, own_network, run

from loud import need_module

pytestmark = [pytest.mark.slow, pytest.mark.one_abi, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def packages() -> Path:
    return installed("ray[data]>=2.40")


def decoded(video: Path) -> list[Any]:
    with need_module("av").open(str(video)) as container:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


def test_each_clip_of_a_dataset_becomes_a_file(packages: Path, tmp_path: Path) -> None:
    example = ROOT / "examples" / "ray_videos.py"
    run(packages, example, "--out", tmp_path / "videos", "--clips", "5", "--actors", "1", before=own_network())
    assert sorted(path.name for path in (tmp_path / "videos").iterdir()) == [
        f"clip-{number}.mp4" for number in range(5)
    ]
    for number in range(5):
        frames = decoded(tmp_path / "videos" / f"clip-{number}.mp4")
        assert len(frames) == 30
        for place, frame in enumerate(frames):
            columns = frame[..., number % 3].mean(axis=0)
            assert np.flatnonzero(columns > 110).tolist() == pytest.approx(
                list(range(4 * place, 4 * place + 24)), abs=3
            )
