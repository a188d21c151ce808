"""H.264 of field pictures, as in broadcasts. No available encoder makes it, so each macroblock is plain pixels.

Two fields make a frame, each an access unit's own slice; the first of every `gop` frames begins with an IDR field.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

MACROBLOCK = 16
PLAIN_PIXELS = 25  # I_PCM among the macroblock types of an I slice
FRAME_NUM_BITS, ORDER_BITS = 4, 8
MAIN, LEVEL_3 = 77, 30
IDR, NON_IDR, SPS, PPS, DELIMITER = 5, 1, 7, 8, 9


class Bits:
    """Written from the most significant bit on."""

    def __init__(self) -> None:
        self._bits: list[str] = []
        self._bytes = bytearray()

    def fixed(self, width: int, value: int) -> Bits:
        self._bits.append(format(value, f"0{width}b"))
        return self

    def golomb(self, *values: int) -> Bits:
        for value in values:
            code = format(value + 1, "b")
            self._bits.append("0" * (len(code) - 1) + code)
        return self

    def flags(self, *values: int) -> Bits:
        self._bits += [str(int(value)) for value in values]
        return self

    def aligned(self, data: bytes) -> Bits:
        self._flush("0")
        self._bytes += data
        return self

    def ended(self) -> bytes:
        self._bits.append("1")
        self._flush("0")
        return bytes(self._bytes)

    def _flush(self, filler: str) -> None:
        bits = "".join(self._bits)
        bits += filler * (-len(bits) % 8)
        self._bytes += bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
        self._bits.clear()


def unit(kind: int, payload: bytes, reference: int = 3) -> bytes:
    """A NAL unit with its start code; no start code is left inside."""
    escaped, zeros = bytearray(), 0
    for byte in payload:
        if zeros >= 2 and byte <= 3:
            escaped.append(3)
            zeros = 0
        escaped.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return b"\0\0\0\1" + bytes([reference << 5 | kind]) + bytes(escaped)


def sequence(width: int, height: int, rate: int) -> bytes:
    bits = Bits().fixed(8, MAIN).fixed(8, 0).fixed(8, LEVEL_3)
    bits.golomb(0, FRAME_NUM_BITS - 4, 0, ORDER_BITS - 4, 1).flags(0)  # order type 0, one reference, no gaps
    bits.golomb(width // MACROBLOCK - 1, height // (2 * MACROBLOCK) - 1)
    bits.flags(0, 0, 1, 0)  # fields may come, not by macroblock; 8x8 inference, no cropping
    bits.flags(1, 0, 0, 0, 0)  # only the timing part of the VUI
    bits.flags(1).fixed(32, 1).fixed(32, 2 * rate).flags(1, 0, 0, 0, 0)
    return unit(SPS, bits.ended())


def picture_parameters() -> bytes:
    bits = Bits().golomb(0, 0).flags(0, 0).golomb(0, 0, 0).flags(0).fixed(2, 0).golomb(0, 0, 0).flags(1, 0, 0)
    return unit(PPS, bits.ended())


def field_slice(planes: list[np.ndarray], bottom: bool, idr: int | None, frame_num: int, order: int) -> bytes:
    """`idr`: its number, or None for a field that is not an IDR."""
    bits = Bits().golomb(0, 7, 0).fixed(FRAME_NUM_BITS, frame_num).flags(1, int(bottom))
    if idr is not None:
        bits.golomb(idr)
    bits.fixed(ORDER_BITS, order)
    bits.flags(*((0, 0) if idr is not None else (0,))).golomb(0, 1)  # marking; QP, no deblocking
    luma, *chroma = planes
    for y in range(0, luma.shape[0], MACROBLOCK):
        for x in range(0, luma.shape[1], MACROBLOCK):
            pixels = luma[y : y + 16, x : x + 16].tobytes()
            pixels += b"".join(plane[y // 2 : y // 2 + 8, x // 2 : x // 2 + 8].tobytes() for plane in chroma)
            bits.golomb(PLAIN_PIXELS).aligned(pixels)
    return unit(NON_IDR if idr is None else IDR, bits.ended())


def access_units(pictures: list[list[np.ndarray]], rate: int, gop: int) -> Iterator[bytes]:
    """A stream of frames given as planes of 4:2:0, the top field first."""
    height, width = pictures[0][0].shape
    for number, planes in enumerate(pictures):
        since = number % gop
        for bottom in (False, True):
            lines = [np.ascontiguousarray(plane[int(bottom) :: 2]) for plane in planes]
            idr = number // gop % 2 if since == 0 and not bottom else None
            header = sequence(width, height, rate) + picture_parameters() if idr is not None else b""
            order = (2 * since + bottom) % (1 << ORDER_BITS)
            coded = field_slice(lines, bottom, idr, since % (1 << FRAME_NUM_BITS), order)
            yield unit(DELIMITER, b"\xf0", 0) + header + coded
