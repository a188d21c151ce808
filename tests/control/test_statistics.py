"""What the encoder counts of each picture: the picture, its rows of blocks, and its blocks."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from control.coded import encode
from control.driver_calls import GPU
from pdum.nvenc import NvencEncoder, Packet, PictureOptions, Region

from simulator import Simulator

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]

WIDTH, HEIGHT = 256, 160
BLOCK = {"h264": 16, "hevc": 32, "av1": 64}
MOTION = (6, -3)
"""What the driver tells of each P-frame."""
ALL_LEVELS: dict[str, Any] = {**GPU, "caps": {"OUTPUT_BLOCK_STATS": 1, "OUTPUT_ROW_STATS": 1}}


def flat(value: int = 90) -> Any:
    return np.full((HEIGHT * 3 // 2, WIDTH), value, np.uint8)


def with_noise(x: int, y: int, size: int, seed: int = 1) -> Any:
    """A flat picture with noise in one square."""
    picture = flat()
    picture[y : y + size, x : x + size] = np.random.default_rng(seed).integers(0, 256, (size, size))
    return picture


def packets_of(
    simulator: Simulator, pictures: list[Any], *options: PictureOptions | None, **given: Any
) -> list[Packet]:
    motion: dict[str, Any] = {"average_motion_x": MOTION[0], "average_motion_y": MOTION[1]}
    with simulator.machine(gpus=ALL_LEVELS, backend="echo", **motion), NvencEncoder(WIDTH, HEIGHT, **given) as encoder:
        found = []
        for number, picture in enumerate(pictures):
            found += encoder.submit(picture, number, picture=options[number] if number < len(options) else None)
        return found + encoder.flush_pipeline()


@pytest.mark.parametrize("codec", BLOCK)
def test_what_is_counted_of_a_picture(abi: str, simulator: Simulator, codec: str) -> None:
    pictures = [flat(), with_noise(0, 0, 64)]
    first, second = packets_of(simulator, pictures, codec=codec, statistics="picture", tuning="hq", qp=30)
    assert first.statistics is not None
    assert second.statistics is not None
    assert (first.statistics.average_qp, first.statistics.slices) == (30, 1)
    assert first.statistics.satd == 0 < second.statistics.satd
    assert first.statistics.intra_blocks == second.statistics.inter_blocks == WIDTH * HEIGHT // 256
    assert first.statistics.inter_blocks == second.statistics.intra_blocks == 0
    assert first.statistics.average_motion == (0, 0)
    assert second.statistics.average_motion == MOTION
    assert first.statistics.rows is None
    assert first.statistics.blocks is None


def test_nothing_is_counted_unless_it_is_asked_for(abi: str, simulator: Simulator) -> None:
    (packet,) = packets_of(simulator, [flat()])
    assert packet.statistics is None


@pytest.mark.parametrize("codec", BLOCK)
def test_each_block_has_its_own_numbers(abi: str, simulator: Simulator, codec: str) -> None:
    size = BLOCK[codec]
    row, column = 1, 2
    region = Region(x=column * size, y=row * size, width=size, height=size, qp=-7)
    (packet,) = packets_of(
        simulator,
        [with_noise(column * size, row * size, size)],
        PictureOptions(regions=[region]),
        codec=codec,
        statistics="blocks",
        tuning="hq",
        qp=30,
        qp_map="delta",
    )
    assert packet.statistics is not None
    blocks = packet.statistics.blocks
    assert blocks.shape == (-(-HEIGHT // size), -(-WIDTH // size))
    assert blocks.dtype.names == ("qp", "bits", "satd")
    offsets = np.zeros(blocks.shape, int)
    offsets[row, column] = -7
    assert np.array_equal(blocks["qp"], 30 + offsets)
    assert blocks["bits"].sum() == 8 * len(packet.data)
    busiest = np.unravel_index(blocks["bits"].argmax(), blocks.shape)
    assert busiest == (row, column)
    if abi == "12.1":
        assert not blocks["satd"].any(), "the older interface has no field for it"
    else:
        assert blocks["satd"].sum() == packet.statistics.satd == blocks["satd"][row, column]
    assert packet.statistics.rows is None


@pytest.mark.parametrize("codec", BLOCK)
def test_rows_are_the_sums_of_their_blocks(abi: str, simulator: Simulator, codec: str) -> None:
    pictures = [with_noise(32, 70, 64), with_noise(100, 20, 64)]
    of_blocks = packets_of(simulator, pictures, codec=codec, statistics="blocks")
    of_rows = packets_of(simulator, pictures, codec=codec, statistics="rows")
    for blocks, rows in zip(of_blocks, of_rows, strict=True):
        assert blocks.statistics is not None
        assert rows.statistics is not None
        assert rows.statistics.blocks is None
        assert np.array_equal(rows.statistics.rows["satd"], blocks.statistics.blocks["satd"].sum(axis=1))
        assert rows.statistics.rows["bits"].sum() == 8 * len(rows.data)


def test_statistics_follow_their_picture_through_b_frames(abi: str, simulator: Simulator) -> None:
    pictures = [with_noise(16 * number, 0, 16, seed=number) for number in range(7)]
    found = packets_of(simulator, pictures, tuning="hq", bframes=2, statistics="blocks")
    assert [packet.seq for packet in found] != sorted(packet.seq for packet in found)
    for packet in found:
        assert packet.statistics is not None
        assert np.unravel_index(packet.statistics.blocks["bits"].argmax(), (10, 16)) == (0, packet.seq)


def test_they_follow_a_change_of_size(abi: str, simulator: Simulator) -> None:
    with (
        simulator.machine(gpus=ALL_LEVELS),
        NvencEncoder(
            WIDTH, HEIGHT, statistics="blocks", max_width=320, max_height=192, extra_output_delay=2
        ) as encoder,
    ):
        found = encoder.submit(flat(), 0)
        encoder.reconfigure(width=320, height=192)
        found += encoder.submit(np.full((288, 320), 90, np.uint8), 1)
        found += encoder.flush_pipeline()
    assert [packet.statistics.blocks.shape for packet in found if packet.statistics] == [(10, 16), (12, 20)]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_slices_of_real_streams_are_counted(simulator: Simulator, codec: str) -> None:
    for packet in encode(simulator, count=2, codec=codec, slices=4, statistics="picture"):
        assert packet.statistics is not None
        assert packet.statistics.slices == 4


def test_packets_keep_them_when_they_are_pickled(simulator: Simulator) -> None:
    one, other = packets_of(simulator, [flat(), with_noise(0, 0, 64)], statistics="blocks")
    again = pickle.loads(pickle.dumps(one))
    assert again == one
    assert again.statistics == one.statistics != other.statistics
    assert hash(again.statistics) == hash(one.statistics)
    assert np.array_equal(again.statistics.blocks, one.statistics.blocks)  # type: ignore[union-attr]
    intra, inter = one.statistics, other.statistics
    assert intra is not None
    assert inter is not None
    assert repr(intra) == f"PictureStatistics(average_qp={intra.average_qp}, satd=0, intra_blocks=160, inter_blocks=0)"
    again = pickle.loads(pickle.dumps(inter))
    assert (again.average_motion, again.slices, again.satd) == (MOTION, 1, inter.satd)


def test_statistics_of_another_shape_cannot_be_unpickled(simulator: Simulator) -> None:
    """An array would read beyond the units that there are."""
    (packet,) = packets_of(simulator, [flat()], statistics="blocks")
    assert packet.statistics is not None
    state: tuple[Any, ...] = packet.statistics.__getstate__()  # type: ignore[assignment]
    *counts, rows, columns, units = state
    unit = len(units) // (rows * columns)
    for wrong in (
        (*counts, rows + 1, columns, units),
        (*counts, rows, columns + 1, units),
        (*counts, rows, columns, units[:-unit]),
        (*counts, rows, columns, units + b"\0"),
        (*counts, rows, columns, units + bytes(unit)),
        state[1:],
        (*state, 0),
    ):
        made = type(packet.statistics).__new__(type(packet.statistics))
        with pytest.raises(ValueError, match="not that of a PictureStatistics"):
            made.__setstate__(wrong)  # type: ignore[attr-defined]


def test_arrays_outlive_their_packets(simulator: Simulator) -> None:
    (packet,) = packets_of(simulator, [with_noise(0, 0, 64)], statistics="rows")
    assert packet.statistics is not None
    rows, wanted = packet.statistics.rows, packet.statistics.rows["bits"].tolist()
    del packet
    assert rows["bits"].tolist() == wanted
