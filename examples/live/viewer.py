"""One browser that watches: what goes to it over its link, and what it answers."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

from link import Link
from pdum.nvenc import LivePacket

HIGHEST_RATE = 1e9
PATIENCE = 2.0
"""Seconds."""


class BadMessage(Exception):
    """A browser sent something that no page of ours sends."""


@dataclass(frozen=True)
class Sent:
    """A packet for one viewer."""

    packet: LivePacket
    repairs: int
    """The viewer's own: see Viewer."""

    @property
    def data(self) -> bytes:
        return self.packet.data

    def message(self) -> bytes:
        """The length of the header, the header as JSON, and the encoded picture."""
        packet = self.packet
        header = json.dumps(
            {
                "seq": packet.seq,
                "timestamp": packet.timestamp,
                "keyframe": packet.keyframe,
                "codec": packet.codec,
                "width": packet.width,
                "height": packet.height,
                "repairs": self.repairs,
            }
        ).encode()
        return len(header).to_bytes(4, "little") + header + packet.data


class Viewer:
    """The server's side of one browser. Packets begin with the first key frame after it has joined."""

    def __init__(self, name: int, link: Link[Sent]) -> None:
        self.name = name
        self.link = link
        self.rtt = 0.0
        self.acked = -1
        self.has_begun = False
        self.repairs = -1
        """The highest packet that this viewer lost and that pictures from now on do without."""
        self._codec: str | None = None
        self._on_the_way: deque[tuple[int, float]] = deque(maxlen=1000)  # seq and when it was sent

    def offer(self, packet: LivePacket, codec: str, now: float) -> None:
        """Sends a packet. `codec` is the stream's; the viewer is told of it when it differs from what it knows."""
        if not self.has_begun and not packet.keyframe:
            return
        if codec != self._codec and packet.keyframe:
            self._codec = codec
            packet = with_codec(packet, codec)
        if not self.has_begun:
            self.has_begun, self.acked = True, packet.seq - 1
        self._on_the_way.append((packet.seq, now))
        self.link.offer(Sent(packet, self.repairs))

    def take_ack(self, seq: int, now: float) -> None:
        """The packet has arrived. Those before it have arrived as well, or never will."""
        while self._on_the_way and self._on_the_way[0][0] <= seq:
            sent, at = self._on_the_way.popleft()
            if sent == seq:
                self.rtt = now - at
        self.acked = max(self.acked, seq)

    def is_stalled(self, now: float) -> bool:
        """Whether nothing has been heard for so long that the others need not wait for this viewer."""
        return bool(self._on_the_way) and now - self._on_the_way[0][1] > PATIENCE


def with_codec(packet: LivePacket, codec: str) -> LivePacket:
    """Each viewer has to be told of the codec with its first packet, not only the stream's first viewer."""
    return replace(packet, codec=codec)


def whole(message: dict[str, Any], name: str, least: int = 0, most: int = 2**53) -> int:
    """A whole number of a message."""
    found = message[name]
    if not isinstance(found, int) or isinstance(found, bool) or not least <= found <= most:
        raise BadMessage(f"Expected {name} from {least} to {most}, got {found!r:.50}.")
    return found


def size_of(message: dict[str, Any]) -> tuple[int, int]:
    found = message["size"]
    if not isinstance(found, list) or len(found) != 2:
        raise BadMessage(f"Expected size as [width, height], got {found!r:.50}.")
    width, height = (whole({"size": part}, "size", 1, 1 << 16) for part in found)
    return width, height


def rate_of(message: dict[str, Any]) -> float | None:
    """Bits per second; null: no limit."""
    found = message["link"]
    if found is None:
        return None
    return float(whole(message, "link", 1000, int(HIGHEST_RATE)))
