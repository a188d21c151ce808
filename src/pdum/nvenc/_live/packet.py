"""What a live encoder gives out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LivePacket:
    """One encoded frame.

    Args:
        seq: the number of the packet in the stream, from 0 and without gaps: a missing number is a lost packet.
        timestamp: the frame's own, as it was given.
        data: an access unit (Annex B) of H.264 or HEVC, or a temporal unit of AV1. Key frames have the headers.
        keyframe: decoding can start here.
        codec: as browsers name it (``"avc1.64002a"``). Given with the first key frame, and with each later key frame
            that changes it or the size, so that a viewer configures its decoder again. Otherwise None.
        width, height: of the picture.
    """

    seq: int
    timestamp: int
    data: bytes
    keyframe: bool
    codec: str | None
    width: int
    height: int
