"""Hints for the search for motion: what reaches the driver, field by field, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.driver_calls import GPU, HEIGHT, WIDTH, Driver
from frames import nv12
from pdum.nvenc import EncoderConfig, InvalidConfig, MotionEstimator, NvencEncoder, PictureOptions

from simulator import Simulator

FRAME = nv12(WIDTH, HEIGHT)
BLOCKS = {"h264": 16, "hevc": 32, "av1": 64}
CODECS = list(BLOCKS)
NO_HINT = -32768
REACH = {"h264": (2047, 511), "hevc": (2047, 511), "av1": (1023, 511)}

Vector = tuple[int, int]


def grid(codec: str, width: int = WIDTH, height: int = HEIGHT) -> tuple[int, int]:
    return math.ceil(height / BLOCKS[codec]), math.ceil(width / BLOCKS[codec])


def some_hints(codec: str, number: int, each: int = 1) -> Any:
    """Every fifth one or so is none."""
    random = np.random.default_rng(number)
    x, y = REACH[codec]
    size = (*grid(codec), each)
    hints = np.stack([random.integers(-x, x + 1, size), random.integers(-y, y + 1, size)], axis=-1).astype(np.int16)
    hints[random.random(size) < 0.2] = NO_HINT
    return hints


def pictures_told(driver: Driver, *given: Any, **options: Any) -> list[dict[str, Any]]:
    """The arguments of nvEncEncodePicture for each picture."""

    def use(encoder: NvencEncoder) -> None:
        for seq, hints in enumerate(given):
            encoder.submit(FRAME, seq, picture=None if hints is None else PictureOptions(motion_hints=hints))
        encoder.flush_pipeline()

    calls = driver.calls(use, name="nvEncEncodePicture", **options)
    return [dict(call.args) for call in calls if call.args.get("inputBuffer")]


def vectors_of(picture: dict[str, Any], codec: str) -> list[Vector | None]:
    """In pixels; None for an invalid hint. The trace leaves fields at zero out."""
    scale = 4 if codec == "av1" else 1
    hints = picture["meExternalSbHints" if codec == "av1" else "meExternalHints"]
    return [
        None if one.get("refidx", 0) & 31 == 31 else (one.get("mvx", 0) // scale, one.get("mvy", 0) // scale)
        for one in hints
    ]


def ends_of(picture: dict[str, Any], codec: str) -> list[tuple[bool, bool]]:
    """Whether each hint is the last of its partition, and of its block."""
    hints = picture["meExternalSbHints" if codec == "av1" else "meExternalHints"]
    part, block = ("last_of_cu", "last_of_sb") if codec == "av1" else ("lastofPart", "lastOfMB")
    return [(bool(one.get(part, 0)), bool(one.get(block, 0))) for one in hints]


def as_vectors(hints: Any) -> list[Vector | None]:
    return [None if x == NO_HINT else (int(x), int(y)) for x, y in hints.reshape(-1, 2)]


def counts_of(codec: str, number: int) -> list[dict[str, int]]:
    return [{"numCandsPerSb" if codec == "av1" else "numCandsPerBlk16x16": number}, {}]


@pytest.mark.parametrize(("codec", "each"), [("h264", 1), ("h264", 3), ("hevc", 1), ("av1", 1), ("av1", 4)])
def test_hints_reach_the_driver(abi: str, driver: Driver, codec: str, each: int) -> None:
    """In rows from the top. A picture without hints has one invalid hint for each block."""
    first, third = some_hints(codec, 1, each), some_hints(codec, 2, each)
    told = pictures_told(driver, first, None, third, codec=codec, motion_hints=each)
    blocks = math.prod(grid(codec))
    assert [vectors_of(one, codec) for one in told] == [as_vectors(first), [None] * blocks, as_vectors(third)]
    assert [one["meHintCountsPerBlock"] for one in told] == [counts_of(codec, n) for n in (each, 1, each)]
    last = [(False, False)] * (each - 1) + [(True, True)]
    assert [ends_of(one, codec) for one in told] == [last * blocks, [(True, True)] * blocks, last * blocks]
    assert [one.get("meHintRefPicDist") for one in told] == [[1, 0] if codec == "h264" else None] * 3
    assert [one.get("meSbHintsCount") for one in told] == (
        [blocks * each, blocks, blocks * each] if codec == "av1" else [None] * 3
    )


def test_hints_of_a_superblock_are_for_all_of_it(abi: str, driver: Driver) -> None:
    (told,) = pictures_told(driver, some_hints("av1", 3, 2), codec="av1", motion_hints=2)
    hints = told["meExternalSbHints"]
    assert {one["cu_size"] & 3 for one in hints} == {3}
    assert not any(one.get(name) for one in hints for name in ("direction", "bi", "partition_type", "x8", "y8"))


@pytest.mark.parametrize("codec", CODECS)
def test_the_encoder_says_how_many_may_come(abi: str, driver: Driver, codec: str) -> None:
    asked = driver.calls(name="nvEncInitializeEncoder", codec=codec, motion_hints=1)[0].args
    assert asked["enableExternalMEHints"] == 1
    assert asked["maxMEHintCountsPerBlock"] == counts_of(codec, 1)
    plain = driver.calls(name="nvEncInitializeEncoder", codec=codec)[0].args
    assert not {"enableExternalMEHints", "maxMEHintCountsPerBlock"} & plain.keys()


@pytest.mark.parametrize("codec", CODECS)
def test_without_the_setting_no_picture_has_hints(abi: str, driver: Driver, codec: str) -> None:
    for told in pictures_told(driver, None, None, codec=codec):
        assert not {"meExternalHints", "meExternalSbHints", "meHintCountsPerBlock", "meHintRefPicDist"} & told.keys()


@pytest.mark.one_abi
def test_the_driver_is_not_told_a_distance_if_it_does_not_choose_types(driver: Driver) -> None:
    (told,) = pictures_told(driver, some_hints("h264", 4), motion_hints=1, picture_types="manual")
    assert "meHintRefPicDist" not in told
    assert vectors_of(told, "h264") == as_vectors(some_hints("h264", 4))


@pytest.mark.one_abi
def test_fewer_hints_than_the_encoder_takes_are_filled_up(driver: Driver) -> None:
    one = some_hints("h264", 5)
    (told,) = pictures_told(driver, one[:, :, 0], motion_hints=3)
    assert vectors_of(told, "h264") == [hint for vector in as_vectors(one) for hint in (vector, None, None)]


@pytest.mark.one_abi
@pytest.mark.parametrize("kind", ["list", "wide numbers", "every second", "columns first", "read only"])
def test_any_whole_numbers_on_the_host(driver: Driver, kind: str) -> None:
    hints = some_hints("h264", 6)[:, :, 0]
    given: Any = {
        "list": hints.tolist(),
        "wide numbers": hints.astype(np.int64),
        "every second": np.repeat(hints, 2, 0)[::2],
        "columns first": np.asfortranarray(hints),
        "read only": np.frombuffer(hints.tobytes(), np.int16).reshape(hints.shape),
    }[kind]
    (told,) = pictures_told(driver, given, motion_hints=1)
    assert vectors_of(told, "h264") == as_vectors(hints)


@pytest.mark.one_abi
@pytest.mark.parametrize("codec", CODECS)
def test_a_hint_is_taken_if_it_is_in_reach(simulator: Simulator, codec: Any) -> None:
    right, down = REACH[codec]
    left, up = (-right, -down) if codec == "av1" else (-right - 1, -down - 1)
    rows, columns = grid(codec)
    near = st.sampled_from([-1, 0, 1])
    xs = st.one_of(st.integers(-2100, 2100), near.map(lambda by: left + by), near.map(lambda by: right + by))
    ys = st.one_of(st.integers(-600, 600), near.map(lambda by: up + by), near.map(lambda by: down + by))
    with simulator.machine(gpus=GPU, backend="null"), NvencEncoder(WIDTH, HEIGHT, codec, motion_hints=1) as encoder:

        @settings(max_examples=100, deadline=None)
        @given(x=xs, y=ys, row=st.integers(0, rows - 1), column=st.integers(0, columns - 1))
        def holds(x: int, y: int, row: int, column: int) -> None:
            hints = np.zeros((rows, columns, 2), np.int16)
            hints[row, column] = x, y
            picture = PictureOptions(motion_hints=hints)
            if left <= x <= right and up <= y <= down:
                assert encoder.encode(FRAME, picture=picture)
                return
            with pytest.raises(InvalidConfig) as caught:
                encoder.encode(FRAME, picture=picture)
            assert f"({x}, {y}) in row {row}, column {column}" in str(caught.value)

        holds()


@pytest.mark.one_abi
@pytest.mark.parametrize(
    ("hints", "words"),
    [
        (np.zeros((3, 3, 2), np.int16), ["(10, 16, 2)", "(3, 3, 2)", "16x16"]),
        (np.zeros((10, 16), np.int16), ["(10, 16)"]),
        (np.zeros((10, 16, 3), np.int16), ["(10, 16, 3)"]),
        (np.zeros((10, 16, 0, 2), np.int16), ["(10, 16, 0, 2)"]),
        (np.zeros((10, 16, 4, 2), np.int16), ["(10, 16, 4, 2)", "n up to 3"]),
        (np.zeros((10, 16, 2), np.float32), ["float32", "whole numbers", "int16"]),
        ("hints", ["whole numbers"]),
        ([[1, 2], [3]], ["cannot be read", "on the host"]),
        (np.full((10, 16, 2), [NO_HINT, 0], np.int16), [f"({NO_HINT}, 0)", "in both places"]),
    ],
    ids=lambda given: str(given)[:20] if isinstance(given, str) else None,
)
def test_bad_hints_are_told(simulator: Simulator, hints: Any, words: list[str]) -> None:
    with simulator.machine(gpus=GPU), NvencEncoder(WIDTH, HEIGHT, motion_hints=3) as encoder:
        with pytest.raises(InvalidConfig) as caught:
            encoder.encode(FRAME, picture=PictureOptions(motion_hints=hints))
        for word in words:
            assert word in str(caught.value), str(caught.value)
        assert encoder.encode(FRAME)


@pytest.mark.one_abi
def test_an_encoder_without_hints_refuses_them(simulator: Simulator) -> None:
    with simulator.machine(gpus=GPU), NvencEncoder(WIDTH, HEIGHT) as encoder:
        with pytest.raises(InvalidConfig, match="made with motion_hints=1"):
            encoder.encode(FRAME, picture=PictureOptions(motion_hints=some_hints("h264", 1)))
        assert encoder.encode(FRAME)


@pytest.mark.one_abi
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"motion_hints": 16}, ["motion_hints", "15"]),
        ({"codec": "hevc", "motion_hints": 2}, ["motion_hints", "1"]),
        ({"codec": "av1", "motion_hints": 256}, ["motion_hints", "255"]),
        ({"motion_hints": -1}, ["motion_hints"]),
        ({"motion_hints": 1, "tuning": "hq", "bframes": 2}, ["motion_hints=1", "bframes=2", "bframes=0"]),
        ({"motion_hints": 1, "interlaced": "top"}, ["motion_hints=1", "interlaced='top'"]),
    ],
    ids=str,
)
def test_settings_that_do_not_go_together(fields: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InvalidConfig) as caught:
        EncoderConfig(width=WIDTH, height=HEIGHT, **fields)
    for word in words:
        assert word in str(caught.value), str(caught.value)


@pytest.mark.one_abi
@pytest.mark.parametrize("codec", CODECS)
def test_hints_are_for_the_size_of_now(simulator: Simulator, codec: str) -> None:
    with simulator.machine(gpus=GPU, backend="null"), NvencEncoder(WIDTH, HEIGHT, codec, motion_hints=1) as encoder:
        encoder.encode(FRAME, picture=PictureOptions(motion_hints=some_hints(codec, 1)))
        assert encoder.encode(FRAME)
        encoder.reconfigure(width=192, height=128)
        with pytest.raises(InvalidConfig, match="192x128"):
            encoder.encode(nv12(192, 128), picture=PictureOptions(motion_hints=some_hints(codec, 1)))
        fitting = np.zeros((*grid(codec, 192, 128), 2), np.int16)
        assert encoder.encode(nv12(192, 128), picture=PictureOptions(motion_hints=fitting))
        assert encoder.encode(nv12(192, 128))


@pytest.mark.one_abi
def test_the_array_may_change_at_once(simulator: Simulator) -> None:
    """The simulated driver complains if hints change while their picture is in flight, which takes its engine 10 ms."""
    hints = some_hints("h264", 1)
    slow = {**GPU, "engines": 1, "fps_1080p": 2}
    options: dict[str, Any] = {"motion_hints": 1, "extra_output_delay": 4}
    with simulator.machine(gpus=slow, backend="null"), NvencEncoder(WIDTH, HEIGHT, **options) as encoder:
        for seq in range(12):
            encoder.submit(FRAME, seq, picture=PictureOptions(motion_hints=hints))
            hints += 1
            hints %= 100
        encoder.flush_pipeline()


def texture(x: int = 0, y: int = 0) -> Any:
    """A window into a large texture: a picture that is moved by (x, y)."""
    pixels = np.random.default_rng(4).integers(0, 256, (HEIGHT + 64, WIDTH + 64), dtype=np.uint8)
    luma = pixels[32 + y : 32 + y + HEIGHT, 32 + x : 32 + x + WIDTH]
    return np.concatenate([luma, np.full((HEIGHT // 2, WIDTH), 128, np.uint8)])


@pytest.mark.one_abi
@pytest.mark.parametrize("finder", ["h264", "hevc"])
@pytest.mark.parametrize("codec", CODECS)
def test_the_estimator_makes_hints_for_any_codec(simulator: Simulator, finder: Any, codec: Any) -> None:
    """Both halves move apart. Each block's hint leads to its pixels."""
    reference, frame = texture(), texture()
    frame[:HEIGHT, : WIDTH // 2] = texture(4, 0)[:HEIGHT, : WIDTH // 2]
    frame[:HEIGHT, WIDTH // 2 :] = texture(-4, 3)[:HEIGHT, WIDTH // 2 :]
    with simulator.machine(gpus=GPU, backend="null"):
        with MotionEstimator(WIDTH, HEIGHT, finder) as motion:
            hints = motion.hints(frame, reference, codec=codec)
            assert finder != codec or np.array_equal(hints, motion.hints(frame, reference))
        rows, columns = grid(codec)
        assert hints.shape == (rows, columns, 2)
        inner = hints[1:-1] if rows > 2 else hints
        assert (inner[:, 1 : columns // 2] == (4, 0)).all()
        assert (inner[:, columns // 2 : -1] == (-4, 3)).all()
        with NvencEncoder(WIDTH, HEIGHT, codec, motion_hints=1) as encoder:
            assert encoder.encode(frame, picture=PictureOptions(motion_hints=hints))


@pytest.mark.one_abi
@pytest.mark.parametrize(("edge", "wanted"), [(112, (4, 0)), (80, (-4, 3))])
def test_a_block_has_the_vector_of_most_of_its_pixels(simulator: Simulator, edge: int, wanted: Vector) -> None:
    """The edge between the parts that move apart goes through the second column of superblocks, 64 to 128."""
    frame = texture(-4, 3)
    frame[:HEIGHT, :edge] = texture(4, 0)[:HEIGHT, :edge]
    with simulator.machine(gpus=GPU, backend="null"), MotionEstimator(WIDTH, HEIGHT) as motion:
        hints = motion.hints(frame, texture(), codec="av1")
    assert tuple(hints[1, 1]) == wanted
