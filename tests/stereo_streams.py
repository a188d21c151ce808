"""Pairs of frames, MV-HEVC streams of them from the simulated driver, and what FFmpeg's decoder shows to each eye."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from control.driver_calls import GPU
from pdum.nvenc import NvencEncoder, Packet

from loud import need_module
from simulator import Simulator
from streams import nal_type, nal_units

WIDTH, HEIGHT, COUNT = 256, 144, 7
Frame = NDArray[np.uint8]
Pair = tuple[Frame, Frame]
BOTH = {"view_ids": "-1"}
"""FFmpeg's decoder gives both views, the left one first."""


def frame(value: int) -> Frame:
    picture = np.full((HEIGHT * 3 // 2, WIDTH), value, np.uint8)
    picture[HEIGHT:] = 128
    return picture


def pair(number: int) -> Pair:
    return frame(40 + 8 * number), frame(140 + 8 * number)


def encode(simulator: Simulator, count: int = COUNT, **settings: Any) -> list[Packet]:
    return stream_of(simulator, count, **settings)[1]


def stream_of(simulator: Simulator, count: int = COUNT, **settings: Any) -> tuple[bytes, list[Packet]]:
    """The parameter sets and the packets. The pairs have the numbers from 100 on."""
    with (
        simulator.machine(gpus=GPU, backend="codec"),
        NvencEncoder(WIDTH, HEIGHT, codec="hevc", **{"stereo": True, "qp": 10, **settings}) as encoder,
    ):
        packets = [packet for number in range(count) for packet in encoder.submit(pair(number), 100 + number)]
        return encoder.sequence_header(), packets + encoder.flush_pipeline()


def layer_of(unit: bytes) -> int:
    return (unit[0] & 1) << 5 | unit[1] >> 3


def _shown(pictures: Sequence[Any]) -> list[Pair]:
    planes = [np.asarray(picture.to_ndarray(format="yuv420p"), np.uint8) for picture in pictures]
    return list(zip(planes[::2], planes[1::2], strict=True))


def views(packets: Sequence[Packet] | Sequence[bytes]) -> list[Pair]:
    """The views of a bare stream, with their planes one below the other."""
    av = need_module("av")
    decoder = av.CodecContext.create("hevc", "r")
    decoder.options = BOTH
    decoder.thread_count = 1
    data = [packet if isinstance(packet, bytes) else packet.data for packet in packets]
    return _shown([picture for packet in [*map(av.Packet, data), None] for picture in decoder.decode(packet)])


def views_in(file: Path) -> list[Pair]:
    """The views of a file."""
    av = need_module("av")
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        stream.codec_context.options = BOTH
        stream.codec_context.thread_count = 1
        return _shown(list(container.decode(stream)))


def assert_same_views(found: Sequence[Pair], expected: Sequence[Pair]) -> None:
    assert len(found) == len(expected)
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        for eye in range(2):
            assert np.array_equal(one[eye], other[eye]), (number, eye)


def annex_b(units: Sequence[bytes]) -> bytes:
    return b"".join(b"\0\0\0\1" + unit for unit in units)


def first_layer_alone(packet: bytes) -> bytes:
    return annex_b([unit for unit in nal_units(packet) if layer_of(unit) == 0])


def sets_of_second_layer(header: bytes) -> list[bytes]:
    """Parameter sets of its own, as a driver may give them for the second layer. The simulated one gives none."""
    return [
        unit[:1] + bytes((unit[1] & 7 | 1 << 3,)) + unit[2:]
        for unit in nal_units(header)
        if nal_type(unit, "hevc") in (33, 34)
    ]


def with_sets(packet: bytes, sets: Sequence[bytes]) -> bytes:
    """The packet of a key frame with more parameter sets."""
    units = nal_units(packet)
    first = next(place for place, unit in enumerate(units) if nal_type(unit, "hevc") < 32)
    return annex_b([*units[:first], *sets, *units[first:]])


def arrays(record: bytes, at: int) -> dict[int, list[bytes]]:
    """The units of hvcC (``at`` 22) or lhvC (5), by their kind."""
    found: dict[int, list[bytes]] = {}
    count, at = record[at], at + 1
    for _ in range(count):
        kind, units = record[at] & 63, int.from_bytes(record[at + 1 : at + 3], "big")
        at += 3
        for _ in range(units):
            size = int.from_bytes(record[at : at + 2], "big")
            found.setdefault(kind, []).append(record[at + 2 : at + 2 + size])
            at += 2 + size
    assert at == len(record)
    return found
