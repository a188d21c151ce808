"""Which ``cq`` of each software codec looks like which one of SVT-AV1: the figures behind the scale of ``-q``.

    python benchmarks/quality_scale.py [CLIP ...] [--frames 50] [--scorer PYTHON] [--json FILE]
    python benchmarks/quality_scale.py --presets [CLIP ...] [--json FILE]
    python benchmarks/quality_scale.py --read FILE ... [--presets] [--svg FILE]

Each clip is encoded by ``SoftwareEncoder`` with the settings that a batch has by default, at several values of ``cq``,
and scored by XPSNR, by SSIM and, if the PyAV of ``--scorer`` (another Python, such as 3.12 with PyAV 19) has it, by
VMAF. For each ``cq`` of SVT-AV1, the table then has the ``cq`` of x264 and x265 with the same score, for the median of
all clips and metrics, and the size and time of that beside those of SVT-AV1. ``--read`` makes the table of figures that
``--json`` kept, and ``--svg`` the chart of docs/quality.md.

``--presets`` compares sizes and times of the codecs and their presets where they look like x264 with p4 at quality 28.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise, product
from math import exp, log
from pathlib import Path
from typing import Any

import measuring
import quality_chart
import quality_clips

HERE = Path(__file__).parent
CODECS = ("av1", "hevc", "h264")
VALUES = {
    "av1": (1, 4, 10, 16, 20, 24, 28, 32, 36, 42, 50, 58, 63),
    "hevc": (1, 4, 9, 14, 18, 21, 24, 27, 31, 36, 42, 48),
    "h264": (1, 4, 9, 14, 18, 21, 24, 27, 31, 36, 42, 48),
}
PRESETS = {"h264": ("p4", "p5", "p6", "p7"), "hevc": ("p2", "p3", "p4", "p5"), "av1": ("p3", "p4", "p5")}
NEAR = {"h264": (19, 22, 25), "hevc": (18, 21, 24), "av1": (18, 26, 34)}
"""Values of ``cq`` around quality 28, for the comparison of presets."""
ENOUGH = 5
"""Fewer matches than these, out of three for each clip, are no figure."""
SATURATED = {"vmaf": 99.0, "ssim": 35.0, "xpsnr": 70.0}
"""Scores above these no longer tell encodes apart."""


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


def batch_settings(codec: str, cq: float, preset: str, width: int, height: int) -> Any:
    """The configuration that a batch with its default settings uses."""
    from pdum.nvenc import EncoderConfig
    from pdum.nvenc._batch.settings import BatchSettings
    from pdum.nvenc._batch.supported_settings import supported_settings

    fields = dict(supported_settings(BatchSettings(engine="software", preset=preset), []).encoder)
    return EncoderConfig.of(
        {**fields, "cq": cq, "codec": codec, "width": width, "height": height, "format": "yuv420", "fps": 25}
    )


def encoded(frames: list[Any], codec: str, cq: float, preset: str) -> tuple[list[bytes], float]:
    """The packets, and the seconds of processor time."""
    from pdum.nvenc import SoftwareEncoder

    begun = time.process_time()
    with SoftwareEncoder(batch_settings(codec, cq, preset, frames[0].width, frames[0].height)) as encoder:
        packets = [packet for number, frame in enumerate(frames) for packet in encoder.submit(frame, number)]
        packets += encoder.flush_pipeline()
    return [packet.data for packet in packets], time.process_time() - begun


def decoded(codec: str, packets: Iterable[bytes]) -> Iterator[Any]:
    import av

    decoder: Any = av.CodecContext.create("libdav1d" if codec == "av1" else codec, "r")
    for data in packets:
        yield from decoder.decode(av.Packet(data))
    yield from decoder.decode(None)


def write_raw(path: Path, frames: Iterable[Any]) -> None:
    with path.open("wb") as file:
        for frame in frames:
            file.write(frame.to_ndarray().tobytes())


def measured(clip: str, frames: list[Any], presets: bool, scorer: str, folder: Path) -> Iterator[Encode]:
    source, result = folder / "source.yuv", folder / "result.yuv"
    write_raw(source, frames)
    size = f"{frames[0].width}x{frames[0].height}"
    for codec in CODECS:
        for preset, cq in product(PRESETS[codec] if presets else ["p4"], (NEAR if presets else VALUES)[codec]):
            packets, seconds = encoded(frames, codec, cq, preset)
            write_raw(result, decoded(codec, packets))
            command = [scorer, str(HERE / "quality_scores.py"), size, str(source), str(result)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            yield Encode(clip, codec, cq, sum(map(len, packets)), seconds, json.loads(output), preset)


# ---- from figures to the table ---------------------------------------------------------------------------------------


def line(points: list[tuple[float, float]], at: float) -> float | None:
    """The value at ``at`` on the line through the points; None outside of them."""
    for (x1, y1), (x2, y2) in pairwise(sorted(points)):
        if x1 <= at <= x2:
            return y1 if x1 == x2 else y1 + (at - x1) / (x2 - x1) * (y2 - y1)
    return None


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


def matches(encodes: list[Encode]) -> Iterator[Match]:
    for clip in dict.fromkeys(one.clip for one in encodes):
        for one in [one for one in encodes if (one.clip, one.codec) == (clip, "av1")]:
            for metric, score in one.scores.items():
                for codec in CODECS[1:]:
                    others = [other for other in encodes if (other.clip, other.codec) == (clip, codec)]
                    cq = line([(other.scores[metric], other.cq) for other in others], score)
                    if cq is None or score > SATURATED[metric]:
                        continue
                    size = line([(other.cq, other.size) for other in others], cq) or 0
                    seconds = line([(other.cq, other.seconds) for other in others], cq) or 0
                    yield Match(clip, metric, one.cq, codec, cq, size / one.size, seconds / one.seconds)


def print_table(found: list[Match]) -> None:
    print(f"\n{'av1':>4}" + "".join(f"  {codec:>5} {'(range)':>13} {'size':>5} {'time':>5}" for codec in CODECS[1:]))
    for av1 in sorted({one.av1 for one in found}):
        print(f"{av1:4g}", end="")
        for codec in CODECS[1:]:
            some = [one for one in found if (one.av1, one.codec) == (av1, codec)]
            if len(some) >= ENOUGH:
                low, middle, high = measuring.quartiles([one.cq for one in some])
                size, seconds = (statistics.median(values) for values in _columns(some))
                print(f"  {middle:5.1f} ({low:5.1f}-{high:5.1f}) {size:5.2f} {seconds:5.2f}", end="")
            else:
                print(f"  {'-':>5} {'':>13} {'':>5} {'':>5}", end="")
        print()


def print_rows(found: list[Match]) -> None:
    """The measured rows of TABLES in pdum.nvenc._config.quality_scale, which has SVT-AV1's from publications.

    A "?" is better than all that was measured; TABLES has 1 there.
    """
    from pdum.nvenc._config.quality_scale import TABLES

    print()
    for codec in CODECS[1:]:
        middle = medians(found, codec)
        values = [line(middle, av1) for av1 in TABLES["software", "av1"]]
        said = ", ".join("?" if value is None else f"{value:.1f}" for value in values)
        print(f'("software", "{codec}"): ({said}),')


def medians(found: list[Match], codec: str) -> list[tuple[float, float]]:
    """The median ``cq`` of the codec for each ``cq`` of SVT-AV1."""
    some = [one for one in found if one.codec == codec]
    values = {av1: [one.cq for one in some if one.av1 == av1] for av1 in sorted({one.av1 for one in some})}
    return [(av1, statistics.median(all_of)) for av1, all_of in values.items() if len(all_of) >= ENOUGH]


def print_presets(encodes: list[Encode]) -> None:
    """Sizes and times at equal scores, as parts of those of x264 with p4."""
    print(f"\n{'':8}   {'size':>5} {'(range)':>11} {'time':>5}")
    for codec in CODECS[::-1]:
        for preset in PRESETS[codec]:
            found = list(_beside_x264(encodes, codec, preset))
            if found:
                sizes, seconds = zip(*found, strict=True)
                low, middle, high = measuring.quartiles(sizes)
                print(f"{codec:5} {preset}   {middle:5.2f} ({low:4.2f}-{high:4.2f}) {statistics.median(seconds):5.2f}")


def _beside_x264(encodes: list[Encode], codec: str, preset: str) -> Iterator[tuple[float, float]]:
    for clip, metric in product(dict.fromkeys(one.clip for one in encodes), SATURATED):
        base = [one for one in encodes if (one.clip, one.codec, one.preset) == (clip, "h264", "p4")]
        some = [one for one in encodes if (one.clip, one.codec, one.preset) == (clip, codec, preset)]
        score = line([(one.cq, one.scores[metric]) for one in base], 22)
        if score is None or score > SATURATED[metric]:
            continue
        (size, seconds), (of_size, of_seconds) = (
            [line([(one.scores[metric], log(value(one))) for one in group], score) for value in (_size, _seconds)]
            for group in (some, base)
        )
        if size is not None and seconds is not None and of_size is not None and of_seconds is not None:
            yield exp(size - of_size), exp(seconds - of_seconds)


def _size(one: Encode) -> float:
    return one.size


def _seconds(one: Encode) -> float:
    return one.seconds


def _columns(some: list[Match]) -> tuple[list[float], list[float]]:
    return [one.size for one in some], [one.seconds for one in some]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", type=Path, help="real videos, beside those that are made here")
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--scorer", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--only", default="", metavar="NAME,NAME", help="some of the made clips; none: -")
    parser.add_argument("--presets", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--read", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--svg", type=Path, metavar="FILE")
    options = parser.parse_args()
    if options.read:
        encodes = [Encode(**one) for path in options.read for one in json.loads(path.read_text())]
    else:
        print(measuring.machine("av"), flush=True)
        encodes = list(_measure(options))
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in encodes]))
    if options.presets:
        print_presets(encodes)
    else:
        found = list(matches(encodes))
        print_table(found)
        print_rows(found)
        if options.svg:
            quality_chart.draw(options.svg, [(one.codec, one.av1, one.cq) for one in found])


def _measure(options: argparse.Namespace) -> Iterator[Encode]:
    wanted = options.only.split(",") if options.only else list(quality_clips.MADE)
    sources = {name: make(options.frames) for name, make in quality_clips.MADE.items() if name in wanted}
    sources |= {path.stem: quality_clips.of_file(path, options.frames) for path in options.clips}
    with tempfile.TemporaryDirectory() as folder:
        for name, frames in sources.items():
            for one in measured(name, list(frames), options.presets, options.scorer, Path(folder)):
                said = " ".join(f"{metric} {score:.2f}" for metric, score in one.scores.items())
                what = f"{name:16} {one.codec:5} {one.preset} cq {one.cq:3g}"
                print(f"{what} {one.size:9,} B {one.seconds:6.1f} s  {said}", flush=True)
                yield one


if __name__ == "__main__":
    main()
