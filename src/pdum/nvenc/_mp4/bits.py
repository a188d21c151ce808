"""Reads the bits of parameter sets, and the units that a packet consists of."""

from __future__ import annotations

from collections.abc import Iterator

from .._errors import InvalidConfig

START_CODE = b"\0\0\1"


class BitReader:
    """Reads numbers from bytes, the highest bit first. Bits beyond the end raise InvalidConfig."""

    def __init__(self, data: bytes, what: str) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)
        self._what = what

    @property
    def left(self) -> int:
        """How many bits were not read."""
        return self._left

    def bits(self, count: int) -> int:
        """An unsigned number of so many bits."""
        self.skip(count)
        return self._value >> self._left & (1 << count) - 1

    def flag(self) -> bool:
        return self.bits(1) == 1

    def skip(self, count: int) -> None:
        if count > self._left:
            raise InvalidConfig(f"Expected a complete {self._what}, got one that ends too early.")
        self._left -= count

    def exp_golomb(self) -> int:
        """An unsigned number in Exp-Golomb code."""
        zeros = 0
        while not self.flag():
            zeros += 1
        return (1 << zeros) - 1 + self.bits(zeros)

    def signed_exp_golomb(self) -> int:
        code = self.exp_golomb()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def nal_units(data: bytes) -> Iterator[bytes]:
    """The NAL units of a stream in Annex B's form, without start codes and without the zeros after them."""
    at = data.find(START_CODE)
    while at >= 0:
        end = data.find(START_CODE, at + 3)
        unit = (data[at + 3 :] if end < 0 else data[at + 3 : end]).rstrip(b"\0")
        if unit:
            yield unit
        at = end


def without_emulation(unit: bytes) -> bytes:
    """The unit without the bytes that keep start codes out of it."""
    return unit.replace(b"\0\0\3", b"\0\0")


def with_emulation(unit: bytes) -> bytes:
    """The unit with them."""
    made, zeros = bytearray(), 0
    for byte in unit:
        if zeros == 2 and byte <= 3:
            made.append(3)
            zeros = 0
        made.append(byte)
        zeros = 0 if byte else zeros + 1
    return bytes(made)


def obus(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """The OBUs of an AV1 stream: type, the whole OBU, and its payload."""
    at = 0
    while at < len(data):
        body = at + (2 if data[at] & 4 else 1)
        size, length = leb128(data, body) if data[at] & 2 else (len(data) - body, 0)
        body += length
        if body + size > len(data):
            raise InvalidConfig("Expected complete OBUs, got an AV1 packet that ends inside one.")
        yield data[at] >> 3 & 0xF, data[at : body + size], data[body : body + size]
        at = body + size


def leb128(data: bytes, at: int) -> tuple[int, int]:
    """A number in AV1's variable length, and how many bytes it takes."""
    value = 0
    for length in range(8):
        if at + length >= len(data):
            break
        value |= (data[at + length] & 0x7F) << 7 * length
        if data[at + length] < 0x80:
            return value, length + 1
    raise InvalidConfig("Expected complete OBUs, got an AV1 packet with a damaged size in it.")
