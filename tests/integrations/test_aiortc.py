"""examples/aiortc_track.py with the real aiortc: two peers on loopback, what arrives, and what the viewer asks for."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from peer_packages import ROOT

from loud import need_module

pytestmark = pytest.mark.one_abi

WIDTH, HEIGHT = 160, 96
LEVELS = (40, 90, 140, 190)
FPS = 60
Use = Callable[[Any, Any, Any], Awaitable[None]]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    need_module("aiortc")
    spec = importlib.util.spec_from_file_location("aiortc_track", ROOT / "examples" / "aiortc_track.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def picture(number: int) -> Any:
    return np.full((HEIGHT, WIDTH, 3), LEVELS[number % len(LEVELS)], np.uint8)


def run(example: ModuleType, use: Use) -> None:
    """``use`` gets the track of the sender, the track of the viewer, and the viewer's receiver."""

    async def main() -> None:
        sending, receiving = example.aiortc.RTCPeerConnection(), example.aiortc.RTCPeerConnection()
        arrived: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        receiving.on("track", arrived.set_result)
        track = example.LiveTrack(picture, FPS, backend="software", preset="p1", keyframe_spacing=0)
        await example.connect(sending, receiving, track)
        watched = await arrived
        try:
            await asyncio.wait_for(use(track, watched, receiving.getReceivers()[0]), 60)
        finally:
            await asyncio.gather(sending.close(), receiving.close())
        assert track.live._closed

    asyncio.run(main())


def test_the_frames_arrive_in_order_and_look_right(example: ModuleType) -> None:
    async def use(track: Any, watched: Any, receiver: Any) -> None:
        frames = [await watched.recv() for _ in range(24)]
        assert {(frame.width, frame.height) for frame in frames} == {(WIDTH, HEIGHT)}
        numbers = [round(frame.pts * frame.time_base * FPS) for frame in frames]
        steps = {after - before for before, after in pairwise(numbers)}
        assert steps == {1}, "no frame is missing, and each has its time"
        shown = [frame.to_ndarray(format="gray").mean() for frame in frames]
        first = int(np.argmin([abs(shown[0] - level) for level in LEVELS]))
        wanted = [LEVELS[(first + number) % len(LEVELS)] for number in range(24)]
        assert np.abs(np.array(shown) - wanted).max() < 8
        assert track.live.statistics.key_frames == 1

    run(example, use)


def test_a_viewer_who_asks_for_a_key_frame_gets_one(example: ModuleType) -> None:
    async def use(track: Any, watched: Any, receiver: Any) -> None:
        await watched.recv()
        for _ in range(2):
            before = track.live.statistics.key_frames
            (source,) = {one.source for one in receiver.getSynchronizationSources()}
            await receiver._send_rtcp_pli(source)
            while track.live.statistics.key_frames == before:
                await watched.recv()

    run(example, use)


def test_the_viewers_estimate_is_obeyed(example: ModuleType) -> None:
    """Whatever aiortc's own estimator reports meanwhile: its reports go the same way."""

    async def use(track: Any, watched: Any, receiver: Any) -> None:
        rtp = need_module("aiortc.rtp")
        heard: list[float] = []
        feedback = track.live.feedback

        def listen(bandwidth: float) -> None:
            heard.append(bandwidth)
            feedback(bandwidth=bandwidth)

        track.live.feedback = listen
        await watched.recv()
        before = track.live.statistics.bitrate
        report = rtp.RtcpPsfbPacket(fmt=rtp.RTCP_PSFB_APP, ssrc=1, media_ssrc=0)
        (source,) = {one.source for one in receiver.getSynchronizationSources()}
        report.fci = rtp.pack_remb_fci(before // 4, [source])
        while track.live.statistics.bitrate > before // 3:
            await receiver._send_rtcp(report)
            await watched.recv()
        assert min(heard) <= before // 4

    run(example, use)
