"""Where decoding may begin: packets at which a decoder needs nothing that came before."""

from __future__ import annotations

from collections.abc import Iterator

INTRA_SLICES = (2, 4, 7, 9)  # I and SI, of this slice and of all slices
NAL_SLICE, NAL_IDR = 1, 5


def is_clean(codec: str, data: bytes, extradata: bytes) -> bool:
    """Whether a packet that is marked as a key frame is one indeed.

    H.264 marks recovery points too, from which a wave of intra blocks makes the picture whole only after a while.
    """
    if codec != "h264":
        return True
    kinds = [(unit[0] & 0x1F, unit) for unit in _nal_units(data, extradata) if unit]
    if any(kind == NAL_IDR for kind, _ in kinds):
        return True
    slices = [unit for kind, unit in kinds if kind == NAL_SLICE]
    return bool(slices) and all(_slice_type(unit) in INTRA_SLICES for unit in slices)


def is_shown(codec: str, data: bytes) -> bool:
    """Whether its frame is to be seen: VP8 hides its alternative references in packets of their own."""
    return codec != "vp8" or not data or bool(data[0] >> 4 & 1)


def _nal_units(data: bytes, extradata: bytes) -> Iterator[bytes]:
    """The first bytes of each: enough to tell what it is."""
    if extradata[:1] == b"\1" and len(extradata) > 4:
        size = (extradata[4] & 3) + 1
        at = 0
        while at + size < len(data):
            length = int.from_bytes(data[at : at + size], "big")
            yield data[at + size : at + size + min(length, 16)]
            at += size + length
        return
    at = data.find(b"\0\0\1")
    while at >= 0:
        yield data[at + 3 : at + 19]
        at = data.find(b"\0\0\1", at + 3)


def _slice_type(unit: bytes) -> int:
    bits = "".join(f"{byte:08b}" for byte in unit[1:])
    _, at = _exp_golomb(bits, 0)  # first_mb_in_slice
    return _exp_golomb(bits, at)[0]


def _exp_golomb(bits: str, at: int) -> tuple[int, int]:
    zeros = 0
    while at + zeros < len(bits) and bits[at + zeros] == "0":
        zeros += 1
    end = at + 2 * zeros + 1
    return int(bits[at + zeros : end] or "0", 2) - 1, end
