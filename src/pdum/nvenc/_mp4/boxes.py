"""The boxes that an MP4 file consists of (ISO/IEC 14496-12)."""

from __future__ import annotations

import struct
import sys
from array import array

LARGEST_32 = 0xFFFFFFFF
IDENTITY = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
"""The matrix of a picture that is neither rotated nor moved."""


def box(kind: str, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind.encode("latin-1")) + body


def full_box(kind: str, version: int, flags: int, *parts: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def mdat_head(size: int) -> bytes:
    """The beginning of a box for so many bytes of media data: the short form if it can hold the size."""
    if size + 8 <= LARGEST_32:
        return struct.pack(">I4s", size + 8, b"mdat")
    return long_mdat_head(size)


def long_mdat_head(size: int) -> bytes:
    return struct.pack(">I4sQ", 1, b"mdat", size + 16)


def free_box(size: int) -> bytes:
    """The head of a box that readers skip, ``size`` bytes long with its head. What follows it may be anything."""
    if size > LARGEST_32:
        return struct.pack(">I4sQ", 1, b"free", size)
    return struct.pack(">I4s", size, b"free")


def big_endian(values: array[int]) -> bytes:
    if sys.byteorder == "little":
        values = values[:]
        values.byteswap()
    return values.tobytes()
