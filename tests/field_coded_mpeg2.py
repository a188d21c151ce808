"""MPEG-2 of field pictures, as in broadcasts. No available encoder makes it.

Each field is encoded as a picture of half the height, and the headers are changed then: the blocks of intra pictures
are coded in the same way in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

SEQUENCE, EXTENSION, PICTURE = 0xB3, 0xB5, 0x00
TOP, BOTTOM = 1, 2


def access_units(fields: Sequence[Any], rate: int) -> Iterator[bytes]:
    """`fields`: PyAV's frames, the top field of each picture before the bottom one. Yields each field's data."""
    for number, coded in enumerate(_pictures(fields, rate)):
        yield b"".join(_changed(unit, number % 2 == 1) for unit in _units(coded))


def _pictures(fields: Sequence[Any], rate: int) -> Iterator[bytes]:
    import av

    encoder: Any = av.CodecContext.create("mpeg2video", "w")
    encoder.width, encoder.height, encoder.pix_fmt = fields[0].width, fields[0].height, "yuv420p"
    encoder.framerate, encoder.gop_size, encoder.bit_rate = rate, 1, 4_000_000
    for field in [*fields, None]:
        yield from map(bytes, encoder.encode(field))


def _units(data: bytes) -> list[bytearray]:
    return [bytearray(b"\0\0\1" + unit) for unit in data.split(b"\0\0\1")[1:]]


def _changed(unit: bytearray, bottom: bool) -> bytes:
    """The unit as it is in a stream of fields. Only the first field of a picture comes after headers."""
    code, kind = unit[3], unit[4] >> 4
    if code == EXTENSION and kind == 8:
        _make_field(unit, BOTTOM if bottom else TOP)
    elif code > PICTURE and code > 0xAF and bottom:
        return b""
    elif code == SEQUENCE:
        height = 2 * ((unit[5] & 15) << 8 | unit[6])
        unit[5], unit[6] = unit[5] & 0xF0 | height >> 8, height & 0xFF
    elif code == EXTENSION and kind == 1:
        unit[5] &= ~0x08  # not all of the sequence is progressive
    return bytes(unit)


def _make_field(unit: bytearray, structure: int) -> None:
    unit[6] = unit[6] & ~3 | structure
    unit[7] &= 0b00111100  # without the order of the fields, motion by frames, repetition, and progressive chroma
    unit[8] &= 0x7F  # not progressive
