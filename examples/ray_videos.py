"""Encodes a Ray dataset of clips: each row's frames become a row with an MP4 file.

    pip install pdum-nvenc[files] "ray[data]"
    python examples/ray_videos.py --out videos

``EncodeClips`` is all that a pipeline of your own needs::

    settings = {"fps": 30, "codec": "hevc"}
    videos = clips.map_batches(
        EncodeClips, fn_constructor_kwargs=settings, batch_size=1, concurrency=3, num_gpus=1 / 3
    )

An actor holds one encoder session at a time. A GPU with three encoders, such as an L4, is busy with three actors, so
each asks for a third of it. Without GPUs, leave ``num_gpus`` out: the processor encodes.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

import numpy
import ray

from pdum.nvenc import VideoWriter


class EncodeClips:
    """For ``Dataset.map_batches``: replaces the column of frames by a column of files.

    Args:
        frames: the column with the frames of a clip: an array (number, height, width, 3), or a list of arrays.
        video: the name of the new column.
        settings: as ``VideoWriter`` takes them: ``fps``, ``codec``, ``quality``, ``bitrate``, …
    """

    def __init__(self, frames: str = "frames", video: str = "video", **settings: Any) -> None:
        self.frames, self.video, self.settings = frames, video, settings

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        clips = batch.pop(self.frames)
        return {**batch, self.video: numpy.array([self.encoded(clip) for clip in clips], dtype=object)}

    def encoded(self, clip: Any) -> bytes:
        file = io.BytesIO()
        with VideoWriter(file, **self.settings) as video:
            for frame in clip:
                video.write(frame)
        return file.getvalue()


def made_up(row: dict[str, Any]) -> dict[str, Any]:
    """A clip of a bar that moves. The number of the row decides its colour."""
    frames = numpy.zeros((30, 96, 160, 3), numpy.uint8)
    for number, frame in enumerate(frames):
        frame[:, 4 * number : 4 * number + 24, row["id"] % 3] = 220
    return {"name": f"clip-{row['id']}.mp4", "frames": frames}


def main() -> None:
    parser = argparse.ArgumentParser(description="Encodes made-up clips with Ray Data.")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the videos")
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--actors", type=int, default=1)
    parser.add_argument("--gpus", type=float, help="the part of a GPU that each actor gets, as 0.33")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    videos = (
        ray.data.range(options.clips)
        .map(made_up)
        .map_batches(
            EncodeClips,
            fn_constructor_kwargs={"fps": 30, "codec": "h264"},
            batch_size=1,
            concurrency=options.actors,
            num_gpus=options.gpus,
        )
    )
    for row in videos.iter_rows():
        (options.out / row["name"]).write_bytes(row["video"])


if __name__ == "__main__":
    main()
