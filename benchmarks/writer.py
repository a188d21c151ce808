"""What a frame costs through ``VideoWriter``, beside a plain ``submit``, and beside other packages' writers.

``--part hardware``: the simulated engine (backend ``null``) takes no time, so that what is measured is this package:
from the caller's frame to a packet, or to a file. ``submit`` and the writers take turns in one process, round after
round.

``--part processor``: the same frames into H.264 of the same preset by software codecs, by this package and by others,
if they are installed (PyAV, OpenCV, imageio-ffmpeg). How much of a writer's time is not the codec's shows there.

    python benchmarks/writer.py [--frames 2000] [--rounds 7] [--size 1920x1080] [--part hardware]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from measuring import Figure, library_folder, machine, quartiles, save

DELAY = 16
Case = Callable[[Any, int, Path], None]


def plain_submit(frame: Any, count: int, folder: Path) -> None:  # noqa: ARG001
    """What a writer's own calls cannot be cheaper than."""
    from pdum.nvenc import NvencEncoder

    rows, width = frame.shape
    with NvencEncoder(width, rows * 2 // 3, preset="p4", tuning="hq", extra_output_delay=DELAY) as encoder:
        for number in range(count):
            encoder.submit(frame, number)
        encoder.flush_pipeline()


def write(target: Any, frame: Any, count: int, **more: Any) -> None:
    from pdum.nvenc import VideoWriter

    with VideoWriter(target, queue_frames=DELAY, **more) as video:
        for _ in range(count):
            video.write(frame)


def to_memory(frame: Any, count: int, folder: Path) -> None:  # noqa: ARG001
    write(None, frame, count, format="nv12", container="stream")


def to_stream(frame: Any, count: int, folder: Path) -> None:
    write(folder / "a.h264", frame, count, format="nv12")


def to_mp4(frame: Any, count: int, folder: Path) -> None:
    write(folder / "a.mp4", frame, count, format="nv12")


def in_software(frame: Any, count: int, folder: Path) -> None:
    write(folder / "a.mp4", frame, count, backend="software", preset="p1", gop=60, cq=23)


def by_pyav(frame: Any, count: int, folder: Path) -> None:
    import av

    with av.open(str(folder / "b.mp4"), "w") as container:
        stream: Any = container.add_stream("libx264", rate=30)
        stream.height, stream.width, stream.pix_fmt = frame.shape[0], frame.shape[1], "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "23"}
        for _ in range(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def by_opencv(frame: Any, count: int, folder: Path) -> None:
    import cv2

    height, width, _ = frame.shape
    writer = cv2.VideoWriter(str(folder / "c.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 30, (width, height))
    for _ in range(count):
        writer.write(frame)
    writer.release()


def by_imageio_ffmpeg(frame: Any, count: int, folder: Path) -> None:
    import imageio_ffmpeg

    options = ["-preset", "ultrafast", "-crf", "23"]
    size = frame.shape[1::-1]
    writer = imageio_ffmpeg.write_frames(str(folder / "d.mp4"), size, fps=30, quality=None, output_params=options)
    writer.send(None)
    for _ in range(count):
        writer.send(frame.tobytes())
    writer.close()


PARTS: dict[str, dict[str, Case]] = {
    "hardware": {"submit": plain_submit, "to memory": to_memory, "to .h264": to_stream, "to .mp4": to_mp4},
    "processor": {
        "VideoWriter": in_software,
        "PyAV": by_pyav,
        "OpenCV (mp4v)": by_opencv,
        "imageio-ffmpeg": by_imageio_ffmpeg,
    },
}


PACKAGES = {"hardware": ("numpy",), "processor": ("av", "opencv-python-headless", "imageio-ffmpeg")}
"""Whose versions matter."""


@contextmanager
def counted(times: list[float], frames: int) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    times.append((time.perf_counter() - begin) / frames * 1e6)


def measured(part: str, frames: int, rounds: int, width: int, height: int) -> dict[str, list[float]]:
    import numpy as np

    warnings.simplefilter("ignore", RuntimeWarning)
    shape = (height * 3 // 2, width) if part == "hardware" else (height, width, 3)
    frame = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    times: dict[str, list[float]] = {name: [] for name in PARTS[part]}
    missing: set[str] = set()
    for _ in range(rounds):
        for name, case in PARTS[part].items():
            if name in missing:
                continue
            with tempfile.TemporaryDirectory() as folder:
                try:
                    with counted(times[name], frames):
                        case(frame, frames, Path(folder))
                except ImportError:
                    missing.add(name)
                    del times[name]
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--part", choices=[*PARTS], default="hardware")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    width, height = (int(part) for part in options.size.split("x"))
    if options.part == "hardware" and not options.inside:
        config = {"gpus": [{"name": "RTX 4090", "fps_1080p": 0}], "backend": "null", "null_bytes": 20_000}
        given = {**os.environ, "LD_LIBRARY_PATH": str(library_folder("full")), "NVSIM_CONFIG": json.dumps(config)}
        return subprocess.run([sys.executable, *sys.argv, "--inside"], env=given, check=False).returncode
    times = measured(options.part, options.frames, options.rounds, width, height)
    print(machine("av", "opencv-python-headless", "imageio-ffmpeg"))
    print(f"{options.frames} frames of {options.size}, {options.rounds} rounds, µs a frame: median (quartiles)")
    yardstick = quartiles(next(iter(times.values())))[1]
    for name, found in times.items():
        low, middle, high = quartiles(found)
        print(f"| {name} | {middle:.1f} ({low:.1f} to {high:.1f}) | {middle / yardstick:.2f} |")
    figures = [Figure(name, "a frame", "µs", found) for name, found in times.items()]
    part = "writer" if options.part == "hardware" else "writer_peers"
    save(options.json, part, figures, *PACKAGES[options.part])
    return 0


if __name__ == "__main__":
    sys.exit(main())
