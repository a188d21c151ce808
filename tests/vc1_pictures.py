"""VC-1 of the advanced profile, in intra pictures. No available encoder makes it.

Each block has only a mean brightness, which differs by small steps from that of the block before it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from field_coded import Bits

SEQUENCE, ENTRY, FRAME = 0x0F, 0x0E, 0x0D
ADVANCED, YUV_420 = 3, 1
QUANTIZER = 20
BLOCKS_OF_LUMA, BLOCKS = 4, 6
# By the size of a step. A sign follows each but the first.
LUMA_STEPS, CHROMA_STEPS = ((1, 0b1), (2, 0b01), (4, 0b0001)), ((2, 0b00), (2, 0b01))


def unit(kind: int, bits: Bits) -> bytes:
    """With its start code; none is left inside."""
    escaped, zeros = bytearray(), 0
    for byte in bits.ended():
        if zeros >= 2 and byte <= 3:
            escaped.append(3)
            zeros = 0
        escaped.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return b"\0\0\1" + bytes([kind]) + bytes(escaped)


def headers(width: int, height: int) -> bytes:
    sequence = Bits().fixed(2, ADVANCED).fixed(3, 0).fixed(2, YUV_420).fixed(3, 0).fixed(5, 0).flags(0)
    sequence.fixed(12, width // 2 - 1).fixed(12, height // 2 - 1)
    sequence.flags(0, 0, 0, 0, 1, 0)  # no pulldown, interlace, counter, interpolation; reserved; no segmented frames
    sequence.flags(0, 0)  # no display extension, no buffer model
    entry = Bits().flags(0, 1, 0, 0, 0, 0, 0).fixed(2, 0).flags(0, 0).fixed(2, 0)  # one quantizer for the picture
    entry.flags(0, 0, 0)  # no other size, no mapping of ranges
    return unit(SEQUENCE, sequence) + unit(ENTRY, entry)


def picture(width: int, height: int, seed: int) -> bytes:
    columns, rows = -(-width // 16), -(-height // 16)
    chance = random.Random(seed)
    bits = Bits().flags(1, 1, 0).flags(0).fixed(5, QUANTIZER)  # intra, no rounding control
    bits.flags(0).fixed(3, 0b010).flags(*[0] * rows)  # no prediction of AC coefficients, told by rows
    bits.flags(0, 0, 0)  # the first tables
    for _ in range(columns * rows):
        bits.flags(1)  # no block has coefficients
        for block in range(BLOCKS):
            steps = LUMA_STEPS if block < BLOCKS_OF_LUMA else CHROMA_STEPS
            size = chance.randrange(len(steps))
            width_of_code, code = steps[size]
            bits.fixed(width_of_code, code)
            if size:
                bits.flags(chance.randrange(2))
    return unit(FRAME, bits)


def access_units(width: int, height: int, count: int) -> Iterator[bytes]:
    """Every fourth picture comes with the headers."""
    for number in range(count):
        yield (headers(width, height) if number % 4 == 0 else b"") + picture(width, height, number)
