"""How much earlier the first bytes of a picture are there if it is read slice by slice: `encode_slices`.

The simulated engine takes `--picture` milliseconds for each picture, and shows its slices one after the other, each
after an equal part of that time. The slices are x264's, whose own time is in the first part. So what is measured is
what the package and its waiting add to the ideal, which is a picture's time by its slices. One slice is `encode`. Rows
take turns, and the first pictures of each are dropped. A real engine adds a time of its own, and its slices are not all
alike.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from measuring import Figure, library_folder, machine, quartiles, save

WIDTH, HEIGHT = 320, 192
DROPPED = 3
"""Pictures of a process that are not counted."""
TIMEOUT = 120  # seconds a process
PIXELS_1080P = 1920 * 1080

Times = dict[str, list[float]]


# --- inside the process of one measurement ---


def work(slices: int, frames: int) -> Times:
    """Milliseconds until the first bytes of each picture, and until all of them."""
    import numpy

    from pdum.nvenc import NvencEncoder

    waves = 128 + 100 * numpy.sin(numpy.arange(WIDTH + frames + DROPPED) / 20)
    moving = numpy.tile(waves.astype(numpy.uint8), (HEIGHT * 3 // 2, 1))
    found: Times = {"first": [], "all": []}
    with NvencEncoder(WIDTH, HEIGHT, tuning="ull", gop=0, slices=slices, sub_frames=slices > 1) as encoder:
        for number in range(frames + DROPPED):
            frame = numpy.ascontiguousarray(moving[:, number : number + WIDTH])
            begin = time.perf_counter()
            parts = encoder.encode_slices(frame) if slices > 1 else iter([encoder.encode(frame)])
            next(parts)
            first = time.perf_counter() - begin
            for _ in parts:
                pass
            if number >= DROPPED:
                found["first"].append(1000 * first)
                found["all"].append(1000 * (time.perf_counter() - begin))
    return found


# --- the process that starts them ---


def measure(slices: int, options: argparse.Namespace) -> Times:
    fps = 1000 / options.picture * WIDTH * HEIGHT / PIXELS_1080P
    gpu = {"like": "RTX 4090", "name": "engine", "engines": 1, "fps_1080p": fps}
    path = ":".join(filter(None, [str(library_folder("full")), os.environ.get("LD_LIBRARY_PATH", "")]))
    config = json.dumps({"gpus": [gpu], "backend": "codec", "strict": False})
    environment = {**os.environ, "LD_LIBRARY_PATH": path, "NVSIM_CONFIG": config}
    command = [sys.executable, __file__, "--worker", str(slices), "--frames", str(options.frames)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    answer: Times = json.loads(done.stdout)
    return answer


def row(slices: int, times: Times, picture: float) -> list[Figure]:
    first, share = times["first"], [100 * one / whole for one, whole in zip(times["first"], times["all"], strict=True)]
    above = [one - picture / slices for one in first]
    name = "1 slice (encode)" if slices == 1 else f"{slices} slices"
    print(f"| {name} | {spread(first)} | {spread(times['all'])} | {spread(share)} | {spread(above)} |", flush=True)
    return [
        Figure(name, "first bytes", "ms", first),
        Figure(name, "all bytes", "ms", times["all"]),
        Figure(name, "first of all", "%", share),
        Figure(name, "first above the ideal", "ms", above),
    ]


def spread(samples: list[float]) -> str:
    low, middle, high = quartiles(samples)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", type=float, default=40.0, help="milliseconds that the engine takes (%(default)s)")
    parser.add_argument("--slices", default="1,2,4,8")
    parser.add_argument("--frames", type=int, default=20, help="pictures of each row and round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(work(options.worker, options.frames)))
        return
    counts = [int(one) for one in options.slices.split(",")]
    found: dict[int, Times] = {slices: {"first": [], "all": []} for slices in counts}
    for number in range(options.rounds):
        for slices in reversed(counts) if number % 2 else counts:
            for name, samples in measure(slices, options).items():
                found[slices][name] += samples
    print(machine())
    print(f"H.264, {WIDTH}x{HEIGHT}, {options.picture:g} ms a picture; medians (quartiles)\n")
    print("| | first bytes, ms | all bytes, ms | first of all, % | first above the ideal, ms |\n|---|---|---|---|---|")
    figures = [figure for slices, times in found.items() for figure in row(slices, times, options.picture)]
    save(options.json, "first_byte", figures)


if __name__ == "__main__":
    main()
