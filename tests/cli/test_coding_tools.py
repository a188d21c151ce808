"""Tools of the codec by ``--set``, in the files that come out."""

from __future__ import annotations

from pathlib import Path

import pytest

from clips import Tool, make_clip
from simulator import Simulator
from streams import headers_of

pytestmark = pytest.mark.one_abi


@pytest.mark.parametrize(
    ("setting", "codec", "element", "value"),
    [
        ("film_grain=30", "av1", "point_y_scaling[0]", 30),
        ("film_grain={luma=[[0, 20], [255, 40]]}", "av1", "point_y_scaling[1]", 40),
        ("layers=3", "hevc", "sps_max_sub_layers_minus1", 2),
        ('layers={count=2, kind="svc"}', "h264", "gaps_in_frame_num_allowed_flag", 1),
        ('layers={count=3, kind="hierarchical"}', "h264", "max_num_reorder_frames", 2),
        ('interlaced="top"', "h264", "frame_mbs_only_flag", 0),
    ],
)
def test_files_have_it(
    tool: Tool, simulator: Simulator, tmp_path: Path, setting: str, codec: str, element: str, value: int
) -> None:
    clip, out = make_clip(tmp_path / "a.mkv", 4), tmp_path / "out"
    with simulator.machine(gpus=["RTX 5090"], backend="codec"):
        code, told = tool.encode(*("-c", codec, "--keep-bigger", "-o", out, "--set", setting, clip))
    assert code == 0, [event.get("message") for event in told]
    assert headers_of(out / "a.mkv", codec, "matroska").first(element) == value


def test_without_bframes_none_are_placed(tool: Tool, simulator: Simulator, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", 4)
    with simulator.machine(gpus=["RTX 5090"], backend="codec"):
        code, _ = tool.encode("-c", "h264", "--keep-bigger", "--set", "bframes=0", clip)
    assert code == 0
