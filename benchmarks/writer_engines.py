"""Whether a push loop keeps all engines busy: a `VideoWriter` with all engines against one engine, simulated.

The loop writes frames one after the other, as a renderer does; nobody asks for a frame by its number. The simulated
engines encode at the rates of their cards and give a fixed access unit (backend `null`); libcuda's copies do nothing,
as on a machine whose GPU does them. So what is measured is whether groups of pictures get to the engines in time.
Nothing here ran on a hardware encoder.

Each measurement is a process of its own. Its time runs from the first frame to the end of `close`, so that the opening
of sessions, the start, in which engines get their first groups one after the other, and the end, in which they are
emptied, are in it. The stream is counted and thrown away. One engine and all engines are measured in turn. A ratio is
that of the medians, with the smallest and largest that the quartiles allow.

    L4, 4090    two engines of 344 and 647 fps
    5090        three engines of 708 fps
    mixed       an L4 and a 4090: engines of different speeds, with frames on the host
    gop         an L4 with GOPs of 15 to 250 frames
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measuring import Figure, library_folder, machine, quartiles, save

WIDTH, HEIGHT = 1920, 1080
TIMEOUT = 600  # seconds a process
CARDS = {"L4": (2, 344.0), "RTX 4090": (2, 647.0), "RTX 5090": (3, 708.0)}
"""Engines and frames a second of each, as the simulated driver knows them."""
GOPS = (15, 30, 60, 120, 250)


# --- inside the process of one measurement ---


class Counter:
    """A file that only counts bytes."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: bytes) -> int:
        self.size += len(data)
        return len(data)


def frame_of(kind: str) -> Any:
    from device import Device

    from clients import device_frame, host_frame

    return host_frame() if kind == "host" else device_frame(Device())


def work(engines: str, frames: int, gop: int, kind: str) -> dict[str, float]:
    from pdum.nvenc import VideoWriter

    frame, file = frame_of(kind), Counter()
    cpu, begin = time.process_time(), time.perf_counter()
    given: dict[str, Any] = {"codec": "hevc", "format": "nv12", "gop": gop, "container": "stream"}
    with VideoWriter(file, engines="all" if engines == "all" else 1, backend="nvenc", **given) as video:
        for _ in range(frames):
            video.write(frame)
        last = time.perf_counter()
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    if video.frames != frames or not file.size:
        raise SystemExit(f"{video.frames} frames and {file.size} bytes for {frames} frames")
    return {"seconds": seconds, "cpu": cpu, "end": seconds - (last - begin)}


# --- the process that starts them ---


def measure(gpus: Sequence[Any], engines: str, frames: int, gop: int, kind: str) -> dict[str, float]:
    config = json.dumps({"gpus": list(gpus), "backend": "null", "copy": False, "strict": False})
    path = ":".join(filter(None, [str(library_folder("full")), os.environ.get("LD_LIBRARY_PATH", "")]))
    environment = {**os.environ, "LD_LIBRARY_PATH": path, "NVSIM_CONFIG": config}
    environment.pop("PDUM_NVENC_ENGINES", None)
    command = [sys.executable, __file__, "--worker", engines, "--frames", str(frames), "--gop", str(gop)]
    done = subprocess.run([*command, "--kind", kind], env=environment, capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    answer: dict[str, float] = json.loads(done.stdout)
    return {**answer, "fps": frames / answer["seconds"]}


def compare(
    name: str, alone: Sequence[Any], together: Sequence[Any], rates: Sequence[float], gop: int, options: Any, kind: str
) -> dict[str, Any]:
    """One engine of ``alone`` and all of ``together``, in turn, for about as long. ``rates``: of all engines."""
    samples: dict[str, list[dict[str, float]]] = {"one": [], "all": []}
    for _ in range(options.repeats):
        samples["one"].append(measure(alone, "one", round(rates[0] * options.seconds), gop, kind))
        samples["all"].append(measure(together, "all", round(sum(rates) * options.seconds), gop, kind))
    one = quartiles([sample["fps"] for sample in samples["one"]])
    every = quartiles([sample["fps"] for sample in samples["all"]])
    times = sum(rates) / rates[0]
    ratio, low, high = every[1] / one[1] / times, every[0] / one[2] / times, every[2] / one[0] / times
    cores = statistics.median(sample["cpu"] / sample["seconds"] for sample in samples["all"])
    print(
        f"{name:<28} one {one[1]:7.1f} fps, all {every[1]:7.1f} fps ({every[0]:.1f} to {every[2]:.1f}), "
        f"{times:.2f} x one: {ratio:.3f} ({low:.3f} to {high:.3f}), {cores:.2f} cores",
        flush=True,
    )
    return {"name": name, "times": times, "samples": samples}


def card(name: str, gop: int, options: Any, label: str = "") -> dict[str, Any]:
    engines, fps = CARDS[name]
    return compare(label or name, [name], [name], [fps] * engines, gop, options, "device")


def mixed(options: Any) -> dict[str, Any]:
    rates = [fps for name in ("L4", "RTX 4090") for fps in [CARDS[name][1]] * CARDS[name][0]]
    return compare("L4 and RTX 4090, on the host", ["L4"], ["L4", "RTX 4090"], rates, options.gop, options, "host")


def run(options: Any) -> list[dict[str, Any]]:
    cases = {
        "L4": lambda: [card("L4", options.gop, options)],
        "4090": lambda: [card("RTX 4090", options.gop, options)],
        "5090": lambda: [card("RTX 5090", options.gop, options)],
        "mixed": lambda: [mixed(options)],
        "gop": lambda: [card("L4", gop, options, f"L4, gop={gop}") for gop in GOPS],
    }
    return [row for name in options.only.split(",") for row in cases[name]()]


def figures(row: dict[str, Any]) -> list[Figure]:
    one, every = ([sample["fps"] for sample in row["samples"][key]] for key in ("one", "all"))
    middle = statistics.median(one) * row["times"]
    cores = [sample["cpu"] / sample["seconds"] for sample in row["samples"]["all"]]
    return [
        Figure(row["name"], "one engine", "fps", one, "more"),
        Figure(row["name"], "all engines", "fps", every, "more"),
        Figure(row["name"], "of N times one", "%", [100 * fps / middle for fps in every], "more"),
        Figure(row["name"], "processor", "cores", cores),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="L4,4090,5090,mixed,gop", help="of the cases above (%(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="of each measurement (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a measurement (%(default)s)")
    parser.add_argument("--gop", type=int, default=60, help="frames of a group (%(default)s)")
    parser.add_argument("--json", type=Path, help="writes all samples to this file")
    parser.add_argument("--worker", choices=("one", "all"), help=argparse.SUPPRESS)
    parser.add_argument("--frames", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--kind", default="device", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(work(options.worker, options.frames, options.gop, options.kind)))
        return
    print(machine("numpy"))
    print(f"1080p, gop={options.gop}, medians of {options.repeats}, quartiles in brackets; the driver is simulated")
    rows = run(options)
    save(options.json, "writer_engines", [figure for row in rows for figure in figures(row)], "numpy")


if __name__ == "__main__":
    main()
