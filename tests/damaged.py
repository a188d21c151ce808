"""Video files with some packets that cannot be decoded, or are missing."""

from __future__ import annotations

from pathlib import Path

import av


def damaged(source: Path, packets: set[int], folder: Path) -> Path:
    """A copy with most bytes of some packets overwritten, which its container does not show."""
    path = folder / f"damaged{source.suffix}"
    with av.open(str(source)) as whole, av.open(str(path), "w") as container:
        video = whole.streams.video[0]
        made = container.add_stream_from_template(video)
        number = 0
        for packet in whole.demux(video):
            if not packet.size:
                continue
            data = bytes(packet)
            copy = av.Packet(data[:5] + b"\x55" * (len(data) - 5) if number in packets else data)
            copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
            copy.time_base, copy.is_keyframe, copy.stream = packet.time_base, packet.is_keyframe, made
            container.mux(copy)
            number += 1
    return path


def without(source: Path, packets: set[int], folder: Path) -> Path:
    """A copy in which some packets are missing, and with them what others refer to."""
    path = folder / f"without{source.suffix}"
    with av.open(str(source)) as whole, av.open(str(path), "w") as container:
        made = container.add_stream_from_template(whole.streams.video[0])
        for number, packet in enumerate(whole.demux(video=0)):
            if packet.size and number not in packets:
                packet.stream = made
                container.mux(packet)
    return path
