"""For tests of several engines that share a video: their encoder, one engine's for comparison, and what came out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pdum.nvenc import EncoderConfig, NvencEncoder, Packet
from pdum.nvenc._pool.engines import find_engines
from pdum.nvenc._writer.all_engines import AllEngines
from pool_tasks import HEIGHT, WIDTH, picture

from simulator import parse

THREE = [{"name": "L4", "engines": 3}]
TWO_GPUS: list[dict[str, Any]] = [{"name": "L4"}, {"name": "RTX 4070"}]
Frames = Iterable[tuple[Any, dict[str, Any]]]


def config_of(**given: Any) -> EncoderConfig:
    return EncoderConfig(**{"width": WIDTH, "height": HEIGHT, "gop": 10, **given})


def opened(config: EncoderConfig, told: list[str] | None = None) -> AllEngines:
    lanes = find_engines("all", "auto", "nvenc", 0.0).lanes
    return AllEngines(config, lanes, (told if told is not None else []).append)


def pictures(count: int) -> Frames:
    return [(picture(number), {}) for number in range(count)]


def by_all(encoder: AllEngines, frames: Frames) -> list[Packet]:
    packets: list[Packet] = []
    for number, (frame, options) in enumerate(frames):
        packets += encoder.submit(frame, number, **options)
    return [*packets, *encoder.finish()]


def by_one(config: EncoderConfig, frames: Frames) -> list[Packet]:
    """Engines that share a GPU do not split pictures either."""
    packets: list[Packet] = []
    split = None if config.codec == "h264" else "off"
    with NvencEncoder(config.replaced(split_encode=split)) as encoder:
        for number, (frame, options) in enumerate(frames):
            packets += encoder.submit(frame, number, **options)
        return packets + encoder.flush_pipeline()


def told_by(packets: list[Packet]) -> list[tuple[Any, ...]]:
    """What a packet says, and what the simulated engine saw."""
    return [
        (one.seq, one.pts, one.dts, one.keyframe, one.pic_type, one.frame_avg_qp, unit.checksum, unit.settings)
        for one in packets
        for unit in parse(one.data)
    ]


def engines_of(packets: list[Packet]) -> list[tuple[int, int]]:
    """The engine of each group of pictures."""
    return [(unit.gpu_index, unit.engine) for one in packets for unit in parse(one.data) if unit.is_idr]
