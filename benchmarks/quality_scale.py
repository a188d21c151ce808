"""Which ``cq`` of each software codec looks like which one of SVT-AV1: the figures behind the scale of ``-q``.

    python benchmarks/quality_scale.py [CLIP ...] [--frames 50] [--scorer PYTHON] [--json FILE] [--encodes FILE]
    python benchmarks/quality_scale.py --presets [CLIP ...] ...
    python benchmarks/quality_scale.py --read FILE ... [--presets] [--json FILE]

Each clip is encoded by ``SoftwareEncoder`` with the settings that a batch has by default, at several values of ``cq``,
and scored by XPSNR, by SSIM and by VMAF, if the PyAV of ``--scorer`` (or $QUALITY_SCORER) has it: another Python, such
as 3.12 with PyAV 19. For each ``cq`` of SVT-AV1, the figures then are the ``cq`` of x264 and x265 with the same score,
and the sizes and times beside it, for all clips and metrics. ``--encodes`` keeps each encode with its scores, and
``--read`` makes the figures of what it kept.

``--presets`` compares sizes and times of the codecs and their presets where they look like x264 with p4 at quality 28.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import quality_clips
from measuring import Figure, machine, quartiles, save
from quality_figures import Encode, of_presets, of_the_scale, row_of_tables

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


def scorers_version(scorer: str) -> str:
    """Of the PyAV that gives the scores."""
    command = [scorer, "-c", "import av; print(av.__version__)"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def print_rows(cells: list[tuple[str, str, str, list[float]]]) -> None:
    """The measured rows of TABLES in pdum.nvenc._config.quality_scale, which has SVT-AV1's from publications.

    A "?" is better than all that was measured; TABLES has 1 there.
    """
    from pdum.nvenc._config.quality_scale import TABLES

    for encoder in ("x265", "x264"):
        values = row_of_tables(cells, encoder, TABLES["software", "av1"])
        print(f"{encoder}: {', '.join('?' if value is None else f'{value:.1f}' for value in values)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", type=Path, help="real videos, beside those that are made here")
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--scorer", default=os.environ.get("QUALITY_SCORER") or sys.executable, metavar="PYTHON")
    parser.add_argument("--only", default="", metavar="NAME,NAME", help="some of the made clips; none: -")
    parser.add_argument("--presets", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument("--encodes", type=Path, metavar="FILE", help="keep the encodes and their scores")
    parser.add_argument("--read", type=Path, nargs="+", metavar="FILE", help="of files that --encodes wrote")
    options = parser.parse_args()
    if options.read:
        encodes = [Encode(**one) for path in options.read for one in json.loads(path.read_text())]
    else:
        print(machine("av"), flush=True)
        encodes = list(_measure(options))
    if options.encodes:
        options.encodes.write_text(json.dumps([asdict(one) for one in encodes]))
    cells = list(of_presets(encodes) if options.presets else of_the_scale(encodes))
    for row, column, unit, samples in cells:
        low, middle, high = quartiles(samples)
        print(f"{row}: {column} {middle:.2f} {unit} ({low:.2f} to {high:.2f}, {len(samples)} samples)")
    if not options.presets:
        print_rows(cells)
    figures = [Figure(row, column, unit, samples, "") for row, column, unit, samples in cells]
    metrics = ", ".join(dict.fromkeys(metric.upper() for one in encodes for metric in one.scores))
    scores = {f"{metrics} of av": scorers_version(options.scorer)}
    save(options.json, "quality_presets" if options.presets else "quality_scale", figures, "av", others=scores)


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
