"""How close a result is to its source, by FFmpeg's own filters: VMAF from 0 to 100, XPSNR in decibels, SSIM to 1."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterable
from fractions import Fraction
from itertools import zip_longest
from tempfile import TemporaryDirectory
from typing import Any

from .._errors import EncoderFailed, UnsupportedFeature

MOST_DECIBELS = 100.0
"""The score of equal pictures, whose XPSNR is infinite."""
TIME_BASE = Fraction(1, 25)
FILTERS = {"vmaf": "libvmaf", "xpsnr": "xpsnr", "ssim": "ssim"}
FORMATS_OF_VMAF = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le")


def require_scores(metric: str) -> None:
    """Raises UnsupportedFeature if this PyAV cannot compute the metric."""
    import av
    from av.filter import filters_available

    if metric == "vmaf" and FILTERS[metric] not in filters_available:
        raise UnsupportedFeature(
            f"The target vmaf needs PyAV 19 (Python 3.12 or newer), whose FFmpeg has libvmaf; this is PyAV "
            f"{av.__version__}. Update it, or use xpsnr or ssim instead."
        )
    if metric != "vmaf" and not hasattr(av.VideoFrame, "metadata"):
        raise UnsupportedFeature(
            f"The target {metric} needs PyAV 18 (Python 3.11 or newer); this is PyAV {av.__version__}. Update it, or "
            "set the quality yourself (-q)."
        )


def compare(metric: str, originals: Iterable[Any], results: Iterable[Any]) -> float:
    """The mean score of all pictures. For XPSNR, Y, U and V are weighted 4 to 1 to 1, as is usual for a single number.

    Raises EncoderFailed if one side has fewer pictures than the other.
    """
    graph: _FrameScores | _VmafScores | None = None
    scores: list[float] = []
    try:
        for number, (original, result) in enumerate(zip_longest(originals, results)):
            if original is None or result is None:
                which = "more" if original is None else "fewer"
                raise EncoderFailed(f"A sample of {number} pictures has {which} pictures after encoding.")
            graph = graph or (_VmafScores(result) if metric == "vmaf" else _FrameScores(metric, result))
            scores += graph.push(original, result, number)
        if graph is None:
            raise EncoderFailed("A sample has no pictures after encoding.")
        scores += graph.rest()
    finally:
        if graph is not None:
            graph.close()
    return sum(scores) / len(scores)


def _without_alpha(form: str) -> str:
    """The pixel format of the colours alone, which are what is compared."""
    return form.replace("yuva", "yuv", 1)


class _Pair:
    """FFmpeg's filter between two sources of pictures. The temporal part of XPSNR and VMAF needs consecutive ones."""

    def __init__(self, name: str, like: Any, form: str, arguments: str = "") -> None:
        from av.filter import Graph

        self._format = form
        graph = Graph()
        size = f"video_size={like.width}x{like.height}:pix_fmt={form}"
        given = f"{size}:time_base={TIME_BASE}:frame_rate={1 / TIME_BASE}"
        self._inputs = [graph.add("buffer", args=given) for _ in range(2)]
        middle, sink = graph.add(name, args=arguments), graph.add("buffersink")
        for place, source in enumerate(self._inputs):
            source.link_to(middle, 0, place)
        middle.link_to(sink)
        graph.configure()
        self._graph: Any = graph
        self._sink: Any = sink

    def push(self, original: Any, result: Any, number: int) -> list[Any]:
        for source, frame in zip(self._inputs, (result, original), strict=True):
            picture = frame.reformat(format=self._format) if frame.format.name != self._format else frame
            picture.pts, picture.time_base = number, TIME_BASE
            source.push(picture)
        return self._ready()

    def rest(self) -> list[Any]:
        for source in self._inputs:
            source.push(None)
        return self._ready()

    def close(self) -> None:
        """Ends the filter, which writes its report then. Further calls do nothing."""
        if self._graph is not None:
            self._inputs.clear()
            self._sink = self._graph = None
            gc.collect()  # PyAV's graph and its filters refer to each other

    def _ready(self) -> list[Any]:
        import av

        frames = []
        while True:
            try:
                frames.append(self._sink.pull())
            except (av.BlockingIOError, av.EOFError):
                return frames


class _FrameScores:
    """A filter that writes its score into each frame's metadata."""

    def __init__(self, metric: str, like: Any) -> None:
        self._metric = metric
        self._pair = _Pair(FILTERS[metric], like, _without_alpha(like.format.name))

    def push(self, original: Any, result: Any, number: int) -> list[float]:
        return [_score(self._metric, frame.metadata) for frame in self._pair.push(original, result, number)]

    def rest(self) -> list[float]:
        return [_score(self._metric, frame.metadata) for frame in self._pair.rest()]

    def close(self) -> None:
        """Does nothing: there is nothing to release."""


class _VmafScores:
    """libvmaf writes its scores into a file when it ends."""

    def __init__(self, like: Any) -> None:
        self._folder = TemporaryDirectory(prefix="pdum-nvenc-vmaf-")
        self._report = os.path.join(self._folder.name, "scores.json")
        form = _without_alpha(like.format.name)
        threads = len(os.sched_getaffinity(0))
        self._pair = _Pair(
            FILTERS["vmaf"], like, form if form in FORMATS_OF_VMAF else "yuv420p",
            f"log_path={self._report}:log_fmt=json:n_threads={threads}",
        )  # fmt: skip

    def push(self, original: Any, result: Any, number: int) -> list[float]:
        self._pair.push(original, result, number)
        return []

    def rest(self) -> list[float]:
        self._pair.rest()
        self._pair.close()
        with open(self._report, encoding="utf-8") as file:
            frames = json.load(file)["frames"]
        return [float(frame["metrics"]["vmaf"]) for frame in frames]

    def close(self) -> None:
        self._pair.close()
        self._folder.cleanup()


def _score(metric: str, metadata: dict[str, str]) -> float:
    if metric == "ssim":
        return float(metadata["lavfi.ssim.All"])
    y, u, v = (
        min(MOST_DECIBELS, float(metadata.get(f"lavfi.xpsnr.xpsnr.{plane}", metadata["lavfi.xpsnr.xpsnr.y"])))
        for plane in "yuv"
    )
    return (4 * y + u + v) / 6
