"""What a stream of two layers holds, besides the pictures of the first one."""

from __future__ import annotations

from .._mp4.bits import nal_units
from .._mp4.hevc_units import PARAMETER_SETS, is_of_further_layer, kind_of, layer_of


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
