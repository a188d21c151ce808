"""As much of a LiveKit server as one publisher needs: its signalling in protobuf, and a WebRTC peer that decodes.

It was written against the messages of the ``livekit-protocol`` package. What an SFU does beyond that is not here.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import WSMsgType, web
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp
from livekit.protocol import models, rtc


class Room:
    """Answers one publisher at ``url``. ``frames`` are what arrived, as PyAV has decoded them."""

    def __init__(self) -> None:
        self.frames: list[Any] = []
        self.peer = RTCPeerConnection()
        self.peer.on("track", self._on_track)
        self.receiver: Any = None
        self._socket: Any = None
        self._reading: list[asyncio.Task[None]] = []
        self._announced: list[models.TrackInfo] = []

    async def start(self) -> str:
        app = web.Application()
        app.router.add_get("/rtc", self._signalling)
        app.router.add_get("/rtc/validate", self._validate)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return f"ws://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        for task in self._reading:
            task.cancel()
        await self.peer.close()
        await self._runner.cleanup()

    async def wants_key_frame(self) -> None:
        """Sends a picture loss indication, as for a viewer who joins."""
        (ssrc,) = self.receiver._RTCRtpReceiver__active_ssrc or [0]
        await self.receiver._send_rtcp_pli(ssrc)

    def _on_track(self, track: Any) -> None:
        if track.kind == "video":
            (self.receiver,) = [one.receiver for one in self.peer.getTransceivers() if one.receiver.track is track]
            self._reading.append(asyncio.ensure_future(self._read(track)))

    async def _read(self, track: Any) -> None:
        while True:
            self.frames.append(await track.recv())

    async def _validate(self, request: web.Request) -> web.Response:
        return web.Response(text="success")

    async def _signalling(self, request: web.Request) -> Any:
        self._socket = web.WebSocketResponse()
        await self._socket.prepare(request)
        await self._send(join=self._joined())
        async for message in self._socket:
            if message.type == WSMsgType.BINARY:
                await self._answer(rtc.SignalRequest.FromString(message.data))
        return self._socket

    def _joined(self) -> rtc.JoinResponse:
        me = models.ParticipantInfo(sid="PA_1", identity="publisher", state=models.ParticipantInfo.ACTIVE)
        me.permission.CopyFrom(
            models.ParticipantPermission(can_publish=True, can_subscribe=True, can_publish_data=True)
        )
        return rtc.JoinResponse(
            room=models.Room(sid="RM_1", name="room"),
            participant=me,
            subscriber_primary=False,
            server_info=models.ServerInfo(protocol=15, version="1.9.0", region="here"),
            ping_timeout=60,
            ping_interval=20,
        )

    async def _send(self, **message: Any) -> None:
        await self._socket.send_bytes(rtc.SignalResponse(**message).SerializeToString())

    async def _answer(self, request: rtc.SignalRequest) -> None:
        kind = request.WhichOneof("message")
        if kind == "offer":
            await self._answer_offer(request.offer)
        elif kind == "trickle":
            await self._add_candidate(json.loads(request.trickle.candidateInit))
        elif kind == "add_track":
            await self._publish(request.add_track)
        elif kind in ("ping", "ping_req"):
            await self._send(pong=1)

    async def _answer_offer(self, offer: rtc.SessionDescription) -> None:
        await self.peer.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
        await self.peer.setLocalDescription(await self.peer.createAnswer())
        description = rtc.SessionDescription(type="answer", sdp=self.peer.localDescription.sdp, id=offer.id)
        await self._send(answer=description)

    async def _add_candidate(self, found: dict[str, Any]) -> None:
        if text := found["candidate"].removeprefix("candidate:"):
            candidate = candidate_from_sdp(text)
            candidate.sdpMid, candidate.sdpMLineIndex = found["sdpMid"], found["sdpMLineIndex"]
            await self.peer.addIceCandidate(candidate)

    async def _publish(self, wanted: rtc.AddTrackRequest) -> None:
        track = models.TrackInfo(sid="TR_1", name=wanted.name, type=wanted.type, width=wanted.width)
        await self._send(track_published=rtc.TrackPublishedResponse(cid=wanted.cid, track=track))
