"""A result whose alpha is not that of its source is discarded. One that is only coded badly is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from numpy.typing import NDArray

from files.runner import HARDWARE, elsewhere, encode_elsewhere
from pdum.nvenc import EncoderPool, FileJob, FileSettings, FileTask, NvencEncoder, VerificationFailed
from pdum.nvenc._media.alpha_check import AlphaTaken, block_means, complaint, difference
from stereo_streams import annex_b, layer_of
from transparent_clips import FORMS, FRAMES, packets_of, transparent_clip

from simulator import Simulator
from streams import nal_units

pytestmark = pytest.mark.one_abi

Alphas = list[NDArray[np.uint8]]
QP: dict[str, Any] = {"alpha": True, "qp": 6, "gop": 6}


@pytest.fixture
def machine(simulator: Simulator) -> Iterator[Any]:
    with simulator.machine(gpus=["RTX 5090"], backend="codec") as made:
        yield made


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return transparent_clip(tmp_path_factory.mktemp("alpha") / "source.mov", FORMS["PNG"])


def inverted(alphas: Alphas) -> Alphas:
    return [255 - alpha for alpha in alphas]


def opaque(alphas: Alphas) -> Alphas:
    return [np.full_like(alpha, 255) for alpha in alphas]


def shifted(by: int) -> Callable[[Alphas], Alphas]:
    return lambda alphas: [alphas[min(max(number + by, 0), len(alphas) - 1)] for number in range(len(alphas))]


WRONG = {
    "inverted": (inverted, "the alpha of frame 0 is inverted"),
    "opaque": (opaque, r"the alpha of frame 0 differs from the source's by \d+ of 255"),
    "too early by 1": (shifted(1), "frame 0 has the alpha of frame 1"),
    "too early by 5": (shifted(5), "frame 0 has the alpha of frame 5"),
    "too late by 1": (shifted(-1), "frame 1 has the alpha of frame 0"),
    "too late by 2": (shifted(-2), "frame 2 has the alpha of frame 0"),
}


def task_for(source: Path, folder: Path, verify: str, **encoder: Any) -> FileTask:
    settings = FileSettings(encoder={**QP, **encoder})
    return FileTask(FileJob(source=source, destination=folder / "a.mov", settings=settings, verify=verify), "nvenc")


def encode_with(task: Any, changed: Callable[[Alphas], Alphas], first: int = 0, last: int = FRAMES) -> None:
    """One encoder for one range, which gets other alpha than the task's frames have."""
    with NvencEncoder(task.config(HARDWARE)) as encoder:
        sink, frames = task.sink(first), task.frames(first, HARDWARE)
        pairs = [next(frames) for _ in range(first, last)]
        frames.close()
        for number, (pair, alpha) in enumerate(zip(pairs, changed([alpha for _, alpha in pairs]), strict=True), first):
            sink.write(encoder.submit((pair[0], alpha), number, number == first))
        sink.write(encoder.flush_pipeline())
        sink.complete(last, encoder.sequence_header())


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("verify", ["samples", "full"])
@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("bframes", [0, 2])
def test_wrong_alpha_is_refused(folder: Path, source: Path, verify: str, name: str, bframes: int) -> None:
    changed, said = WRONG[name]
    task = task_for(source, folder, verify, bframes=bframes)
    task.prepare(1)
    encode_with(task, changed)
    with pytest.raises(VerificationFailed, match=f"was discarded: {said}"):
        task.finished()
    task.abandon(keep=False)
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("verify", ["samples", "full"])
def test_each_range_is_judged(folder: Path, source: Path, verify: str) -> None:
    task = task_for(source, folder, verify)
    task.prepare(1)
    encode_with(task, lambda alphas: alphas, 0, 5)
    encode_with(task, inverted, 5)
    with pytest.raises(VerificationFailed, match="the alpha of frame 5 is inverted"):
        task.finished()
    task.abandon(keep=False)


@pytest.mark.usefixtures("machine")
def test_other_machines_judge_their_own(folder: Path, source: Path) -> None:
    task = task_for(source, folder, "samples")
    task.prepare(1)
    there = elsewhere(task, HARDWARE)
    with pytest.raises(VerificationFailed, match="the alpha of frame 5 is inverted"):
        encode_with(there, inverted, 5)
    there.close()
    task.adopt(encode_elsewhere(elsewhere(task, HARDWARE), HARDWARE, 0, FRAMES))
    task.finish()


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    "encoder", [{"qp": 51}, {"alpha": 100, "qp": None, "bitrate": 10_000}, {"qp": 51, "bframes": 3}]
)
@pytest.mark.parametrize("verify", ["samples", "full"])
def test_bad_quality_is_no_reason(folder: Path, source: Path, encoder: dict[str, Any], verify: str) -> None:
    settings = {name: value for name, value in {**QP, **encoder}.items() if value is not None}
    with EncoderPool() as pool:
        pool.encode_file(source, folder / "a.mov", verify=verify, segments=2, **settings)


@pytest.mark.usefixtures("machine")
def test_alpha_that_cannot_be_decoded_is_told() -> None:
    """Unless there is none that can: then FFmpeg knows nothing of it."""
    with NvencEncoder(192, 144, codec="hevc", format="abgr", alpha=True) as encoder:
        frames = [np.full((144, 192, 4), 20 * number, np.uint8) for number in range(8)]
        packets = [packet for number, frame in enumerate(frames, 5) for packet in encoder.submit(frame, number)]
        packets += encoder.flush_pipeline()
    whole = [(packet.seq, packet.data) for packet in packets]
    cut = [(number, with_cut_alpha(data)) for number, data in whole]
    assert complaint(whole, {}) is None
    assert complaint([*whole[:4], cut[4], *whole[5:]], {}) == "the alpha of frame 9 cannot be decoded."
    assert complaint(cut, {}) is None


def test_results_are_checked_at_once(source: Path, folder: Path, simulator: Simulator) -> None:
    """Whatever PyAV keeps for packets, it keeps for all decoders of the process."""
    with simulator.machine(gpus=["RTX 5090"], backend="codec"), EncoderPool() as pool:
        pool.encode_file(source, folder / "a.mov", bframes=2, **QP)
    packets = list(enumerate(packets_of(folder / "a.mov")))

    def interrupted() -> None:
        assert complaint(packets, {}) is None

    assert complaint(packets, {}, interrupted) is None


def with_cut_alpha(packet: bytes) -> bytes:
    return annex_b([unit[:4] if layer_of(unit) == 1 else unit for unit in nal_units(packet)])


sizes = some.tuples(some.integers(1, 70), some.integers(1, 70))


@given(size=sizes, seed=some.integers(0, 999))
def test_means_of_blocks(size: tuple[int, int], seed: int) -> None:
    alpha = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
    found = block_means(alpha)
    assert found.shape == (-(-size[0] // 16), -(-size[1] // 16))
    for row, column in np.ndindex(found.shape):
        part = alpha[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
        assert found[row, column] == pytest.approx(part.mean())


def pictures(seed: int, count: int) -> dict[int, NDArray[np.float64]]:
    """Means of blocks, which have nothing in common."""
    return dict(enumerate(np.random.default_rng(seed).uniform(0, 255, (count, 9, 12)), 100))


@given(seed=some.integers(0, 999), noise=some.floats(0, 30), count=some.integers(1, 12), seen=some.integers(1, 12))
def test_noise_is_no_difference(seed: int, noise: float, count: int, seen: int) -> None:
    wanted = pictures(seed, count)
    random = np.random.default_rng(seed)
    found = {number: one + random.uniform(-noise, noise, one.shape) for number, one in list(wanted.items())[:seen]}
    assert difference(found, wanted) is None
    repeated = dict.fromkeys(found, found[100])
    if len(found) == 2:
        assert difference(repeated, wanted) is None, "an encoder that is short of bits repeats a picture"


@given(seed=some.integers(0, 999), count=some.integers(6, 12), by=some.sampled_from([-2, -1, 1, 2, 3, 5]))
def test_shifts_and_inversions_are_told(seed: int, count: int, by: int) -> None:
    wanted = pictures(seed, count)
    shown = {number: wanted.get(number + by, wanted[100]) for number in range(100, 104)}
    told = difference(shown, wanted)
    number = max(100, 100 - by)
    assert told == f"frame {number} has the alpha of frame {number + by}."
    inverse = {number: 255 - wanted[number] for number in range(100, 104)}
    assert "is inverted" in (difference(inverse, wanted) or "")


def test_frames_that_nobody_saw_are_not_judged() -> None:
    assert difference({}, pictures(1, 4)) is None
    assert difference(pictures(2, 4), {}) is None
    assert AlphaTaken().of(7) == {}
    assert complaint([], {}) is None
