"""A pool whose engines are on other machines: the same results, events and errors as on one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest

from cluster.nodes import engines_that_worked
from files.runner import LOSSLESS, assert_same_pictures
from pdum.nvenc import EncoderPool, events

from clips import make_clip
from simulator import Simulator

pytestmark = pytest.mark.one_abi

SETTINGS: dict[str, Any] = {**LOSSLESS, "codec": "h264"}


def times_and_keys(path: Path) -> list[tuple[int | None, bool]]:
    """Not the bytes: an encoder's later pieces depend on which pieces it had before."""
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.video[0])
        return [(packet.pts, packet.is_keyframe) for packet in packets if packet.size]


def test_a_file_becomes_the_same_as_on_one_machine(
    client: Any, simulator: Simulator, clip: Path, tmp_path: Path
) -> None:
    there, here = tmp_path / "there.mkv", tmp_path / "here.mkv"
    told: list[events.Event] = []
    with EncoderPool(cluster=client) as pool:
        assert sorted(engine.label for engine in pool.engines) == [
            "large · GPU 0 · NVENC 0", "large · GPU 0 · NVENC 1", "small · GPU 0 · NVENC 0",
        ]  # fmt: skip
        pool.encode_file(clip, there, segments=6, on_event=told.append, **SETTINGS)
    with simulator.machine(gpus=[{"name": "L4", "engines": 3}], backend="codec"), EncoderPool() as pool:
        pool.encode_file(clip, here, segments=6, **SETTINGS)
    assert times_and_keys(there) == times_and_keys(here)
    assert_same_pictures(clip, there)
    assert len(engines_that_worked(told)) > 1
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_one_file_is_divided_between_all_engines(client: Any, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "long.mkv", 300)
    told: list[events.Event] = []
    with EncoderPool(cluster=client) as pool:
        pool.encode_file(source, tmp_path / "result.mkv", on_event=told.append, **SETTINGS)
    assert engines_that_worked(told) == {0, 1, 2}
    done = sorted((one.first, one.last) for one in told if isinstance(one, events.PieceFinished))
    assert [first for first, _ in done] == [0, *(last for _, last in done[:-1])]
    assert done[-1][1] == 300
    assert_same_pictures(source, tmp_path / "result.mkv")
