"""The packets of a live encoder."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LivePacket:
    """One encoded frame.

    Args:
        seq: the number of the packet in the stream, from 0 and without gaps: a missing number is a lost packet.
        timestamp: that of the frame, as it was given.
        data: an access unit (Annex B) of H.264 or HEVC, or a temporal unit of AV1. Key frames have the headers.
        keyframe: decoding can start here.
        codec: its name for browsers (``"avc1.64002a"``). Set on the first key frame, and on each later key frame
            that changes it or the size, so that a viewer configures its decoder again. Otherwise None.
        width, height: of the picture.
        temporal_layer: of a stream with ``layers``, from 0. Viewers can do without the packets of upper ones.
    """

    seq: int
    timestamp: int
    data: bytes
    keyframe: bool
    codec: str | None
    width: int
    height: int
    temporal_layer: int = 0
