"""Frames a second that are decoded: by our decoder, by our pipeline, and by PyNvVideoCodec or a plain loop of PyAV's.

    python benchmarks/decode.py [--size 1920x1080] [--frames 900] [--streams 1,2,3,4,6,8] [--processes 8]
                                [--lanes 1,2,4] [--codecs libx264,libx265] [--bitrates 27M,148M/50M] [--rounds 3]

Streams: so many threads of one process decode the whole file at once, with a decoder each. Processes do the same in a
process each, which is the limit of the chip; they begin together when all are ready. Lanes are what a pool has: each
decodes a range of the file, on the GPU, by our decoder or FFmpeg's, or on the processor. Frames stay where they were
decoded and are let go at once. `cores` is the processor time for each second, and `chip` how busy NVML says that the
GPU's decoders were. Each of --bitrates makes a file; an empty one is a constant quality, and / is between the lists of
several codecs. The contenders' order changes from round to round, and one more round comes first, whose figures are
dropped.
`--on processor` needs no GPU; a loop of PyAV's with as many threads as it likes takes PyNvVideoCodec's place.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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


def in_processes(decoder: str, path: Path, processes: int) -> float:
    """Seconds from the moment when all processes are ready."""
    command = [sys.executable, __file__, "--inside-one", decoder, str(path)]
    all_of_them = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    for process in all_of_them:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise SystemExit("A process could not decode.")
    start = time.perf_counter()
    for process in all_of_them:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    counts = [process.communicate()[0] for process in all_of_them]
    seconds = time.perf_counter() - start
    assert len(set(counts)) == 1, counts
    return seconds


def inside_one(decoder: str, path: Path) -> None:
    """What each process does: the file once, so that everything is loaded, and then once more."""
    decode = {"ours": by_our_decoder, "PyNvVideoCodec": by_pynvvideocodec}[decoder]
    decode(path)
    print("ready", flush=True)
    sys.stdin.readline()
    print(decode(path), flush=True)


class ChipUse:
    """What NVML says of the GPU's decoders while its block runs, in percent; None if it says nothing."""

    def __init__(self) -> None:
        self._seen: list[int] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> ChipUse:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        try:
            import pynvml

            pynvml.nvmlInit()
        except Exception:
            return
        with suppress(pynvml.NVMLError):
            device = pynvml.nvmlDeviceGetHandleByIndex(0)
            while not self._over.wait(0.1):
                self._seen.append(int(pynvml.nvmlDeviceGetDecoderUtilization(device)[0]))
        pynvml.nvmlShutdown()

    @property
    def mean(self) -> float | None:
        return sum(self._seen) / len(self._seen) if self._seen else None


@dataclass(frozen=True)
class Sample:
    """One run of a contender."""

    seconds: float
    """For one file's frames."""
    cores: float
    chip: float | None


@dataclass(frozen=True)
class Contender:
    """Something that decodes the file, once or several times at once."""

    name: str
    run: Callable[[], float]
    """Takes so many seconds."""
    times: int = 1


def contenders(path: Path, streams: list[int], processes: list[int], lanes: list[int]) -> list[Contender]:
    found = []
    for count in streams:
        found.append(Contender(f"ours, {count} streams", partial(in_threads, by_our_decoder, path, count), count))
        theirs = partial(in_threads, by_pynvvideocodec, path, count)
        found.append(Contender(f"PyNvVideoCodec, {count} threads", theirs, count))
    for count in processes:
        found.append(
            Contender(f"PyNvVideoCodec, {count} processes", partial(in_processes, "PyNvVideoCodec", path, count), count)
        )
        found.append(Contender(f"ours, {count} processes", partial(in_processes, "ours", path, count), count))
    found += [Contender(f"ours, {count} lanes", partial(ours, path, count, True)) for count in lanes]
    found += [Contender(f"ours by FFmpeg, {count} lanes", partial(by_ffmpeg, path, count)) for count in lanes]
    return [*found, Contender("ours on the processor, 1 lane", partial(ours, path, 1, False))]


def measured(contender: Contender) -> Sample:
    before = os.times()
    with ChipUse() as chip:
        seconds = contender.run()
    after = os.times()
    used = sum(after[:4]) - sum(before[:4])  # with the processes that it started
    return Sample(seconds / contender.times, used / seconds, chip.mean)


def compare(path: Path, frames: int, rounds: int, all_of_them: list[Contender], row: str) -> list[measuring.Figure]:
    samples: dict[str, list[Sample]] = {one.name: [] for one in all_of_them}
    for number in range(rounds + 1):
        for one in all_of_them if number % 2 else reversed(all_of_them):
            sample = measured(one)
            samples[one.name] += [sample] if number else []
    print(f"\n| {row}, {path.stat().st_size >> 20} MiB | frames/s (quartiles) | cores | chip |\n|---|---|---|---|")
    for name, found in samples.items():
        low, middle, high = (frames / seconds for seconds in measuring.quartiles([one.seconds for one in found]))
        cores = measuring.quartiles([one.cores for one in found])[1]
        busy = [one.chip for one in found if one.chip is not None]
        chip = f"{measuring.quartiles(busy)[1]:.0f} %" if busy else "–"
        print(f"| {name} | {middle:.0f} ({high:.0f} to {low:.0f}) | {cores:.1f} | {chip} |", flush=True)
    figures = []
    for name, found in samples.items():
        figures.append(measuring.Figure(name, row, "fps", [frames / one.seconds for one in found], "more"))
        figures.append(measuring.Figure(name, f"{row}: processor", "cores", [one.cores for one in found]))
        busy = [one.chip for one in found if one.chip is not None]
        figures += [measuring.Figure(name, f"{row}: chip", "%", busy, "")] if busy else []
    return figures


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


def numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",") if one]


def sources(codecs: str, bitrates: str) -> list[tuple[str, str]]:
    """A codec and a bitrate for each source. One list of bitrates holds for all codecs."""
    names, lists = codecs.split(","), [one.split(",") for one in bitrates.split("/")]
    if len(lists) not in (1, len(names)):
        raise SystemExit(f"Expected one list in --bitrates, or one for each of {codecs}, got {bitrates!r}.")
    lists *= len(names) // len(lists)
    return [(codec, bitrate) for codec, some in zip(names, lists, strict=True) for bitrate in some]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--frames", type=int, default=900)
    parser.add_argument("--codecs", default=",".join(NAMES))
    parser.add_argument(
        "--bitrates", default="", help="as ,100M for a constant quality and 100 Mbit/s; / between codecs"
    )
    parser.add_argument("--streams", type=numbers, default=[1, 2, 3, 4, 6, 8])
    parser.add_argument("--processes", type=numbers, default=[8])
    parser.add_argument("--lanes", type=numbers, default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--on", choices=("gpu", "processor"), default="gpu")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument("--inside-one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside_one:
        inside_one(given.inside_one[0], Path(given.inside_one[1]))
        return
    on_gpu = given.on == "gpu"
    print(measuring.machine("av", "PyNvVideoCodec"))
    figures: list[measuring.Figure] = []
    with tempfile.TemporaryDirectory() as name:
        for codec, bitrate in sources(given.codecs, given.bitrates):
            path = Path(name) / f"{codec}{bitrate}.mp4"
            make_source(path, given.size, given.frames, codec, bitrate)
            row = f"{NAMES[codec]}, {given.size}" + (f", {bitrate}bit/s" if bitrate else "")
            todo = (
                contenders(path, given.streams, given.processes, given.lanes)
                if on_gpu
                else on_the_processor(path, given.lanes)
            )
            figures += compare(path, given.frames, given.rounds, todo, row)
            measuring.save(given.json, "gpu_decode" if on_gpu else "decode", figures, "av", "PyNvVideoCodec")


if __name__ == "__main__":
    main()
