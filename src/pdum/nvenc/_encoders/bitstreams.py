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
HEVC_KEYS = range(16, 24)
LENGTHS_OF_H264, LENGTHS_OF_HEVC = 4, 21
"""Where a container's record says how many bytes the length of a unit has."""
MPEG_PICTURES = {
    "mpeg1video": (b"\0\0\1\0", 5, 3, 7, 1),
    "mpeg2video": (b"\0\0\1\0", 5, 3, 7, 1),
    "mpeg4": (b"\0\0\1\xb6", 4, 6, 3, 0),
}
"""How a picture begins, where its kind is (byte, shift, mask), and the kind of a key frame."""
SHOWING_KEYS = ("h264", "hevc", *MPEG_PICTURES)
"""Codecs whose packets are looked at. FFmpeg does that with the others, or all of their pictures are key frames."""


def is_clean(codec: str, data: bytes, extradata: bytes) -> bool:
    """Whether a packet that is marked as a key frame really is one. Files mark others too, and some mark all.

    In H.264, recovery points are marked. From there, intra blocks complete the picture only after a while.
    """
    if codec != "h264":
        return shows_key(codec, data, extradata) is not False
    if has_idr(data, extradata):
        return True
    slices = [unit for unit in _nal_units(data, extradata) if unit and unit[0] & 0x1F == NAL_SLICE]
    return bool(slices) and all(_slice_type(unit) in INTRA_SLICES for unit in slices)


def shows_key(codec: str, data: bytes, extradata: bytes) -> bool | None:
    """Whether the first picture of a packet, or of its beginning, is a key frame. None if no picture is seen."""
    if codec == "hevc":
        kinds = (unit[0] >> 1 & 0x3F for unit in _nal_units(data, extradata, LENGTHS_OF_HEVC) if unit)
        return next((kind in HEVC_KEYS for kind in kinds if kind in PICTURES["hevc"]), None)
    if codec in MPEG_PICTURES:
        start, place, shift, mask, intra = MPEG_PICTURES[codec]
        at = data.find(start)
        return data[at + place] >> shift & mask == intra if 0 <= at < len(data) - place else None
    return None


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


def _nal_units(data: bytes, extradata: bytes, lengths_at: int = LENGTHS_OF_H264) -> Iterator[bytes]:
    """The first bytes of each NAL unit, which are enough to see what it is."""
    if extradata[:1] == b"\1" and len(extradata) > lengths_at:
        size = (extradata[lengths_at] & 3) + 1
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
