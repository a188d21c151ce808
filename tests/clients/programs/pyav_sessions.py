"""Opens one NVENC session by PyAV for each job of a JSON list, and encodes a few grey pictures in it.

[{"codec": "h264_nvenc", "width", "height", "fps", "gop", "options": {}, "bit_rate", "pix_fmt"}, …]
"""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from typing import Any

import av

PICTURES = 2


def encode(job: dict[str, Any]) -> None:
    context: Any = av.CodecContext.create(job["codec"], "w")
    context.width, context.height = job["width"], job["height"]
    context.pix_fmt = job.get("pix_fmt", "nv12")
    context.framerate = Fraction(job.get("fps", 30))
    context.time_base = 1 / context.framerate
    context.gop_size = job.get("gop", 30)
    context.options = job.get("options", {})
    if "bit_rate" in job:
        context.bit_rate = job["bit_rate"]
    if "colour" in job:
        context.color_primaries = context.color_trc = context.colorspace = job["colour"]
        context.color_range = 1
    for index in range(PICTURES):
        frame = av.VideoFrame(job["width"], job["height"], context.pix_fmt)
        for plane in frame.planes:
            plane.update(bytes([128]) * plane.buffer_size)
        frame.pts = index
        context.encode(frame)
    context.encode(None)


if __name__ == "__main__":
    for one in json.loads(sys.argv[1]):
        encode(one)
