"""H.264's parameter sets (ITU-T H.264, section 7.3.2), and their form in MP4 (ISO/IEC 14496-15)."""

from __future__ import annotations

from .._errors import InvalidConfig
from .bits import BitReader, nal_units, without_emulation
from .stream_description import StreamDescription
from .vui import Vui, read_vui

SPS, PPS, SPS_EXTENSION = 7, 8, 13
PARAMETER_SETS = (SPS, PPS, SPS_EXTENSION)
WITH_CHROMA = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)
"""The profiles whose sequence parameter sets contain the format of the samples."""
WITHOUT_CHROMA_RECORD = (66, 77, 88)
LENGTH_OF_LENGTHS = 4


def kind_of(unit: bytes) -> int:
    return unit[0] & 0x1F


def describe(header: bytes) -> StreamDescription:
    """Reads Annex B parameter sets. Raises InvalidConfig if they are not complete."""
    by_kind = {kind: [unit for unit in nal_units(header) if kind_of(unit) == kind] for kind in PARAMETER_SETS}
    if not by_kind[SPS] or not by_kind[PPS]:
        raise InvalidConfig(
            "Expected H.264 parameter sets in Annex B's form (SPS and PPS), got a header without them. "
            "Use sequence_header() of the encoder."
        )
    return _read_sps(by_kind)


def _read_sps(by_kind: dict[int, list[bytes]]) -> StreamDescription:
    sps = by_kind[SPS][0]
    reader = BitReader(without_emulation(sps[1:]), "sequence parameter set of H.264")
    profile, compatible, level = reader.bits(8), reader.bits(8), reader.bits(8)
    reader.exp_golomb()  # its number
    chroma, luma_depth, chroma_depth = _read_format(reader) if profile in WITH_CHROMA else (1, 8, 8)
    _skip_order(reader)
    reader.exp_golomb()  # reference frames
    reader.skip(1)
    width, height, field_coded = reader.exp_golomb() + 1, reader.exp_golomb() + 1, not reader.flag()
    if field_coded:
        reader.skip(1)
    reader.skip(1)  # direct_8x8_inference
    left, right, top, bottom = [reader.exp_golomb() for _ in range(4)] if reader.flag() else [0, 0, 0, 0]
    vui = read_vui(reader) if reader.flag() else Vui()
    across, down = (2 if chroma in (1, 2) else 1), (2 if chroma == 1 else 1) * (2 if field_coded else 1)
    return StreamDescription(
        width=width * 16 - across * (left + right),
        height=height * 16 * (2 if field_coded else 1) - down * (top + bottom),
        bit_depth=luma_depth,
        chroma_format=chroma,
        codec_string=f"avc1.{profile:02x}{compatible:02x}{level:02x}",
        colour=vui.colour,
        sample_aspect_ratio=vui.sample_aspect_ratio,
        configuration=_configuration(by_kind, chroma, luma_depth, chroma_depth),
    )


def _read_format(reader: BitReader) -> tuple[int, int, int]:
    chroma = reader.exp_golomb()
    if chroma == 3:
        reader.skip(1)  # separate planes
    luma_depth, chroma_depth = 8 + reader.exp_golomb(), 8 + reader.exp_golomb()
    reader.skip(1)  # lossless transform
    if reader.flag():
        for number in range(12 if chroma == 3 else 8):
            if reader.flag():
                _skip_scaling_list(reader, 16 if number < 6 else 64)
    return chroma, luma_depth, chroma_depth


def _skip_scaling_list(reader: BitReader, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + reader.signed_exp_golomb()) % 256
        last = following or last


def _skip_order(reader: BitReader) -> None:
    """How pictures are counted."""
    reader.exp_golomb()
    kind = reader.exp_golomb()
    if kind == 0:
        reader.exp_golomb()
    elif kind == 1:
        reader.skip(1)
        reader.exp_golomb()
        reader.exp_golomb()
        for _ in range(reader.exp_golomb()):
            reader.exp_golomb()


def _configuration(by_kind: dict[int, list[bytes]], chroma: int, luma_depth: int, chroma_depth: int) -> bytes:
    sps = by_kind[SPS][0]
    made = bytes((1, sps[1], sps[2], sps[3], 0xFC | LENGTH_OF_LENGTHS - 1, 0xE0 | len(by_kind[SPS])))
    made += _with_lengths(by_kind[SPS]) + bytes((len(by_kind[PPS]),)) + _with_lengths(by_kind[PPS])
    if sps[1] in WITHOUT_CHROMA_RECORD:
        return made
    extensions = by_kind[SPS_EXTENSION]
    made += bytes((0xFC | chroma, 0xF8 | luma_depth - 8, 0xF8 | chroma_depth - 8, len(extensions)))
    return made + _with_lengths(extensions)


def _with_lengths(units: list[bytes]) -> bytes:
    return b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)
