"""Streams of pairs of frames, and what they hold besides the pictures of the first layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._config.config import EncoderConfig
from .._encoders.nvenc import NvencEncoder
from .._errors import NvencError, UnsupportedFeature
from .._mp4.bits import nal_units
from .._mp4.hevc_units import PARAMETER_SETS, is_of_further_layer, kind_of, layer_of
from .bench import Bench
from .pictures import SIZE
from .probe import Answer, NotHere
from .takes import FRAMES


def ask_with_pairs(
    bench: Bench,
    pair_of: Callable[[EncoderConfig, int], tuple[Any, Any]],
    judge: Callable[[bytes, list[bytes]], Answer],
    **fields: Any,
) -> Answer:
    """Encodes the pair of each number as HEVC with these fields, and lets ``judge`` see the header and the packets."""
    bench.need_codec("hevc")
    config = EncoderConfig(width=SIZE[0], height=SIZE[1], codec="hevc", gpu_id=bench.gpu_id, **fields)
    try:
        header, packets = _encoded(config, pair_of)
    except UnsupportedFeature as lacking:
        raise NotHere(str(lacking)) from None
    except NvencError as error:
        return Answer(found=f"it is refused: {error}")
    return judge(header, packets)


def _encoded(
    config: EncoderConfig, pair_of: Callable[[EncoderConfig, int], tuple[Any, Any]]
) -> tuple[bytes, list[bytes]]:
    with NvencEncoder(config) as encoder:
        packets = [packet for number in range(FRAMES) for packet in encoder.submit(pair_of(config, number), number)]
        return encoder.sequence_header(), [packet.data for packet in [*packets, *encoder.flush_pipeline()]]


def numbers_of(header: bytes, packets: list[bytes]) -> dict[str, object]:
    """Which layers the slices belong to, and where the second one has parameter sets of its own."""
    units = [unit for packet in packets for unit in nal_units(packet)]
    slices = [layer_of(unit) for unit in units if kind_of(unit) < min(PARAMETER_SETS)]
    places = (("header", header), ("first packet", packets[0]))
    return {
        "slices by layer": {str(layer): slices.count(layer) for layer in sorted(set(slices))},
        **{f"own parameter sets of the second layer, {name}": _further(data) for name, data in places},
    }


def _further(data: bytes) -> list[int]:
    """The kinds of parameter sets above the first layer."""
    return [kind_of(unit) for unit in nal_units(data) if is_of_further_layer(unit)]
