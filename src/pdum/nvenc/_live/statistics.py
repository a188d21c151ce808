"""What a live encoder has done so far."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LiveStatistics:
    """A live encoder's numbers, all at one moment.

    Args:
        encoded: frames that were encoded, each of which is one packet.
        dropped: frames that were not: ``replaced`` by a later one before their turn came, or ``held_back`` because too
            many packets were on their way.
        key_frames: among the encoded ones.
        resized: how often the size changed.
        opened: how many encoders were opened. A change that a running encoder cannot make needs another one.
        repaired: reported losses that needed no key frame.
        bytes: of all packets.
        in_flight: packets without an answer from the viewer.
        bitrate: bits a second that the encoder aims at now; 0: it has no rate to aim at, or no frame yet.
        rtt: seconds, as last heard or measured; None: unknown.
        queue_delay: seconds that packets seem to wait on their way; None: unknown.
        backend: ``"nvenc"``, ``"software"``, or None before the first frame.
        width, height: of the last frame.
    """

    encoded: int = 0
    replaced: int = 0
    held_back: int = 0
    key_frames: int = 0
    resized: int = 0
    opened: int = 0
    repaired: int = 0
    bytes: int = 0
    in_flight: int = 0
    bitrate: int = 0
    rtt: float | None = None
    queue_delay: float | None = None
    backend: str | None = None
    width: int = 0
    height: int = 0

    @property
    def dropped(self) -> int:
        return self.replaced + self.held_back
