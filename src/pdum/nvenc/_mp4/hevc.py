"""HEVC's parameter sets (ITU-T H.265, section 7.3.2), and their form in MP4 (ISO/IEC 14496-15)."""

from __future__ import annotations

from .._errors import InvalidConfig
from .bits import BitReader, nal_units, without_emulation
from .hevc_units import (
    ALPHA_CHANNEL_INFORMATION,
    PARAMETER_SETS,
    REFERENCE_DISPLAYS,
    SEI,
    SPS,
    is_message,
    is_of_further_layer,
    kind_of,
    layer_of,
    unit_array,
)
from .stream_description import StreamDescription
from .vui import Vui, read_vui

PROFILE_SPACES = ("", "A", "B", "C")
LAYERED = 0xC0
"""Reserved bits of lhvC in the place of two bits that hvcC uses."""


def with_alpha_information(header: bytes) -> bytes:
    """Annex B parameter sets, and the message that samples of the second layer are alpha: 0 is transparent, 255 is
    opaque, and the colours are not multiplied by it."""
    values = bytes((0x00, 0x00, 0x7F, 0x90))
    message = bytes((SEI << 1, 1, ALPHA_CHANNEL_INFORMATION, len(values))) + values + b"\x80"
    return header + b"\0\0\0\1" + message


def describe(header: bytes) -> StreamDescription:
    """Reads Annex B parameter sets. Raises InvalidConfig if they are not complete."""
    first = [unit for unit in nal_units(header) if layer_of(unit) == 0]
    by_kind = {kind: [unit for unit in first if kind_of(unit) == kind] for kind in PARAMETER_SETS}
    if not all(by_kind.values()):
        raise InvalidConfig(
            "Expected HEVC parameter sets in Annex B's form (VPS, SPS and PPS), got a header without them. "
            "Use sequence_header() of the encoder."
        )
    messages = [unit for unit in first if _is_declared(unit)]
    return _read_sps({**by_kind, SEI: messages} if messages else by_kind)


def _is_declared(unit: bytes) -> bool:
    return any(is_message(unit, kind) for kind in (ALPHA_CHANNEL_INFORMATION, REFERENCE_DISPLAYS))


def layered_configuration(header: bytes) -> bytes:
    """The contents of the box lhvC: the parameter sets of layers above the first. No bytes if there are none."""
    further = [unit for unit in nal_units(header) if is_of_further_layer(unit)]
    by_kind = {kind: [unit for unit in further if kind_of(unit) == kind] for kind in PARAMETER_SETS}
    if not further:
        return b""
    arrays = [unit_array(kind, units) for kind, units in by_kind.items() if units]
    layers_and_lengths = LAYERED | describe(header).configuration[21]
    return bytes((1, 0xF0, 0, 0xFC, layers_and_lengths, len(arrays))) + b"".join(arrays)


def _read_sps(by_kind: dict[int, list[bytes]]) -> StreamDescription:
    payload = without_emulation(by_kind[SPS][0][2:])
    reader = BitReader(payload, "sequence parameter set of HEVC")
    reader.skip(4)
    sub_layers, nested = reader.bits(3), reader.flag()
    profile_tier_level = payload[1:13]
    reader.skip(96)
    skip_sub_layers(reader, sub_layers)
    reader.exp_golomb()  # its number
    chroma = reader.exp_golomb()
    if chroma == 3:
        reader.skip(1)
    width, height = reader.exp_golomb(), reader.exp_golomb()
    left, right, top, bottom = [reader.exp_golomb() for _ in range(4)] if reader.flag() else [0, 0, 0, 0]
    luma_depth, chroma_depth = 8 + reader.exp_golomb(), 8 + reader.exp_golomb()
    _skip_to_vui(reader, sub_layers)
    vui = read_vui(reader) if reader.flag() else Vui()
    record = bytes((1,)) + profile_tier_level + bytes((0xF0, 0, 0xFC, 0xFC | chroma))
    record += bytes((0xF8 | luma_depth - 8, 0xF8 | chroma_depth - 8, 0, 0, sub_layers + 1 << 3 | nested << 2 | 3))
    return StreamDescription(
        width=width - (2 if chroma in (1, 2) else 1) * (left + right),
        height=height - (2 if chroma == 1 else 1) * (top + bottom),
        bit_depth=luma_depth,
        chroma_format=chroma,
        codec_string=_codec_string(profile_tier_level),
        colour=vui.colour,
        sample_aspect_ratio=vui.sample_aspect_ratio,
        configuration=record + bytes((len(by_kind),)) + b"".join(map(unit_array, by_kind, by_kind.values())),
    )


def skip_sub_layers(reader: BitReader, count: int) -> None:
    """Skips the profiles and levels of so many temporal layers below the highest."""
    present = [(reader.flag(), reader.flag()) for _ in range(count)]
    if count:
        reader.skip(2 * (8 - count))
    for has_profile, has_level in present:
        reader.skip(88 * has_profile + 8 * has_level)


def _skip_to_vui(reader: BitReader, sub_layers: int) -> None:
    order_bits = reader.exp_golomb() + 4
    for _ in range(sub_layers + 1 if reader.flag() else 1):
        for _ in range(3):
            reader.exp_golomb()
    for _ in range(6):  # sizes of blocks and depths of their trees
        reader.exp_golomb()
    if reader.flag() and reader.flag():
        _skip_scaling_lists(reader)
    reader.skip(2)
    if reader.flag():  # PCM
        reader.skip(8)
        reader.exp_golomb()
        reader.exp_golomb()
        reader.skip(1)
    _skip_reference_sets(reader)
    if reader.flag():
        reader.skip(reader.exp_golomb() * (order_bits + 1))
    reader.skip(2)


def _skip_scaling_lists(reader: BitReader) -> None:
    for size in range(4):
        for _ in range(0, 6, 3 if size == 3 else 1):
            if not reader.flag():
                reader.exp_golomb()
                continue
            if size > 1:
                reader.signed_exp_golomb()
            for _ in range(min(64, 1 << 4 + 2 * size)):
                reader.signed_exp_golomb()


def _skip_reference_sets(reader: BitReader) -> None:
    """The short-term reference picture sets. Each may be coded as its difference from the previous one."""
    pictures = 0
    for number in range(reader.exp_golomb()):
        if number and reader.flag():
            reader.skip(1)
            reader.exp_golomb()
            used = [reader.flag() or reader.flag() for _ in range(pictures + 1)]
            pictures = sum(used)
        else:
            pictures = reader.exp_golomb() + reader.exp_golomb()
            for _ in range(pictures):
                reader.exp_golomb()
                reader.skip(1)


def _codec_string(profile_tier_level: bytes) -> str:
    first, flags, level = profile_tier_level[0], profile_tier_level[1:5], profile_tier_level[11]
    reversed_flags = int(f"{int.from_bytes(flags, 'big'):032b}"[::-1], 2)
    parts = [f"hvc1.{PROFILE_SPACES[first >> 6]}{first & 0x1F}", f"{reversed_flags:X}"]
    parts.append(f"{'H' if first & 0x20 else 'L'}{level}")
    return ".".join([*parts, *(f"{byte:X}" for byte in profile_tier_level[5:11].rstrip(b"\0"))])
