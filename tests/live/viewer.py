"""A viewer of a live stream, with a real decoder, and pictures that it can tell apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import av
import numpy as np

from pdum.nvenc import LiveEncoder, LivePacket

WIDTH, HEIGHT = 192, 128
DECODERS = {"avc1": "h264", "hvc1": "hevc", "av01": "libdav1d"}
CLOSE = 4
"""Two pictures are the same if their brightness differs by less than this."""


def grey(level: int, width: int = WIDTH, height: int = HEIGHT) -> Any:
    """A flat NV12 picture of that brightness, from 16 to 235."""
    picture = np.full((height * 3 // 2, width), 128, np.uint8)
    picture[:height] = level
    return picture


def rgb(level: int, width: int = WIDTH, height: int = HEIGHT) -> Any:
    return np.full((height, width, 3), level, np.uint8)


class Viewer:
    """Decodes packets, and starts a new decoder whenever a packet names the codec."""

    def __init__(self) -> None:
        self._decoder: Any = None
        self.shown: list[tuple[int, int, int]] = []
        """Width, height and brightness of each picture."""

    def watch(self, packets: Iterable[LivePacket]) -> None:
        for packet in packets:
            if packet.codec is not None:
                self.end()
                self._decoder = av.CodecContext.create(DECODERS[packet.codec.partition(".")[0]], "r")
                self._decoder.thread_count = 1
            if self._decoder is not None:
                self._show(self._decoder.decode(av.Packet(packet.data)))

    def end(self) -> None:
        if self._decoder is not None:
            self._show(self._decoder.decode(None))
            self._decoder = None

    def _show(self, frames: Iterable[Any]) -> None:
        for frame in frames:
            luma = frame.to_ndarray()[: frame.height, : frame.width]
            self.shown.append((frame.width, frame.height, round(float(luma.mean()))))


def seen(packets: Iterable[LivePacket]) -> list[tuple[int, int, int]]:
    viewer = Viewer()
    viewer.watch(packets)
    viewer.end()
    return viewer.shown


def assert_shows(packets: Iterable[LivePacket], expected: Iterable[tuple[int, int, int]]) -> None:
    shown, wanted = seen(packets), list(expected)
    assert [one[:2] for one in shown] == [one[:2] for one in wanted]
    assert all(abs(one[2] - two[2]) < CLOSE for one, two in zip(shown, wanted, strict=True)), (shown, wanted)


def stream(live: LiveEncoder, pictures: Iterable[Any]) -> list[LivePacket]:
    """The packets of these pictures, whose time stamps are their numbers."""
    packets = [packet for number, picture in enumerate(pictures) for packet in live.submit(picture, number)]
    return packets + live.flush()
