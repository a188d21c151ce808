"""Files with tools of the codec that a player meets: layers, film grain, fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from frames import nv12
from pdum.nvenc import InvalidFrame, Layers, VideoWriter

from simulator import Simulator

pytestmark = pytest.mark.one_abi

WIDTH, HEIGHT, COUNT = 256, 144, 6
TOOLS: dict[str, dict[str, Any]] = {
    "H.264 with layers": {"codec": "h264", "layers": Layers(3, scalability_info=True)},
    "HEVC with layers": {"codec": "hevc", "layers": 3},
    "AV1 with layers": {"codec": "av1", "layers": 3},
    "AV1 with grain": {"codec": "av1", "film_grain": 60},
    "H.264 with fields": {"codec": "h264", "interlaced": "top", "tuning": "hq", "bframes": 2},
}


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("name", TOOLS)
def test_files_with_it_play(simulator: Simulator, tmp_path: Path, name: str, container: str) -> None:
    path = tmp_path / f"video.{container}"
    with (
        simulator.machine(gpus=["RTX 5090"], backend="codec"),
        VideoWriter(path, fps=25, format="nv12", **TOOLS[name]) as video,
    ):
        for number in range(COUNT):
            video.write(nv12(WIDTH, HEIGHT, number))
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        stream.codec_context.options = {"err_detect": "explode"}
        pictures = list(file.decode(stream))
    assert [round(picture.time * 25) for picture in pictures] == list(range(COUNT))
    assert {picture.interlaced_frame for picture in pictures} == {"fields" in name}


def test_mp4_counts_the_layers_of_hevc(simulator: Simulator, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    with (
        simulator.machine(gpus=["RTX 5090"], backend="codec"),
        VideoWriter(path, fps=25, format="nv12", codec="hevc", layers=3) as video,
    ):
        video.write(nv12(WIDTH, HEIGHT, 0))
    data = path.read_bytes()
    record = data[data.index(b"hvcC") + 4 :]
    assert record[21] >> 3 & 7 == 3  # numTemporalLayers of ISO/IEC 14496-15


@pytest.mark.parametrize("engines", [1, "all"])
def test_mp4_has_alpha_and_the_message_about_it(simulator: Simulator, tmp_path: Path, engines: Any) -> None:
    """Players look for the message in the sample description before they show transparency."""
    path = tmp_path / "video.mp4"
    with (
        simulator.machine(gpus=["RTX 5090"], backend="codec"),
        VideoWriter(path, fps=25, format="abgr", codec="hevc", alpha=True, engines=engines) as video,
    ):
        for number in range(COUNT):
            video.write(np.full((HEIGHT, WIDTH, 4), 20 * number, np.uint8))
    data = path.read_bytes()
    record = data[data.index(b"hvcC") + 4 :]
    kinds, at = {}, 23
    for _ in range(record[22]):
        kind, size = record[at] & 63, int.from_bytes(record[at + 3 : at + 5], "big")
        kinds[kind] = record[at + 5 : at + 5 + size]
        at += 5 + size
    assert list(kinds) == [32, 33, 34, 39]
    assert kinds[39] == bytes.fromhex("4e01a50400007f9080")  # alpha_channel_info of H.265, annex D
    assert (kinds[32][2] & 3) << 4 | kinds[32][3] >> 4 == 1, "vps_max_layers_minus1"
    with av.open(str(path)) as file:
        assert len(list(file.decode(video=0))) == COUNT


def test_arrays_of_rgba_need_no_format_for_alpha(simulator: Simulator, tmp_path: Path) -> None:
    path = tmp_path / "video.mov"
    with (
        simulator.machine(gpus=["RTX 5090"], backend="codec"),
        VideoWriter(path, fps=25, codec="hevc", alpha=True) as video,
    ):
        video.write(np.zeros((HEIGHT, WIDTH, 4), np.uint8))
        with pytest.raises(InvalidFrame):
            video.write(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    assert bytes.fromhex("4e01a50400007f9080") in path.read_bytes()
