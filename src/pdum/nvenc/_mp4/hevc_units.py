"""The NAL units of HEVC that describe a stream (ITU-T H.265, section 7.4.2.2), and the layers that they belong to."""

from __future__ import annotations

from .bits import START_CODE, nal_units

VPS, SPS, PPS, SEI = 32, 33, 34, 39
PARAMETER_SETS = (VPS, SPS, PPS)
ALPHA_CHANNEL_INFORMATION, REFERENCE_DISPLAYS = 165, 176
"""Messages in SEI units. Players look for them before they show a stream's alpha, or a view to each eye."""
COMPLETE = 0x80
"""The flag of an array that holds all parameter sets of its kind, so that there are none in the samples."""


def kind_of(unit: bytes) -> int:
    return unit[0] >> 1 & 0x3F


def layer_of(unit: bytes) -> int:
    """0, or the number of a further layer: of alpha, or of the second view."""
    return (unit[0] & 1) << 5 | unit[1] >> 3


def is_message(unit: bytes, kind: int) -> bool:
    """Whether it is an SEI unit that begins with such a message."""
    return kind_of(unit) == SEI and unit[2] == kind


def is_of_further_layer(unit: bytes) -> bool:
    """Whether it is a parameter set of a layer above the first."""
    return kind_of(unit) in PARAMETER_SETS and layer_of(unit) > 0


def has_further_layers(header: bytes) -> bool:
    """Whether there are parameter sets of layers above the first."""
    return any(map(is_of_further_layer, nal_units(header)))


def has_second_picture(packet: bytes) -> bool:
    """Whether the packet has a picture of a layer above the first, besides that of the first."""
    layers = {layer_of(unit) for unit in nal_units(packet) if kind_of(unit) < VPS}
    return 0 in layers and len(layers) > 1


def has_two_views(packet: bytes) -> bool:
    """Whether it says which view is for which eye, as key frames of MV-HEVC do."""
    return any(map(_is_about_views, nal_units(packet)))


def _is_about_views(unit: bytes) -> bool:
    return is_message(unit, REFERENCE_DISPLAYS)


def whole_header(header: bytes, first_packet: bytes) -> bytes:
    """An encoder's header, with what it leaves out about layers and the first packet says, in Annex B's form."""
    known = set(nal_units(header))
    found = [unit for unit in nal_units(first_packet) if is_of_further_layer(unit) or _is_about_views(unit)]
    return header + b"".join(b"\0" + START_CODE + unit for unit in found if unit not in known)


def unit_array(kind: int, units: list[bytes]) -> bytes:
    """Units of one kind, as the boxes hvcC and lhvC hold them."""
    made = bytes((COMPLETE | kind,)) + len(units).to_bytes(2, "big")
    return made + b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)
