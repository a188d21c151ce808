"""AV1's sequence header (AV1 specification, section 5.5), and its form in MP4 (AV1 in ISOBMFF)."""

from __future__ import annotations

from typing import NamedTuple

from .._errors import InvalidConfig
from .bits import BitReader, obus
from .stream_description import UNSPECIFIED, StreamDescription

SEQUENCE_HEADER, TEMPORAL_DELIMITER, METADATA = 1, 2, 5
KINDS = (*range(1, 9), 15)
"""The types of OBUs that are not reserved."""
SRGB, IDENTITY = 13, 0
UNSPECIFIED_COLOUR = (UNSPECIFIED, UNSPECIFIED, UNSPECIFIED)
USUAL_COLOUR = (1, 1, 1)
FIRST_LEVEL_WITH_TIERS = 7
CHOSEN_LATER = 2


class ColourConfig(NamedTuple):
    bit_depth: int
    is_grey: bool
    across: int
    """Whether the chroma planes have half the width (1), and ``down``: half the height."""
    down: int
    position: int
    colour: tuple[int, int, int, bool]


class Level(NamedTuple):
    number: int
    tier: int


def describe(header: bytes) -> StreamDescription:
    """Reads a sequence header OBU. Raises InvalidConfig if there is none."""
    found = next(((whole, payload) for kind, whole, payload in obus(header) if kind == SEQUENCE_HEADER), None)
    if found is None:
        raise InvalidConfig(
            "Expected AV1's sequence header OBU, got a header without it. Use sequence_header() of the encoder."
        )
    obu, payload = found
    reader = BitReader(payload, "sequence header of AV1")
    profile, _, is_short = reader.bits(3), reader.flag(), reader.flag()
    level = Level(reader.bits(5), 0) if is_short else _read_level(reader)
    width_bits, height_bits = reader.bits(4) + 1, reader.bits(4) + 1
    width, height = reader.bits(width_bits) + 1, reader.bits(height_bits) + 1
    _skip_tools(reader, is_short)
    return _described(obu, profile, level, (width, height), _read_colour(reader, profile))


def _described(
    obu: bytes, profile: int, level: Level, picture: tuple[int, int], config: ColourConfig
) -> StreamDescription:
    depth, across, down = config.bit_depth, config.across, config.down
    flags = level.tier << 7 | (depth > 8) << 6 | (depth == 12) << 5
    flags |= config.is_grey << 4 | across << 3 | down << 2 | config.position
    return StreamDescription(
        width=picture[0],
        height=picture[1],
        bit_depth=depth,
        chroma_format=0 if config.is_grey else 3 - across - down,
        codec_string=_codec_string(profile, level, config),
        colour=None if config.colour == (*UNSPECIFIED_COLOUR, False) else config.colour,
        configuration=bytes((0x81, profile << 5 | level.number, flags, 0)) + obu,
    )


def _read_level(reader: BitReader) -> Level:
    """The level and tier of the first operating point. Reads up to the size of the pictures."""
    has_model, delay_bits = False, 0
    if reader.flag():
        reader.skip(64)
        if reader.flag():
            reader.exp_golomb()
        has_model = reader.flag()
        if has_model:
            delay_bits = reader.bits(5) + 1
            reader.skip(42)
    has_display_delay = reader.flag()
    levels = []
    for _ in range(reader.bits(5) + 1):
        reader.skip(12)
        level = reader.bits(5)
        levels.append(Level(level, reader.bits(1) if level > FIRST_LEVEL_WITH_TIERS else 0))
        if has_model and reader.flag():
            reader.skip(2 * delay_bits + 1)
        if has_display_delay and reader.flag():
            reader.skip(4)
    return levels[0]


def _skip_tools(reader: BitReader, is_short: bool) -> None:
    """The coding tools between the size of the pictures and their colour."""
    if not is_short and reader.flag():  # numbers of frames
        reader.skip(7)
    reader.skip(3)
    if not is_short:
        reader.skip(4)
        if reader.flag():  # order hints
            reader.skip(2)
            has_hints = True
        else:
            has_hints = False
        choice = CHOSEN_LATER if reader.flag() else reader.bits(1)
        if choice and not reader.flag():  # motion vectors of whole pixels
            reader.skip(1)
        if has_hints:
            reader.skip(3)
    reader.skip(3)


def _read_colour(reader: BitReader, profile: int) -> ColourConfig:
    depth = 10 if reader.flag() else 8
    if profile == 2 and depth == 10 and reader.flag():
        depth = 12
    is_grey = profile != 1 and reader.flag()
    primaries, transfer, matrix = [reader.bits(8) for _ in range(3)] if reader.flag() else UNSPECIFIED_COLOUR
    if is_grey:
        return ColourConfig(depth, True, 1, 1, 0, (primaries, transfer, matrix, reader.flag()))
    if (primaries, transfer, matrix) == (1, SRGB, IDENTITY):
        return ColourConfig(depth, False, 0, 0, 0, (primaries, transfer, matrix, True))
    full = reader.flag()
    across, down = _read_subsampling(reader, profile, depth)
    position = reader.bits(2) if across and down else 0
    return ColourConfig(depth, False, across, down, position, (primaries, transfer, matrix, full))


def _read_subsampling(reader: BitReader, profile: int, depth: int) -> tuple[int, int]:
    if profile == 0:
        return 1, 1
    if profile == 1:
        return 0, 0
    if depth < 12:
        return 1, 0
    across = reader.bits(1)
    return across, reader.bits(1) if across else 0


def _codec_string(profile: int, level: Level, config: ColourConfig) -> str:
    """The codec string. It has the long form only if that says more, because some players know only the short form."""
    text = f"av01.{profile}.{level.number:02}{'H' if level.tier else 'M'}.{config.bit_depth:02}"
    primaries, transfer, matrix, full = config.colour
    is_usual = (primaries, transfer, matrix) in (UNSPECIFIED_COLOUR, USUAL_COLOUR) and not full
    if is_usual and not config.is_grey and (config.across, config.down) == (1, 1):
        return text
    chroma = f"{config.across}{config.down}{config.position}"
    return f"{text}.{config.is_grey:d}.{chroma}.{primaries:02}.{transfer:02}.{matrix:02}.{full:d}"
