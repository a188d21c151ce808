"""Sends pictures by WebRTC as packets of a LiveEncoder, which obeys what the other side asks for.

    pip install pdum-nvenc[files] aiortc
    python examples/aiortc_track.py                  # two peers on this machine, 100 frames

``LiveTrack`` is all that a server of your own needs: add it to a connection, and let it ``obey`` the sender. A viewer
who asks for a key frame (PLI, FIR) gets one, and the bitrate follows the viewer's estimate (REMB). The profile is the
one that every browser takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import aiortc
import av
import numpy
from aiortc.rtp import RTCP_PSFB_APP, RTCP_PSFB_FIR, RTCP_PSFB_PLI, RtcpPsfbPacket, unpack_remb_fci

from pdum.nvenc import LiveEncoder, LivePacket

MICROSECOND = Fraction(1, 1_000_000)


class LiveTrack(aiortc.MediaStreamTrack):
    """A video track whose packets are ours. ``render(number)`` makes the frames, on the host or on a GPU."""

    kind = "video"

    def __init__(self, render: Callable[[int], Any], fps: int = 30, **encoder: Any) -> None:
        super().__init__()
        self.live = LiveEncoder(fps=fps, **{"profile": "baseline", **encoder})
        self._render, self._fps = render, fps
        self._number = 0
        self._start: float | None = None
        self._ready: list[LivePacket] = []

    async def recv(self) -> Any:
        """The next packet, in time. A frame that must not be sent now is left out."""
        while not self._ready:
            now = asyncio.get_running_loop().time()
            self._start = now if self._start is None else self._start
            await asyncio.sleep(self._start + self._number / self._fps - now)
            frame = self._render(self._number)
            self._ready += await self.live.submit_async(frame, self._number * 1_000_000 // self._fps)
            self._number += 1
        packet = self._ready.pop(0)
        made = av.Packet(packet.data)
        made.pts, made.time_base, made.is_keyframe = packet.timestamp, MICROSECOND, packet.keyframe
        return made

    def obey(self, sender: Any) -> None:
        """Heeds the reports that the sender gets. aiortc itself acts on them only for frames that it encodes."""
        handle = sender._handle_rtcp_packet

        async def heed(report: Any) -> None:
            if isinstance(report, RtcpPsfbPacket) and report.fmt in (RTCP_PSFB_PLI, RTCP_PSFB_FIR):
                self.live.request_keyframe()
            elif isinstance(report, RtcpPsfbPacket) and report.fmt == RTCP_PSFB_APP:
                self.live.feedback(bandwidth=unpack_remb_fci(report.fci)[0])
            await handle(report)

        sender._handle_rtcp_packet = heed

    def stop(self) -> None:
        super().stop()
        self.live.close()


async def connect(sending: aiortc.RTCPeerConnection, receiving: aiortc.RTCPeerConnection, track: LiveTrack) -> None:
    """Two peers of this process, for H.264 alone."""
    track.obey(sending.addTrack(track))
    codecs = aiortc.RTCRtpSender.getCapabilities("video").codecs
    sending.getTransceivers()[0].setCodecPreferences([codec for codec in codecs if codec.mimeType == "video/H264"])
    await sending.setLocalDescription(await sending.createOffer())
    await receiving.setRemoteDescription(sending.localDescription)
    await receiving.setLocalDescription(await receiving.createAnswer())
    await sending.setRemoteDescription(receiving.localDescription)


async def main() -> None:
    sending, receiving = aiortc.RTCPeerConnection(), aiortc.RTCPeerConnection()
    arrived: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    receiving.on("track", arrived.set_result)
    await connect(sending, receiving, LiveTrack(lambda number: numpy.full((360, 640, 3), number % 256, numpy.uint8)))
    watched = await arrived
    frames = [await watched.recv() for _ in range(100)]
    print(f"{len(frames)} frames of {frames[-1].width}x{frames[-1].height} arrived.")
    await asyncio.gather(sending.close(), receiving.close())


if __name__ == "__main__":
    asyncio.run(main())
