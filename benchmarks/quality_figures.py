"""From encodes and their scores to figures: which ``cq`` looks the same, and what it costs. For quality_scale.py."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from math import exp, log

Cell = tuple[str, str, str, list[float]]
"""Row, column, unit and samples of a figure."""

NAMES = {"av1": "AV1", "hevc": "HEVC", "h264": "H.264"}
ENCODERS = {"hevc": "x265", "h264": "x264"}
ENOUGH = 5
"""Fewer matches than these, out of three for each clip, are no figure."""
SATURATED = {"vmaf": 99.0, "ssim": 35.0, "xpsnr": 70.0}
"""Scores above these no longer tell encodes apart."""
USUAL = 22
"""The ``cq`` of x264 near quality 28."""
STEPS_FROM = 16
"""The ``cq`` of SVT-AV1 from which the size of a step counts; finer ones keep noise."""


@dataclass(frozen=True)
class Encode:
    """One clip at one ``cq``."""

    clip: str
    codec: str
    cq: float
    size: int
    seconds: float
    """Of processor time, which other processes disturb less than the clock."""
    scores: dict[str, float]
    preset: str = "p4"


@dataclass(frozen=True)
class Match:
    """A codec's ``cq`` with the score of an SVT-AV1 encode, and its size and time beside that one's."""

    clip: str
    metric: str
    av1: float
    codec: str
    cq: float
    size: float
    seconds: float


def line(points: list[tuple[float, float]], at: float) -> float | None:
    """The value at ``at`` on the line through the points; None outside of them."""
    for (x1, y1), (x2, y2) in pairwise(sorted(points)):
        if x1 <= at <= x2:
            return y1 if x1 == x2 else y1 + (at - x1) / (x2 - x1) * (y2 - y1)
    return None


def _at(points: list[tuple[float, float]], at: float) -> float | None:
    """As ``line``, with values on a logarithmic scale: sizes and times grow by parts of themselves."""
    found = line([(x, log(y)) for x, y in points], at)
    return None if found is None else exp(found)


def _size_of(one: Encode) -> float:
    return one.size


def _seconds_of(one: Encode) -> float:
    return one.seconds


VALUES = (_size_of, _seconds_of)


def matches(encodes: list[Encode]) -> Iterator[Match]:
    for clip in dict.fromkeys(one.clip for one in encodes):
        for one in [one for one in encodes if (one.clip, one.codec) == (clip, "av1")]:
            for (metric, score), codec in product(one.scores.items(), ENCODERS):
                others = [other for other in encodes if (other.clip, other.codec) == (clip, codec)]
                cq = line([(other.scores[metric], other.cq) for other in others], score)
                if cq is None or score > SATURATED[metric]:
                    continue
                size, seconds = (_at([(other.cq, value(other)) for other in others], cq) for value in VALUES)
                if size is not None and seconds is not None:
                    yield Match(clip, metric, one.cq, codec, cq, size / one.size, seconds / one.seconds)


# ---- the scale -------------------------------------------------------------------------------------------------------


def of_the_scale(encodes: list[Encode]) -> Iterator[Cell]:
    """A row for each CRF of SVT-AV1: the CRFs with the same scores, and their sizes and times."""
    found = list(matches(encodes))
    for av1 in sorted({one.av1 for one in found}):
        here = [one for one in found if one.av1 == av1]
        columns = {
            **{(name, "CRF"): [one.cq for one in here if one.codec == codec] for codec, name in ENCODERS.items()},
            **{(f"size of {name}", "×"): _of(here, codec, _size_beside) for codec, name in ENCODERS.items()},
            **{(f"time of {name}", "×"): _of(here, codec, _time_beside) for codec, name in ENCODERS.items()},
            ("size of x265 beside x264", "×"): _hevc_beside_h264(here),
        }
        for (column, unit), samples in columns.items():
            if len(samples) >= ENOUGH:
                yield f"SVT-AV1 at {av1:g}", column, unit, samples
    steps = list(_steps(encodes))
    if steps:
        yield "each step of SVT-AV1", "saved by a step", "%", steps


def _size_beside(one: Match) -> float:
    return one.size


def _time_beside(one: Match) -> float:
    return one.seconds


def _of(some: list[Match], codec: str, value: Callable[[Match], float]) -> list[float]:
    return [value(one) for one in some if one.codec == codec]


def _hevc_beside_h264(some: list[Match]) -> list[float]:
    sizes = {(one.clip, one.metric, one.codec): one.size for one in some}
    keys = dict.fromkeys((one.clip, one.metric) for one in some)
    return [
        sizes[(*key, "hevc")] / sizes[(*key, "h264")] for key in keys if {(*key, "hevc"), (*key, "h264")} <= {*sizes}
    ]


def _steps(encodes: list[Encode]) -> Iterator[float]:
    """How much smaller each clip becomes with a step of SVT-AV1's CRF, in percent."""
    for clip in dict.fromkeys(one.clip for one in encodes):
        some = [one for one in encodes if (one.clip, one.codec) == (clip, "av1") and one.cq >= STEPS_FROM]
        if len(some) > 1:
            finest, coarsest = min(some, key=lambda one: one.cq), max(some, key=lambda one: one.cq)
            yield 100 * (1 - (coarsest.size / finest.size) ** (1 / (coarsest.cq - finest.cq)))


def row_of_tables(found: list[Cell], encoder: str, crfs: tuple[float, ...]) -> list[float | None]:
    """The median CRF of x264 or x265 for each CRF of SVT-AV1; None beyond what was measured."""
    points = [
        (float(row.split()[-1]), statistics.median(samples)) for row, name, _, samples in found if name == encoder
    ]
    return [line(points, crf) for crf in crfs]


# ---- codecs and presets ----------------------------------------------------------------------------------------------


def of_presets(encodes: list[Encode]) -> Iterator[Cell]:
    """Sizes and times at equal scores, as parts of those of x264 with p4 at quality 28."""
    kinds = dict.fromkeys((one.codec, one.preset) for one in encodes)
    for codec, preset in sorted(kinds, key=lambda kind: ([*NAMES].index(kind[0]) * -1, kind[1])):
        found = list(_beside_x264(encodes, codec, preset))
        if found:
            sizes, seconds = zip(*found, strict=True)
            row = f"{NAMES[codec]}, {preset}"
            yield row, "size", "×", list(sizes)
            yield row, "processor time", "×", list(seconds)


def _beside_x264(encodes: list[Encode], codec: str, preset: str) -> Iterator[tuple[float, float]]:
    clips = dict.fromkeys(one.clip for one in encodes)
    metrics = dict.fromkeys(metric for one in encodes for metric in one.scores)
    for clip, metric in product(clips, metrics):
        base = [one for one in encodes if (one.clip, one.codec, one.preset) == (clip, "h264", "p4")]
        some = [one for one in encodes if (one.clip, one.codec, one.preset) == (clip, codec, preset)]
        score = line([(one.cq, one.scores[metric]) for one in base], USUAL)
        if score is None or score > SATURATED[metric]:
            continue
        sizes, seconds = (
            [_at([(one.scores[metric], value(one)) for one in group], score) for group in (some, base)]
            for value in VALUES
        )
        if None not in (*sizes, *seconds):
            yield sizes[0] / sizes[1], seconds[0] / seconds[1]  # type: ignore[operator]
