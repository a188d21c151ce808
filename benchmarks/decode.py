"""Frames a second that are decoded: by our decoder, by our pipeline, and by PyNvVideoCodec or a plain loop of PyAV's.

    python benchmarks/decode.py [--size 1920x1080] [--frames 900] [--streams 1,2,3,4,6,8] [--lanes 1,2,4] [--rounds 3]

Streams: so many threads of one process decode the whole file at once, with a decoder each. Lanes are what a pool has:
each decodes a range of the file, on the GPU, by our decoder or FFmpeg's, or on the processor. Frames stay where they
were decoded and are let go at once. `cores` is the processor time for each second. --bitrate makes larger files.
`--on processor` needs no GPU; a loop of PyAV's with as many threads as it likes takes PyNvVideoCodec's place.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import measuring

NAMES = {"libx264": "H.264", "libx265": "HEVC"}
"""Of the codecs that encode the sources."""


def make_source(path: Path, size: str, frames: int, codec: str, bitrate: str) -> None:
    """Gradients that move under noise, from PyAV's software codecs, since the GPU's machine may have no ffmpeg."""
    import av
    import numpy as np

    width, height = map(int, size.split("x"))
    noise = np.random.default_rng(1).integers(0, 24, (8, height * 3 // 2, width), dtype=np.uint8)
    y, x = np.mgrid[0 : height * 3 // 2, 0:width]
    with av.open(str(path), "w") as container:
        rate = {"b": bitrate} if bitrate else {"crf": "23"}
        made: Any = container.add_stream(codec, rate=30, options={"preset": "ultrafast", "g": "60", **rate})
        made.width, made.height, made.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            picture = ((x + y + 3 * number) % 180 + 20).astype(np.uint8) + noise[number % 8]
            container.mux(made.encode(av.VideoFrame.from_ndarray(picture, "yuv420p")))
        container.mux(made.encode(None))


def ours(path: Path, lanes: int, on_gpu: bool) -> float:
    """Seconds for the whole file, cut into one range for each lane."""
    from pdum.nvenc import DecodedFrame
    from pdum.nvenc._files.ranges import cuts
    from pdum.nvenc._media.decode import frames_from
    from pdum.nvenc._media.decoder import Decoding
    from pdum.nvenc._media.hardware_decode import decoder_on
    from pdum.nvenc._media.source import index_source
    from pdum.nvenc.events import EngineInfo

    engine = EngineInfo(index=0, kind="nvenc", gpu_id=0)
    index = index_source(path)
    bounds = [0, *cuts(index, lanes), index.frames]

    def decode(lane: int) -> int:
        frames = frames_from(path, index, bounds[lane], Decoding(on_gpu=decoder_on(engine, path) if on_gpu else None))
        wanted = bounds[lane + 1] - bounds[lane]
        for number, frame in enumerate(frames, 1):
            if on_gpu and not (isinstance(frame, DecodedFrame) or frame.format.name == "cuda"):
                raise SystemExit("The GPU's decoder is not used: is libnvcuvid.so.1 there?")
            if number == wanted:
                break
        return wanted

    start = time.perf_counter()
    with ThreadPoolExecutor(lanes) as threads:
        done = sum(threads.map(decode, range(len(bounds) - 1)))
    assert done == index.frames
    return time.perf_counter() - start


def by_ffmpeg(path: Path, lanes: int) -> float:
    from pdum.nvenc._media.hardware_decode import SWITCH

    os.environ[SWITCH] = "ffmpeg"
    try:
        return ours(path, lanes, on_gpu=True)
    finally:
        del os.environ[SWITCH]


def in_threads(decode: Callable[[Path], int], path: Path, streams: int) -> float:
    start = time.perf_counter()
    with ThreadPoolExecutor(streams) as threads:
        counts = list(threads.map(decode, [path] * streams))
    assert len(set(counts)) == 1, counts
    return time.perf_counter() - start


def by_our_decoder(path: Path) -> int:
    from pdum.nvenc._media.gpu_decoder import decode

    return sum(1 for _ in decode(path))


def by_pynvvideocodec(path: Path) -> int:
    import PyNvVideoCodec

    demuxer = PyNvVideoCodec.CreateDemuxer(str(path))
    decoder = PyNvVideoCodec.CreateDecoder(gpuid=0, codec=demuxer.GetNvCodecId(), usedevicememory=True)
    return sum(len(decoder.Decode(packet)) for packet in demuxer)


@dataclass(frozen=True)
class Contender:
    """Something that decodes the file, once or several times at once."""

    name: str
    run: Callable[[], float]
    """Takes so many seconds."""
    times: int = 1


def contenders(path: Path, streams: list[int], lanes: list[int]) -> list[Contender]:
    found = []
    for count in streams:
        found.append(Contender(f"ours, {count} streams", partial(in_threads, by_our_decoder, path, count), count))
        theirs = partial(in_threads, by_pynvvideocodec, path, count)
        found.append(Contender(f"PyNvVideoCodec, {count} threads", theirs, count))
    found += [Contender(f"ours, {count} lanes", partial(ours, path, count, True)) for count in lanes]
    found += [Contender(f"ours by FFmpeg, {count} lanes", partial(by_ffmpeg, path, count)) for count in lanes]
    return [*found, Contender("ours on the processor, 1 lane", partial(ours, path, 1, False))]


def measured(contender: Contender) -> tuple[float, float]:
    """Seconds for one file's frames, and cores used."""
    before = os.times()
    seconds = contender.run()
    after = os.times()
    return seconds / contender.times, (after.user + after.system - before.user - before.system) / seconds


def compare(path: Path, frames: int, rounds: int, all_of_them: list[Contender], row: str) -> list[measuring.Figure]:
    samples: dict[str, list[tuple[float, float]]] = {one.name: [] for one in all_of_them}
    for _ in range(rounds):
        for one in all_of_them:
            samples[one.name].append(measured(one))
    print(f"\n| {path.name}, {path.stat().st_size >> 20} MiB | frames/s (quartiles) | cores |\n|---|---|---|")
    for name, found in samples.items():
        low, middle, high = (frames / seconds for seconds in measuring.quartiles([seconds for seconds, _ in found]))
        cores = measuring.quartiles([cores for _, cores in found])[1]
        print(f"| {name} | {middle:.0f} ({high:.0f} to {low:.0f}) | {cores:.1f} |", flush=True)
    return [
        measuring.Figure(name, row, "fps", [frames / seconds for seconds, _ in found], "more")
        for name, found in samples.items()
    ]


def plain_loop(path: Path) -> float:
    import av

    start = time.perf_counter()
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for _ in container.decode(video=0):
            pass
    return time.perf_counter() - start


def on_the_processor(path: Path, lanes: list[int]) -> list[Contender]:
    ours_by_lanes = [Contender(f"ours, processor, {count} lanes", partial(ours, path, count, False)) for count in lanes]
    return [Contender("PyAV, plain loop", partial(plain_loop, path)), *ours_by_lanes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--frames", type=int, default=900)
    parser.add_argument("--bitrate", default="", help="as 100M; without it, a constant quality")
    parser.add_argument("--streams", default="1,2,3,4,6,8")
    parser.add_argument("--lanes", default="1,2,4")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--on", choices=("gpu", "processor"), default="gpu")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    given = parser.parse_args()
    print(measuring.machine("av", "PyNvVideoCodec"))
    streams, lanes = ([int(one) for one in text.split(",") if one] for text in (given.streams, given.lanes))
    figures: list[measuring.Figure] = []
    with tempfile.TemporaryDirectory() as name:
        for codec in NAMES:
            path = Path(name) / f"{codec}.mp4"
            make_source(path, given.size, given.frames, codec, given.bitrate)
            row = f"{NAMES[codec]}, {given.size}" + (f", {given.bitrate}bit/s" if given.bitrate else "")
            todo = contenders(path, streams, lanes) if given.on == "gpu" else on_the_processor(path, lanes)
            figures += compare(path, given.frames, given.rounds, todo, row)
    measuring.save(given.json, "gpu_decode" if given.on == "gpu" else "decode", figures, "av", "PyNvVideoCodec")


if __name__ == "__main__":
    main()
