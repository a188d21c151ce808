"""How many bytes of a result are not video, before it is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .av import import_av
from .decoder import open_source
from .passthrough import Passthrough, plan
from .source import Index
from .span import Span

BYTES_OF_A_PACKET = {"matroska": 8}
"""What a container needs for one packet: its size, its times and its place."""
USUAL_BYTES_OF_A_PACKET = 14
BYTES_OF_A_FILE = 700


def bytes_beside_video(
    source: Path, index: Index, container: str, audio: str | int, span: Span | None, interrupted: Callable[[], None]
) -> int:
    """Sound and other streams as they will be in the result, and the container's own bytes. This reads the source."""
    with open_source(source) as opened:
        found = plan(opened, index.stream, container, audio, span)
        encoded = sum(one.audio.bit_rate for one in found.carried if one.audio is not None) / 8
        own = BYTES_OF_A_FILE + _bytes_of_a_packet(container) * index.frames
        return round(own + encoded * index.duration + _bytes_copied(found, opened, interrupted))


def _bytes_of_a_packet(container: str) -> int:
    return BYTES_OF_A_PACKET.get(container, USUAL_BYTES_OF_A_PACKET)


def _bytes_copied(found: Passthrough, source: Any, interrupted: Callable[[], None]) -> int:
    streams = [one.source for one in found.carried if one.how in ("copy", "text")]
    total = sum(len(one.source.data) for one in found.carried if one.how == "attach" and hasattr(one.source, "data"))
    if not streams:
        return total
    try:
        for number, packet in enumerate(source.demux(streams)):
            if not number % 256:
                interrupted()
            if packet.size and (found.span is None or found.span.kept(packet)):
                total += packet.size + _bytes_of_a_packet(found.container)
    except import_av().error.FFmpegError:
        pass  # a source that ends early is reported when the result is written
    return total
