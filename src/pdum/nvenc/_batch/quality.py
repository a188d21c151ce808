"""How close a result is to its source, by FFmpeg's own filters: XPSNR in decibels, SSIM from 0 to 1."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import zip_longest
from typing import Any

from .._errors import EncoderFailed, UnsupportedFeature

MOST_DECIBELS = 100.0
"""The score of equal pictures, whose XPSNR is infinite."""
TIME_BASE = Fraction(1, 25)


def require_scores() -> None:
    """Raises UnsupportedFeature if this PyAV does not pass on the filters' results."""
    import av

    if not hasattr(av.VideoFrame, "metadata"):
        raise UnsupportedFeature(
            f"--target needs PyAV 18 (Python 3.11 or newer); this is PyAV {av.__version__}. Update it, or set the "
            "quality yourself (-q)."
        )


def compare(metric: str, originals: Iterable[Any], results: Iterable[Any]) -> float:
    """The mean score of all pictures. For XPSNR, Y, U and V are weighted 4 to 1 to 1, as is usual for a single number.

    Raises EncoderFailed if one side has fewer pictures than the other.
    """
    graph: _Graph | None = None
    scores: list[float] = []
    for number, (original, result) in enumerate(zip_longest(originals, results)):
        if original is None or result is None:
            which = "more" if original is None else "fewer"
            raise EncoderFailed(f"A sample of {number} pictures has {which} pictures after encoding.")
        graph = graph or _Graph(metric, result)
        scores += graph.push(original, result, number)
    if graph is None:
        raise EncoderFailed("A sample has no pictures after encoding.")
    scores += graph.rest()
    return sum(scores) / len(scores)


class _Graph:
    """FFmpeg's filter between two sources of pictures. The temporal part of XPSNR needs consecutive pictures."""

    def __init__(self, metric: str, like: Any) -> None:
        from av.filter import Graph

        self._metric, self._format = metric, like.format.name
        graph = Graph()
        size = f"video_size={like.width}x{like.height}:pix_fmt={self._format}"
        arguments = f"{size}:time_base={TIME_BASE}:frame_rate={1 / TIME_BASE}"
        self._inputs = [graph.add("buffer", args=arguments) for _ in range(2)]
        middle, self._sink = graph.add(metric), graph.add("buffersink")
        for place, source in enumerate(self._inputs):
            source.link_to(middle, 0, place)
        middle.link_to(self._sink)
        graph.configure()
        self._graph = graph

    def push(self, original: Any, result: Any, number: int) -> list[float]:
        for source, frame in zip(self._inputs, (result, original), strict=True):
            picture = frame.reformat(format=self._format) if frame.format.name != self._format else frame
            picture.pts, picture.time_base = number, TIME_BASE
            source.push(picture)
        return self._ready()

    def rest(self) -> list[float]:
        for source in self._inputs:
            source.push(None)
        return self._ready()

    def _ready(self) -> list[float]:
        import av

        scores = []
        while True:
            try:
                scores.append(_score(self._metric, self._sink.pull().metadata))
            except (av.BlockingIOError, av.EOFError):
                return scores


def _score(metric: str, metadata: dict[str, str]) -> float:
    if metric == "ssim":
        return float(metadata["lavfi.ssim.All"])
    y, u, v = (
        min(MOST_DECIBELS, float(metadata.get(f"lavfi.xpsnr.xpsnr.{plane}", metadata["lavfi.xpsnr.xpsnr.y"])))
        for plane in "yuv"
    )
    return (4 * y + u + v) / 6
