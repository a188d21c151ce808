"""Scores of a clip against its source, for quality_scale.py: XPSNR, SSIM and, if PyAV's FFmpeg has it, VMAF.

    python benchmarks/quality_scores.py WIDTHxHEIGHT SOURCE.yuv RESULT.yuv

Both files hold raw 4:2:0 pictures of 8 bits. This file needs only PyAV and NumPy, so that another Python than that of
the package can run it: PyAV has VMAF from version 19 on, which needs Python 3.12.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from itertools import zip_longest
from math import log10
from pathlib import Path
from typing import Any

RATE = 25
MOST_DECIBELS = 100.0


def pictures(path: str, width: int, height: int) -> Iterator[Any]:
    import av
    import numpy as np

    size = width * height * 3 // 2
    with open(path, "rb") as file:
        while data := file.read(size):
            array = np.frombuffer(data, np.uint8).reshape(-1, width)
            yield av.VideoFrame.from_ndarray(array, "yuv420p")


def scores(source: str, result: str, width: int, height: int) -> dict[str, float]:
    """The mean of all pictures, by metric. Decibels throughout, but for VMAF; SSIM as -10 log10(1 - SSIM)."""
    from av.filter import filters_available

    found = {}
    for metric, take in (("xpsnr", _xpsnr), ("ssim", _ssim)):
        each = [take(one) for one in _filtered(metric, "", source, result, width, height)]
        found[metric] = sum(each) / len(each)
    found["ssim"] = min(MOST_DECIBELS, -10 * log10(max(1e-10, 1 - found["ssim"])))
    if "libvmaf" in filters_available:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "vmaf.json"
            for _ in _filtered("libvmaf", f"log_path={log}:log_fmt=json:n_threads=2", source, result, width, height):
                pass
            gc.collect()  # the filter writes its results when it is freed
            found["vmaf"] = float(json.loads(log.read_text())["pooled_metrics"]["vmaf"]["mean"])
    return found


def _xpsnr(metadata: dict[str, str]) -> float:
    y, u, v = (min(MOST_DECIBELS, float(metadata[f"lavfi.xpsnr.xpsnr.{plane}"])) for plane in "yuv")
    return (4 * y + u + v) / 6


def _ssim(metadata: dict[str, str]) -> float:
    return float(metadata["lavfi.ssim.All"])


def _filtered(name: str, arguments: str, source: str, result: str, width: int, height: int) -> Iterator[dict[str, str]]:
    import av
    from av.filter import Graph

    graph = Graph()
    size = f"video_size={width}x{height}:pix_fmt=yuv420p:time_base=1/{RATE}:frame_rate={RATE}"
    inputs = [graph.add("buffer", args=size) for _ in range(2)]
    middle, sink = graph.add(name, arguments), graph.add("buffersink")
    for place, one in enumerate(inputs):
        one.link_to(middle, 0, place)
    middle.link_to(sink)
    graph.configure()

    def ready() -> Iterator[dict[str, str]]:
        while True:
            try:
                frame: Any = sink.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            yield dict(frame.metadata)

    both = zip_longest(pictures(result, width, height), pictures(source, width, height))
    for number, pair in enumerate(both):
        for one, frame in zip(inputs, pair, strict=True):
            if frame is None:
                raise SystemExit(f"{result} and {source} have different numbers of pictures.")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            one.push(frame)
        yield from ready()
    for one in inputs:
        one.push(None)
    yield from ready()


def main() -> None:
    size, source, result = sys.argv[1:]
    width, height = map(int, size.split("x"))
    print(json.dumps(scores(source, result, width, height)))


if __name__ == "__main__":
    main()
