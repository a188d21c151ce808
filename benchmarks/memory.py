"""Memory of the process, and of the simulated GPU, over a million frames and ten thousand sessions.

Each case runs in a process of its own on the simulated driver (backend `null`, copies as no-ops). Memory is read at
ten checkpoints; the first tenth is warm-up. Ends with status 1 where a case grew by more than `--limit` KiB after
it, or left an object in the driver.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from client_cost import configuration
from device import Device
from measuring import Figure, library_folder, machine, save

from clients import (
    HEIGHT,
    WIDTH,
    Run,
    device_frame,
    ours_encode_device,
    ours_encode_host,
    ours_submit_device,
    ours_submit_host,
)
from pdum.nvenc import NvencEncoder

CHECKPOINTS = 10
KIB = 1024


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def sessions() -> Run:
    """Encoders made and closed, each of which encodes a frame."""
    frame = device_frame(Device())

    def run(count: int) -> int:
        for _ in range(count):
            with NvencEncoder(WIDTH, HEIGHT) as encoder:
                encoder.encode(frame)
        return count

    return run


def dropped_sessions() -> Run:
    """Encoders that are never closed, with a frame in flight: the garbage collector ends them."""
    frame = device_frame(Device())

    def run(count: int) -> int:
        for _ in range(count):
            NvencEncoder(WIDTH, HEIGHT, extra_output_delay=3).submit(frame, 0)
        return count

    return run


CASES: dict[str, tuple[Callable[[], Run], str]] = {
    "encode, device frames": (ours_encode_device, "frames"),
    "encode, NumPy frames": (ours_encode_host, "frames"),
    "submit with 3 in flight, device frames": (ours_submit_device, "frames"),
    "submit with 3 in flight, NumPy frames": (ours_submit_host, "frames"),
    "sessions made and closed": (sessions, "sessions"),
    "sessions made and dropped": (dropped_sessions, "sessions"),
}


def live_objects() -> dict[str, int]:
    """The encoders' objects that are left in the simulated driver. The frame of `Device` belongs to the benchmark."""
    live: dict[str, int] = {}
    for name in ("libnvidia-encode.so.1", "libcuda.so.1"):
        control = ctypes.CDLL(name).nvsim_control
        control.restype = ctypes.c_char_p
        live.update(json.loads(control(b'{"report": true}'))["live"])
    own = ("primary_retains", "streams", "device_allocations") if Device.made else ()
    left = {name: count - (1 if name in own else 0) for name, count in live.items()}
    return {name: count for name, count in left.items() if count}


def work(case: str, count: int) -> dict[str, Any]:
    run = CASES[case][0]()
    host, seconds = [], time.perf_counter()
    for _ in range(CHECKPOINTS):
        run(count // CHECKPOINTS)
        gc.collect()
        host.append(resident())
    seconds = time.perf_counter() - seconds
    del run
    gc.collect()
    return {"resident": host, "seconds": seconds, "live": live_objects()}


def run_case(case: str, count: int) -> dict[str, Any]:
    environment = dict(os.environ, LD_LIBRARY_PATH=str(library_folder("full")), NVSIM_CONFIG=configuration(copy=False))
    command = [sys.executable, __file__, "--worker", case, "--frames", str(count)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
    if result.returncode != 0:
        raise SystemExit(f"{case}: {result.stderr}")
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def figures(results: dict[str, dict[str, Any]], options: argparse.Namespace) -> list[Figure]:
    found = []
    for case, (_, unit) in CASES.items():
        count = options.frames if unit == "frames" else options.sessions
        sizes = results[case]["resident"]
        row = f"{case}, {count:,} {unit}"
        found.append(Figure(row, "growth after the first tenth", "KiB", [(sizes[-1] - sizes[0]) / KIB]))
        found.append(Figure(row, "time of one", "µs", [results[case]["seconds"] / count * 1e6]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1_000_000, help="%(default)s")
    parser.add_argument("--sessions", type=int, default=10_000, help="%(default)s")
    parser.add_argument("--limit", type=int, default=256, metavar="KIB", help="growth that is still flat (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(work(options.worker, options.frames)))
        return
    print(machine())
    print("resident memory in KiB at each tenth; the driver is simulated\n")
    growing, results = [], {}
    for case, (_, unit) in CASES.items():
        count = options.frames if unit == "frames" else options.sessions
        results[case] = found = run_case(case, count)
        kib = [size // KIB for size in found["resident"]]
        growth = kib[-1] - kib[0]
        if growth > options.limit or found["live"]:
            growing.append(case)
        print(f"{case}: {count:,} {unit} in {found['seconds']:.1f} s")
        print(f"  {' '.join(map(str, kib))}   growth {growth:+d} KiB; left in the driver: {found['live'] or 'nothing'}")
    save(options.json, "memory", figures(results, options))
    if growing:
        raise SystemExit(f"memory grew, or something was left: {', '.join(growing)}")


if __name__ == "__main__":
    main()
