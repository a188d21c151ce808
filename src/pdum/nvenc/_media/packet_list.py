"""The packets of a source's video in decoding order: their times, and where decoding can begin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .._encoders.bitstreams import SHOWING_KEYS, is_clean, is_shown
from .av import import_av
from .stream_headers import NEW_HEADERS


@dataclass
class PacketList:
    """One entry for each packet, in decoding order. Times are in units of the stream's time base."""

    pts: list[int | None] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    shown: list[bool] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    """The numbers of the packets at which decoding can begin."""
    damaged: bool = False
    changes_headers: bool = False
    """Whether other headers hold from some packet on."""


def demuxed_packets(container: Any, stream: Any, interrupted: Callable[[], None]) -> PacketList:
    """Reads all packets of the stream, and with them the whole file."""
    av = import_av()
    found = PacketList()
    codec = stream.codec_context.name
    extradata = bytes(stream.codec_context.extradata or b"")
    try:
        for packet in container.demux(stream):
            if not packet.size:
                continue
            if not len(found.pts) % 256:
                interrupted()
            if packet.is_keyframe and is_clean(codec, bytes(packet) if codec in SHOWING_KEYS else b"", extradata):
                found.keys.append(len(found.pts))
            found.pts.append(packet.pts)
            found.dts.append(packet.dts)
            found.durations.append(packet.duration or 0)
            found.shown.append(not packet.is_discard and is_shown(codec, bytes(packet) if codec == "vp8" else b""))
            found.damaged |= packet.is_corrupt
            found.changes_headers |= packet.has_sidedata(NEW_HEADERS)
    except av.error.FFmpegError:
        found.damaged = True
    return found
