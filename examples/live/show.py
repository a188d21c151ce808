"""One scene, one encoder, and all who watch it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from link import Link
from pdum.nvenc import LiveEncoder, LivePacket
from scene import SMALLEST, Scene
from viewer import Sent, Viewer

MICROSECONDS = 1_000_000
MULTIPLE = 8
"""Widths and heights are multiples of this, so that few different sizes come up while a window is dragged."""


class Show:
    """Draws and encodes while somebody watches. All methods are for the event loop's thread.

    Args:
        scene: draws the pictures.
        size: of the pictures until a viewer asks for another one.
        max_size: no picture is wider or higher.
        fps: pictures per second; 0: as fast as they can be made.
        encoder: arguments of ``LiveEncoder``.
    """

    def __init__(
        self,
        scene: Scene,
        *,
        size: tuple[int, int],
        max_size: tuple[int, int],
        fps: float,
        **encoder: Any,
    ) -> None:
        self._scene = scene
        self._max_size = max_size
        self._fps = fps
        self.size = self.fitting(*size)
        self.live = LiveEncoder(max_size, fps=round(fps) or 60, **encoder)
        self._now = asyncio.get_running_loop().time
        self._viewers: list[Viewer] = []
        self._joined = 0
        self._has_viewers = asyncio.Event()
        self._losses: list[tuple[Viewer, int]] = []
        self._acked_by_all = -1
        self._number = 0

    @property
    def viewers(self) -> tuple[Viewer, ...]:
        return tuple(self._viewers)

    @property
    def clock(self) -> int:
        """Microseconds, as in the packets' timestamps."""
        return int(self._now() * MICROSECONDS)

    def join(self, rate: float | None = None) -> Viewer:
        """A new viewer, who begins with a key frame."""
        self._joined += 1
        viewer = Viewer(self._joined, Link[Sent](rate, self._now))
        self._viewers.append(viewer)
        self.live.request_keyframe()
        self._has_viewers.set()
        return viewer

    def leave(self, viewer: Viewer) -> None:
        self._viewers.remove(viewer)
        if not self._viewers:
            self._has_viewers.clear()

    def resize(self, width: int, height: int) -> None:
        """The pictures from now on. The last viewer who asks decides for all."""
        self.size = self.fitting(width, height)

    def fitting(self, width: int, height: int) -> tuple[int, int]:
        """The largest size of this shape that is allowed."""
        shrink = min(1.0, self._max_size[0] / width, self._max_size[1] / height)
        wanted = (int(width * shrink), int(height * shrink))
        return tuple(max(part // MULTIPLE * MULTIPLE, least) for part, least in zip(wanted, SMALLEST, strict=True))  # type: ignore[return-value]

    def lost(self, viewer: Viewer, seq: int) -> None:
        """The viewer has missed this packet. The next picture does without it."""
        self._losses.append((viewer, seq))

    def acked(self, viewer: Viewer, seq: int) -> None:
        """The packet has arrived at the viewer. The slowest viewer sets the pace of the encoder."""
        now = self._now()
        viewer.take_ack(seq, now)
        watching = [one.acked for one in self._viewers if one.has_begun and not one.is_stalled(now)]
        slowest = min(watching, default=-1)
        if slowest > self._acked_by_all:
            self._acked_by_all = slowest
            self.live.feedback(acked=slowest)

    async def run(self) -> None:
        """Makes pictures until it is cancelled."""
        due = self._now()
        while True:
            if not self._viewers:
                await self._has_viewers.wait()
                due = self._now()
            await asyncio.sleep(max(due - self._now(), 0))
            due = max(due + (1 / self._fps if self._fps else 0), self._now())
            await self._make_one()

    async def _make_one(self) -> None:
        losses, self._losses = self._losses, []
        size, number = self.size, self._number
        packets = await asyncio.to_thread(self._encode, number, size, [seq for _, seq in losses])
        self._number += 1
        for viewer, seq in losses:
            viewer.repairs = max(viewer.repairs, seq)
        for packet in packets:
            for viewer in self._viewers:
                viewer.offer(packet, self.live.codec_string or "", self._now())

    def _encode(self, number: int, size: tuple[int, int], losses: list[int]) -> list[LivePacket]:
        """In a thread, so that the event loop goes on meanwhile."""
        for seq in losses:
            self.live.lost(seq)
        timestamp = self.clock
        picture = self._scene.picture(number, *size)
        return self.live.submit(picture, timestamp)

    def state(self, viewer: Viewer) -> dict[str, Any]:
        """What the page shows besides what it measures itself."""
        return {
            **{name: value for name, value in asdict(self.live.statistics).items() if name != "rtt"},
            "viewers": len(self._viewers),
            "rtt": viewer.rtt,
            "link": viewer.link.rate,
            "queue": viewer.link.queued_bytes,
            "queue_delay": viewer.link.delay,
            "link_dropped": viewer.link.dropped,
            "is_slowest": all(viewer.acked <= other.acked for other in self._viewers if other.has_begun),
        }

    def close(self) -> None:
        self.live.close()
