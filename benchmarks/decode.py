"""Frames a second that our pipeline decodes, compared with PyNvVideoCodec's threaded decoder or a plain loop of PyAV's.

    python benchmarks/decode.py [--on gpu] [--size 1920x1080] [--frames 900] [--lanes 1,2,4] [--rounds 3]

Ours is what a pool's lanes do: each decodes a range of the file on the GPU's decoder, or on the processor, and lets
each frame go at once. PyNvVideoCodec decodes the whole file with its threaded decoder. Frames stay where they were
decoded. `--on processor` needs no GPU; a loop of PyAV's with as many threads as it likes takes PyNvVideoCodec's place.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import measuring

NAMES = {"libx264": "H.264", "libx265": "HEVC"}
"""Of the codecs that encode the sources."""


def make_source(path: Path, size: str, frames: int, codec: str) -> None:
    """Gradients that move under noise, from PyAV's software codecs, since the GPU's machine may have no ffmpeg."""
    import av
    import numpy as np

    width, height = map(int, size.split("x"))
    noise = np.random.default_rng(1).integers(0, 24, (8, height * 3 // 2, width), dtype=np.uint8)
    y, x = np.mgrid[0 : height * 3 // 2, 0:width]
    with av.open(str(path), "w") as container:
        made: Any = container.add_stream(codec, rate=30, options={"preset": "ultrafast", "crf": "23", "g": "60"})
        made.width, made.height, made.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            picture = ((x + y + 3 * number) % 180 + 20).astype(np.uint8) + noise[number % 8]
            container.mux(made.encode(av.VideoFrame.from_ndarray(picture, "yuv420p")))
        container.mux(made.encode(None))


def ours(path: Path, lanes: int, on_gpu: bool) -> float:
    """Seconds for the whole file, cut into one range for each lane."""
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
            if on_gpu and frame.format.name != "cuda":
                raise SystemExit("The GPU's decoder is not used: is libnvcuvid.so.1 there?")
            if number == wanted:
                break
        return wanted

    start = time.perf_counter()
    with ThreadPoolExecutor(lanes) as threads:
        done = sum(threads.map(decode, range(len(bounds) - 1)))
    assert done == index.frames
    return time.perf_counter() - start


def theirs(path: Path) -> float:
    import PyNvVideoCodec

    start = time.perf_counter()
    decoder = PyNvVideoCodec.ThreadedDecoder(str(path), 12, use_device_memory=True)
    while decoder.get_batch_frames(12):
        pass
    decoder.end()
    return time.perf_counter() - start


def plain_loop(path: Path) -> float:
    import av

    start = time.perf_counter()
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for _ in container.decode(video=0):
            pass
    return time.perf_counter() - start


def ways(path: Path, lanes: list[int], on: str) -> dict[str, Callable[[], float]]:
    """Each returns the seconds that it takes for the file."""
    on_gpu = on == "gpu"
    todo: dict[str, Callable[[], float]] = {}
    if on_gpu:
        todo["PyNvVideoCodec, threaded decoder"] = partial(theirs, path)
    else:
        todo["PyAV, plain loop"] = partial(plain_loop, path)
    for count in lanes:
        todo[f"ours, {'GPU' if on_gpu else 'processor'}, {count} lane{'s' if count > 1 else ''}"] = partial(
            ours, path, count, on_gpu
        )
    if on_gpu:
        todo["ours, processor, 1 lane"] = partial(ours, path, 1, False)
    return todo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--frames", type=int, default=900)
    parser.add_argument("--lanes", default="1,2,4")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--on", choices=("gpu", "processor"), default="gpu")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    given = parser.parse_args()
    print(measuring.machine("av", "PyNvVideoCodec"))
    lanes, figures = [int(number) for number in given.lanes.split(",")], list[measuring.Figure]()
    with tempfile.TemporaryDirectory() as name:
        for codec in NAMES:
            path = Path(name) / f"{codec}.mp4"
            make_source(path, given.size, given.frames, codec)
            todo = ways(path, lanes, given.on)
            seconds: dict[str, list[float]] = {who: [] for who in todo}
            for _ in range(given.rounds):
                for who, call in todo.items():
                    seconds[who].append(call())
            print(f"\n| {codec}, {given.size} | frames/s (quartiles) |\n|---|---|")
            for who, samples in seconds.items():
                low, middle, high = (given.frames / one for one in measuring.quartiles(samples))
                print(f"| {who} | {middle:.0f} ({high:.0f} to {low:.0f}) |")
                rates = [given.frames / one for one in samples]
                figures.append(measuring.Figure(who, f"{NAMES[codec]}, {given.size}", "fps", rates, "more"))
    measuring.save(given.json, "gpu_decode" if given.on == "gpu" else "decode", figures, "av", "PyNvVideoCodec")


if __name__ == "__main__":
    main()
