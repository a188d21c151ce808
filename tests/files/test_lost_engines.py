"""What is complete of a file survives the loss of its engines if the job asks for that (``keep_work``)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from files.runner import LOSSLESS, assert_same_pictures
from pdum.nvenc import EncoderFailed, EncoderPool, EngineInfo, FileTask, NoEngineLeft, NvencError, events

from clips import make_clip
from simulator import Simulator

pytestmark = pytest.mark.one_abi

GPU: dict[str, Any] = {"name": "RTX 4070", "fps_1080p": 0}
FRAMES, PARTS = 120, 4
LENGTH = FRAMES // PARTS
HALF_OF_THE_THIRD = 2 * LENGTH + LENGTH // 2
ENCODE = "nvEncEncodePicture"
ALL_PARTS = [(first, first + LENGTH) for first in range(0, FRAMES, LENGTH)]
LOST: dict[str, tuple[type[NvencError], dict[str, Any]]] = {
    "the GPU is lost": (
        NoEngineLeft,
        {"stall": [{"gpu": 0, "engine": 0, "after_frames": HALF_OF_THE_THIRD, "device_lost": True}]},
    ),
    "the encoder fails": (
        EncoderFailed,
        {"faults": [{"call": ENCODE, "nth": nth, "status": 20} for nth in range(HALF_OF_THE_THIRD, 3 * FRAMES)]},
    ),
}
"""Ways in which the only engine ends, when two of four parts are complete."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("source") / "source.mkv", FRAMES)


Told = list[events.Event]


def encode(pool: EncoderPool, source: Path, result: Path, told: Told, *, keep_work: bool) -> None:
    settings: dict[str, Any] = {**LOSSLESS, "segments": PARTS, "keep_work": keep_work}
    pool.encode_file(source, result, codec="h264", on_event=told.append, **settings)


def parts_done(told: Told) -> list[tuple[int, int]]:
    return sorted((one.first, one.last) for one in told if isinstance(one, events.PieceFinished))


@pytest.mark.parametrize("how", LOST)
def test_the_next_run_goes_on(simulator: Simulator, source: Path, folder: Path, how: str) -> None:
    result, error, machine = folder / "result.mkv", *LOST[how]
    before: Told = []
    after: Told = []
    with (
        simulator.machine(check=False, gpus=[GPU], backend="codec", **machine),
        EncoderPool() as pool,
        pytest.raises(error),
    ):
        encode(pool, source, result, before, keep_work=True)
    assert parts_done(before), "something was complete"
    assert not result.exists()
    with simulator.machine(gpus=[GPU], backend="codec"), EncoderPool() as pool:
        encode(pool, source, result, after, keep_work=True)
    assert parts_done(after), "something was missing"
    assert parts_done([*before, *after]) == ALL_PARTS
    assert_same_pictures(source, result)


@pytest.mark.parametrize("how", LOST)
def test_a_job_that_does_not_ask_for_it_leaves_nothing(
    simulator: Simulator, source: Path, folder: Path, how: str
) -> None:
    error, machine = LOST[how]
    with (
        simulator.machine(check=False, gpus=[GPU], backend="codec", **machine),
        EncoderPool() as pool,
        pytest.raises(error),
    ):
        encode(pool, source, folder / "result.mkv", [], keep_work=False)
    assert list(folder.iterdir()) == []


def test_another_engine_does_only_what_the_lost_one_left(
    simulator: Simulator, source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the same run: it waits until the first engine has done a part and is lost in its second."""
    result, told, is_lost = folder / "result.mkv", Told(), threading.Event()
    frames = FileTask.frames

    def frames_later(self: FileTask, first: int, engine: EngineInfo) -> Iterator[Any]:
        assert engine.index == 0 or is_lost.wait(60)
        yield from frames(self, first, engine)

    def take(event: events.Event) -> None:
        told.append(event)
        if isinstance(event, events.EngineLost):
            is_lost.set()

    monkeypatch.setattr(FileTask, "frames", frames_later)
    stall = [{"gpu": 0, "engine": 0, "after_frames": LENGTH + LENGTH // 2, "device_lost": True}]
    with simulator.machine(check=False, gpus=[GPU, GPU], backend="codec", stall=stall), EncoderPool() as pool:
        settings: dict[str, Any] = {**LOSSLESS, "segments": PARTS}
        pool.encode_file(source, result, codec="h264", on_event=take, **settings)
    assert [one.engine for one in told if isinstance(one, events.EngineLost)] == [0]
    assert parts_done(told) == ALL_PARTS
    by_engine = Counter(one.engine for one in told if isinstance(one, events.PieceFinished))
    assert by_engine == {0: 1, 1: PARTS - 1}
    assert_same_pictures(source, result)
