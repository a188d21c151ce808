"""Whether decoders keep a pool's engines busy: files through `EncoderPool`, against what the engines alone would take.

    python benchmarks/transcode.py [--driver encode] [--size 1920x1080] [--frames 3600] [--files 1,6] [--engines 1,2,3]
                                   [--fps 344] [--limits 0,1] [--rounds 3]

All files of a case have `--frames` together: one has 3,600, or six have 600 each. A source repeats its first pictures.

The engines are simulated, with a fixed rate and a fixed access unit. `--driver encode` has a real libcuda and the
decoders of a real GPU. `--driver full` simulates the decoders too: `--decoders 4 --decode-fps 150` says how many and
how fast each is, and libavcodec does their work on this processor. Rates are those at the size of the pictures. An
engine of `--fps 0` takes no time, and shows the limit of everything else; *decoders alone* are so many threads of this
process that only decode. With `--limits 1`, the pool may use one decoder of the GPU, as on a board that has no more:
PDUM_NVENC_DECODERS. 0 is no limit.

Each measurement is a process of its own, from the call to its return: indexing, opening, joining and verifying are in
it. `start` is the time until an engine begins, and `at work` leaves out that and what comes after the last frame. They
take turns, and the order changes from round to round. One measurement comes first, whose figures are dropped.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from decode import NAMES, by_our_decoder, in_threads, make_source
from measuring import Figure, library_folder, machine, quartiles, save

PIXELS_1080P = 1920 * 1080
COLUMNS = ("of the engines", "at work", "start, s", "decoders", "waited", "cores")
TIMEOUT = 900  # seconds a process
MADE = 300
"""Frames that are encoded for a source. It repeats them, so that long sources are made fast."""


# --- inside the process of one measurement ---


def transcode(sources: list[Path], folder: Path) -> dict[str, float]:
    """Seconds, and what the pool told of its decoders."""
    from pdum.nvenc import EncoderPool, FileJob, FileSettings, events

    told: list[events.Event] = []
    settings = FileSettings(codec="hevc", audio="none", encoder={"preset": "p1", "bframes": 0})
    jobs = [
        FileJob(source=source, destination=folder / f"{number}.mkv", settings=settings, verify="structure")
        for number, source in enumerate(sources)
    ]
    with EncoderPool(backend="nvenc") as pool:
        begin = time.perf_counter()
        pool.encode_files(jobs, on_event=told.append).raise_for_errors()
        seconds = time.perf_counter() - begin
    progress = [one for one in told if isinstance(one, events.Progress)]
    begun = min(one.at for one in told if isinstance(one, events.PieceStarted))
    ended = max(one.at for one in told if isinstance(one, events.PieceFinished))
    waits = [one.engine_waited for one in progress]
    return {
        "seconds": seconds,
        "decoders": max((one.decoders for one in progress), default=1),
        "start": begun,
        "at_work": ended - begun,
        "waited": sum(waits) / max(1, len(waits)),
    }


def work(options: argparse.Namespace) -> dict[str, float]:
    before = os.times()
    if options.worker == "decode":
        found = {"seconds": in_threads(by_our_decoder, options.source, options.threads) / options.threads}
    else:
        with tempfile.TemporaryDirectory() as name:
            links = [Path(name) / f"in-{number}.mp4" for number in range(options.count)]
            for link in links:
                link.symlink_to(options.source)
            found = transcode(links, Path(name))
    after = os.times()
    return {**found, "cpu": after.user + after.system - before.user - before.system}


# --- the process that starts them ---


def make_sources(options: argparse.Namespace, folder: Path, codec: str) -> dict[int, Path]:
    """One for each number of files."""
    longest = options.frames // min(options.files)
    made = folder / f"{codec}-short.mp4"
    make_source(made, options.size, min(MADE, longest), codec, options.bitrate)
    sources = {}
    for files in {*options.files, 1}:
        sources[files] = folder / f"{codec}-{files}.mp4"
        repeat(made, sources[files], options.frames // files)
    return sources


def repeat(source: Path, target: Path, frames: int) -> None:
    """The same video again and again, without encoding it anew."""
    import av

    with av.open(str(source)) as read:
        stream = read.streams.video[0]
        packets = [packet for packet in read.demux(stream) if packet.size]
        step = sum(packet.duration for packet in packets)
        with av.open(str(target), "w") as written:
            copy = written.add_stream_from_template(stream)
            for number in range(frames):
                turn, place = divmod(number, len(packets))
                packet = packets[place]
                again = av.Packet(bytes(packet))
                again.pts, again.dts = packet.pts + turn * step, packet.dts + turn * step
                again.duration, again.time_base = packet.duration, packet.time_base
                again.is_keyframe, again.stream = packet.is_keyframe, copy
                written.mux(again)


@dataclass(frozen=True)
class Case:
    """One row."""

    files: int
    engines: int
    fps: float
    limit: int

    @property
    def name(self) -> str:
        rate = f"of {self.fps:g} fps" if self.fps else "that take no time"
        limit = f", {self.limit} decoder of the GPU" if self.limit == 1 else ""
        return f"{_many(self.files, 'file')}, {_many(self.engines, 'engine')} {rate}{limit}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def start(options: argparse.Namespace, case: Case, *arguments: object) -> dict[str, float]:
    width, height = map(int, options.size.split("x"))
    scale = width * height / PIXELS_1080P
    gpu: dict[str, Any] = {"like": "L4", "name": "engines", "engines": case.engines, "fps_1080p": case.fps * scale}
    if options.driver == "full":
        gpu |= {"decoders": options.decoders, "decode_fps_1080p": options.decode_fps * scale}
    config = json.dumps({"gpus": [gpu], "backend": "null", "strict": False})
    path = ":".join(filter(None, [str(library_folder(options.driver)), os.environ.get("LD_LIBRARY_PATH", "")]))
    environment = {**os.environ, "LD_LIBRARY_PATH": path, "NVSIM_CONFIG": config}
    if case.limit:
        environment["PDUM_NVENC_DECODERS"] = str(case.limit)
    command = [sys.executable, __file__, "--worker", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def cases(options: argparse.Namespace) -> list[Case]:
    return [
        Case(files, engines, fps, limit)
        for limit in options.limits
        for fps in options.fps
        for files in options.files
        for engines in options.engines
    ]


def compare(options: argparse.Namespace, sources: dict[int, Path], codec: str) -> list[Figure]:
    todo = cases(options)
    found: dict[Case, list[dict[str, float]]] = {case: [] for case in todo}
    alone: list[float] = []
    plain = Case(1, 1, 0, 0)

    def measured(case: Case) -> dict[str, float]:
        return start(options, case, "transcode", "--source", sources[case.files], "--count", case.files)

    measured(todo[-1])
    for number in range(options.rounds):
        for case in reversed(todo) if number % 2 else todo:
            found[case].append(measured(case))
        shortest = sources[max(sources)]
        answer = start(options, plain, "decode", "--source", shortest, "--threads", options.threads)
        alone.append(options.frames // max(sources) / answer["seconds"])
    print(f"\n| {codec}, {options.size} | frames/s (quartiles) | {' | '.join(COLUMNS)} |")
    print("|---|---|" + "---|" * len(COLUMNS))
    print(f"| {options.threads} decoders alone | {spread(alone)} | – | – | – | {options.threads} | – | – |")
    figures = [Figure(f"{codec}: {options.threads} decoders alone", "rate", "fps", alone, "more")]
    for case, answers in found.items():
        figures += row(options, codec, case, answers)
    return figures


def row(options: argparse.Namespace, codec: str, case: Case, answers: list[dict[str, float]]) -> list[Figure]:
    frames = options.frames // case.files * case.files
    rates = [frames / one["seconds"] for one in answers]
    ideal = case.engines * case.fps
    shares = [100 * rate / ideal for rate in rates] if ideal else []
    at_work = [100 * frames / one["at_work"] / ideal for one in answers] if ideal else []
    starts = [one["start"] for one in answers]
    decoders, waited = [one["decoders"] for one in answers], [100 * one["waited"] for one in answers]
    cores = [one["cpu"] / one["seconds"] for one in answers]
    print(
        f"| {case.name} | {spread(rates)} | {percent(shares)} | {percent(at_work)} | "
        f"{median(starts):.2f} | {median(decoders):.0f} | "
        f"{median(waited):.0f} % | {median(cores):.1f} |",
        flush=True,
    )
    name = f"{codec}: {case.name}"
    return [
        Figure(name, "rate", "fps", rates, "more"),
        *([Figure(name, "of the engines", "%", shares, "more")] if shares else []),
        *([Figure(name, "of the engines at work", "%", at_work, "more")] if at_work else []),
        Figure(name, "start", "s", starts),
        Figure(name, "most decoders", "", decoders, ""),
        Figure(name, "processor", "cores", cores),
    ]


def percent(shares: list[float]) -> str:
    return f"{median(shares):.0f} %" if shares else "–"


def spread(rates: list[float]) -> str:
    low, middle, high = quartiles(rates)
    return f"{middle:.0f} ({low:.0f} to {high:.0f})"


def numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",") if one]


def rates(text: str) -> list[float]:
    return [float(one) for one in text.split(",") if one]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driver", choices=("full", "encode"), default="full")
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--frames", type=int, default=3600, help="of all files together")
    parser.add_argument("--bitrate", default="", help="of the sources, as 100M; without it, a constant quality")
    parser.add_argument("--files", type=numbers, default=[1, 6])
    parser.add_argument("--engines", type=numbers, default=[1, 2, 3])
    parser.add_argument("--fps", type=rates, default=[344.0, 0.0], help="of one engine")
    parser.add_argument("--limits", type=numbers, default=[0], help="decoders that the pool may use; 0: all")
    parser.add_argument("--threads", type=int, default=8, help="decoders alone")
    parser.add_argument("--decoders", type=int, default=4, help="of the simulated GPU")
    parser.add_argument("--decode-fps", type=float, default=0.0, help="of each of them; 0: as fast as the processor")
    parser.add_argument("--codecs", default=",".join(NAMES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument("--worker", choices=("transcode", "decode"), help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(work(options)))
        return
    print(machine("av"))
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name:
        for codec in options.codecs.split(","):
            figures += compare(options, make_sources(options, Path(name), codec), NAMES[codec])
            save(options.json, "gpu_transcode" if options.driver == "encode" else "transcode", figures, "av")


if __name__ == "__main__":
    main()
