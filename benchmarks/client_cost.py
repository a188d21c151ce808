"""The host's cost per frame of each client of the encoder, in microseconds, on the simulated driver.

The simulated engine (backend `null`) takes no time and gives a fixed access unit, so what is measured is the client:
from the caller's frame to the caller's bytes. Each client runs in a process of its own; the clients take turns, round
after round, so that what disturbs the machine disturbs all of them. First each is run once with the driver's calls
counted: a client that did not encode every frame is no result.

Two settings: `copies` moves the frame's bytes where a GPU's copy engine would, so that a device frame costs a memcpy of
the host's; `no copies` makes the simulated libcuda's copies no-ops, which leaves the client's own cost, as on a machine
whose GPU does the copying.

On a machine with a GPU, `--driver encode` uses the real libcuda and simulates the encoder library alone; there is one
setting then, and CuPy's and PyTorch's frames are measured too where these are installed.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import native_parts
from measuring import Figure, library_folder, machine, quartiles, save
from zero_copy_clients import ZERO_COPY_CLIENTS

from clients import CLIENTS, REAL_GPU_ONLY, REFERENCE, YARDSTICKS

BLOCKS = 5
COUNTED_FRAMES = 120
TIMEOUT = 300  # seconds a process
SETTINGS = {"copies": True, "no copies": False}


@dataclass
class Measured:
    """One client under one setting."""

    micros: list[float] = field(default_factory=list)  # one a round: the median of its blocks
    calls: dict[str, float] = field(default_factory=dict)  # the driver's calls per frame
    failure: str = ""


# --- inside the process of one client ---


def work(client: str, frames: int, counting: bool) -> dict[str, Any]:
    run = {**CLIENTS, **ZERO_COPY_CLIENTS}[client]()
    run(max(20, frames // 10))
    before = counted_calls() if counting else {}
    block = frames // BLOCKS
    micros = []
    for _ in range(BLOCKS):
        begin = time.perf_counter_ns()
        units = run(block)
        micros.append((time.perf_counter_ns() - begin) / block / 1000)
        if units != block:
            raise RuntimeError(f"{units} access units came for {block} frames")
    after = counted_calls() if counting else {}
    made = {name: (count - before.get(name, 0)) / (block * BLOCKS) for name, count in after.items()}
    return {"micros": micros, "calls": {name: count for name, count in made.items() if count > 0.05}}


def counted_calls() -> dict[str, int]:
    calls: dict[str, int] = {}
    for name in ("libnvidia-encode.so.1", "libcuda.so.1"):
        library = ctypes.CDLL(name)
        if hasattr(library, "nvsim_control"):
            library.nvsim_control.restype = ctypes.c_char_p
            report = json.loads(library.nvsim_control(b'{"report": true}'))
            if report.get("violations"):
                raise RuntimeError(f"the driver's rules were broken: {report['violations'][0]}")
            calls.update(report["calls"])
    return calls


# --- the process that starts them ---


def configuration(copy: bool, counting: bool = False) -> str:
    gpu = {"name": "L40S", "fps_1080p": 0}
    # Strictness is the simulator's own work, 65 ns a frame of it; the counted run has it.
    return json.dumps({"gpus": [gpu], "backend": "null", "copy": copy, "count": counting, "strict": counting})


def run_client(client: str, driver: str, copy: bool, frames: int, counting: bool = False) -> dict[str, Any]:
    paths = [str(library_folder(driver)), os.environ.get("LD_LIBRARY_PATH", "")]
    environment = dict(
        os.environ, LD_LIBRARY_PATH=":".join(filter(None, paths)), NVSIM_CONFIG=configuration(copy, counting)
    )
    command = [sys.executable, __file__, "--worker", client, "--frames", str(frames)]
    if counting:
        command.append("--counting")
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
    if result.returncode != 0:
        lines = result.stderr.strip().splitlines() or [f"ended with {result.returncode}"]
        raise RuntimeError(lines[-1])
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def count_calls(client: str, driver: str, copy: bool) -> Measured:
    """One run with the driver's counts of calls. A failure or a wrong count becomes the client's result."""
    try:
        calls = run_client(client, driver, copy, COUNTED_FRAMES, counting=True)["calls"]
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        return Measured(failure=str(error))
    encoded = calls.get("nvEncEncodePicture", 0)
    if client not in YARDSTICKS and abs(encoded - 1) > 0.05:  # a flush at a block's end may add one
        return Measured(failure=f"the driver saw {encoded:.2f} pictures a frame")
    return Measured(calls=calls)


def measure(
    names: list[str], driver: str, frames: int, rounds: int, settings: dict[str, bool]
) -> dict[str, dict[str, Measured]]:
    """By setting (whether the simulated libcuda copies) and client."""
    results = {setting: {name: count_calls(name, driver, copy) for name in names} for setting, copy in settings.items()}
    for number in range(rounds):
        for name in names:
            for setting, copy in settings.items():
                measured = results[setting][name]
                if not measured.failure:
                    try:
                        blocks = run_client(name, driver, copy, frames)["micros"]
                        measured.micros.append(statistics.median(blocks))
                    except (RuntimeError, subprocess.TimeoutExpired) as error:
                        measured.failure = str(error)
        print(f"round {number + 1} of {rounds} done", file=sys.stderr)
    return results


# --- the table ---


def print_table(results: dict[str, dict[str, Measured]]) -> None:
    settings = list(results)
    width = max(len(name) for name in results[settings[0]])
    for setting in settings:
        reference = results[setting].get(REFERENCE, Measured())
        base = statistics.median(reference.micros) if reference.micros else float("nan")
        print(f"\n{setting}\n{'client':<{width}}  us a frame    quartiles           minimum   x ours   calls")
        for name, measured in results[setting].items():
            if measured.failure:
                print(f"{name:<{width}}  not measured: {measured.failure}")
                continue
            low, middle, high = quartiles(measured.micros)
            calls = sum(measured.calls.values())
            print(
                f"{name:<{width}}  {middle:10.2f}    {low:7.2f} to {high:7.2f}  {min(measured.micros):8.2f} "
                f"{middle / base:8.1f}  {calls:6.1f}"
            )


def figures(results: dict[str, dict[str, Measured]]) -> list[Figure]:
    return [
        Figure(name, setting, "µs a frame", measured.micros)
        for setting, clients in results.items()
        for name, measured in clients.items()
        if measured.micros
    ]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=3000, help="frames a client and round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="how often each client has its turn (%(default)s)")
    parser.add_argument("--driver", choices=("full", "encode"), default="full", help="what is simulated: all, or NVENC")
    parser.add_argument("--only", default="", metavar="TEXT", help="clients whose names contain one of TEXT,TEXT…")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--counting", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parse()
    if options.worker:
        print(json.dumps(work(options.worker, options.frames, options.counting)))
        return
    native_parts.build()
    wanted = [text.lower() for text in options.only.split(",")]
    names = [
        name
        for name in CLIENTS
        if any(text in name.lower() for text in wanted) and (options.driver == "encode" or name not in REAL_GPU_ONLY)
    ]
    settings = SETTINGS if options.driver == "full" else {"real libcuda": True}
    results = measure(names, options.driver, options.frames, options.rounds, settings)
    print(machine("av", "PyNvVideoCodec", "numpy"))
    simulated = "the driver is simulated" if options.driver == "full" else "the encoder library is simulated"
    print(f"1080p NV12, {options.frames} frames x {options.rounds} rounds, medians of the rounds; {simulated}")
    print_table(results)
    part = "client_cost" if options.driver == "full" else "gpu_client_cost"
    save(options.json, part, figures(results), "numpy", "av", "PyNvVideoCodec")


if __name__ == "__main__":
    main()
