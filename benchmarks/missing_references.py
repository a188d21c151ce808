"""What a GPU's decoder says of pictures whose references are missing: a packet is left out of a video of each codec.

    python benchmarks/missing_references.py

For each frame that differs from the undamaged one: whether it is told (`frame.damaged`), and by whom: the GPU's decoder
found an error, or this package found that a picture which it needs is missing. Takes a GPU with a decoder, or a
libnvcuvid.so.1 and a libcuda that stand in for them (LD_LIBRARY_PATH). Needs PyAV and numpy.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np

from pdum.nvenc import NvencError, decode

SIZE, FRAMES, KEY_EVERY, MISSING = (320, 192), 30, 10, 15
CODECS = {"h264": "libx264", "hevc": "libx265", "vp9": "libvpx-vp9", "mpeg2": "mpeg2video"}
OPTIONS: dict[str, dict[str, str]] = {
    "libx264": {"preset": "veryfast", "bf": "2"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=error:bframes=2"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}


def make_source(path: Path, encoder: str) -> None:
    width, height = SIZE
    y, x = np.mgrid[0 : height * 3 // 2, 0:width]
    options = {"g": str(KEY_EVERY), **OPTIONS.get(encoder, {})}
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(encoder, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(FRAMES):
            picture = ((x * 2 + y + number * 7) % 200 + 20).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "yuv420p")))
        container.mux(stream.encode(None))


def leave_out(source: Path, packet_number: int, path: Path) -> None:
    with av.open(str(source)) as whole, av.open(str(path), "w") as container:
        made = container.add_stream_from_template(whole.streams.video[0])
        for number, packet in enumerate(whole.demux(video=0)):
            if packet.size and number != packet_number:
                packet.stream = made
                container.mux(packet)


def report(codec: str, folder: Path) -> None:
    whole, damaged = folder / f"{codec}.mkv", folder / f"{codec}-damaged.mkv"
    make_source(whole, CODECS[codec])
    leave_out(whole, MISSING, damaged)
    good = {frame.pts: np.asarray(frame) for frame in decode(whole)}
    frames = [(frame.pts, told_by(frame), np.asarray(frame)) for frame in decode(damaged)]
    order = sorted(good)
    wrong = {order.index(pts): told for pts, told, picture in frames if not np.array_equal(picture, good[pts])}
    right = sum(bool(told) for _, told, _ in frames) - sum(map(bool, wrong.values()))
    print(f"{codec}: {len(frames)} of {len(good)} frames; wrong: {len(wrong)}; told: {sum(map(bool, wrong.values()))}")
    print(f"  told of frames that are right: {right}")
    for number, told in wrong.items():
        print(f"  frame {number} differs, {f'told by {told}' if told else 'NOT told'}")


def told_by(frame: Any) -> str:
    if frame.lacks_references:
        return "this package"
    return "the GPU" if frame.damaged else ""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for codec in CODECS:
            try:
                report(codec, Path(folder))
            except NvencError as error:
                print(f"{codec}: {error}")


if __name__ == "__main__":
    main()
