"""Whether a pool keeps all engines busy: throughput of N engines and the ends of batches, on the simulated driver.

The simulated engines encode at a given rate (`fps_1080p`) and give a fixed access unit (backend `null`); libcuda's
copies do nothing, as on a machine whose GPU does them. So what is measured is whether Python, with its one interpreter
lock, gives every engine its next frame in time. Nothing here ran on a hardware encoder.

Each measurement is a process of its own, from the call to its return: opening sessions, dividing, joining and closing
are in it. A figure is the median of the repeats. `--speed 4` makes engines four times as fast in the cases that would
take long (the 358 images, the batch), which is harder for the client and not easier: the same work in less time.

    scaling     one video over 1 to 8 engines of 344 fps (an L4's at 1080p), against N times the rate of one engine
    fast        8 engines of 1,250 fps each
    images      358 images of one second at 30 fps, 1 engine and 3
    batch       40 files of log-normal lengths on 3 engines, against a semaphore of 3 slots that takes them as they come
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from measuring import Figure, library_folder, machine, quartiles, save

from pdum.nvenc import BaseTask

WIDTH, HEIGHT = 1920, 1080
L4_FPS = 344.0
FAST_FPS = 1250.0
IMAGES, FRAMES_AN_IMAGE = 358, 30
FILES, SIGMA, MEAN_FRAMES, SEED = 40, 1.0, 400, 7
TIMEOUT = 600  # seconds a process


# --- inside the process of one measurement ---


class DeviceFrame:
    """A frame on the GPU, with CuPy's array interface."""

    def __init__(self) -> None:
        from device import LEGACY_STREAM, Device

        pointer, pitch = Device().allocate(WIDTH, HEIGHT * 3 // 2)
        self.__cuda_array_interface__ = {
            "shape": (HEIGHT * 3 // 2, WIDTH), "typestr": "|u1", "data": (pointer, False), "strides": (pitch, 1),
            "stream": LEGACY_STREAM, "version": 3,
        }  # fmt: skip


class Sink:
    """Only counts packets, since their contents do not matter here."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, packets: Sequence[Any]) -> None:
        self.size += sum(len(packet.data) for packet in packets)

    def complete(self, last: int, header: bytes) -> int:  # noqa: ARG002
        return self.size

    def discard(self) -> None:
        self.size = 0


class Synthetic(BaseTask):
    """A file of this many frames, decoded in no time."""

    source = "synthetic"
    estimated_work = 0.0

    def __init__(self, frames: int, frame: Any) -> None:
        self.count, self.frame = frames, frame
        self.estimated_work = float(frames)

    def prepare(self, lanes: int) -> Any:  # noqa: ARG002
        from pdum.nvenc import Plan

        return Plan(frames=self.count, ranges=[(0, self.count)], width=WIDTH, height=HEIGHT, fps=30.0)

    def config(self, engine: Any) -> Any:  # noqa: ARG002
        return configuration()

    def frames(self, first: int, engine: Any) -> Iterator[Any]:  # noqa: ARG002
        for _ in range(first, self.count):
            yield self.frame

    def sink(self, first: int) -> Sink:  # noqa: ARG002
        return Sink()

    def finish(self) -> Any:
        from pdum.nvenc import Result

        return Result(destination="", frames=self.count, size=0)


def configuration() -> Any:
    from pdum.nvenc import EncoderConfig

    return EncoderConfig(width=WIDTH, height=HEIGHT, codec="hevc", tuning="hq", gop=60)


def one_video(frames: int) -> float:
    from pdum.nvenc import EncoderPool

    frame = DeviceFrame()
    with EncoderPool(config=configuration()) as pool:
        begin = time.perf_counter()
        pool.render_video(lambda _, __: frame, frames)
        return time.perf_counter() - begin


def by_the_pool(lengths: Sequence[int]) -> float:
    from pdum.nvenc import EncoderPool

    frame = DeviceFrame()
    with EncoderPool() as pool:
        begin = time.perf_counter()
        pool.run([Synthetic(length, frame) for length in lengths]).raise_for_errors()
        return time.perf_counter() - begin


def by_a_semaphore(lengths: Sequence[int], slots: int) -> float:
    """First come, first served, with a whole file for each slot."""
    from pdum.nvenc import NvencEncoder

    frame = DeviceFrame()

    def encode(length: int) -> None:
        with NvencEncoder(configuration().replaced(extra_output_delay=8)) as encoder:
            for seq in range(length):
                encoder.submit(frame, seq)
            encoder.flush_pipeline()

    async def run() -> None:
        free = asyncio.Semaphore(slots)

        async def one(length: int) -> None:
            async with free:
                await asyncio.to_thread(encode, length)

        await asyncio.gather(*map(one, lengths))

    begin = time.perf_counter()
    asyncio.run(run())
    return time.perf_counter() - begin


def batch_lengths() -> list[int]:
    chance = random.Random(SEED)
    drawn = [chance.lognormvariate(0, SIGMA) for _ in range(FILES)]
    scale = MEAN_FRAMES * FILES / sum(drawn)
    return [max(1, round(length * scale)) for length in drawn]


def work(case: str, frames: int, engines: int) -> dict[str, float]:
    before = time.process_time()
    if case == "video":
        seconds = one_video(frames)
    elif case == "pool":
        seconds = by_the_pool(batch_lengths())
    else:
        seconds = by_a_semaphore(batch_lengths(), engines)
    return {"seconds": seconds, "cpu": time.process_time() - before}


# --- the process that starts them ---


def measure(case: str, engines: int, fps: float, frames: int, repeats: int) -> tuple[list[float], list[float]]:
    """Seconds of each repeat, and cores in use."""
    gpu = {"like": "L4", "name": "engines", "engines": engines, "fps_1080p": fps}
    config = json.dumps({"gpus": [gpu], "backend": "null", "copy": False, "strict": False})
    path = ":".join(filter(None, [str(library_folder("full")), os.environ.get("LD_LIBRARY_PATH", "")]))
    environment = {**os.environ, "LD_LIBRARY_PATH": path, "NVSIM_CONFIG": config}
    command = [sys.executable, __file__, "--worker", case, "--frames", str(frames), "--engines", str(engines)]
    seconds, cores = [], []
    for _ in range(repeats):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
        if done.returncode != 0:
            raise SystemExit(done.stderr)
        answer = json.loads(done.stdout)
        seconds.append(answer["seconds"])
        cores.append(answer["cpu"] / answer["seconds"])
    return seconds, cores


def row(name: str, seconds: Sequence[float], ideal: float, cores: Sequence[float]) -> list[Figure]:
    low, middle, high = quartiles(seconds)
    print(
        f"{name:<40} {middle:8.3f} s ({low:.3f} to {high:.3f}) ideal {ideal:8.3f} s  over it {middle / ideal - 1:+7.2%}"
        f"   {statistics.median(cores):.2f} cores",
        flush=True,
    )
    return [
        Figure(name, "time", "s", list(seconds)),
        Figure(name, "ideal", "s", [ideal], ""),
        Figure(name, "over it", "%", [100 * (one / ideal - 1) for one in seconds]),
        Figure(name, "processor", "cores", list(cores)),
    ]


def scaling(options: argparse.Namespace) -> list[Figure]:
    print(f"one video over N engines of {L4_FPS:.0f} fps; ideal: N times the rate of one engine")
    found = []
    for engines in range(1, 9):
        frames = round(L4_FPS * options.seconds * engines)
        seconds, cores = measure("video", engines, L4_FPS, frames, options.repeats)
        name = f"{engines} engine{'s' if engines > 1 else ''} of {L4_FPS:.0f} fps, {frames} frames"
        found += row(name, seconds, frames / (L4_FPS * engines), cores)
    return found


def fast(options: argparse.Namespace) -> list[Figure]:
    frames = round(FAST_FPS * 8 * options.seconds)
    seconds, cores = measure("video", 8, FAST_FPS, frames, options.repeats)
    found = row(f"8 engines of {FAST_FPS:.0f} fps, {frames} frames", seconds, frames / (FAST_FPS * 8), cores)
    print(f"    {frames / statistics.median(seconds):.0f} frames a second from one process")
    return found


def images(options: argparse.Namespace) -> list[Figure]:
    frames, fps = IMAGES * FRAMES_AN_IMAGE, L4_FPS * options.speed
    print(
        f"{IMAGES} images of a second, {frames} frames, engines of {fps:.0f} fps; ideal: a third of one engine's time"
    )
    alone, cores = measure("video", 1, fps, frames, options.repeats)
    found = row(f"{IMAGES} images, 1 engine", alone, frames / fps, cores)
    three, cores = measure("video", 3, fps, frames, options.repeats)
    return found + row(f"{IMAGES} images, 3 engines", three, statistics.median(alone) / 3, cores)


def batch(options: argparse.Namespace) -> list[Figure]:
    lengths, fps, engines = batch_lengths(), L4_FPS * options.speed, 3
    ideal = sum(lengths) / engines / fps
    print(
        f"{FILES} files of log-normal lengths, {min(lengths)} to {max(lengths)} frames, "
        f"{engines} engines of {fps:.0f} fps; ideal: all work / engines"
    )
    found = []
    for name, case in (("the pool", "pool"), ("a semaphore, as they come", "semaphore")):
        seconds, cores = measure(case, engines, fps, 0, options.repeats)
        found += row(f"{FILES} files, 3 engines, {name}", seconds, ideal, cores)
    return found


CASES = {"scaling": scaling, "fast": fast, "images": images, "batch": batch}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(CASES), help="of the cases above, with commas between (%(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="of each measurement (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="an ideal run of scaling and fast (%(default)s)")
    parser.add_argument("--speed", type=float, default=4.0, help="of the engines in images and batch (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument("--worker", choices=("video", "pool", "semaphore"), help=argparse.SUPPRESS)
    parser.add_argument("--frames", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--engines", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(work(options.worker, options.frames, options.engines)))
        return
    print(machine("numpy"))
    print(f"1080p, medians of {options.repeats}, quartiles in brackets; the driver is simulated")
    figures = [figure for name in options.only.split(",") for figure in CASES[name](options)]
    save(options.json, "pool", figures, "numpy")


if __name__ == "__main__":
    main()
