"""Publishes rendered frames to a LiveKit room, encoded here: LiveKit sends the packets as they are.

    pip install pdum-nvenc[files] livekit
    python examples/livekit_publish.py --url ws://localhost:7880 --token TOKEN

``PublishedVideo`` is all that a program of your own needs. Viewers who join or lose packets get a key frame, and the
bitrate follows what LiveKit says of the connection. Frames may lie on a GPU.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

import numpy
from livekit import rtc

from pdum.nvenc import LiveEncoder

CODECS = {"h264": rtc.VideoCodec.H264, "hevc": rtc.VideoCodec.H265, "av1": rtc.VideoCodec.AV1}
KINDS = {True: rtc.EncodedFrameType.ENCODED_FRAME_KEY, False: rtc.EncodedFrameType.ENCODED_FRAME_DELTA}


class PublishedVideo:
    """A video track of a room. ``send`` takes RGB frames, or those of ``format=``; its size may change at any time.

    Args:
        size: of the first frame: width and height.
        name: of the track.
        codec, settings: as ``LiveEncoder`` takes them.
    """

    def __init__(self, size: tuple[int, int], name: str = "video", codec: str = "h264", **settings: Any) -> None:
        self.codec = CODECS[codec]
        self.live = LiveEncoder(codec=codec, **settings)
        self.source = rtc.EncodedVideoSource(*size)
        self.track = rtc.LocalVideoTrack.create_video_track(name, self.source)
        self.refused = 0  # packets that LiveKit has not taken, as before the connection is up

    async def publish(self, room: rtc.Room) -> rtc.LocalTrackPublication:
        options = rtc.TrackPublishOptions(
            source=rtc.TrackSource.SOURCE_CAMERA,
            video_codec=self.codec,
            video_encoder=rtc.VideoEncoderBackend.ENCODER_BACKEND_PRE_ENCODED,
            simulcast=False,
        )
        return await room.local_participant.publish_track(self.track, options)

    def send(self, frame: Any) -> None:
        """Encodes a frame and hands its packet to LiveKit. Blocks for as long as the encoder works."""
        wishes = self.source.take_feedback()
        if wishes.keyframe_requested:
            self.live.request_keyframe()
        if wishes.rate_control is not None:
            self.live.feedback(bandwidth=wishes.rate_control.target_bitrate_bps)
        for packet in self.live.submit(frame):
            encoded = rtc.EncodedVideoFrame(
                data=packet.data,
                width=packet.width,
                height=packet.height,
                codec=self.codec,
                frame_type=KINDS[packet.keyframe],
                timestamp_us=packet.timestamp,
            )
            self.refused += not self.source.capture_frame(encoded)

    async def aclose(self) -> None:
        self.live.close()
        await self.source.aclose()


def waves(width: int, height: int, number: int) -> Any:
    y, x = numpy.mgrid[:height, :width] / height
    turns = [numpy.sin(9 * x + number / 9), numpy.cos(7 * y - number / 7), numpy.sin(5 * (x + y) + number / 5)]
    return (127 + 127 * numpy.stack(turns, axis=-1)).astype(numpy.uint8)


async def main() -> None:
    parser = argparse.ArgumentParser(description="Publishes a small moving picture to a LiveKit room.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    room, video = rtc.Room(), PublishedVideo((640, 360), fps=30, bitrate=2_000_000)
    await room.connect(options.url, options.token)
    await video.publish(room)
    for number in range(round(options.seconds * 30)):
        await asyncio.to_thread(video.send, waves(640, 360, number))
        await asyncio.sleep(1 / 30)
    await room.disconnect()
    await video.aclose()


if __name__ == "__main__":
    asyncio.run(main())
