"""``encode left.mp4 both.mp4 --right right.mp4``: one file with a view for each eye."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from stereo_streams import views_in

from clips import Tool, events_of, make_clip
from simulator import Machine, Simulator

FRAMES = 12


@pytest.fixture
def eyes(tmp_path: Path) -> tuple[Path, Path]:
    return make_clip(tmp_path / "left.mp4", FRAMES, seed=1, sound=True), make_clip(
        tmp_path / "right.mp4", FRAMES, seed=2
    )


@pytest.fixture
def card(simulator: Simulator) -> Iterator[Machine]:
    with simulator.machine(gpus=["RTX 5090"], backend="codec") as made:
        yield made


def assert_views(result: Path, eyes: tuple[Path, Path]) -> None:
    wanted = []
    for path in eyes:
        with av.open(str(path)) as file:
            wanted.append([frame.to_ndarray(format="yuv420p")[:160].astype(int) for frame in file.decode(video=0)])
    found = views_in(result)
    assert len(found) == FRAMES
    for number, views in enumerate(found):
        for eye in range(2):
            off = [np.abs(views[eye][:160].astype(int) - wanted[one][number]).mean() for one in range(2)]
            assert off[eye] < 3 < off[1 - eye], (number, eye)


def test_two_videos_become_one(tool: Tool, card: Machine, tmp_path: Path, eyes: tuple[Path, Path]) -> None:
    result = tmp_path / "both.mp4"
    code, told = tool.encode("--cq", "8", "--keep-bigger", eyes[0], result, "--right", eyes[1])
    assert code == 0, told
    assert_views(result, eyes)
    assert any("Codec: hevc on NVENC" in event["message"] for event in events_of("notice", told))
    with av.open(str(result)) as file:
        assert [stream.type for stream in file.streams] == ["video", "audio"]


def test_a_folder_for_results_works_too(tool: Tool, card: Machine, eyes: tuple[Path, Path]) -> None:
    code, told = tool.encode("--cq", "8", "--keep-bigger", eyes[0], "--right", eyes[1])
    assert code == 0, told
    assert_views(eyes[0].parent / "compressed" / "left.mp4", eyes)


def test_a_second_run_does_it_again_only_for_another_right_view(
    tool: Tool, card: Machine, tmp_path: Path, eyes: tuple[Path, Path]
) -> None:
    arguments = "--cq", "8", "--keep-bigger", eyes[0], tmp_path / "both.mp4", "--right", eyes[1]
    tool.encode(*arguments)
    told = tool.encode(*arguments)[1]
    assert told[-1]["message"] == "1 file already done; skipped."
    make_clip(eyes[1], FRAMES, seed=3)
    code, told = tool.encode(*arguments)
    assert code == 0
    assert_views(tmp_path / "both.mp4", eyes)


def test_a_dry_run_writes_nothing_and_refuses_the_same(
    tool: Tool, card: Machine, tmp_path: Path, eyes: tuple[Path, Path]
) -> None:
    result = tmp_path / "both.mp4"
    for more in ((), ("--estimate",)):
        code, _ = tool.encode("--dry-run", *more, eyes[0], result, "--right", eyes[1])
        assert code == 0, tool.err
    longer = make_clip(tmp_path / "longer.mp4", FRAMES + 1)
    _, told = tool.encode("--dry-run", eyes[0], result, "--right", longer)
    assert (told[0]["action"], "12 and 13 frames" in told[0]["why"]) == ("fail", True), told
    assert not result.exists()


def test_what_makes_up_no_pair_fails_with_the_reason(
    tool: Tool, card: Machine, tmp_path: Path, eyes: tuple[Path, Path]
) -> None:
    longer = make_clip(tmp_path / "longer.mp4", FRAMES + 1)
    code, told = tool.encode(eyes[0], tmp_path / "both.mp4", "--right", longer)
    assert code == 1
    assert "one length, got 12 and 13 frames" in events_of("job_failed", told)[0]["message"]
    assert not (tmp_path / "both.mp4").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("-c", "av1"), "--right and --codec conflict. Two views are a part of HEVC."),
        (("--container", "mkv"), "--right and --container conflict. Matroska has no form for two views."),
        (("--in-place",), "--right and --in-place conflict. There are two sources."),
        (("--target", "vmaf=95"), "--right and --target conflict. Samples have one view."),
        (("--max-size", "1M"), "--right and --max-size conflict. Samples have one view."),
        (("--cluster", "head"), "--right and --cluster conflict. Workers take single files."),
        (("OTHER",), "right.mp4' goes with one video for the left eye, got 2 videos."),
        (("--set", "stereo=true"), "use right (--right)"),
    ],
)
def test_settings_that_conflict(
    tool: Tool,
    tmp_path: Path,
    eyes: tuple[Path, Path],
    more: tuple[str, ...],
    said: str,
) -> None:
    other = make_clip(tmp_path / "other.mkv", FRAMES)
    code, _ = tool.encode(eyes[0], *(other if one == "OTHER" else one for one in more), "--right", eyes[1])
    assert code == 2
    assert said in tool.err


def test_watch_and_storage_take_no_right_view(tool: Tool, tmp_path: Path, eyes: tuple[Path, Path]) -> None:
    code, _ = tool("watch", "--once", "--right", eyes[1], tmp_path)
    assert (code, "watch takes all of a folder" in tool.err) == (2, True)
    code, _ = tool.encode(eyes[0], "-o", "memory://results/", "--right", eyes[1])
    assert (code, "works with local files only" in tool.err) == (2, True)
