"""Publishes numbered pictures by examples/livekit_publish.py to a room of ours, and prints what the room saw."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

from livekit import rtc
from livekit_publish import PublishedVideo

from coloured import STEP, picture
from livekit_room import Room

WIDTH, HEIGHT, COLOURS = 320, 192, 12
MOST = 600  # frames until it gives up


def noted_wishes(video: PublishedVideo) -> list[int]:
    """The bitrates that LiveKit will ask for."""
    wishes: list[int] = []
    take = video.source.take_feedback

    def noted() -> rtc.EncodedVideoSourceFeedback:
        feedback = take()
        if feedback.rate_control is not None:
            wishes.append(feedback.rate_control.target_bitrate_bps)
        return feedback

    video.source.take_feedback = noted
    return wishes


async def main(codec: str) -> None:
    server, room = Room(), rtc.Room()
    await asyncio.wait_for(room.connect(await server.start(), "token"), 30)
    video = PublishedVideo((WIDTH, HEIGHT), codec=codec, fps=30, bitrate=1_000_000)
    await asyncio.wait_for(video.publish(room), 30)
    wishes = noted_wishes(video)
    sent, before, stop_at, asked = 0, 0, MOST, False
    while sent < min(stop_at, MOST):
        await asyncio.to_thread(video.send, picture(sent % COLOURS, WIDTH, HEIGHT))
        sent += 1
        await asyncio.sleep(0.03)
        if len(server.frames) >= 40 and not asked:
            asked, before = True, video.live.statistics.key_frames
            await server.wants_key_frame()
        if asked and stop_at == MOST and video.live.statistics.key_frames > before:
            stop_at = sent + 40
    shades = [float(frame.to_ndarray(format="rgb24")[..., 2].mean()) for frame in server.frames]
    told = {
        "sent": sent,
        "refused": video.refused,
        "numbers": [round((shade - 20) / STEP) for shade in shades],
        "size": [server.frames[-1].width, server.frames[-1].height] if server.frames else None,
        "wishes": wishes,
        "bitrate": video.live.statistics.bitrate,
        "key_frames": [before, video.live.statistics.key_frames],
    }
    print(json.dumps(told))
    await room.disconnect()
    await video.aclose()
    await server.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
