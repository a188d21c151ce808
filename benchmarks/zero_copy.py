"""The host's cost of a device frame on each path, in microseconds, compared with PyNvVideoCodec and PyAV's from_dlpack.

`copy` is copy="always", `zero copy` is copy="never", `surface` is `encoder.surface()` taken and submitted. The engine
is the simulated one (backend `null`), the libcuda simulated with its copies as no-ops, or with `--driver encode` the
real one; the clients take turns as in client_cost.py, whose machinery this is. Ends with status 1 where a peer was
cheaper than ours in any row, or a client could not be measured.
"""

from __future__ import annotations

import argparse
import math
import statistics
from pathlib import Path

import native_parts
from client_cost import Measured, measure
from measuring import Figure, machine, quartiles, save
from zero_copy_clients import ENCODE, PYAV, PYNV, SUBMIT, ZERO_COPY_CLIENTS, cupy_or_none

PATHS = ("copy", "zero copy", "surface")
COLUMNS = (ENCODE, SUBMIT, PYNV, PYAV)


def client_of(path: str, column: str) -> str:
    return column if column in (PYNV, PYAV) else f"{path}: {column}"


def median(measured: Measured) -> float:
    return statistics.median(measured.micros) if measured.micros else math.nan


def cell(measured: Measured) -> str:
    if not measured.micros:
        return "not measured"
    low, middle, high = quartiles(measured.micros)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def print_table(results: dict[str, Measured]) -> list[str]:
    """Prints the table and returns the rows in which ours was not the cheapest."""
    print(f"\n| µs a frame | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    lost = []
    for path in PATHS:
        row = [results[client_of(path, column)] for column in COLUMNS]
        print(f"| {path} | {' | '.join(map(cell, row))} |")
        ours, peers = [median(one) for one in row[:2]], [median(one) for one in row[2:]]
        if not max(ours) < min(peers):  # so that NaN counts as lost, too
            lost.append(path)
    for name, measured in results.items():
        if measured.failure:
            print(f"{name}: {measured.failure}")
    return lost


def figures(results: dict[str, Measured]) -> list[Figure]:
    return [
        Figure(path, column, "µs a frame", results[client_of(path, column)].micros)
        for path in PATHS
        for column in COLUMNS
        if results[client_of(path, column)].micros
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=3000, help="frames a client and round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="how often each client has its turn (%(default)s)")
    parser.add_argument("--driver", choices=("full", "encode"), default="full", help="what is simulated: all, or NVENC")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args()
    native_parts.build()
    settings = {"no copies": False} if options.driver == "full" else {"real libcuda": True}
    results = measure(list(ZERO_COPY_CLIENTS), options.driver, options.frames, options.rounds, settings)
    (setting,) = results
    frames = "CuPy's" if options.driver == "encode" and cupy_or_none() is not None else "made by libcuda"
    simulated = "the driver is simulated" if options.driver == "full" else "the encoder library is simulated"
    print(machine("av", "PyNvVideoCodec", "cupy"))
    print(f"1080p NV12, frames {frames}, {options.frames} frames x {options.rounds} rounds, {setting}; {simulated}")
    print("medians of the rounds (quartiles)")
    lost = print_table(results[setting])
    part = "zero_copy" if options.driver == "full" else "gpu_zero_copy"
    save(options.json, part, figures(results[setting]), "av", "PyNvVideoCodec")
    print(f"\nours is the smallest in each row: {'no: ' + ', '.join(lost) if lost else 'yes'}")
    if lost:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
