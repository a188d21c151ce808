"""Logs video to Rerun as packets of an encoder, which take far less room than pictures.

    pip install pdum-nvenc[files] rerun-sdk
    python examples/rerun_video.py --out demo.rrd         # rerun demo.rrd shows it
    python examples/rerun_video.py                        # opens the viewer

``VideoLog`` is all that a program of your own needs. It encodes on the graphics card if that has an encoder, and on the
processor if not.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy
import rerun

from pdum.nvenc import EncoderConfig, NvencEncoder, Packet, SoftwareEncoder, available

CODECS = {"h264": rerun.VideoCodec.H264, "hevc": rerun.VideoCodec.H265, "av1": rerun.VideoCodec.AV1}


class VideoLog:
    """One video of a Rerun recording: ``log`` takes frames of the configuration's format, on the host or on a GPU.

    Rerun wants each packet when its frame is shown, so the configuration must have no B-frames. The default has none.
    A viewer can start at each key frame only: ``gop`` says how far apart they are.
    """

    def __init__(
        self, recording: rerun.RecordingStream, entity: str, config: EncoderConfig, timeline: str = "video_time"
    ) -> None:
        if config.bframes != 0:
            raise ValueError(f"Expected bframes=0, since Rerun shows packets in their order, got {config.bframes}.")
        self.recording, self.entity, self.timeline = recording, entity, timeline
        self.encoder = NvencEncoder(config) if available(config.gpu_id) else SoftwareEncoder(config)
        self._times: dict[int, float] = {}  # of frames in flight, by number
        self._count = 0
        recording.log(entity, rerun.VideoStream(codec=CODECS[self.encoder.codec]), static=True)

    def log(self, frame: Any, seconds: float) -> None:
        """Encodes a frame. Its packet gets the frame's time, also if the encoder returns it later."""
        self._times[self._count] = seconds
        self._send(self.encoder.submit(frame, self._count))
        self._count += 1

    def _send(self, packets: list[Packet]) -> None:
        for packet in packets:
            self.recording.set_time(self.timeline, duration=self._times.pop(packet.seq))
            sample = rerun.VideoStream.from_fields(sample=packet.data, is_keyframe=packet.keyframe)
            self.recording.log(self.entity, sample)

    def close(self) -> None:
        """Logs the packets that are still in the encoder."""
        self._send(self.encoder.flush_pipeline())
        self.encoder.close()

    def __enter__(self) -> VideoLog:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def waves(width: int, height: int, count: int) -> Iterator[Any]:
    """Pictures in RGB, as a camera or a renderer would give them."""
    y, x = numpy.mgrid[:height, :width] / height
    for number in range(count):
        turns = [numpy.sin(9 * x + number / 9), numpy.cos(7 * y - number / 7), numpy.sin(5 * (x + y) + number / 5)]
        yield (127 + 127 * numpy.stack(turns, axis=-1)).astype(numpy.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description="Logs a small video to Rerun.")
    parser.add_argument("--out", help="the .rrd file to write; without it, the viewer is opened")
    parser.add_argument("--codec", default="h264", choices=CODECS)
    parser.add_argument("--frames", type=int, default=300)
    options = parser.parse_args()
    recording = rerun.RecordingStream("pdum_nvenc_video")
    if options.out:
        recording.save(options.out)
    else:
        recording.spawn()
    config = EncoderConfig(width=640, height=360, codec=options.codec, format="rgb", fps=30, gop=30)
    with VideoLog(recording, "camera", config) as video:
        for number, picture in enumerate(waves(config.width, config.height, options.frames)):
            video.log(picture, number / 30)
    recording.disconnect()


if __name__ == "__main__":
    main()
