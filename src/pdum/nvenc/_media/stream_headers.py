"""What a GPU's decoder needs of a container's stream: packets as a stream has them, and the headers kept apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .av import import_av

FILTERS = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb", "mpeg4": "mpeg4_unpack_bframes"}
"""FFmpeg's bitstream filters, which undo what containers do to packets."""
CODECS = {
    "mpeg1video": "mpeg1",
    "mpeg2video": "mpeg2",
    "mpeg4": "mpeg4",
    "vc1": "vc1",
    "h264": "h264",
    "mjpeg": "mjpeg",
    "hevc": "hevc",
    "vp8": "vp8",
    "vp9": "vp9",
    "av1": "av1",
}
"""Our names for the codecs that GPUs decode, by FFmpeg's."""
START = b"\0\0\0\1"
VC1_MARK, VC1_FRAME = b"\0\0\1", b"\0\0\1\x0d"
NEW_HEADERS = "new_extradata"
"""FFmpeg's name for what a packet has with it from which on other headers hold: files that were joined have that."""
LENGTH_OF_LENGTHS = 21
"""Where HEVC's record says how many bytes the length of a unit has."""
AV1_CONFIGURATION = 4
"""Bytes before the sequence header in AV1's record."""


def gpu_codec(stream: Any) -> str | None:
    """None for a codec that no GPU decodes."""
    return CODECS.get(stream.codec_context.codec.canonical_name)


def filtered(packet: Any, bitstream_filter: Any) -> list[Any]:
    """The packet as the codec's own stream has it; an empty one ends the stream."""
    if bitstream_filter is None:
        return [packet] if packet.size else []
    if packet.size:
        return list(bitstream_filter.filter(packet))
    left = list(bitstream_filter.filter(None))
    bitstream_filter.flush()  # it takes packets again
    return left


def filter_for(stream: Any) -> Any:
    """A bitstream filter of FFmpeg's, or None if the packets need none."""
    import_av()
    from av.bitstream import BitStreamFilterContext

    name = FILTERS.get(stream.codec_context.codec.canonical_name)
    return BitStreamFilterContext(name, stream) if name else None


def new_headers(packet: Any) -> Any:
    """Headers as their container keeps them, which hold from this packet on; None where the earlier ones still hold."""
    return packet.get_sidedata(NEW_HEADERS) if packet.has_sidedata(NEW_HEADERS) else None


class HevcUnits:
    """Does what FFmpeg's filter does for HEVC, which never learns of new headers."""

    def __init__(self, record: bytes) -> None:
        self._header = stream_header("hevc", record)
        self._bytes = (record[LENGTH_OF_LENGTHS] & 3) + 1

    def filter(self, packet: Any | None) -> list[Any]:
        """Raises ValueError for a packet that is damaged."""
        if packet is None:
            return []
        units = b"".join(START + unit for unit in self._units(bytes(packet)))
        made = import_av().Packet(self._header + units if packet.is_keyframe else units)
        made.pts = packet.pts
        return [made]

    def flush(self) -> None:
        """It keeps nothing back."""

    def _units(self, packet: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(packet):
            begin = at + self._bytes
            at = begin + int.from_bytes(packet[at:begin], "big")
            if at > len(packet):
                raise ValueError("A unit is longer than its packet.")
            yield packet[begin:at]


def filter_behind(new: bytes, codec: str, bitstream_filter: Any) -> Any:
    """The filter for the packets that have these new headers."""
    return HevcUnits(new) if codec == "hevc" and new[:1] == b"\1" and len(new) > LENGTH_OF_LENGTHS else bitstream_filter


def has_lengths(packet: bytes) -> bool:
    """Whether each unit of H.264 or HEVC comes after its length, as in MP4, and not after a start code."""
    at = 0
    while at + 4 < len(packet):
        at += 4 + int.from_bytes(packet[at : at + 4], "big")
    return at == len(packet) > 0 and not packet.startswith((START, START[1:]))


def as_in_stream(codec: str, packet: Any) -> Any:
    """A packet with the start code that ASF and Matroska may leave out before a frame of VC-1."""
    if codec != "vc1" or bytes(packet).startswith(VC1_MARK):
        return packet
    return VC1_FRAME + bytes(packet)


def stream_header(codec: str, extradata: bytes) -> bytes:
    """The headers that a container keeps apart, in the form in which a stream holds them."""
    if codec == "h264" and extradata[:1] == b"\1":
        return b"".join(START + unit for unit in _units_of_avcc(extradata))
    if codec == "hevc" and extradata[:1] == b"\1":
        return b"".join(START + unit for unit in _units_of_hvcc(extradata))
    if codec == "av1" and extradata[:1] == b"\x81":
        return extradata[AV1_CONFIGURATION:]
    if codec == "vc1":
        return extradata[max(extradata.find(VC1_MARK), 0) :]  # a byte may stand before the first header
    return b"" if codec in ("vp8", "vp9", "mjpeg") else extradata


def _units_of_avcc(record: bytes) -> Iterator[bytes]:
    """The parameter sets of an AVCDecoderConfigurationRecord (ISO/IEC 14496-15): a count, then sizes and units."""
    at = 5
    for mask in (0x1F, 0xFF):  # the sequence's, then the pictures'
        count, at = (record[at] & mask if at < len(record) else 0), at + 1
        for _ in range(count):
            size = int.from_bytes(record[at : at + 2], "big")
            yield record[at + 2 : at + 2 + size]
            at += 2 + size


def _units_of_hvcc(record: bytes) -> Iterator[bytes]:
    """Those of an HEVCDecoderConfigurationRecord: arrays of units, one for each kind."""
    arrays, at = (record[22] if len(record) > 22 else 0), 23
    for _ in range(arrays):
        count, at = int.from_bytes(record[at + 1 : at + 3], "big"), at + 3
        for _ in range(count):
            size = int.from_bytes(record[at : at + 2], "big")
            yield record[at + 2 : at + 2 + size]
            at += 2 + size
