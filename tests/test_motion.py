"""Motion estimation without a stream: vectors of each block between two frames."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frames import OnlyDlpack, gpu, nv12
from pdum.nvenc import EncoderClosed, EncoderFailed, InvalidConfig, InvalidFrame, MotionEstimator, UnsupportedFeature

from simulator import Simulator
from simulator.trace import read_calls

pytestmark = pytest.mark.sanitize

WIDTH, HEIGHT = 192, 120  # neither rows nor columns of HEVC's blocks are whole
GPU = {"name": "RTX 4090", "fps_1080p": 0}


def picture(x: int = 0, y: int = 0, width: int = WIDTH, height: int = HEIGHT) -> Any:
    """A window into a large texture: a picture that is moved by (x, y)."""
    texture = np.random.default_rng(4).integers(0, 256, (height + 64, width + 64), dtype=np.uint8)
    luma = texture[32 + y : 32 + y + height, 32 + x : 32 + x + width]
    return np.concatenate([luma, np.full((height // 2, width), 128, np.uint8)])


def is_inner(blocks: Any, margin: int = 16) -> Any:
    right, bottom = blocks["x"] + blocks["size"], blocks["y"] + blocks["size"]
    inside = (blocks["x"] >= margin) & (blocks["y"] >= margin)
    return inside & (right <= WIDTH - margin) & (bottom <= HEIGHT - margin)


@pytest.fixture(params=["h264", "hevc"])
def motion(request: pytest.FixtureRequest, simulator: Simulator, abi: str) -> Iterator[MotionEstimator]:
    with simulator.machine(gpus=GPU), MotionEstimator(WIDTH, HEIGHT, codec=request.param) as estimator:
        assert estimator.abi == abi
        yield estimator


@pytest.mark.parametrize("shift", [(0, 0), (3, 0), (0, -5), (7, 2), (-11, -9)], ids=str)
def test_a_shift_is_found(motion: MotionEstimator, shift: tuple[int, int]) -> None:
    blocks = motion.estimate(picture(*shift), picture())
    inner = blocks[is_inner(blocks)]
    assert len(inner) >= 8
    assert np.array_equal(inner["vectors"][:, 0], np.broadcast_to(np.array(shift) * 4, (len(inner), 2)))
    assert not inner["intra"].any()
    assert not inner["partition"].any()
    assert not inner["cost"].any()


def test_vectors_lead_to_the_pixels_of_the_reference(motion: MotionEstimator) -> None:
    """Two halves that move apart: each block is found where its vector says."""
    reference = picture()
    frame = reference.copy()
    frame[:HEIGHT, : WIDTH // 2] = picture(4, 0)[:HEIGHT, : WIDTH // 2]
    frame[:HEIGHT, WIDTH // 2 :] = picture(-4, 3)[:HEIGHT, WIDTH // 2 :]
    blocks = motion.estimate(frame, reference)
    for block in blocks[is_inner(blocks)]:
        x, y, size = int(block["x"]), int(block["y"]), int(block["size"])
        right, down = (int(one) // 4 for one in block["vectors"][0])
        found = reference[y + down : y + down + size, x + right : x + right + size]
        assert np.array_equal(frame[y : y + size, x : x + size], found)


@pytest.mark.parametrize(("width", "height"), [(WIDTH, HEIGHT), (200, 136), (184, 152)])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_blocks_cover_the_picture_once(simulator: Simulator, abi: str, codec: str, width: int, height: int) -> None:
    covered = np.zeros((height, width), int)
    with simulator.machine(gpus=GPU), MotionEstimator(width, height, codec) as estimator:
        blocks = estimator.estimate(picture(2, 2, width, height), picture(0, 0, width, height))
    for block in blocks:
        x, y, size = int(block["x"]), int(block["y"]), int(block["size"])
        assert x < width
        assert y < height
        covered[y : y + size, x : x + size] += 1
    assert (covered == 1).all()
    if codec == "h264":
        columns, rows = -(-width // 16), -(-height // 16)
        assert np.array_equal(blocks["x"].reshape(rows, columns)[0], range(0, width, 16))
    else:
        assert {8, 32} <= set(blocks["size"]) <= {8, 16, 32}


def moved_apart(x: int, y: int, right: int, bottom: int, *, halves: bool) -> tuple[Any, list[tuple[int, int]]]:
    """The picture whose parts of one block move differently, and the vectors of these parts."""
    shifts = [(3, 1), (-2, 4)] if halves else [(3, 1), (-2, 4), (5, -3), (-6, -1)]
    frame = picture()
    middle = (x + right) // 2, (y + bottom) // 2
    tops = [slice(y, middle[1]), slice(middle[1], bottom)]
    sides = [slice(x, right)] if halves else [slice(x, middle[0]), slice(middle[0], right)]
    for (top, side), shift in zip([(top, side) for top in tops for side in sides], shifts, strict=True):
        frame[top, side] = picture(*shift)[top, side]
    return frame, [(4 * right, 4 * down) for right, down in shifts]


def test_parts_of_a_block_have_their_own_vectors(motion: MotionEstimator) -> None:
    """In H.264 a block of 16 pixels in quarters; in HEVC one of 8 pixels in halves."""
    is_hevc = len(motion.estimate(picture(), picture())) != 12 * 8
    size = 8 if is_hevc else 16
    frame, vectors = moved_apart(64, 48, 64 + size, 48 + size, halves=is_hevc)
    blocks = motion.estimate(frame, picture())
    (block,) = blocks[(blocks["x"] == 64) & (blocks["y"] == 48)]
    assert (block["size"], block["partition"], block["intra"]) == (size, 1, False)
    assert block["vectors"].tolist() == [list(vector) for vector in vectors] + [[0, 0]] * (4 - len(vectors))


def test_what_the_reference_does_not_have(motion: MotionEstimator) -> None:
    """A grey square in the noise: HEVC has intra blocks, and H.264 tells what its best vector costs."""
    frame = picture()
    frame[48:64, 64:80] = 128
    blocks = motion.estimate(frame, picture())
    inside = (blocks["x"] >= 64) & (blocks["x"] < 80) & (blocks["y"] >= 48) & (blocks["y"] < 64)
    if len(blocks) == 12 * 8:
        assert not blocks["intra"].any(), "each block has its vectors"
        assert (blocks["cost"] > 0).tolist() == inside.tolist()
    else:
        assert blocks["intra"].tolist() == inside.tolist()


@pytest.mark.one_abi
@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("preset", ["p1", "p7"])
def test_what_the_driver_is_told(simulator: Simulator, tmp_path: Path, codec: str, preset: str) -> None:
    trace = tmp_path / "calls"
    with simulator.machine(gpus=GPU, trace=str(trace)), MotionEstimator(WIDTH, HEIGHT, codec, preset=preset) as one:
        one.estimate(picture(), picture())
    (asked,) = read_calls(trace, "nvEncGetEncodePresetConfigEx")
    (given,) = read_calls(trace, "nvEncInitializeEncoder")
    (search,) = read_calls(trace, "nvEncRunMotionEstimationOnly")
    assert asked.args["presetGUID"] == given.args["presetGUID"] == f"NV_ENC_PRESET_{preset.upper()}_GUID"
    assert given.args["encodeConfig"]["mvPrecision"] == "NV_ENC_MV_PRECISION_QUARTER_PEL"
    assert given.args["enableMEOnlyMode"] == 1
    assert search.args["bufferFmt"] == "NV_ENC_BUFFER_FORMAT_NV12"


def test_frames_may_be_anywhere(motion: MotionEstimator) -> None:
    wanted = motion.estimate(picture(5, 1), picture())
    with gpu() as device:
        stream = device.stream()
        frame = device.frame(picture(5, 1), pitch=256, stream=stream)
        reference = device.frame(picture())
        for current, earlier in ((frame, reference), (frame, picture()), (picture(5, 1), reference)):
            assert np.array_equal(motion.estimate(current, earlier), wanted)
    assert np.array_equal(motion.estimate(picture(5, 1), OnlyDlpack(picture())), wanted)


def test_interfaces_agree(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for version in ("12.1", "13.0", "13.1"):
        monkeypatch.setenv("PDUM_NVENC_ABI", version)
        with simulator.machine(gpus=GPU), MotionEstimator(WIDTH, HEIGHT, "hevc") as estimator:
            found.append(estimator.estimate(picture(6, -2), picture()))
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[1], found[2])


@pytest.mark.one_abi
@pytest.mark.parametrize("form", ["p010", "yuv420", "yuv444"])
def test_formats(simulator: Simulator, form: str) -> None:
    def made(x: int) -> Any:
        luma = picture(x)[:HEIGHT]
        rows = HEIGHT * (3 if form == "yuv444" else 1)
        grey = np.full((rows - HEIGHT if form == "yuv444" else HEIGHT // 2, WIDTH), 128, np.uint8)
        samples: Any = np.concatenate([luma, grey])
        return samples.astype(np.uint16) << 8 if form == "p010" else samples

    with simulator.machine(gpus=GPU), MotionEstimator(WIDTH, HEIGHT, "hevc", format=form) as estimator:
        blocks = estimator.estimate(made(3), made(0))
    inner = blocks[is_inner(blocks)]
    assert np.array_equal(inner["vectors"][:, 0], np.broadcast_to([12, 0], (len(inner), 2)))


@pytest.mark.one_abi
@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"codec": "av1"}, UnsupportedFeature, ["codec='av1'", "hevc"]),
        ({"format": "rgb"}, InvalidConfig, ["format", "nv12"]),
        ({"width": 191}, InvalidConfig, ["width=191"]),
        ({"preset": "p9"}, InvalidConfig, ["p9"]),
        ({"width": 64, "height": 32}, InvalidConfig, ["64x32", "RTX 4090"]),
    ],
    ids=str,
)
def test_what_it_cannot_do_is_told(simulator: Simulator, given: dict[str, Any], kind: Any, words: list[str]) -> None:
    with simulator.machine(gpus=GPU), pytest.raises(kind) as caught:
        MotionEstimator(**{"width": WIDTH, "height": HEIGHT, **given})
    for word in words:
        assert word in str(caught.value)


@pytest.mark.one_abi
def test_a_missing_capability_is_named(simulator: Simulator) -> None:
    lacking = {**GPU, "caps": {"SUPPORT_MEONLY_MODE": 0}}
    with simulator.machine(gpus=lacking), pytest.raises(UnsupportedFeature, match="SUPPORT_MEONLY_MODE is 0"):
        MotionEstimator(WIDTH, HEIGHT)


@pytest.mark.one_abi
def test_wrong_frames_leave_it_usable(simulator: Simulator) -> None:
    with simulator.machine(gpus=GPU), MotionEstimator(WIDTH, HEIGHT) as estimator:
        for wrong in (nv12(64, 64), "frame", None):
            with pytest.raises(InvalidFrame):
                estimator.estimate(wrong, picture())
            with pytest.raises(InvalidFrame):
                estimator.estimate(picture(), wrong)
        assert len(estimator.estimate(picture(), picture())) == 12 * 8


@pytest.mark.one_abi
def test_everything_is_given_back(simulator: Simulator) -> None:
    with simulator.machine(gpus=GPU) as machine:
        estimator = MotionEstimator(WIDTH, HEIGHT)
        estimator.estimate(picture(1), picture())
        assert machine.live()["sessions"] == 1
        assert not machine.live().get("mapped")
        estimator.close()
        estimator.close()
        assert not any(machine.live().values())
        with pytest.raises(EncoderClosed):
            estimator.estimate(picture(), picture())
        MotionEstimator(WIDTH, HEIGHT)
        gc.collect()
        assert not any(machine.live().values())


@pytest.mark.one_abi
def test_one_that_was_never_made(simulator: Simulator) -> None:
    with simulator.machine(gpus=GPU), pytest.raises(EncoderClosed, match="never made"):
        MotionEstimator.__new__(MotionEstimator).estimate(picture(), picture())


@pytest.mark.one_abi
def test_a_failed_release_is_told_once(simulator: Simulator) -> None:
    """By the next call, which then does nothing else; the one after it works."""
    fault = {"call": "nvEncUnmapInputResource", "nth": 1, "status": 20}
    with simulator.machine(check=False, gpus=GPU, faults=[fault]), MotionEstimator(WIDTH, HEIGHT) as estimator:
        assert len(estimator.estimate(picture(), picture())) == 12 * 8
        with pytest.raises(EncoderFailed, match="unmap"):
            estimator.estimate(picture(), picture())
        assert len(estimator.estimate(picture(), picture())) == 12 * 8


@pytest.mark.one_abi
def test_threads_may_share_it(simulator: Simulator) -> None:
    found: list[Any] = []
    with simulator.machine(gpus=GPU), MotionEstimator(WIDTH, HEIGHT) as estimator:
        shifts = [(number, 0) for number in range(4)]
        frames = {shift: picture(*shift) for shift in shifts}
        reference = picture()

        def work(shift: tuple[int, int]) -> None:
            found.append((shift, estimator.estimate(frames[shift], reference)))

        threads = [threading.Thread(target=work, args=(shift,)) for shift in shifts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 4
    for shift, blocks in found:
        inner = blocks[is_inner(blocks)]
        assert np.array_equal(inner["vectors"][:, 0], np.broadcast_to(np.array(shift) * 4, (len(inner), 2)))
