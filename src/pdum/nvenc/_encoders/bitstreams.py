"""Reads packets without decoding them: their units, key frames and headers."""

from __future__ import annotations

from collections.abc import Iterator

DEMUXERS = {"h264": "h264", "hevc": "hevc", "av1": "obu"}
"""FFmpeg's names for streams without a container."""
DECODERS = {"h264": "h264", "hevc": "hevc", "av1": "libdav1d"}
"""FFmpeg's decoders on the processor. A PyAV that was built by hand may lack one."""
PARAMETER_SETS = {"h264": (7, 8), "hevc": (32, 33, 34)}
"""Kinds of NAL units: SPS and PPS, in HEVC after the VPS."""
PICTURES = {"h264": range(1, 6), "hevc": range(32)}
SEQUENCE_OBU = 1
INTRA_SLICES = (2, 4, 7, 9)  # I and SI, for this slice and for all slices
NAL_SLICE, NAL_IDR = 1, 5


def is_clean(codec: str, data: bytes, extradata: bytes) -> bool:
    """Whether a packet that is marked as a key frame really is one.

    In H.264, recovery points are marked too. From there, intra blocks complete the picture only after a while.
    """
    if codec != "h264" or has_idr(data, extradata):
        return True
    slices = [unit for unit in _nal_units(data, extradata) if unit and unit[0] & 0x1F == NAL_SLICE]
    return bool(slices) and all(_slice_type(unit) in INTRA_SLICES for unit in slices)


def has_idr(data: bytes, extradata: bytes) -> bool:
    """Whether a packet of H.264, or its beginning, shows that no later picture refers to one before it."""
    return any(unit[0] & 0x1F == NAL_IDR for unit in _nal_units(data, extradata) if unit)


def is_shown(codec: str, data: bytes) -> bool:
    """Whether the packet's frame is shown. VP8 has hidden reference frames in separate packets."""
    return codec != "vp8" or not data or bool(data[0] >> 4 & 1)


def sequence_obu(unit: bytes) -> bytes:
    """The sequence header of a temporal unit, with its own header and size."""
    at = 0
    while at < len(unit):
        body, size, shift = at + (2 if unit[at] & 4 else 1), 0, 0
        while True:
            size |= (unit[body] & 0x7F) << shift
            body, shift = body + 1, shift + 7
            if unit[body - 1] < 0x80:
                break
        if unit[at] >> 3 & 0xF == SEQUENCE_OBU:
            return unit[at : body + size]
        at = body + size
    return b""


def parameter_sets(unit: bytes, codec: str) -> bytes:
    """The parameter sets of an access unit, without the message between them in which x264 and x265 name themselves."""
    kinds, found, at = PARAMETER_SETS[codec], b"", unit.find(b"\0\0\1")
    while at >= 0:
        end = unit.find(b"\0\0\1", at + 3)
        kind = unit[at + 3] & 0x1F if codec == "h264" else unit[at + 3] >> 1 & 0x3F
        if kind in kinds:
            found += b"\0\0\0\1" + (unit[at + 3 :] if end < 0 else unit[at + 3 : end].rstrip(b"\0"))
        elif kind in PICTURES[codec]:
            break
        at = end
    return found


def _nal_units(data: bytes, extradata: bytes) -> Iterator[bytes]:
    """The first bytes of each NAL unit, which are enough to see what it is."""
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
